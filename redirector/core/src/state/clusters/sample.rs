//! Which backends of a cluster speak for it: in the first round those that tell most, later all in
//! turn, in another order on each node.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Clusters, ROUND, Silence,
    trial::{Site, Verdict},
};
use crate::{
    service::BackendRef,
    state::{
        State,
        backends::{is_probed, rank_of},
    },
};

/// How many are asked in a round, at least and at most.
const ASKED: (usize, usize) = (4, 20);
/// All nodes together ask about so many backends of a cluster in a round: 3 MB of connects, which a
/// link between clusters must bear.
const ASKED_BY_ALL: usize = 50_000;
/// So many of the first sample are on distinct nodes.
const APART: usize = 4;
/// So many backends are looked at to find those.
const LOOKED_AT: usize = 256;

impl State {
    /// How many backends are asked in a round: the more nodes of this cluster there are, as far as is
    /// known, the fewer.
    fn asked_in_round(&self) -> usize {
        let (least, most) = ASKED;
        match self.nodes.count_own() {
            0 => most,
            nodes => (ASKED_BY_ALL / nodes).clamp(least, most),
        }
    }

    /// Where a backend is.
    pub(super) fn site_of(&self, backend: &BackendRef) -> Site {
        let node = self.nodes.of(backend).cloned();
        node.map_or(Site::Address(backend.address), Site::Node)
    }

    /// Whether all backends of a cluster that can be asked are at one site.
    pub(super) fn has_one_site(&self, cluster: &str) -> bool {
        let members = self.clusters.members(cluster).filter(|backend| is_probed(backend));
        let mut sites = members.map(|backend| self.site_of(backend));
        let Some(first) = sites.next() else { return true };
        sites.all(|site| site == first)
    }

    /// Asks the next backends of a cluster, at once.
    pub(super) fn begin_round(&mut self, cluster: &Arc<str>) {
        self.learn_nodes();
        let count = self.asked_in_round();
        let Some(trial) = self.clusters.trial(cluster) else { return };
        let mut order = Arc::clone(&trial.order);
        if order.is_empty() {
            order = self.in_own_order(cluster).into();
        }
        let asked = match trial.rounds {
            0 => self.first_sample(&order, count),
            rounds => {
                let first = rounds as usize * count % order.len().max(1);
                let later = order.iter().cycle().skip(first);
                later.take(count.min(order.len())).copied().collect()
            }
        };
        let mut witnesses = Vec::new();
        if !trial.is_told && trial.verdict() == Verdict::Open && !self.is_witnessed(cluster) {
            let members = self.clusters.members.get(cluster);
            let is_other = |it: &BackendRef| members.is_none_or(|them| !them.contains_key(it));
            witnesses = self.choose_witnesses().into_iter().filter(is_other).collect();
        }
        let (ends, urgency) = (self.now.after(ROUND), self.backends.next_urgency());
        if let Some(trial) = self.clusters.trial_mut(cluster) {
            trial.order = order;
            trial.witnesses = witnesses;
            trial.ask(&asked, ends, urgency);
        }
    }

    /// Services have changed: clusters of which no backend could be asked may have one now.
    pub(in crate::state) fn reask_clusters(&mut self) {
        let names: Vec<Arc<str>> = self.clusters.silences.keys().cloned().collect();
        for name in names {
            let Clusters { silences, members, .. } = &mut self.clusters;
            let Some(Silence::Tried(trial)) = silences.get_mut(&name) else { continue };
            let members = members.get(&name);
            trial.forget(|backend| members.is_some_and(|them| them.contains_key(backend)));
            if trial.ends().is_none() && members.is_some() {
                self.begin_round(&name);
            }
        }
    }

    /// In order: on distinct nodes and of distinct owners; on distinct nodes; used lately from here; any.
    /// Of each those first that have answered before: that they do not now tells more.
    fn first_sample(&self, order: &[BackendRef], count: usize) -> Vec<BackendRef> {
        let mut order = order.to_vec();
        order.sort_by_key(|backend| {
            self.backends.get(backend).is_none_or(|state| !state.health().has_answered())
        });
        let mut sample: Vec<BackendRef> = Vec::with_capacity(count);
        let (mut sites, mut owners) = (BTreeSet::new(), BTreeSet::new());
        for is_of_new_owner in [true, false] {
            for backend in order.iter().take(LOOKED_AT) {
                if sample.len() >= APART.min(count) {
                    break;
                }
                let site = self.site_of(backend);
                let its = self.backends.owners(backend);
                if sites.contains(&site) || is_of_new_owner && its.is_subset(&owners) {
                    continue;
                }
                sites.insert(site);
                owners.extend(its);
                sample.push(*backend);
            }
        }
        let used = order.iter().filter(|backend| self.backends.is_used(backend));
        let other_owner = order
            .iter()
            .take(LOOKED_AT)
            .find(|backend| !self.backends.owners(backend).is_subset(&owners));
        for backend in other_owner.into_iter().chain(used).chain(&order) {
            if sample.len() >= count {
                break;
            }
            if !sample.contains(backend) {
                sample.push(*backend);
            }
        }
        sample
    }

    /// Backends of a cluster that can be asked: one of each owner before the second of any, of each in
    /// this node's own order. So no owner speaks for the cluster alone by listing thousands. What several
    /// owners list is the turn of the one that has had fewest.
    fn in_own_order(&self, cluster: &str) -> Vec<BackendRef> {
        let node = self.node.node.as_deref().unwrap_or_default();
        let members = self.clusters.members(cluster).filter(|backend| is_probed(backend));
        let mut order: Vec<(u64, BackendRef)> =
            members.map(|backend| (rank_of(node, backend), *backend)).collect();
        order.sort_unstable();
        let mut turns: BTreeMap<&str, usize> = BTreeMap::new();
        let turn_of = |(rank, backend): (u64, BackendRef)| {
            let owners = self.backends.owners(&backend);
            let owner = owners.into_iter().min_by_key(|owner| turns.get(owner).copied());
            let turn = turns.entry(owner.unwrap_or_default()).or_default();
            *turn += 1;
            (*turn, rank, backend)
        };
        let mut order: Vec<(usize, u64, BackendRef)> = order.into_iter().map(turn_of).collect();
        order.sort_unstable();
        order.into_iter().map(|(.., backend)| backend).collect()
    }
}
