//! The objects between clusters: those of KEP-1645, and the outbox's.

mod credentials;
mod digest;
mod exported_service;
mod heartbeat;
mod manifest;
mod outbox_slice;
mod service_export;
mod service_import;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use redirector_kube::api::ObjectRef;
use serde::Deserialize;

pub use credentials::{Credentials, TOKEN_EXPIRES, TOKEN_ISSUED, TOKEN_LIFE, token_request};
pub use digest::{
    export_fingerprint, export_label, export_name, outbox_digest, short_hash, slice_fingerprint,
    slices_digest, slices_digest_of,
};
pub use exported_service::{
    ExportedPort, ExportedService, ExportedServiceSpec, ExportedType, Gateway, GatewayKind,
    GatewayPort,
};
pub use heartbeat::Heartbeat;
pub use manifest::{Manifest, Unexport};
pub use outbox_slice::{OutboxEndpoint, OutboxPort, OutboxSlice};
pub(crate) use outbox_slice::{endpoint, port};
pub use service_export::{AlphaServiceExport, ServiceExport};
pub use service_import::ServiceImportSpec;

/// The namespace that is the outbox: importers of other clusters read nothing else.
pub const OUTBOX: &str = "redirector-exports";
/// The namespace of the Deployment and of its credentials.
pub const NAMESPACE: &str = "redirector-clusters";
/// The Lease in the outbox that is the manifest and the heartbeat.
pub const HEARTBEAT: &str = "redirector-heartbeat";
/// The label of a slice in the outbox: which ExportedService it is of.
pub const EXPORTED_SERVICE: &str = "redirector.dev/exported-service";
/// A label of what `redirector cluster join` makes: for which other cluster it is.
pub const CLUSTER: &str = "clusters.redirector.dev/cluster";

/// The ServiceAccount in the outbox by which the cluster of that id reads it.
#[must_use]
pub fn importer_account(cluster: &str) -> String {
    format!("importer-{cluster}")
}

/// Reads JSON.
pub(crate) fn decode<'de, T: Deserialize<'de>>(json: &'de [u8]) -> Result<T, String> {
    serde_json::from_slice(json).map_err(|error| error.to_string())
}

/// Which object it is that has this metadata.
pub(crate) fn object_ref(metadata: &ObjectMeta) -> Result<ObjectRef, String> {
    let Some(name) = metadata.name.as_deref().filter(|name| !name.is_empty()) else {
        return Err("metadata.name is missing".to_owned());
    };
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    Ok(ObjectRef { namespace: namespace.into(), name: name.into() })
}
