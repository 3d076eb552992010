//! Decides which RemoteClusters may be used.

use std::{collections::BTreeMap, sync::Arc};

use ipnet::IpNet;
use redirector_policy::{EncryptionMode, Reach, ValidRemoteCluster};

use super::{ClusterVersions, Clusters, Occupied, OwnId, Refusal, Standing};
use crate::api::is_cluster_id;

impl Clusters {
    /// What is to be said of each.
    pub(super) fn standings(&self) -> BTreeMap<Arc<str>, Standing> {
        let mut by_age: Vec<(i64, &Arc<str>)> =
            self.known.iter().map(|(name, known)| (known.created, name)).collect();
        by_age.sort_unstable();
        let mut older: Vec<(&Arc<str>, &ValidRemoteCluster)> = Vec::new();
        let mut standing = BTreeMap::new();
        for (_, name) in by_age {
            let known = &self.known[name];
            let found = self.standing_of(name, known, &older);
            older.extend(known.good.as_deref().map(|good| (name, good)));
            standing.insert(Arc::clone(name), found);
        }
        standing
    }

    /// In order: what it says must be valid and its name an id; the own cluster must have an id, and
    /// another one; with reach Pod its ranges must be free of everything else; and the way there must be
    /// encrypted, if that is required.
    fn standing_of(
        &self,
        name: &Arc<str>,
        known: &ClusterVersions,
        older: &[(&Arc<str>, &ValidRemoteCluster)],
    ) -> Standing {
        let Some(good) = &known.good else {
            return Err(Refusal::Invalid(known.problem.clone().unwrap_or_default()));
        };
        if !is_cluster_id(name) {
            return Err(Refusal::Name);
        }
        match &self.own {
            OwnId::Unknown => return Err(Refusal::OwnUnknown),
            OwnId::Differ { by, said, other } => {
                let (by, said, other) = (*by, Arc::clone(said), other.clone());
                return Err(Refusal::OwnDiffers { by, said, other });
            }
            OwnId::Is(own) if own == name => return Err(Refusal::IsOwn),
            OwnId::Is(_) => {}
        }
        if good.spec().reach == Reach::Pod
            && let Some(overlap) = self.overlap(name, good, older)
        {
            return Err(overlap);
        }
        if good.spec().encryption.mode == EncryptionMode::Required {
            return Err(Refusal::NoGuard);
        }
        Ok(Arc::clone(good))
    }

    fn overlap(
        &self,
        name: &Arc<str>,
        cluster: &ValidRemoteCluster,
        older: &[(&Arc<str>, &ValidRemoteCluster)],
    ) -> Option<Refusal> {
        let overlap = |cidr: IpNet, with| Some(Refusal::Overlap { cidr, with });
        for cidr in cluster.cidrs() {
            if let Some(node) = self.node.iter().find(|node| overlaps(cidr, node)) {
                return overlap(*cidr, Occupied::Node(*node));
            }
            // IPv4 comes before IPv6; of ranges that are disjoint only one can be the first to reach in.
            let before = self.nodes.partition_point(|nodes| nodes.broadcast() < cidr.network());
            if let Some(nodes) = self.nodes.get(before).filter(|nodes| overlaps(cidr, nodes)) {
                return overlap(*cidr, Occupied::Nodes(*nodes));
            }
            if let Some(agent) = self.agent.iter().find(|agent| cidr.contains(*agent)) {
                return overlap(*cidr, Occupied::Agent(*agent));
            }
            for (other, theirs) in older.iter().filter(|(_, it)| it.spec().reach == Reach::Pod) {
                if let Some(range) = theirs.cidrs().iter().find(|range| overlaps(cidr, range)) {
                    return overlap(*cidr, Occupied::Cluster((*other).clone(), *range));
                }
            }
        }
        let (service, address) =
            self.occupied.iter().find_map(|(service, of)| Some((service, *of.get(name)?)))?;
        let cidr = cluster.cidrs().iter().find(|cidr| cidr.contains(&address))?;
        overlap(*cidr, Occupied::Service(service.clone(), address))
    }
}

/// Whether two ranges have an address in common.
fn overlaps(one: &IpNet, other: &IpNet) -> bool {
    one.contains(&other.network()) || other.contains(&one.network())
}
