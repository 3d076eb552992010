//! Which other clusters this one may use: RemoteClusters, and what forbids some of them. Pure.
//!
//! A RemoteCluster that is refused is refused as a whole, whatever of it would be harmless. Every node
//! decides the same of two RemoteClusters whose ranges overlap: the younger one is refused, by
//! `metadata.creationTimestamp`, then by name, whatever else is wrong with the older one; ranges that
//! are claimed are not given to another cluster by a mistake elsewhere.
//!
//! A cluster that is refused is refused for everybody, so only what no user of a namespace can write is
//! evidence that a range is in use here: Nodes (`podCIDRs`, addresses), cluster addresses of Services,
//! which the API server gives out, other RemoteClusters, and the address of the agent's own pod, which
//! the kubelet writes. Slices are none, whatever controller their labels name: a user who may write slices
//! forges one faster than the controller removes it. Where a Node says no `podCIDRs` (Calico, the VPC
//! CNI) its agent's pod speaks for the pods of that Node. What a slice says beyond that costs its own
//! Service alone the endpoints of that cluster, see [`Index`](crate::index::Index) and
//! [`OVERLAP_SUSPECTED`](crate::index::reason::OVERLAP_SUSPECTED).
//!
//! A version that is invalid changes nothing: the last good one of the same object stays in force, as
//! for FailoverPolicies.

mod own;
mod ranges;
mod refusal;
mod standing;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use ipnet::IpNet;
use redirector_core::remote_cluster::{self as core, ClusterPhase, OnSilence};
use redirector_policy::{OnSilenceWord, Reach, ValidRemoteCluster};

use self::ranges::Ranges;
use crate::api::{Batch, Change, ObjectRef, Phase, RemoteCluster};

pub use self::{
    own::{OwnId, SaidBy},
    refusal::{Occupied, Refusal},
};

/// Every RemoteCluster that there is.
#[derive(Clone, Debug, Default)]
pub struct Clusters {
    own: OwnId,
    known: BTreeMap<Arc<str>, ClusterVersions>,
    /// The ranges of those whose pods are dialled.
    ranges: Ranges,
    /// Where the own node and its pods are.
    node: Vec<IpNet>,
    /// Where all Nodes and their pods are, as last listed: disjoint, by their first address.
    nodes: Vec<IpNet>,
    /// Where the pod of this agent is.
    agent: Vec<IpAddr>,
    /// Services with an address within ranges of others: one of each Service and cluster.
    occupied: BTreeMap<ObjectRef, BTreeMap<Arc<str>, IpAddr>>,
    standing: BTreeMap<Arc<str>, Standing>,
    /// Something has changed since `standing` was found.
    is_changed: bool,
    is_synced: bool,
}

/// What was decided about a RemoteCluster.
type Standing = Result<Arc<ValidRemoteCluster>, Refusal>;

/// One RemoteCluster.
#[derive(Clone, Debug)]
struct ClusterVersions {
    uid: Arc<str>,
    created: i64,
    /// What is wrong with its newest version.
    problem: Option<Arc<str>>,
    /// Its last good version.
    good: Option<Arc<ValidRemoteCluster>>,
    phase: Option<Phase>,
    /// The own cluster's id, as the importer says.
    local: Option<Arc<str>>,
    is_leaving: bool,
}

impl Clusters {
    /// Takes in what a watch has said. Returns whether ranges are others than before: then all Services
    /// that may be in them are to be told again, by [`occupy`](Self::occupy).
    pub fn take(&mut self, batch: Batch<RemoteCluster>) -> bool {
        self.is_synced |= batch.is_synced;
        for change in batch.changes {
            self.is_changed = true;
            match change {
                Change::Put(cluster) => self.put(cluster),
                Change::Remove(object) => {
                    self.known.remove(&object.name);
                }
                Change::Rejected { object, why } => {
                    if let Some(known) = self.known.get_mut(&object.name) {
                        known.problem = Some(why.into());
                    }
                }
            }
        }
        let ranges = Ranges::new(self.known.iter().filter_map(|(name, known)| {
            let good = known.good.as_ref().filter(|good| good.spec().reach == Reach::Pod)?;
            Some((name, good.cidrs()))
        }));
        if self.ranges == ranges {
            return false;
        }
        self.ranges = ranges;
        self.occupied.clear();
        true
    }

    /// Which id the own cluster has.
    pub fn set_own(&mut self, own: OwnId) {
        self.is_changed |= self.own != own;
        self.own = own;
    }

    /// Where the own node and its pods are.
    pub fn set_node(&mut self, node: Vec<IpNet>) {
        self.is_changed |= self.node != node;
        self.node = node;
    }

    /// Where all Nodes and their pods are, as last listed.
    pub fn set_nodes(&mut self, nodes: Vec<IpNet>) {
        let mut nodes = IpNet::aggregate(&nodes);
        nodes.sort_unstable_by_key(IpNet::network);
        self.is_changed |= self.nodes != nodes;
        self.nodes = nodes;
    }

    /// Where the pod of this agent is, as the kubelet says; nothing if it runs in none.
    pub fn set_agent(&mut self, agent: Vec<IpAddr>) {
        self.is_changed |= self.agent != agent;
        self.agent = agent;
    }

    /// The cluster addresses of a Service are these now; none if it is gone.
    pub fn occupy(&mut self, service: &ObjectRef, addresses: impl IntoIterator<Item = IpAddr>) {
        if self.ranges.is_empty() {
            return;
        }
        let mut found: BTreeMap<Arc<str>, IpAddr> = BTreeMap::new();
        for address in addresses {
            for cluster in self.ranges.holders(address) {
                found.entry(Arc::clone(cluster)).or_insert(address);
            }
        }
        let before = if found.is_empty() {
            self.occupied.remove(service)
        } else {
            self.occupied.insert(service.clone(), found.clone())
        };
        self.is_changed |= before.unwrap_or_default() != found;
    }

    /// Whether any range is another cluster's: else nothing has to be told of this one's addresses.
    #[must_use]
    pub fn has_ranges(&self) -> bool {
        !self.ranges.is_empty()
    }

    /// Whether there is any RemoteCluster.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Whether every RemoteCluster there is has been heard of.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        self.is_synced
    }

    /// The id of the own cluster as the importer says it: nothing while it says several, because it has
    /// another one than before and has not said so everywhere yet.
    #[must_use]
    pub fn said_by_importer(&self) -> Option<Arc<str>> {
        let mut all = self.known.values().filter_map(|known| known.local.as_ref());
        let first = all.next()?;
        all.all(|other| other == first).then(|| Arc::clone(first))
    }

    /// The id of the own cluster.
    #[must_use]
    pub fn own(&self) -> &OwnId {
        &self.own
    }

    /// Decides anew which may be used. Returns whether that, or what they say, is other than before; of
    /// one that is refused another example of the same reason is not.
    pub fn judge(&mut self) -> bool {
        if !std::mem::take(&mut self.is_changed) {
            return false;
        }
        let before = std::mem::take(&mut self.standing);
        self.standing = self.standings();
        let same = |(one, other): (&Standing, &Standing)| match (one, other) {
            (Ok(one), Ok(other)) => one == other,
            (Err(one), Err(other)) => one.reason() == other.reason(),
            _ => false,
        };
        !before.keys().eq(self.standing.keys())
            || !before.values().zip(self.standing.values()).all(same)
    }

    /// What was decided about a cluster; `None` is one of which there is no RemoteCluster.
    #[must_use]
    pub fn standing(&self, cluster: &str) -> Option<Result<&ValidRemoteCluster, &Refusal>> {
        Some(self.standing.get(cluster)?.as_deref())
    }

    /// Names of all RemoteClusters.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.standing.keys()
    }

    /// The clusters that are refused, and why.
    pub fn refused(&self) -> impl Iterator<Item = (&Arc<str>, &Refusal)> {
        self.standing.iter().filter_map(|(name, found)| Some((name, found.as_ref().err()?)))
    }

    /// RemoteClusters whose newest version is invalid while the last good one holds, and why.
    pub fn outdated(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<str>)> {
        let outdated = self.known.iter().filter(|(_, known)| known.good.is_some());
        outdated.filter_map(|(name, known)| Some((name, known.problem.as_ref()?)))
    }

    /// The cluster whose pods may be at an address: no Service of this one is.
    #[must_use]
    pub fn holder(&self, address: IpAddr) -> Option<&Arc<str>> {
        let is_accepted = |cluster: &&Arc<str>| matches!(self.standing.get(*cluster), Some(Ok(_)));
        self.ranges.holders(address).find(is_accepted)
    }

    /// What the core is told of those that may be used, by name.
    #[must_use]
    pub fn told(&self) -> Vec<core::RemoteCluster> {
        let accepted = self.standing.iter().filter_map(|(name, found)| {
            let good = found.as_ref().ok()?;
            let on_silence = match good.spec().on_silence {
                OnSilenceWord::KeepReachable => OnSilence::KeepReachable,
                OnSilenceWord::Drop => OnSilence::Drop,
            };
            Some(core::RemoteCluster {
                name: Arc::clone(name),
                phase: self.phase(name),
                on_silence,
            })
        });
        accepted.collect()
    }

    /// Whether a cluster is heard. There may be no importer, and what others find while an importer has
    /// not heard it in full is there.
    #[must_use]
    pub fn phase(&self, cluster: &str) -> ClusterPhase {
        let Some(known) = self.known.get(cluster) else { return ClusterPhase::Live };
        match known.phase {
            _ if known.is_leaving => ClusterPhase::Lost,
            None | Some(Phase::Joining | Phase::Live) => ClusterPhase::Live,
            Some(Phase::Silent) => ClusterPhase::Silent,
            Some(Phase::Lost | Phase::Leaving) => ClusterPhase::Lost,
        }
    }

    fn put(&mut self, cluster: RemoteCluster) {
        let RemoteCluster { name, uid, generation: _, created, is_leaving, spec, phase, local } =
            cluster;
        let (good, problem) = match spec {
            Ok(good) => (Some(good), None),
            Err(why) => {
                // The last good version of another object of that name is none of this one.
                let last = self.known.get(&name).filter(|known| known.uid == uid);
                (last.and_then(|known| known.good.clone()), Some(why))
            }
        };
        let known = ClusterVersions { uid, created, problem, good, phase, local, is_leaving };
        self.known.insert(name, known);
    }
}
