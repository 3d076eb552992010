//! One RemoteCluster: whether it is the right one, whether it is heard, and what of it counts.

use std::{collections::BTreeMap, sync::Arc};

use redirector_core::Moment;
use redirector_kube::api::{Phase, RemoteCluster};
use redirector_policy::{EncryptionMode, Overlap, Reach, ValidRemoteCluster};
use thiserror::Error;

use super::{
    heard::{Facts, Heard, Silence, State},
    news::{Failure, FoundCluster, OutboxNews},
    outbox::{HeldService, Outbox, Touched},
    timing::Timing,
};
use crate::api::{Heartbeat, Manifest};

/// What is known of a RemoteCluster.
#[derive(Debug)]
pub(super) struct Remote {
    /// Its newest version.
    pub object: RemoteCluster,
    /// The last valid one, which is in force.
    pub spec: Option<Arc<ValidRemoteCluster>>,
    /// Why nothing of it counts.
    pub refusal: Option<Refusal>,
    /// The cluster that it is: as its owner pinned it, else as it was first heard.
    pub uid: Option<Arc<str>>,
    /// Another cluster is heard under its name.
    pub other: Option<Arc<str>>,
    /// This very cluster is heard under its name.
    pub is_own: bool,
    pub outbox: Outbox,
    /// Which region each zone of it is in.
    pub regions: Arc<BTreeMap<String, String>>,
    pub failure: Option<Failure>,
    /// What is wrong with its manifest.
    pub manifest_problem: Option<Arc<str>>,
    heard: Heard,
    beat: Option<Heartbeat>,
    epoch: Option<u64>,
    /// The right cluster was heard since the watches began.
    is_known: bool,
    /// A relist is to be asked for.
    wants_relist: bool,
    /// When one was last asked for.
    relist_at: Option<Moment>,
    forgotten: Forgotten,
}

/// Why nothing of a cluster counts.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum Refusal {
    /// It is this cluster.
    #[error("it is this cluster itself; remove this RemoteCluster")]
    Own,
    /// It has another name too, and that is older.
    #[error(
        "it is the same cluster as RemoteCluster {0}, which is older; remove one of the two \
         (redirector cluster leave)"
    )]
    Same(Arc<str>),
    /// Its addresses are in use.
    #[error("{0}")]
    Overlap(Overlap),
}

/// How much of a lost cluster has been forgotten.
#[derive(Debug, Default)]
struct Forgotten {
    since: Option<Moment>,
    slices: u32,
}

impl Remote {
    /// A cluster as its object and its status say.
    pub fn new(object: RemoteCluster, found: Option<&FoundCluster>, now: Moment) -> Self {
        let state = match found {
            Some(FoundCluster { phase: Phase::Live, .. }) => State::Live,
            Some(FoundCluster { phase: Phase::Silent, silent_for, .. }) => {
                // Before the origin of time nothing can have begun; the caller's is early enough.
                let since = Moment(now.0.saturating_sub(*silent_for));
                State::Silent { since, why: Silence::Unreachable }
            }
            Some(FoundCluster { phase: Phase::Lost, .. }) => State::Lost,
            Some(FoundCluster { phase: Phase::Joining | Phase::Leaving, .. }) | None => {
                State::Joining
            }
        };
        let mut remote = Self {
            spec: None,
            refusal: None,
            uid: found.and_then(|found| found.uid.clone()),
            other: None,
            is_own: false,
            outbox: Outbox::default(),
            regions: Arc::default(),
            failure: None,
            manifest_problem: None,
            heard: Heard::new(state, now),
            beat: None,
            epoch: None,
            is_known: false,
            wants_relist: false,
            relist_at: None,
            forgotten: Forgotten::default(),
            object: object.clone(),
        };
        remote.restate(object, &mut Touched::new());
        remote
    }

    /// Its object is another version. Returns whether all that counts of it must be looked at again.
    pub fn restate(&mut self, object: RemoteCluster, touched: &mut Touched) -> bool {
        let is_other_object = self.object.uid != object.uid;
        let was_leaving = self.object.is_leaving;
        self.object = object;
        if is_other_object {
            (self.uid, self.other) = (None, None);
        }
        let Ok(spec) = &self.object.spec else { return was_leaving != self.object.is_leaving };
        let before = self.spec.replace(Arc::clone(spec));
        if let Some(uid) = &spec.spec().uid {
            self.uid = Some(uid.as_str().into());
            self.other = self.other.take().filter(|other| **other != **uid);
        }
        if before.as_ref().is_some_and(|before| before.spec().reach != spec.spec().reach) {
            self.outbox.drop_endpoints(touched);
        }
        before.as_ref() != Some(spec) || was_leaving != self.object.is_leaving
    }

    /// Its name: its id.
    pub fn name(&self) -> &Arc<str> {
        &self.object.name
    }

    pub fn reach(&self) -> Reach {
        self.spec.as_ref().map_or(Reach::Pod, |spec| spec.spec().reach)
    }

    /// Whether this importer hears it. If not, others discover its endpoints.
    pub fn is_ours(&self) -> bool {
        self.spec.as_ref().is_some_and(|spec| spec.spec().server.is_some())
    }

    /// Whether anything of it counts.
    pub fn counts(&self) -> bool {
        self.is_ours() && self.refusal.is_none() && !self.object.is_leaving
    }

    /// Whether endpoints of it are used. Without a guard nothing can prove that the way there is
    /// encrypted, so what requires that stays out.
    pub fn is_used(&self) -> bool {
        let mode = self.spec.as_ref().map(|spec| spec.spec().encryption.mode);
        self.counts() && mode.is_some_and(|mode| mode != EncryptionMode::Required)
    }

    /// What of it counts, of that Service.
    pub fn held(&self, object: &redirector_kube::api::ObjectRef) -> Option<&HeldService> {
        self.outbox.held().get(object).filter(|_| self.counts())
    }

    pub fn state(&self) -> State {
        self.heard.state()
    }

    /// `status.phase`; `None` is for a cluster that others discover.
    pub fn phase(&self) -> Option<Phase> {
        if self.object.is_leaving {
            return Some(Phase::Leaving);
        }
        self.is_ours().then(|| match self.state() {
            State::Joining => Phase::Joining,
            State::Live => Phase::Live,
            State::Silent { .. } => Phase::Silent,
            State::Lost => Phase::Lost,
        })
    }

    /// When its heartbeat last changed.
    pub fn last(&self) -> Moment {
        self.heard.last()
    }

    /// Whether a Lease was heard, whatever it says.
    pub fn has_lease(&self) -> bool {
        self.beat.is_some()
    }

    /// Takes in news of its outbox. Returns whether its status may be another one.
    pub fn take(
        &mut self,
        news: OutboxNews,
        own_uid: Option<&str>,
        now: Moment,
        timing: &Timing,
    ) -> bool {
        match news {
            OutboxNews::Restarted => {
                self.outbox.restart();
                self.is_known = false;
                true
            }
            OutboxNews::Services(batch) => {
                self.outbox.told.take_services(batch);
                true
            }
            OutboxNews::Slices(batch) => {
                self.outbox.told.take_slices(batch);
                true
            }
            OutboxNews::Heartbeat(beat) => {
                let before =
                    (self.beat.is_some(), self.other.clone(), self.manifest_problem.clone());
                match beat {
                    Some(beat) if self.beat.as_ref() != Some(&beat) => {
                        self.beat(beat, own_uid, now, timing);
                    }
                    Some(_) => {}
                    None => self.beat = None,
                }
                before != (self.beat.is_some(), self.other.clone(), self.manifest_problem.clone())
            }
            OutboxNews::Failing(failure) => {
                let is_other = self.failure != failure;
                self.failure = failure;
                is_other
            }
        }
    }

    fn beat(&mut self, beat: Heartbeat, own_uid: Option<&str>, now: Moment, timing: &Timing) {
        let before = self.beat.replace(beat.clone());
        let manifest = match &beat.manifest {
            Ok(manifest) => Arc::clone(manifest),
            Err(why) => {
                self.manifest_problem = Some(Arc::clone(why));
                // It agrees with nothing.
                self.outbox.manifest("");
                self.heard.beat(now, timing);
                return;
            }
        };
        self.manifest_problem = None;
        if !self.is_right(&manifest, own_uid) {
            return;
        }
        let has_fallen = before.is_some_and(|before| is_older(&beat.version, &before.version));
        let is_other_epoch = self.epoch.is_some_and(|epoch| epoch != manifest.epoch);
        self.epoch = Some(manifest.epoch);
        self.heard.beat(now, timing);
        if has_fallen || is_other_epoch {
            // The exporter, or its API server's memory, is another one: what it says is listed again.
            self.doubt();
            return;
        }
        self.is_known = true;
        self.outbox.manifest(&manifest.digest);
        if *self.regions != manifest.regions {
            self.regions = Arc::new(manifest.regions.clone());
        }
    }

    /// Whether it is the right cluster that speaks. The first that is heard is pinned.
    fn is_right(&mut self, manifest: &Manifest, own_uid: Option<&str>) -> bool {
        self.is_own = own_uid == Some(&*manifest.uid);
        if self.is_own {
            return false;
        }
        let expected = self.uid.get_or_insert_with(|| manifest.uid.as_str().into());
        if **expected != *manifest.uid {
            self.other = Some(manifest.uid.as_str().into());
            self.is_known = false;
            return false;
        }
        if self.other.take().is_some() {
            // What was heard in between is the other one's.
            self.doubt();
        }
        true
    }

    /// What is held may not be what is there: it is listed anew, and until then nothing is proven.
    fn doubt(&mut self) {
        self.wants_relist = true;
        self.is_known = false;
        self.outbox.suspend();
    }

    /// Judges it as of now. Returns the state before if it is another one, and whether its outbox is to
    /// be listed anew.
    pub fn judge(
        &mut self,
        now: Moment,
        timing: &Timing,
        touched: &mut Touched,
    ) -> (Option<State>, bool) {
        if !self.is_ours() || self.object.is_leaving {
            return (None, false);
        }
        self.outbox.compare(now);
        let facts = self.facts(now, timing);
        let before = self.heard.judge(now, facts, timing);
        if before.is_some_and(|before| matches!(before, State::Joining | State::Lost)) {
            self.outbox.remerge();
        }
        let state = self.heard.state();
        if state != State::Lost {
            self.forgotten = Forgotten::default();
        }
        let is_heard = self.is_known
            && self.other.is_none()
            && matches!(state, State::Live | State::Silent { .. });
        self.outbox.merge(self.reach(), is_heard, touched);
        if is_heard {
            self.outbox.prove(now, self.heard.last(), timing, touched);
        }
        if state == State::Lost {
            self.forget(now, timing, touched);
        }
        let is_due = self.relist_at.is_none_or(|at| now >= at.after(timing.incomplete));
        let is_asked = self.wants_relist || facts.is_incomplete && is_due && self.other.is_none();
        if is_asked {
            self.relist_at = Some(now);
            self.wants_relist = false;
        }
        (before, is_asked)
    }

    /// Slices of a lost cluster go one after the other.
    fn forget(&mut self, now: Moment, timing: &Timing, touched: &mut Touched) {
        let since = *self.forgotten.since.get_or_insert(now);
        let passed = now.0.saturating_sub(since.0).as_nanos() / timing.lost_slice.as_nanos().max(1);
        let due = u32::try_from(passed).unwrap_or(u32::MAX).saturating_add(1);
        while self.forgotten.slices < due && !self.outbox.held().is_empty() {
            for (object, held) in self.outbox.forget(1) {
                let slices = held.endpoints.len().div_ceil(100).max(1);
                let slices = u32::try_from(slices).unwrap_or(u32::MAX);
                self.forgotten.slices = self.forgotten.slices.saturating_add(slices);
                touched.insert(object, true);
            }
        }
    }

    /// When to judge again without news.
    pub fn deadline(&self, now: Moment, timing: &Timing) -> Option<Moment> {
        if !self.is_ours() || self.object.is_leaving {
            return None;
        }
        let heard = self.heard.deadline(self.facts(now, timing), timing);
        let relist = self.relist_at.map(|at| at.after(timing.incomplete));
        let forget = self.forgotten.since.filter(|_| !self.outbox.held().is_empty());
        let forget = forget.map(|since| since.after(timing.lost_slice * self.forgotten.slices));
        [heard, self.outbox.deadline(timing), relist, forget]
            .into_iter()
            .flatten()
            .filter(|at| *at > now)
            .min()
    }

    fn facts(&self, now: Moment, timing: &Timing) -> Facts {
        Facts {
            is_complete: self.outbox.is_proven(),
            is_incomplete: self.outbox.is_incomplete(now, timing),
            is_refused: self.refusal.is_some() || self.spec.is_none(),
            is_other: self.other.is_some(),
            failure: self.failure.as_ref().map(|failure| match failure {
                Failure::Unreachable(_) => Silence::Unreachable,
                Failure::Unauthorized(_) => Silence::Unauthorized,
            }),
            keep_for: self.spec.as_ref().map(|spec| spec.keep_for()).unwrap_or_default(),
        }
    }
}

/// Whether a version is older than the one before: only numbers can be compared.
fn is_older(version: &str, before: &str) -> bool {
    let number = |text: &str| text.parse::<u64>().ok();
    number(version).zip(number(before)).is_some_and(|(version, before)| version < before)
}
