//! ServiceExport (KEP-1645, v1beta1; v1alpha1 alike): the owner's wish to export a Service.

use std::collections::BTreeMap;

use redirector_kube::api::ObjectRef;

/// What is kept of a ServiceExport. It has the namespace and the name of its Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceExport {
    /// Which one.
    pub object: ObjectRef,
    /// `metadata.generation`.
    pub generation: i64,
    /// `metadata.creationTimestamp`, in RFC 3339: decides which cluster's properties hold.
    pub created: String,
    /// `spec.exportedLabels`.
    pub labels: BTreeMap<String, String>,
    /// `spec.exportedAnnotations`.
    pub annotations: BTreeMap<String, String>,
    /// The annotation `redirector.dev/weight`: 0 to 100; 100 where there is none.
    pub weight: u8,
    /// The annotation `redirector.dev/reach`: what may be published; `None` is whatever there is.
    pub reach: Option<String>,
}
