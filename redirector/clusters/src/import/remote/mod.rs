//! One RemoteCluster: whether it is the right one, whether it is heard, and what of it counts.

mod hear;
mod judge;

use std::{collections::BTreeMap, sync::Arc};

use redirector_core::Moment;
use redirector_kube::api::{Phase, RemoteCluster};
use redirector_policy::{EncryptionMode, Overlap, Reach, ValidRemoteCluster};
use thiserror::Error;

use super::{
    heard::{Heard, Silence, State},
    news::{Failure, FoundCluster},
    outbox::{HeldService, Outbox, Touched},
};
use crate::api::Heartbeat;

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
    /// Why its outbox cannot be read, or not all of it.
    pub failure: Option<Failure>,
    /// Since when failures are of that variant.
    failing_since: Option<Moment>,
    /// One of its kinds has had no news for long, while the heartbeat says that nothing is missed.
    pub is_partly_heard: bool,
    /// What is wrong with its manifest.
    pub manifest_problem: Option<Arc<str>>,
    heard: Heard,
    beat: Option<Heartbeat>,
    epoch: Option<u64>,
    /// The right cluster was heard since the watches began.
    is_known: bool,
    /// Since when what is there may be of an older state: until a manifest proves it, or it is listed
    /// for too long without proof, not even what is unready counts.
    doubted: Option<Moment>,
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
            failing_since: None,
            is_partly_heard: false,
            manifest_problem: None,
            heard: Heard::new(state, now),
            beat: None,
            epoch: None,
            is_known: false,
            doubted: None,
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

    /// Whether a Lease was heard, whatever it says.
    pub fn has_lease(&self) -> bool {
        self.beat.is_some()
    }
}
