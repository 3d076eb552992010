//! A cluster that is silent, or seems to be: who of it is asked, round by round, and what follows from
//! the answers. Pure: which backends there are and what time it is, the caller says.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use crate::{identity::NodeRef, input::Moment, service::BackendRef};

/// So many sites must answer before those count as reached that were not asked.
pub(super) const MIN_SITES: usize = 2;

/// Where a backend is, as far as matters for what its silence says of others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Site {
    /// On that node.
    Node(NodeRef),
    /// On one that is not known: a gateway.
    Address(IpAddr),
}

/// What is known of backends that were not asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing yet: the first round is under way.
    #[default]
    Open,
    /// Some were asked and answered: these do, too.
    Reachable,
    /// All that were asked did not answer: these do not either.
    Unreachable,
}

/// The questions to one cluster, and what they have shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Trial {
    /// Whether the importer does not hear it either; else this node has become suspicious by itself.
    pub(super) is_told: bool,
    /// Whether an earlier agent had found out, of which only the outcome is known.
    pub(super) is_adopted: bool,
    /// Changes when those that are asked should be asked at once.
    pub(super) urgency: u32,
    /// Rounds that have ended.
    pub(super) rounds: u32,
    /// Whom the rounds ask, in this order; empty if that is to be found out.
    pub(super) order: Arc<[BackendRef]>,
    /// Backends elsewhere that are asked whether this node is cut off.
    pub(super) witnesses: Vec<BackendRef>,
    verdict: Verdict,
    /// Who is asked in this round, and whether the last probe of it that has ended failed.
    asked: BTreeMap<BackendRef, bool>,
    /// Whether any backend has answered in this round, asked or not.
    has_answer: bool,
    /// When the round ends; `None` is that there is no backend to ask.
    ends: Option<Moment>,
    /// Those to which the verdict does not apply: of which a probe failed when they were asked, or, while
    /// it is [`Unreachable`](Verdict::Unreachable), did.
    exceptions: BTreeSet<BackendRef>,
    /// Where backends have answered since all are out.
    sites: BTreeSet<Site>,
}

impl Trial {
    /// Begins with the first round to come.
    pub(super) fn new(is_told: bool) -> Self {
        Self { is_told, ..Self::default() }
    }

    /// An earlier agent has left all out: none was reached.
    pub(super) fn adopted() -> Self {
        Self { is_adopted: true, verdict: Verdict::Unreachable, ..Self::default() }
    }

    /// Whether a backend of the cluster is out.
    pub(super) fn is_out(&self, backend: &BackendRef) -> bool {
        self.exceptions.contains(backend) != (self.verdict == Verdict::Unreachable)
    }

    pub(super) fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Who is asked in this round, of the cluster and elsewhere.
    pub(super) fn asked(&self) -> impl Iterator<Item = &BackendRef> {
        self.asked.keys().chain(&self.witnesses)
    }

    /// When the round ends.
    pub(super) fn ends(&self) -> Option<Moment> {
        self.ends
    }

    /// The next round: these are asked at once.
    pub(super) fn ask(&mut self, asked: &[BackendRef], ends: Moment, urgency: u32) {
        self.ends = (!asked.is_empty()).then_some(ends);
        self.has_answer = false;
        self.asked = asked.iter().map(|backend| (*backend, false)).collect();
        self.urgency = urgency;
    }

    /// An earlier agent has left these out: until there is a verdict they stay so.
    pub(super) fn leave_out(&mut self, backend: BackendRef) {
        if self.verdict == Verdict::Open {
            self.exceptions.insert(backend);
        }
    }

    /// A backend of the cluster has answered; `is_only` says that there is no other site. Returns
    /// whether with that all are reached that were not.
    pub(super) fn answered(&mut self, backend: &BackendRef, site: Site, is_only: bool) -> bool {
        self.has_answer = true;
        if let Some(has_failed) = self.asked.get_mut(backend) {
            *has_failed = false;
        }
        if self.verdict != Verdict::Unreachable {
            self.exceptions.remove(backend);
            return false;
        }
        self.exceptions.insert(*backend);
        self.sites.insert(site);
        let is_over = is_only || self.sites.len() >= MIN_SITES;
        if is_over {
            self.verdict = Verdict::Reachable;
            self.exceptions.clear();
        }
        is_over
    }

    /// A probe of a backend of the cluster has failed.
    pub(super) fn failed(&mut self, backend: &BackendRef) {
        if let Some(has_failed) = self.asked.get_mut(backend) {
            *has_failed = true;
        }
    }

    /// The round is over. `is_lost` says whether it is lost as a whole if none has answered. Returns
    /// those whose fate that may have changed by themselves; after another verdict it is all. Of whom
    /// no probe has ended nothing is known.
    pub(super) fn end_round(&mut self, is_lost: bool) -> Vec<BackendRef> {
        let has_answer = self.has_answer;
        self.rounds = self.rounds.saturating_add(1);
        if !has_answer {
            self.sites.clear();
        }
        let asked = std::mem::take(&mut self.asked);
        match self.verdict {
            Verdict::Open | Verdict::Reachable if !has_answer && is_lost => {
                self.verdict = Verdict::Unreachable;
                self.exceptions.clear();
                return Vec::new();
            }
            Verdict::Open if has_answer => {
                self.verdict = Verdict::Reachable;
                self.exceptions.clear();
            }
            Verdict::Open => return Vec::new(),
            Verdict::Reachable | Verdict::Unreachable => {}
        }
        let mute = asked.into_iter().filter(|(_, has_failed)| *has_failed);
        let mute: Vec<BackendRef> = mute.map(|(backend, _)| backend).collect();
        for backend in &mute {
            if self.verdict == Verdict::Unreachable {
                self.exceptions.remove(backend);
            } else {
                self.exceptions.insert(*backend);
            }
        }
        mute
    }

    /// Services list other backends now.
    pub(super) fn forget(&mut self, is_there: impl Fn(&BackendRef) -> bool) {
        self.order = Arc::default();
        self.asked.retain(|backend, _| is_there(backend));
        self.exceptions.retain(is_there);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::by_name::backend;

    #[test]
    fn those_that_were_not_asked_share_the_fate_of_those_that_were() {
        let mut trial = Trial::new(true);
        ask(&mut trial, &["10.2.0.1", "10.2.0.2"]);
        assert!(!trial.is_out(&backend("10.2.0.1")), "it has its time");
        trial.end_round(true);
        assert_eq!(trial.verdict(), Verdict::Unreachable);
        assert!(["10.2.0.1", "10.2.0.9"].iter().all(|one| trial.is_out(&backend(one))));

        // One answer speaks for itself, one of another node for all.
        ask(&mut trial, &["10.2.0.3", "10.2.0.4"]);
        assert!(!answered(&mut trial, "10.2.0.3", "n3"));
        assert!(!trial.is_out(&backend("10.2.0.3")) && trial.is_out(&backend("10.2.0.9")));
        assert!(!answered(&mut trial, "10.2.0.5", "n3"), "that is one node");
        assert!(answered(&mut trial, "10.2.0.4", "n4"));
        assert_eq!(trial.verdict(), Verdict::Reachable);
        assert!(!trial.is_out(&backend("10.2.0.9")));
    }

    #[test]
    fn while_some_answer_only_those_are_out_that_do_not() {
        let mut trial = Trial::new(true);
        ask(&mut trial, &["10.2.0.1", "10.2.0.2"]);
        answered(&mut trial, "10.2.0.1", "n1");
        trial.failed(&backend("10.2.0.2"));
        assert_eq!(trial.end_round(true), [backend("10.2.0.2")]);
        assert_eq!(trial.verdict(), Verdict::Reachable);
        assert!(trial.is_out(&backend("10.2.0.2")) && !trial.is_out(&backend("10.2.0.9")));
        // One round that none answers is no loss of all while others have answered a moment ago.
        ask(&mut trial, &["10.2.0.3", "10.2.0.8"]);
        trial.failed(&backend("10.2.0.3"));
        assert_eq!(trial.end_round(false), [backend("10.2.0.3")]);
        assert!(!trial.is_out(&backend("10.2.0.8")), "the prober had no time for it");
        assert!(trial.is_out(&backend("10.2.0.3")) && !trial.is_out(&backend("10.2.0.9")));
        answered(&mut trial, "10.2.0.3", "n3");
        assert!(!trial.is_out(&backend("10.2.0.3")));
        ask(&mut trial, &["10.2.0.4"]);
        trial.end_round(true);
        assert!(trial.is_out(&backend("10.2.0.1")), "what it said before is void");
    }

    #[test]
    fn an_answer_from_one_node_is_void_once_a_round_had_none() {
        let mut trial = Trial::new(true);
        ask(&mut trial, &["10.2.0.1"]);
        trial.end_round(true);
        ask(&mut trial, &["10.2.0.1"]);
        answered(&mut trial, "10.2.0.1", "n1");
        assert_eq!(trial.end_round(true), []);
        ask(&mut trial, &["10.2.0.1"]);
        trial.failed(&backend("10.2.0.1"));
        assert_eq!(trial.end_round(true), [backend("10.2.0.1")]);
        assert!(trial.is_out(&backend("10.2.0.1")), "it does not answer any more");
        assert!(!answered(&mut trial, "10.2.0.2", "n2"));
        let gateway = Site::Address("10.2.0.2".parse().expect("an address"));
        assert!(trial.answered(&backend("10.2.0.2"), gateway, true), "there is no other");
    }

    #[test]
    fn what_an_earlier_agent_left_out_stays_so_until_there_is_a_verdict() {
        let mut trial = Trial::new(true);
        trial.leave_out(backend("10.2.0.9"));
        ask(&mut trial, &["10.2.0.1"]);
        assert!(trial.is_out(&backend("10.2.0.9")) && !trial.is_out(&backend("10.2.0.1")));
        answered(&mut trial, "10.2.0.1", "n1");
        trial.end_round(true);
        assert!(!trial.is_out(&backend("10.2.0.9")));
    }

    #[test]
    fn who_answers_without_being_asked_speaks_for_all_as_well() {
        let mut trial = Trial::new(true);
        ask(&mut trial, &["10.2.0.1"]);
        trial.failed(&backend("10.2.0.1"));
        answered(&mut trial, "10.2.0.7", "n7");
        trial.end_round(true);
        assert_eq!(trial.verdict(), Verdict::Reachable);
        assert!(trial.is_out(&backend("10.2.0.1")) && !trial.is_out(&backend("10.2.0.7")));
    }

    fn ask(trial: &mut Trial, asked: &[&str]) {
        let asked: Vec<BackendRef> = asked.iter().map(|address| backend(address)).collect();
        trial.ask(&asked, Moment(Duration::from_secs(1)), 1);
    }

    fn answered(trial: &mut Trial, address: &str, node: &str) -> bool {
        trial.answered(&backend(address), Site::Node(node.into()), false)
    }
}
