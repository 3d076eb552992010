//! What the importer wants to be in this cluster's API server.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use redirector_kube::api::{ObjectRef, Phase};
use serde_json::Value;

/// Everything that should exist, and what should be said of it.
///
/// What is the importer's (by its label) and not among `objects` is to be removed; everything that must
/// stay, because nothing complete says that it is gone, is among them. Slices of a cluster before its
/// ServiceImports are never there; write in the order of [`DesiredRef`], remove in the reverse order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desired {
    /// Whether anything may be removed yet: not before this cluster's own objects are known. Before that
    /// `objects` is not all.
    pub is_complete: bool,
    /// What should exist.
    pub objects: BTreeMap<DesiredRef, Body>,
    /// What the status of each RemoteCluster should say.
    pub statuses: BTreeMap<Arc<str>, ClusterStatus>,
    /// The condition Conflict of each ServiceExport of this cluster that is exported.
    pub conflicts: BTreeMap<ObjectRef, Conflict>,
}

/// Which object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DesiredRef {
    /// Its kind.
    pub kind: DesiredKind,
    /// `metadata.namespace`.
    pub namespace: Arc<str>,
    /// `metadata.name`.
    pub name: Arc<str>,
}

/// Kinds that the importer writes, those first that others need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DesiredKind {
    /// `multicluster.x-k8s.io/v1beta1`, with `spec` and `status`.
    ServiceImport,
    /// The derived Service of a clusterset address.
    Service,
    /// `discovery.k8s.io/v1`.
    EndpointSlice,
}

/// An object as JSON. Two that are equal are the same object: keys are in order.
#[derive(Clone, PartialEq, Eq)]
pub struct Body {
    // Text is a tenth of what the same tree of values takes.
    text: Arc<str>,
}

/// What changed of [`Desired`] since it was last asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Objects that are there, are another version, or are not desired any more.
    pub objects: BTreeMap<DesiredRef, Pace>,
    /// RemoteClusters whose status is another one.
    pub statuses: BTreeSet<Arc<str>>,
    /// ServiceExports whose condition is another one.
    pub conflicts: BTreeSet<ObjectRef>,
}

/// How soon a change is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pace {
    /// It takes something out of use, or brings back what was ready before.
    AtOnce,
    /// It adds endpoints: every agent reads it, so the caller spreads such writes over time.
    Paced,
}

/// `status` of a RemoteCluster, without the times of its conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterStatus {
    /// `None`: it has no `server`, so no importer hears it.
    pub phase: Option<Phase>,
    /// Services of it that are imported; `None` is not known yet, and what was said last holds.
    pub services: Option<usize>,
    /// Endpoints of it that are imported; `None` likewise.
    pub endpoints: Option<usize>,
    /// `metadata.generation` that this is about.
    pub generation: i64,
    /// The cluster that is heard under that name: `metadata.uid` of its namespace kube-system.
    pub uid: Option<Arc<str>>,
    /// The id of this cluster: agents have no right to read the ClusterProperty, and read it here.
    pub local: Arc<str>,
    /// Accepted, Connected, Synced, Secure, in this order.
    pub conditions: Vec<ClusterCondition>,
}

/// A condition of a RemoteCluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterCondition {
    /// `type`: `Accepted`, `Connected`, `Synced` or `Secure`.
    pub kind: &'static str,
    /// `None` is `Unknown`.
    pub status: Option<bool>,
    /// One word in CamelCase.
    pub reason: &'static str,
    /// A sentence that names the object and what to do.
    pub message: String,
}

/// The condition Conflict of a ServiceExport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Reasons of KEP-1645 in their order, joined by commas; `NoConflicts` if there is none.
    pub reason: String,
    /// What is in conflict, whose value holds and why; empty if nothing is.
    pub message: String,
}

impl ClusterStatus {
    /// Whether the other one says the same of what agents act upon.
    pub(super) fn is_alike(&self, other: &Self) -> bool {
        let accepted = |status: &Self| {
            let found = status.conditions.iter().find(|condition| condition.kind == "Accepted");
            found.map(|accepted| (accepted.status, accepted.reason))
        };
        (self.phase, self.generation, &self.uid) == (other.phase, other.generation, &other.uid)
            && accepted(self) == accepted(other)
    }
}

impl Conflict {
    /// Whether exports are in conflict.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        !self.message.is_empty()
    }
}

impl DesiredKind {
    /// The kind's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ServiceImport => "ServiceImport",
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
        }
    }

    /// Its `apiVersion`.
    #[must_use]
    pub const fn api_version(self) -> &'static str {
        match self {
            Self::ServiceImport => "multicluster.x-k8s.io/v1beta1",
            Self::Service => "v1",
            Self::EndpointSlice => "discovery.k8s.io/v1",
        }
    }
}

impl fmt::Display for DesiredRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind.name(), self.namespace, self.name)
    }
}

impl Body {
    /// As JSON.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// As a value.
    #[must_use]
    pub fn value(&self) -> Value {
        // It was made of a value, so it is one.
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}

impl From<&Value> for Body {
    fn from(value: &Value) -> Self {
        Self { text: value.to_string().into() }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
