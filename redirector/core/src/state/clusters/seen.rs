//! What this node sees of other clusters by itself: who answers, who does not, and what follows.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{QUIET, ROUND, Silence, Trial, WITNESSED, reconcile::Changed, trial::Verdict};
use crate::{
    health::ProbeHealth,
    input::{ClusterEvent, Moment, Transition},
    service::BackendRef,
    state::State,
};

/// After so long without an answer one that does not come is worth to ask a sample.
const WORTH_ASKING: Duration = Duration::from_millis(800);
/// On how many nodes backends are lost when a cluster is; where it has but one, failures there.
const MIN_SITES: usize = 2;
const MIN_FAILURES: u32 = 5;
/// So many rounds without a verdict, and how long no other suspicion is followed then.
const ROUNDS: u32 = 5;
const REST: Duration = Duration::from_secs(10);

impl State {
    /// A backend has answered a probe.
    pub(in crate::state) fn cluster_answers(&mut self, backend: &BackendRef) {
        if !self.clusters.is_any_used() {
            return;
        }
        let clusters: Vec<Arc<str>> = self.clusters.of(backend).cloned().collect();
        if clusters.is_empty() && self.other_node(backend).is_some() {
            self.clusters.answered_at_home = Some(self.now);
        }
        for cluster in clusters {
            self.clusters.answered.insert(Arc::clone(&cluster), self.now);
            let Some(trial) = self.clusters.trial(&cluster) else { continue };
            if !trial.is_told && trial.verdict() != Verdict::Unreachable {
                // It is not silent.
                self.clusters.silences.remove(&cluster);
                continue;
            }
            let (site, is_only) = (self.site_of(backend), self.has_one_site(&cluster));
            let Some(trial) = self.clusters.trial_mut(&cluster) else { continue };
            let is_reached = trial.answered(backend, site, is_only);
            let (is_told, is_adopted) = (trial.is_told, trial.is_adopted);
            if !is_reached {
                self.reconcile_each(&[*backend]);
                continue;
            }
            if is_adopted {
                self.keep_refusing(&cluster);
            }
            if !is_told {
                self.clusters.silences.remove(&cluster);
            }
            let Changed { back, .. } = self.reconcile_cluster(&cluster);
            let event = ClusterEvent::Reachable;
            self.happened.push(Transition::Cluster { cluster, event });
            self.recompile_users_of(&back);
        }
    }

    /// A probe of a backend has failed; `is_new` says that nothing has answered in time, and the one
    /// before was answered or there was none. What has failed for long is no reason to ask others.
    pub(in crate::state) fn cluster_fails(&mut self, backend: &BackendRef, is_new: bool) {
        if !self.clusters.is_any_used() {
            return;
        }
        let is_suspicious = is_new && !self.nodes.is_suspect();
        let clusters: Vec<Arc<str>> = self.clusters.of(backend).cloned().collect();
        for cluster in clusters {
            if let Some(trial) = self.clusters.trial_mut(&cluster) {
                trial.failed(backend);
            }
            let has_answered = self.clusters.answered.contains_key(&cluster);
            let is_quiet = has_answered && self.is_quiet(&cluster, WORTH_ASKING);
            let rests = self.clusters.rests.get(&cluster).is_some_and(|until| self.now < *until);
            if is_suspicious && is_quiet && !rests && !self.clusters.silences.contains_key(&cluster)
            {
                let trial = Silence::Tried(Trial::new(false));
                self.clusters.silences.insert(Arc::clone(&cluster), trial);
                self.begin_round(&cluster);
            }
        }
    }

    /// Ends the rounds that are over.
    pub(in crate::state) fn clusters_pass(&mut self) {
        while let Some(at) = self.clusters.deadline().filter(|at| *at <= self.now) {
            let is_over = |silence: &Silence| match silence {
                Silence::Tried(trial) => trial.ends() == Some(at),
                Silence::Never(_) => false,
            };
            let over = self.clusters.silences.iter().find(|(_, silence)| is_over(silence));
            let Some((cluster, _)) = over else { return };
            let cluster = Arc::clone(cluster);
            // If no backend was asked meanwhile this agent was stopped.
            if at.after(ROUND) > self.now && !self.nodes.is_suspect() {
                self.end_round(&cluster);
            }
            self.begin_round(&cluster);
        }
    }

    fn end_round(&mut self, cluster: &Arc<str>) {
        let Some(trial) = self.clusters.trial(cluster) else { return };
        let (is_told, before) = (trial.is_told, trial.verdict());
        let is_lost = match (is_told, before) {
            (true, Verdict::Open) => true,
            (true, _) => self.is_quiet(cluster, QUIET),
            (false, _) => self.is_lost(cluster),
        };
        let Some(trial) = self.clusters.trial_mut(cluster) else { return };
        let mute = trial.end_round(is_lost);
        let (verdict, rounds) = (trial.verdict(), trial.rounds);
        if verdict == before {
            if !is_told && verdict == Verdict::Open && rounds >= ROUNDS {
                self.clusters.silences.remove(cluster);
                self.clusters.rests.insert(Arc::clone(cluster), self.now.after(REST));
            }
            return self.reconcile_each(&mute);
        }
        if verdict == Verdict::Reachable {
            let all: Vec<BackendRef> = self.clusters.members(cluster).copied().collect();
            return self.reconcile_each(&all);
        }
        let changed = self.reconcile_cluster(cluster);
        let event = ClusterEvent::Unreachable { is_told, out: changed.out.len() };
        self.happened.push(Transition::Cluster { cluster: Arc::clone(cluster), event });
        self.recompile_users_of(&changed.all());
        self.reset_silenced(cluster);
    }

    /// Whether no backend of a cluster has answered for so long.
    fn is_quiet(&self, cluster: &str, long: Duration) -> bool {
        let answered = self.clusters.answered.get(cluster);
        answered.is_none_or(|answered| answered.after(long) <= self.now)
    }

    /// Whether enough of a cluster is lost that all of it is, and it is not this node that is cut off.
    fn is_lost(&self, cluster: &str) -> bool {
        self.is_quiet(cluster, QUIET) && self.is_witnessed(cluster) && self.has_lost_enough(cluster)
    }

    /// Whether a backend elsewhere than in the cluster, and on another node, has answered lately.
    pub(super) fn is_witnessed(&self, cluster: &str) -> bool {
        let others = self.clusters.answered.iter().filter(|(name, _)| ***name != *cluster);
        let mut witnesses = others.map(|(_, at)| at).chain(&self.clusters.answered_at_home);
        witnesses.any(|at: &Moment| self.now <= at.after(WITNESSED))
    }

    /// Whether backends that had answered before are lost on several nodes, and of several owners.
    fn has_lost_enough(&self, cluster: &str) -> bool {
        let (mut sites, mut failed) = (BTreeSet::new(), 0);
        // Owners of all that are lost, and those that have a backend which may tell.
        let mut of_all: Option<BTreeSet<&str>> = None;
        let mut tellers: Vec<BTreeSet<&str>> = Vec::new();
        for backend in self.clusters.members(cluster) {
            let Some(state) = self.backends.get(backend) else { continue };
            let health = state.health();
            if !health.has_answered() {
                continue;
            }
            let owners = self.backends.owners(backend);
            if tellers.last() != Some(&owners) {
                tellers.push(owners.clone());
            }
            let ProbeHealth::Failing { failures: failures @ 1.. } = health.as_probes_see_it()
            else {
                continue;
            };
            if health.is_silent() && !state.is_reached() {
                sites.insert(self.site_of(backend));
                failed += u32::from(failures);
                of_all = Some(match of_all {
                    Some(all) => all.intersection(&owners).copied().collect(),
                    None => owners,
                });
            }
        }
        let of_all = of_all.unwrap_or_default();
        // Where one owner lists all that are lost, another one's might answer.
        let is_one_owners = !of_all.is_empty() && tellers.iter().any(|it| it.is_disjoint(&of_all));
        let is_enough = sites.len() >= MIN_SITES
            || sites.len() == 1 && failed >= MIN_FAILURES && self.has_one_site(cluster);
        is_enough && !is_one_owners
    }
}
