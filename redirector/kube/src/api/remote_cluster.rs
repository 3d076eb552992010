//! RemoteCluster, as the API server has it.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use redirector_policy::{RemoteClusterSpec, ValidRemoteCluster};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Object, decode, is_cluster_id, labels::LEAVING};

/// What is kept of a RemoteCluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteCluster {
    /// `metadata.name`: the id of the cluster.
    pub name: Arc<str>,
    /// `metadata.uid`: another one is another object of the same name.
    pub uid: Arc<str>,
    /// `metadata.generation`: counts the versions of the spec, from 1.
    pub generation: i64,
    /// `metadata.creationTimestamp`, seconds since 1970; 0 if it is missing.
    pub created: i64,
    /// Whether it is about to be removed: it has a `deletionTimestamp`, or the annotation
    /// [`LEAVING`](super::labels::LEAVING).
    pub is_leaving: bool,
    /// What it states, or everything that is wrong with it.
    pub spec: Result<Arc<ValidRemoteCluster>, Arc<str>>,
    /// `status.phase` as the importer last wrote it. `None` is not heard yet, or no importer.
    pub phase: Option<Phase>,
    /// `status.localCluster`: the id of the cluster that this object is in, as the importer knows it.
    pub local: Option<Arc<str>>,
}

/// What the importer knows of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Phase {
    /// Not heard in full yet: nothing is imported.
    Joining,
    /// Heard.
    Live,
    /// Not heard any more.
    Silent,
    /// Not heard for `keepFor`.
    Lost,
    /// About to be removed.
    Leaving,
}

impl Object for RemoteCluster {
    const PATH: &'static str = "/apis/redirector.dev/v1alpha1/remoteclusters";
    const KIND: &'static str = "RemoteCluster";

    /// Only an object without a name, or with odd metadata, is an error.
    fn decode(json: &[u8]) -> Result<Self, String> {
        let Written { metadata, spec, status } = decode(json)?;
        let Some(name) = metadata.name.filter(|name| !name.is_empty()) else {
            return Err("metadata.name is missing".to_owned());
        };
        let read = RemoteClusterSpec::read(&spec)
            .and_then(|spec| spec.validate().map_err(|invalid| invalid.to_string()));
        Ok(Self {
            name: name.into(),
            uid: metadata.uid.unwrap_or_default().into(),
            generation: metadata.generation.unwrap_or_default(),
            created: metadata.creation_timestamp.map_or(0, |time| time.0.as_second()),
            is_leaving: metadata.deletion_timestamp.is_some()
                || metadata.annotations.is_some_and(|all| all.contains_key(LEAVING)),
            spec: read.map(Arc::new).map_err(Arc::from),
            phase: serde_json::from_value(status["phase"].clone()).ok(),
            local: status["localCluster"].as_str().filter(|id| is_cluster_id(id)).map(Into::into),
        })
    }
}

#[derive(Deserialize)]
struct Written {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: Value,
    #[serde(default)]
    status: Value,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cluster_is_kept_with_its_phase_and_one_that_is_wrong_with_its_problems() {
        let west = json!({
            "metadata": {"name": "west", "uid": "u-1", "generation": 2},
            "spec": {"cidrs": ["10.2.0.0/16"], "encryption": {"mode": "Off"}},
            "status": {"phase": "Silent", "localCluster": "east"},
        });
        let west = RemoteCluster::decode(west.to_string().as_bytes()).expect("a cluster");
        assert_eq!(
            (&*west.name, west.phase, west.is_leaving),
            ("west", Some(Phase::Silent), false)
        );
        assert!(west.spec.is_ok());
        assert_eq!(west.local.as_deref(), Some("east"));
        let leaving = json!({"metadata": {"name": "west", "annotations": {LEAVING: "true"}}});
        let leaving = RemoteCluster::decode(leaving.to_string().as_bytes()).expect("a cluster");
        assert!(leaving.is_leaving);
        let wrong = json!({"metadata": {"name": "west"}, "spec": {"cidrs": []}});
        let wrong = RemoteCluster::decode(wrong.to_string().as_bytes()).expect("a cluster");
        assert_eq!(&*wrong.spec.expect_err("its problem"), "spec: missing field `encryption`");
    }
}
