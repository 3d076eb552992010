//! What an earlier agent had found out of other clusters by itself, from what it left in the maps.
//!
//! They do not say why a backend is out. That all of a cluster are is what its silence looks like, and
//! taking each for one that has failed by itself would ask them all and let them back one by one. So the
//! cluster is out as a whole until two of its nodes answer. If they had failed by themselves all the
//! same, those that say so now do not come back with the others.

use std::{collections::BTreeSet, sync::Arc};

use redirector_common::HealthByte;

use super::{Clusters, Silence, Trial, trial::MIN_SITES};
use crate::{
    health::Health,
    service::{BackendRef, Frontend},
    state::{
        State,
        backends::{BackendState, is_probed},
    },
};

impl Clusters {
    /// Where an earlier agent's frontends lead.
    pub(in crate::state) fn adopt(&mut self, pairs: &[(Frontend, BackendRef)]) {
        self.adopted = pairs.iter().map(|(_, backend)| *backend).collect();
        self.adopted.sort_unstable();
        self.adopted.dedup();
    }
}

impl State {
    /// A source has said what there is: clusters that an earlier agent had left out as a whole, as far as
    /// its tables listed them, are as it has left them. Of those of which the importer says something
    /// else that counts. Returns the backends for which that makes a difference: the caller recompiles
    /// their users.
    pub(in crate::state) fn adopt_clusters(&mut self) -> Vec<BackendRef> {
        if self.clusters.adopted.is_empty() || !self.is_synced() {
            return Vec::new();
        }
        let adopted = std::mem::take(&mut self.clusters.adopted);
        self.learn_nodes();
        let found = |name: &&Arc<str>| {
            let known = self.clusters.members(name);
            let known: Vec<&BackendRef> =
                known.filter(|backend| adopted.binary_search(backend).is_ok()).collect();
            let sites = known.iter().filter(|it| is_probed(it)).map(|it| self.site_of(it));
            let sites = sites.collect::<BTreeSet<_>>().len();
            let is_enough = sites >= MIN_SITES || sites > 0 && self.has_one_site(name);
            known.len() > 1 && is_enough && known.iter().all(|it| self.was_left_out(it))
        };
        let names = self.clusters.members.keys();
        let names = names.filter(|name| !self.clusters.silences.contains_key(*name));
        let names: Vec<Arc<str>> = names.filter(found).cloned().collect();
        let adopt = |name: Arc<str>| {
            let silence = Silence::Tried(Trial::adopted());
            self.clusters.silences.insert(Arc::clone(&name), silence);
            self.reconcile_cluster(&name).all()
        };
        names.into_iter().flat_map(adopt).collect()
    }

    /// Whether an earlier agent had left a backend out by what probes said.
    fn was_left_out(&self, backend: &BackendRef) -> bool {
        let is_found = self.backends.restored_word(backend).byte(HealthByte::Prober) != 0;
        let state = self.backends.get(backend);
        is_found || state.is_some_and(|state| state.health() == Health::EJECTED)
    }

    /// A cluster that was adopted answers again. Of those that refuse an earlier agent may have known
    /// that they do: they stay out until they answer themselves.
    pub(super) fn keep_refusing(&mut self, cluster: &str) {
        let is_refusing =
            |state: &BackendState| state.health().failures() > 0 && !state.health().is_silent();
        let refusing = self.clusters.members(cluster);
        let refusing: Vec<BackendRef> = refusing
            .filter(|backend| self.backends.get(backend).is_some_and(is_refusing))
            .copied()
            .collect();
        for backend in &refusing {
            self.backends.set_health(backend, Health::EJECTED);
        }
    }
}
