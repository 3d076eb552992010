//! What the importer is told: of this cluster, and of others' outboxes.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use redirector_kube::api::{Batch, Phase, RemoteCluster, Service};
use serde_json::Value;

use super::own::{Namespace, OwnImport, OwnNode};
use crate::api::{ExportedService, Heartbeat, OutboxSlice};

/// One piece of news. It counts from the next [`tick`](super::Importer::tick) on.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// What the importer before this one has left in this cluster. Said once and before all else; until
    /// it is said nothing is desired.
    Found(Found),
    /// RemoteClusters of this cluster.
    RemoteClusters(Batch<RemoteCluster>),
    /// Namespaces of this cluster.
    Namespaces(Batch<Namespace>),
    /// Nodes of this cluster.
    Nodes(Batch<OwnNode>),
    /// Services of this cluster: their addresses are in use, and those of derived ones are an import's.
    Services(Batch<Service>),
    /// ServiceImports of this cluster, of any writer.
    Imports(Batch<OwnImport>),
    /// Something of the outbox of a cluster, also of this one's own.
    Outbox {
        /// Its id: the name of a RemoteCluster, or [`Settings::cluster`](super::Settings::cluster).
        cluster: Arc<str>,
        /// What.
        news: OutboxNews,
    },
}

/// Something of one outbox.
#[derive(Clone, Debug, PartialEq)]
pub enum OutboxNews {
    /// The caller has dropped its watches and begins anew: the next batch of each kind is a complete
    /// list, and what is not in it is gone.
    Restarted,
    /// ExportedServices; the first batch is a complete list.
    Services(Batch<ExportedService>),
    /// Slices; the first batch is a complete list.
    Slices(Batch<OutboxSlice>),
    /// The Lease in another version, or that there is none.
    Heartbeat(Option<Heartbeat>),
    /// Why the API server does not answer as it should, or `None`: it does again.
    Failing(Option<Failure>),
}

/// Why an outbox cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No answer, or that of a server in trouble; for people.
    Unreachable(Arc<str>),
    /// 401 or 403, of at least one kind; for people, with the kind.
    Unauthorized(Arc<str>),
}

/// What an importer finds when it begins.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// Objects with the label `endpointslice.kubernetes.io/managed-by: clusters.redirector.dev` as they
    /// are: ServiceImports, derived Services, slices.
    pub objects: Vec<Value>,
    /// What the statuses of RemoteClusters say.
    pub clusters: BTreeMap<Arc<str>, FoundCluster>,
}

/// What the status of a RemoteCluster says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundCluster {
    /// `status.phase`.
    pub phase: Phase,
    /// How long it has been silent, by this cluster's clock and the `lastTransitionTime` of its condition
    /// Connected; zero if it is not silent.
    pub silent_for: Duration,
    /// `status.uid`: the cluster that was first seen under that name.
    pub uid: Option<Arc<str>>,
}
