//! What the importer says of other clusters.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Clusters, Silence, Trial};
use crate::{
    input::{ClusterEvent, Transition},
    remote_cluster::{ClusterPhase, OnSilence, RemoteCluster},
    service::BackendRef,
    state::{State, backends::BackendState},
};

impl State {
    /// These are all other clusters that there are said to be. Of two with one name the last counts.
    pub(in crate::state) fn told_of_clusters(&mut self, clusters: Vec<RemoteCluster>) {
        let named = clusters.into_iter().map(|cluster| (Arc::clone(&cluster.name), cluster));
        let told: Vec<RemoteCluster> = named.collect::<BTreeMap<_, _>>().into_values().collect();
        let before = std::mem::replace(&mut self.clusters.told, told);
        let names =
            before.iter().chain(&self.clusters.told).map(|cluster| Arc::clone(&cluster.name));
        let names: BTreeSet<Arc<str>> = names.collect();
        for name in names {
            let before = before.iter().find(|cluster| cluster.name == name);
            let now = self.clusters.get(&name);
            let news = [before, now].map(|it| it.map(|it| (it.phase, it.on_silence)));
            if news[0] != news[1] && self.clusters.own.as_ref() != Some(&name) {
                let phase = |it: Option<(ClusterPhase, _)>| it.map(|(phase, _)| phase);
                let [before, now] = news.map(phase);
                let has_changed = before.unwrap_or_default() != now.unwrap_or_default();
                self.judge_cluster(&name, has_changed && now.is_some());
            }
        }
    }

    /// What was said of a cluster is brought into force; `is_news` says whether people are told.
    fn judge_cluster(&mut self, name: &Arc<str>, is_news: bool) {
        let told = self.clusters.get(name).map(|told| (told.phase, told.on_silence));
        let mut event = ClusterEvent::Live;
        match told {
            None | Some((ClusterPhase::Live, _)) => {
                // What this node has seen by itself stands.
                if self.clusters.trial(name).is_none_or(|trial| trial.is_told) {
                    self.clusters.silences.remove(name);
                }
            }
            Some((ClusterPhase::Silent, OnSilence::KeepReachable)) => {
                event = ClusterEvent::Silent { out: 0 };
                match self.clusters.trial_mut(name) {
                    Some(trial) => trial.is_told = true,
                    None => {
                        let mut trial = Trial::new(true);
                        // Guilty until proven alive, also if that may not have been possible before.
                        let is_out = |backend: &&BackendRef| {
                            let state = self.backends.get(backend);
                            state.is_some_and(BackendState::is_cluster_silent)
                        };
                        let out = self.clusters.members(name).filter(is_out);
                        out.for_each(|backend| trial.leave_out(*backend));
                        self.clusters.silences.insert(Arc::clone(name), Silence::Tried(trial));
                        self.leave_to_cluster(name);
                        self.begin_round(name);
                    }
                }
            }
            Some((phase, _)) => {
                self.clusters.silences.insert(Arc::clone(name), Silence::Never(phase));
                self.leave_to_cluster(name);
            }
        }
        let changed = self.reconcile_cluster(name);
        let out = changed.out.len();
        match told {
            Some((ClusterPhase::Lost, _)) => event = ClusterEvent::Lost { out },
            Some((ClusterPhase::Silent, _)) => event = ClusterEvent::Silent { out },
            _ => {}
        }
        if is_news {
            self.happened.push(Transition::Cluster { cluster: Arc::clone(name), event });
        }
        self.recompile_users_of(&changed.all());
    }

    /// Another cluster is the own one: what was known of the others begins anew.
    pub(in crate::state) fn be_in_cluster(&mut self) {
        let said = self.happened.len();
        let mut before = std::mem::take(&mut self.clusters);
        let adopted = std::mem::take(&mut before.adopted);
        let silenced: BTreeSet<BackendRef> =
            before.silences.keys().flat_map(|name| before.members(name)).copied().collect();
        let silenced: Vec<BackendRef> = silenced.into_iter().collect();
        let own = self.node.cluster.clone();
        self.clusters = Clusters { own, adopted, ..Clusters::default() };
        self.clusters.relist(std::iter::empty(), self.services.all().values());
        self.reconcile_each(&silenced);
        self.told_of_clusters(before.told);
        self.happened.truncate(said);
    }
}
