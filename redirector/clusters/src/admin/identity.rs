//! Who a cluster is: its id, and the uid by which it is pinned.

use std::collections::BTreeMap;

use redirector_kube::api::{cluster_property_paths, is_cluster_id};
use serde_json::Value;

use super::{Error, Side, error::Refusal};
use crate::api::{HEARTBEAT, Manifest, OUTBOX};

/// Where an id is from.
const FROM_PROPERTY: &str = "its ClusterProperty";
const FROM_FLAG: &str = "--cluster";
const FROM_MANIFEST: &str = "its exporter's manifest";

/// What a cluster says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// `metadata.uid` of the namespace kube-system.
    pub uid: String,
    /// The ClusterProperty.
    pub property: Option<String>,
    /// The manifest of its exporter, if there is one; or what is wrong with it.
    pub manifest: Option<Result<Manifest, String>>,
}

impl Identity {
    /// Asks an operator's side.
    ///
    /// # Errors
    ///
    /// [`Error::Request`].
    pub async fn read(side: &Side) -> Result<Self, Error> {
        let system = side.get("/api/v1/namespaces/kube-system").await?;
        let fix = "is this a Kubernetes API server?";
        let system = side.must_serve(system, "Namespace kube-system", fix)?;
        let uid = system["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        Ok(Self { uid, property: property(side).await?, manifest: manifest(side).await? })
    }

    /// The id that the manifest has.
    fn of_manifest(&self) -> Option<&str> {
        let manifest = self.manifest.as_ref()?.as_ref().ok()?;
        Some(&manifest.cluster)
    }

    /// Its id. In order: the ClusterProperty; what the operator gives; the exporter's manifest.
    ///
    /// # Errors
    ///
    /// Two of them differ, none says it, or it is no DNS label.
    pub fn id(&self, side: &str, given: Option<&str>) -> Result<String, Refusal> {
        let said = [
            (self.property.as_deref(), FROM_PROPERTY),
            (given, FROM_FLAG),
            (self.of_manifest(), FROM_MANIFEST),
        ];
        let mut said = said.into_iter().filter_map(|(id, from)| Some((id?, from)));
        let Some((first, first_source)) = said.next() else { return Err(Refusal::NoOwnId) };
        if let Some((second, second_source)) = said.find(|(id, _)| *id != first) {
            return Err(Refusal::Ids {
                side: side.to_owned(),
                first: first.to_owned(),
                first_source,
                second: second.to_owned(),
                second_source,
            });
        }
        if !is_cluster_id(first) {
            return Err(Refusal::Name(first.to_owned()));
        }
        Ok(first.to_owned())
    }
}

async fn property(side: &Side) -> Result<Option<String>, Error> {
    for path in cluster_property_paths() {
        if let Some(found) = side.get(&path).await? {
            return Ok(found["spec"]["value"].as_str().map(str::to_owned));
        }
    }
    Ok(None)
}

async fn manifest(side: &Side) -> Result<Option<Result<Manifest, String>>, Error> {
    let found = side.get(&heartbeat_path()).await?;
    Ok(found.map(|lease| Manifest::read(&annotations(&lease))))
}

/// Where a cluster's heartbeat is.
#[must_use]
pub(super) fn heartbeat_path() -> String {
    format!("/apis/coordination.k8s.io/v1/namespaces/{OUTBOX}/leases/{HEARTBEAT}")
}

/// The annotations of an object.
#[must_use]
pub(super) fn annotations(object: &Value) -> BTreeMap<String, String> {
    let found = object["metadata"]["annotations"].as_object();
    let text = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
    found.into_iter().flatten().filter_map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_said_once_or_in_agreement() {
        let nobody = Identity::default();
        assert_eq!(nobody.id("here", None), Err(Refusal::NoOwnId));
        assert_eq!(nobody.id("here", Some("east")), Ok("east".to_owned()));
        assert_eq!(nobody.id("here", Some("East")), Err(Refusal::Name("East".to_owned())));
        let manifest = Manifest { cluster: "west".into(), ..Manifest::default() };
        let known = Identity {
            property: Some("east".into()),
            manifest: Some(Ok(manifest)),
            ..Identity::default()
        };
        let why = known.id("context east", Some("east")).expect_err("the manifest differs");
        assert_eq!(
            why.to_string(),
            "context east is called \"east\" by its ClusterProperty and \"west\" by its exporter's \
             manifest; a cluster has one id: make them agree"
        );
    }
}
