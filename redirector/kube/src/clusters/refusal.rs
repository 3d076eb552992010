//! Why a RemoteCluster is not used.

use std::{fmt, net::IpAddr, sync::Arc};

use ipnet::IpNet;
use thiserror::Error;

use super::SaidBy;
use crate::{api::ObjectRef, index::reason};

/// Why a RemoteCluster is not used, for people.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// It was never valid.
    #[error("it is invalid: {0}")]
    Invalid(Arc<str>),
    /// It has a name that no cluster can have.
    #[error("its name is no id of a cluster; use a DNS label of at most 63 characters")]
    Name,
    /// Its endpoints cannot be told from those of this cluster.
    #[error(
        "this cluster has no id; make the ClusterProperty cluster.clusterset.k8s.io, or pass --cluster"
    )]
    OwnUnknown,
    /// As [`OwnUnknown`](Self::OwnUnknown).
    #[error(
        "{by} says that this cluster is {said}, {} says {}; put one of them right",
        .other.0, .other.1
    )]
    OwnDiffers {
        /// Who says the one id.
        by: SaidBy,
        /// What it says.
        said: Arc<str>,
        /// Who says another one, and which.
        other: (SaidBy, Arc<str>),
    },
    /// It is this cluster.
    #[error("it is this cluster itself; name another one")]
    IsOwn,
    /// One address could be two pods.
    #[error("its range {cidr} overlaps {with}; with reach Pod an address must be one pod's")]
    Overlap {
        /// Its range.
        cidr: IpNet,
        /// What else is there.
        with: Occupied,
    },
    /// It asks for an encrypted way, and whether it is encrypted is not known.
    #[error(
        "its encryption mode is Required, and no guard says that the way there is encrypted; without one \
         only Report or Off are used"
    )]
    NoGuard,
}

/// What of this cluster, or of an older RemoteCluster, is in a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Occupied {
    /// An address or a range of pods of the own Node.
    Node(IpNet),
    /// The same, of any Node; neighbouring ranges are one.
    Nodes(IpNet),
    /// An address of the pod of this agent.
    Agent(IpAddr),
    /// A cluster address of a Service.
    Service(ObjectRef, IpAddr),
    /// The range of an older RemoteCluster.
    Cluster(Arc<str>, IpNet),
}

impl Refusal {
    /// One word in CamelCase, for programs.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Invalid(_) | Self::Name => reason::INVALID_CLUSTER,
            Self::OwnUnknown => reason::OWN_CLUSTER_UNKNOWN,
            Self::OwnDiffers { .. } => reason::OWN_CLUSTER_DIFFERS,
            Self::IsOwn => reason::OWN_CLUSTER,
            Self::Overlap { .. } => reason::CIDR_OVERLAP,
            Self::NoGuard => reason::NO_GUARD,
        }
    }
}

impl fmt::Display for Occupied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(range) => write!(f, "{range} of this Node"),
            Self::Nodes(range) => write!(f, "{range} of Nodes of this cluster"),
            Self::Agent(address) => write!(f, "{address}, the pod of this agent"),
            Self::Service(service, address) => write!(f, "{address} of Service {service}"),
            Self::Cluster(cluster, range) => {
                write!(f, "{range} of RemoteCluster {cluster}, which is older")
            }
        }
    }
}
