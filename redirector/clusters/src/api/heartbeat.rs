//! The Lease in the outbox: each change of it is a heartbeat, and its annotations are the manifest.

use std::sync::Arc;

use k8s_openapi::api::coordination::v1::Lease;
use redirector_kube::api::Object;

use super::Manifest;

/// One version of the Lease `redirector-heartbeat`.
///
/// Nothing here is a time that is compared with another cluster's: a version that differs from the one
/// before is a heartbeat, whatever it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// `metadata.resourceVersion`: another one is another version.
    pub version: Arc<str>,
    /// `spec.renewTime` as it is written, only to tell two versions apart.
    pub renewed: Arc<str>,
    /// Its annotations, or what is wrong with them.
    pub manifest: Result<Arc<Manifest>, Arc<str>>,
}

impl Object for Heartbeat {
    const PATH: &'static str = "/apis/coordination.k8s.io/v1/namespaces/redirector-exports/leases";
    const KIND: &'static str = "Lease";

    /// Annotations that are no manifest are no error of the object: it is a heartbeat all the same.
    fn decode(json: &[u8]) -> Result<Self, String> {
        let lease: Lease = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let annotations = lease.metadata.annotations.unwrap_or_default();
        let renewed = lease.spec.and_then(|spec| spec.renew_time);
        Ok(Self {
            version: lease.metadata.resource_version.unwrap_or_default().into(),
            renewed: renewed.map(|time| time.0.to_string()).unwrap_or_default().into(),
            manifest: Manifest::read(&annotations).map(Arc::new).map_err(Arc::from),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_lease_without_a_manifest_is_a_heartbeat_that_says_what_is_missing() {
        let lease = json!({
            "metadata": {"name": super::super::HEARTBEAT, "resourceVersion": "7"},
            "spec": {"renewTime": "2026-11-30T22:00:00.000001Z"},
        });
        let beat = Heartbeat::decode(lease.to_string().as_bytes()).expect("a Lease");
        assert_eq!((&*beat.version, &*beat.renewed), ("7", "2026-11-30T22:00:00.000001Z"));
        let why = beat.manifest.expect_err("no manifest");
        assert!(why.contains("annotation clusters.redirector.dev/"), "{why}");
    }
}
