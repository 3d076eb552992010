//! What the core is told, and what it says happened.

use std::{fmt, sync::Arc, time::Duration};

use redirector_common::HealthByte;

use crate::service::{BackendRef, Locality, Service, ServiceRef};

/// A point in time: since an origin that the caller chose and never moves back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub Duration);

/// News from a source.
#[derive(Clone, Debug)]
pub enum Input {
    /// Where this agent runs.
    Node(Locality),
    /// A service was added or changed.
    Put(Service),
    /// A service is gone.
    Remove(ServiceRef),
    /// Everything there is: what is not in it is gone. Until the first one nothing is removed.
    Replace(Vec<Service>),
    /// A probe ended.
    Probed {
        /// Which backend.
        backend: BackendRef,
        /// Whether it answered in time.
        outcome: Result<(), ProbeFailure>,
    },
    /// Objections found in the kernel's maps at start: the last good state.
    Restore(Vec<(BackendRef, HealthByte)>),
}

/// Why a probe failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeFailure {
    /// No answer in time.
    TimedOut,
    /// The peer or a router said no, or this machine could not ask.
    Failed(Arc<str>),
}

impl fmt::Display for ProbeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("timed out"),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

/// Something that happened, for logs, metrics and events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transition {
    /// A backend receives no new connections any more.
    Ejected {
        /// Which backend.
        backend: BackendRef,
        /// Who objects.
        by: HealthByte,
        /// Why.
        why: Arc<str>,
    },
    /// A backend may receive new connections again.
    Readmitted {
        /// Which backend.
        backend: BackendRef,
        /// Who objected.
        by: HealthByte,
    },
    /// Another tier of a service carries its load; `None` is no tier.
    FailedOver {
        /// Which service.
        service: ServiceRef,
        /// Number and name before, counted from 0.
        from: Option<(u8, Arc<str>)>,
        /// Number and name now.
        to: Option<(u8, Arc<str>)>,
    },
    /// An object was refused; its last good version stays in force.
    Rejected {
        /// Which object.
        object: ServiceRef,
        /// Why.
        why: Arc<str>,
    },
}
