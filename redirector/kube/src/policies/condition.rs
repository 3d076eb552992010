//! What is said about a policy in its status.
//!
//! Which tier carries load depends on the node, and a policy by locality on a node without replicas
//! is at its second tier for ever. So a failover is a word here only where an earlier tier has
//! backends, and the movement itself is an Event.

use crate::text::bounded;

/// `status` of a policy, without the times of its conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyStatus {
    /// `metadata.generation` that this is about.
    pub generation: i64,
    /// The conditions: one of each kind, in the order of [`ConditionKind`].
    pub conditions: Vec<Condition>,
}

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Which condition it is.
    pub kind: ConditionKind,
    /// Whether it holds; `None` is `Unknown`.
    pub status: Option<bool>,
    /// One word in CamelCase, for programs: one of [`reason`].
    pub reason: &'static str,
    /// A sentence, for people, at most [`MAX_MESSAGE`] bytes.
    pub message: String,
}

/// Bytes of a message, at most.
pub const MAX_MESSAGE: usize = 1_024;

/// Why a condition is as it is.
pub mod reason {
    /// Accepted: it is valid and holds for at least one Service.
    pub const ACCEPTED: &str = "Accepted";
    /// Not accepted: its newest version is invalid. The last good one stays in force.
    pub const INVALID: &str = "Invalid";
    /// Not accepted: older policies hold for all its Services.
    pub const CONFLICTED: &str = "Conflicted";
    /// Not accepted: there is no Service of the names it gives.
    pub const TARGET_NOT_FOUND: &str = "TargetNotFound";
    /// Programmed: the kernel does what it says.
    pub const PROGRAMMED: &str = "Programmed";
    /// Not programmed yet.
    pub const PENDING: &str = "Pending";
    /// Not programmed: a Service is left to kube-proxy.
    pub const LEFT_TO_KUBE_PROXY: &str = "LeftToKubeProxy";
    /// Not programmed: there is no room for a Service, or it is not possible beside the others.
    pub const NOT_INSTALLED: &str = "NotInstalled";
    /// Nothing of this version is in force, so there is nothing to say about it.
    pub const NOT_ACCEPTED: &str = "NotAccepted";
    /// Degraded: the Service of a tier is missing. That tier is out, the others work.
    pub const TIER_UNRESOLVED: &str = "TierUnresolved";
    /// Degraded: a Service has no healthy backend in any tier.
    pub const NO_HEALTHY_BACKEND: &str = "NoHealthyBackend";
    /// Degraded: a tier can have no backend as things are, so it will not take over.
    pub const TIER_EMPTY: &str = "TierEmpty";
    /// Degraded: a tier names a cluster of which there is no RemoteCluster.
    pub const NO_SUCH_CLUSTER: &str = "NoSuchCluster";
    /// Degraded: a tier names a cluster to which the way must be encrypted, and is not known to be.
    pub const CLUSTER_INSECURE: &str = "ClusterInsecure";
    /// Degraded: a tier names a cluster whose RemoteCluster is refused.
    pub const CLUSTER_REFUSED: &str = "ClusterRefused";
    /// Degraded: a tier names a cluster that is not heard any more.
    pub const CLUSTER_SILENT: &str = "ClusterSilent";
    /// Degraded: a tier names a cluster that exports no such Service.
    pub const NOT_EXPORTED: &str = "NotExported";
    /// Degraded: a tier names a cluster that exports no port that fits.
    pub const PORT_MISMATCH: &str = "PortMismatch";
    /// Degraded: all traffic of a Service is in a later tier than the first that has backends.
    pub const FAILED_OVER: &str = "FailedOver";
    /// Not degraded.
    pub const AS_EXPECTED: &str = "AsExpected";
}

impl Condition {
    /// A condition with its message cut to [`MAX_MESSAGE`].
    pub(super) fn new(
        kind: ConditionKind,
        status: Option<bool>,
        reason: &'static str,
        message: String,
    ) -> Self {
        Self { kind, status, reason, message: bounded(&message, MAX_MESSAGE) }
    }
}

/// The kinds there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConditionKind {
    /// The policy is valid, and no other one holds for its service.
    Accepted,
    /// It is in force in the kernel of the node that says so.
    Programmed,
    /// Something of it does not work: a tier's service is missing, a tier is empty, no backend is
    /// healthy, or all traffic is in a later tier.
    Degraded,
}

impl ConditionKind {
    /// `type` of the condition.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Programmed => "Programmed",
            Self::Degraded => "Degraded",
        }
    }

    /// What it means that it holds: a sentence, for people.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Accepted => "its newest version is valid and holds for at least one Service.",
            Self::Programmed => "all Services it holds for are in the kernel as it says.",
            Self::Degraded => {
                "a tier is missing or empty, no backend is healthy, or traffic has failed over."
            }
        }
    }
}
