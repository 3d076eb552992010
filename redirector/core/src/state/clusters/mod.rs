//! Other clusters: what was said of them, which backends are in which, and who of them is out because
//! the cluster as a whole is.
//!
//! A cluster that is heard is innocent: its backends are as their own probes and clients say. One that
//! is silent is guilty until proven alive. In order:
//!
//! 1. The importer has lost it, or its backends are to be dropped when it is silent: all are out, and
//!    none is asked.
//! 2. It is silent ([`told`]): a [`sample`] is asked at once. After [`ROUND`] all are out if none has
//!    answered; else those whose probes failed are, and the others stay, of which as many are asked in
//!    each round to come. What answers is in again. If later none answers for [`QUIET`] all are out.
//! 3. No importer says that it is silent, but a backend of it does not answer and none has lately
//!    ([`seen`]): a sample is asked, too, and backends elsewhere if none of those has answered lately.
//!    All are out if none of it answers, backends on two nodes were
//!    lost (on the only one, five times) and of two owners where there are two, none of the cluster has
//!    answered for [`QUIET`], and a backend on another node elsewhere has within [`WITNESSED`]: it is
//!    not this node that is cut off.
//!    An agent that starts finds the same out ([`adopted`]): then an earlier one has seen it.
//! 4. While all are out only the rounds ask. Answers from two nodes, or from the only one, end that;
//!    until then a backend that answers is in alone.
//!
//! A veto by silence is one of the prober's byte, so that holds and ramps of policies apply to the way
//! back. While this node's own network is suspect there is no verdict. Backends that cannot be probed
//! (UDP) share the fate of the others; where there are no others nothing is known, and they stay until
//! the cluster is lost.

mod adopted;
mod reconcile;
mod sample;
mod seen;
#[cfg(test)]
mod tests;
mod told;
mod trial;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use self::trial::{Trial, Verdict};
use crate::{
    failover::vacancies::Standing,
    input::Moment,
    remote_cluster::{ClusterPhase, RemoteCluster},
    service::{BackendRef, Service},
};

/// How long those that are asked have to answer, and how often others are asked.
const ROUND: Duration = Duration::from_secs(1);
/// How long none must have answered before all are out, if some had answered before.
const QUIET: Duration = Duration::from_secs(2);
/// How long ago a backend elsewhere may have answered that shows that this node is not cut off.
const WITNESSED: Duration = Duration::from_secs(5);

/// Other clusters than the own one.
#[derive(Clone, Debug, Default)]
pub(super) struct Clusters {
    /// The id of the own one, which is none of these.
    own: Option<Arc<str>>,
    /// What was said of them, by name, each once.
    told: Vec<RemoteCluster>,
    /// Which backends services list in which, and how many services do. A backend that two services
    /// list in different ones is in both.
    members: BTreeMap<Arc<str>, BTreeMap<BackendRef, u32>>,
    /// Those whose backends are not innocent.
    silences: BTreeMap<Arc<str>, Silence>,
    /// When a backend of each last answered.
    answered: BTreeMap<Arc<str>, Moment>,
    /// When a backend of the own cluster on another node last answered, since something has failed.
    answered_at_home: Option<Moment>,
    /// Until when no suspicion of each is followed: one has just come to nothing.
    rests: BTreeMap<Arc<str>, Moment>,
    /// Backends that an earlier agent's frontends lead to, until a source has said what there is.
    adopted: Vec<BackendRef>,
}

/// Why the backends of a cluster are not innocent.
#[derive(Clone, Debug)]
enum Silence {
    /// It is in that phase, in which none is eligible.
    Never(ClusterPhase),
    /// They are asked.
    Tried(Trial),
}

impl Clusters {
    /// What was said of each, by name.
    pub(super) fn told(&self) -> &[RemoteCluster] {
        &self.told
    }

    /// What was said of one.
    pub(super) fn get(&self, name: &str) -> Option<&RemoteCluster> {
        let at = self.told.binary_search_by(|cluster| (*cluster.name).cmp(name)).ok()?;
        self.told.get(at)
    }

    /// All that something was said of, or where a backend is; without the own one.
    pub(super) fn names(&self) -> Vec<Arc<str>> {
        let told = self.told.iter().map(|cluster| &cluster.name);
        let named = told.chain(self.members.keys()).filter(|name| Some(*name) != self.own.as_ref());
        let named: BTreeSet<&Arc<str>> = named.collect();
        named.into_iter().cloned().collect()
    }

    /// How one stands that a tier names.
    pub(super) fn standing(&self, name: &Arc<str>) -> Standing {
        let phase = self.get(name).map(|told| told.phase);
        match phase {
            _ if Some(name) == self.own.as_ref() => Standing::Heard,
            _ if self.is_unreachable(name) => Standing::Silent,
            None if !self.members.contains_key(name) => Standing::Unknown,
            None | Some(ClusterPhase::Live) => Standing::Heard,
            Some(ClusterPhase::Silent | ClusterPhase::Lost) => Standing::Silent,
        }
    }

    /// Whether none of its backends that were asked answers.
    pub(super) fn is_unreachable(&self, name: &str) -> bool {
        let trial = self.trial(name);
        trial.is_some_and(|trial| trial.verdict() == Verdict::Unreachable)
    }

    /// Whether services list a backend of any.
    pub(super) fn is_any_used(&self) -> bool {
        !self.members.is_empty()
    }

    /// The clusters that a backend is in: nearly always one, or none.
    fn of(&self, backend: &BackendRef) -> impl Iterator<Item = &Arc<str>> {
        let lists = |(_, members): &(_, &BTreeMap<BackendRef, u32>)| members.contains_key(backend);
        self.members.iter().filter(lists).map(|(name, _)| name)
    }

    /// Whether a backend is in any.
    pub(super) fn is_abroad(&self, backend: &BackendRef) -> bool {
        self.of(backend).next().is_some()
    }

    fn members(&self, name: &str) -> impl Iterator<Item = &BackendRef> {
        self.members.get(name).into_iter().flat_map(BTreeMap::keys)
    }

    fn trial(&self, name: &str) -> Option<&Trial> {
        match self.silences.get(name)? {
            Silence::Tried(trial) => Some(trial),
            Silence::Never(_) => None,
        }
    }

    fn trial_mut(&mut self, name: &str) -> Option<&mut Trial> {
        match self.silences.get_mut(name)? {
            Silence::Tried(trial) => Some(trial),
            Silence::Never(_) => None,
        }
    }

    /// The cluster because of which a backend is out, if it is.
    fn is_out(&self, backend: &BackendRef) -> Option<(&Arc<str>, &Silence)> {
        self.is_member_out(backend, None)
    }

    /// As [`is_out`](Self::is_out), of a backend that is known to be in that cluster.
    fn is_member_out(
        &self,
        backend: &BackendRef,
        of: Option<&str>,
    ) -> Option<(&Arc<str>, &Silence)> {
        self.silences.iter().find(|(name, silence)| {
            let lists = |them: &BTreeMap<BackendRef, u32>| them.contains_key(backend);
            let is_in = || of == Some(&***name) || self.members.get(*name).is_some_and(lists);
            silence.is_out(backend) && is_in()
        })
    }

    /// Whether only the rounds may ask a backend, if anything may: its cluster is out as a whole.
    pub(super) fn is_left_alone(&self, backend: &BackendRef) -> bool {
        self.is_out(backend).is_some_and(|(_, silence)| silence.is_whole())
    }

    /// Those that only the rounds may ask.
    pub(super) fn left_alone(&self) -> impl Iterator<Item = &BackendRef> {
        let whole = self.silences.iter().filter(|(_, silence)| silence.is_whole());
        whole.flat_map(|(name, silence)| self.members(name).filter(|it| silence.is_out(it)))
    }

    /// Those that the rounds ask, and the number of the probe that is asked for.
    pub(super) fn asked(&self) -> impl Iterator<Item = (&BackendRef, u32)> {
        let trials = self.silences.values().filter_map(|silence| match silence {
            Silence::Tried(trial) => Some(trial),
            Silence::Never(_) => None,
        });
        trials.flat_map(|trial| trial.asked().map(|backend| (backend, trial.urgency)))
    }

    /// When the next round of any ends.
    pub(super) fn deadline(&self) -> Option<Moment> {
        let ends = self.silences.values().filter_map(|silence| match silence {
            Silence::Tried(trial) => trial.ends(),
            Silence::Never(_) => None,
        });
        ends.min()
    }

    /// Services list other backends now, or elsewhere.
    pub(super) fn relist<'s>(
        &mut self,
        earlier: impl Iterator<Item = &'s Service>,
        services: impl Iterator<Item = &'s Service>,
    ) {
        for (cluster, backend) in services.flat_map(|service| abroad(service, self.own.clone())) {
            match self.members.get_mut(cluster) {
                Some(members) => *members.entry(backend).or_default() += 1,
                None => _ = self.members.insert(Arc::clone(cluster), [(backend, 1)].into()),
            }
        }
        for (cluster, backend) in earlier.flat_map(|service| abroad(service, self.own.clone())) {
            let Some(members) = self.members.get_mut(cluster) else { continue };
            if let Some(users) = members.get_mut(&backend) {
                *users -= 1;
                if *users == 0 {
                    members.remove(&backend);
                }
            }
            if members.is_empty() {
                self.members.remove(cluster);
            }
        }
    }

    /// What is known of them, for these services alone.
    pub(super) fn excerpt<'s>(&self, services: impl Iterator<Item = &'s Service>) -> Self {
        let mut excerpt = Self {
            own: self.own.clone(),
            told: self.told.clone(),
            silences: self.silences.clone(),
            ..Self::default()
        };
        excerpt.relist(std::iter::empty(), services);
        excerpt
    }
}

impl Silence {
    fn is_out(&self, backend: &BackendRef) -> bool {
        match self {
            Self::Never(_) => true,
            Self::Tried(trial) => trial.is_out(backend),
        }
    }

    /// Whether all are out but for those that have answered.
    fn is_whole(&self) -> bool {
        match self {
            Self::Never(_) => true,
            Self::Tried(trial) => trial.verdict() == Verdict::Unreachable,
        }
    }

    /// Why a backend is out, for an operator.
    fn why(&self, cluster: &str) -> Arc<str> {
        match self {
            Self::Never(ClusterPhase::Lost) => format!("cluster {cluster} is lost"),
            Self::Tried(trial) if trial.verdict() != Verdict::Unreachable => {
                format!("cluster {cluster} is silent, and it does not answer")
            }
            Self::Never(_) | Self::Tried(_) => format!("cluster {cluster} is silent"),
        }
        .into()
    }
}

/// The backends of a service that are in other clusters than the one with the id `own`.
fn abroad(
    service: &Service,
    own: Option<Arc<str>>,
) -> impl Iterator<Item = (&Arc<str>, BackendRef)> {
    let listed = service.backends.iter();
    listed.filter_map(move |listed| {
        Some((listed.locality.other_cluster(own.as_ref())?, listed.backend))
    })
}
