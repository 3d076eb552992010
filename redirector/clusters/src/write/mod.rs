//! Brings an API server from the objects that it has to those that are desired.
//!
//! [`Writer`] is pure: it is told what is desired and what there is, and says which request is next;
//! [`perform`] makes it. Nothing is remembered between two lives but what the API server has: a writer
//! that was killed at any request is followed by one that completes what is missing.

mod backoff;
mod content;
mod kept;
mod pace;
mod perform;
#[cfg(test)]
mod tests;
mod writer;

use std::{fmt, sync::Arc};

pub use self::{
    content::Content,
    kept::{Actual, Kept, KeptObject, Ours, Place},
    perform::perform,
    writer::{Job, Outcome, Pace, Request, Writer},
};

/// The kinds that are written, those first that others refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `redirector.dev/v1alpha1`, of the outbox.
    ExportedService,
    /// `multicluster.x-k8s.io`, with a status of its own.
    ServiceImport,
    /// The derived Service of an import.
    Service,
    /// Of the outbox, or imported.
    EndpointSlice,
}

impl Kind {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ExportedService => "ExportedService",
            Self::ServiceImport => "ServiceImport",
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
        }
    }

    /// Where objects of a namespace are made.
    #[must_use]
    pub fn collection(self, namespace: &str) -> String {
        let (group, plural) = match self {
            Self::ExportedService => ("apis/redirector.dev/v1alpha1", "exportedservices"),
            Self::ServiceImport => ("apis/multicluster.x-k8s.io/v1beta1", "serviceimports"),
            Self::Service => ("api/v1", "services"),
            Self::EndpointSlice => ("apis/discovery.k8s.io/v1", "endpointslices"),
        };
        format!("/{group}/namespaces/{namespace}/{plural}")
    }
}

/// Which object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Its kind.
    pub kind: Kind,
    /// `metadata.namespace`.
    pub namespace: Arc<str>,
    /// `metadata.name`.
    pub name: Arc<str>,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind.name(), self.namespace, self.name)
    }
}

/// Who writes, for `managedFields` of what is written.
pub const FIELD_MANAGER: &str = "redirector-clusters";
