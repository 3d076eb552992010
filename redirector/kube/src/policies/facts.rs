//! What the statuses of policies need to know that is no policy: told by those who know it.

use std::sync::Arc;

use redirector_core::failover::vacancies::Vacancy;
use redirector_policy::{TierInClusters, TierServiceSpec};

use super::reason;
use crate::api::ObjectRef;

/// What there is beside policies.
pub trait Facts {
    /// Whether Services, slices and the own Node have been heard in full. Until then nothing is
    /// said about any policy: what is unknown is not missing.
    fn is_synced(&self) -> bool;

    /// What has become of a Service.
    fn service(&self, service: &ObjectRef) -> ServiceState;

    /// The health of each port of a Service that is redirected.
    fn health(&self, service: &ObjectRef) -> Vec<PortHealth>;

    /// What a tier of a policy in `namespace` is that names another Service.
    fn tier(&self, namespace: &str, service: &TierServiceSpec) -> TierState;

    /// What keeps clusters that a tier names from serving a Service, each with a sentence for people.
    fn troubles(
        &self,
        service: &ObjectRef,
        tier: &TierInClusters<'_>,
    ) -> Vec<(ClusterTrouble, String)>;
}

/// Why a cluster that a tier names does not serve; in the order in which a condition names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClusterTrouble {
    /// There is no RemoteCluster of that name.
    NoSuchCluster,
    /// The way there must be encrypted, and is not known to be.
    Insecure,
    /// Its RemoteCluster is refused, or all that it exports is outside of what that allows.
    Refused,
    /// It is not heard any more.
    Silent,
    /// It exports no Service of that name.
    NotExported,
    /// It exports the Service, without a port that fits.
    PortMismatch,
}

impl ClusterTrouble {
    /// Each of them.
    pub const ALL: [Self; 6] = [
        Self::NoSuchCluster,
        Self::Insecure,
        Self::Refused,
        Self::Silent,
        Self::NotExported,
        Self::PortMismatch,
    ];

    /// The reason of the condition.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NoSuchCluster => reason::NO_SUCH_CLUSTER,
            Self::Insecure => reason::CLUSTER_INSECURE,
            Self::Refused => reason::CLUSTER_REFUSED,
            Self::Silent => reason::CLUSTER_SILENT,
            Self::NotExported => reason::NOT_EXPORTED,
            Self::PortMismatch => reason::PORT_MISMATCH,
        }
    }
}

/// What has become of a Service that a policy is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceState {
    /// There is none of that name.
    Missing,
    /// It will be in the kernel, but is not yet as the policy says.
    Pending,
    /// It is in the kernel as the policy says.
    Programmed,
    /// It is not in the kernel as the policy says, and why: that takes a change.
    NotInstalled(Arc<str>),
    /// It is left to kube-proxy, and why: a phrase such as `it is headless`.
    LeftToKubeProxy(Arc<str>),
}

/// The health of one port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortHealth {
    /// Its name, or its number if it has none.
    pub port: Arc<str>,
    /// Backends of all its tiers, without those that are about to end.
    pub backends: usize,
    /// Those of them without an objection.
    pub healthy: usize,
    /// The tier that carries the load, and the earlier one with backends that should: of each family
    /// in which they are not the same, as this node sees it.
    pub away: Vec<(Arc<str>, Arc<str>)>,
    /// Tiers without a backend.
    pub vacancies: Vec<Vacancy>,
}

/// What a tier is that names another Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TierState {
    /// The Service and its port are there.
    Found,
    /// There is no Service of that name.
    NoService,
    /// The Service has no port of that name or number; or no port was named, and it has several.
    NoPort,
}
