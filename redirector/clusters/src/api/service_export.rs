//! ServiceExport (KEP-1645, v1beta1; v1alpha1 alike): the owner's wish to export a Service.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta};
use redirector_kube::api::{Object, ObjectRef, labels};
use serde::Deserialize;
use serde_json::Value;

use super::{decode, object_ref};

/// What is kept of a ServiceExport. It has the namespace and the name of its Service.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceExport {
    /// Which one.
    pub object: ObjectRef,
    /// `metadata.generation`.
    pub generation: i64,
    /// `metadata.resourceVersion`: what a write of its status is conditional on.
    pub version: Arc<str>,
    /// `metadata.creationTimestamp`, in RFC 3339: decides which cluster's properties hold.
    pub created: String,
    /// It has `metadata.deletionTimestamp`: it is not exported any more.
    pub is_leaving: bool,
    /// `spec.exportedLabels`.
    pub labels: BTreeMap<String, String>,
    /// `spec.exportedAnnotations`.
    pub annotations: BTreeMap<String, String>,
    /// The annotation `redirector.dev/weight`: 0 to 100; 100 where there is none.
    pub weight: u8,
    /// The annotation `redirector.dev/reach`: what may be published; `None` is whatever there is.
    pub reach: Option<String>,
    /// What its annotations say that means nothing, and what is taken instead.
    pub odd: Option<String>,
    /// `status.conditions`, of every writer.
    pub conditions: Vec<Condition>,
}

/// A ServiceExport of an API server that has v1alpha1 only.
#[derive(Clone, Debug, PartialEq)]
pub struct AlphaServiceExport(pub ServiceExport);

/// What may stand in the annotation `redirector.dev/reach`.
const REACHES: [&str; 3] = ["Pod", "LoadBalancer", "NodePort"];

#[derive(Deserialize)]
struct Written {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: Value,
    #[serde(default)]
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    conditions: Vec<Condition>,
}

impl Object for ServiceExport {
    const PATH: &'static str = "/apis/multicluster.x-k8s.io/v1beta1/serviceexports";
    const KIND: &'static str = "ServiceExport";

    /// An annotation that means nothing is no error: what is exported stays, and its condition says so.
    fn decode(json: &[u8]) -> Result<Self, String> {
        let Written { metadata, spec, status } = decode(json)?;
        let object = object_ref(&metadata)?;
        let annotations = metadata.annotations.unwrap_or_default();
        let (weight, odd_weight) = weight(annotations.get(labels::WEIGHT));
        let (reach, odd_reach) = reach(annotations.get(labels::REACH));
        let odd: Vec<String> = odd_weight.into_iter().chain(odd_reach).collect();
        Ok(Self {
            object,
            generation: metadata.generation.unwrap_or_default(),
            version: metadata.resource_version.unwrap_or_default().into(),
            created: metadata
                .creation_timestamp
                .map_or_else(String::new, |time| time.0.to_string()),
            is_leaving: metadata.deletion_timestamp.is_some(),
            labels: texts(&spec["exportedLabels"]),
            annotations: texts(&spec["exportedAnnotations"]),
            weight,
            reach,
            odd: (!odd.is_empty()).then(|| odd.join("; ")),
            conditions: status.conditions,
        })
    }
}

impl Object for AlphaServiceExport {
    const PATH: &'static str = "/apis/multicluster.x-k8s.io/v1alpha1/serviceexports";
    const KIND: &'static str = "ServiceExport";

    fn decode(json: &[u8]) -> Result<Self, String> {
        ServiceExport::decode(json).map(Self)
    }
}

/// The weight; what is none is 100, and said.
fn weight(text: Option<&String>) -> (u8, Option<String>) {
    let Some(text) = text else { return (100, None) };
    match text.trim().parse::<u8>() {
        Ok(weight @ 0..=100) => (weight, None),
        _ => (100, Some(format!("annotation {} is {text:.64?}; write 0 to 100", labels::WEIGHT))),
    }
}

/// What may be published. Of a list in which a word means nothing the others hold, and pods if there
/// are none: a typing error publishes nothing that its owner did not name.
fn reach(text: Option<&String>) -> (Option<String>, Option<String>) {
    let Some(text) = text else { return (None, None) };
    let words: Vec<&str> = text.split(',').map(str::trim).collect();
    let known: Vec<&str> = REACHES.into_iter().filter(|word| words.contains(word)).collect();
    let is_odd = words.iter().any(|word| !REACHES.contains(word));
    let all = REACHES.join(", ");
    let odd = is_odd.then(|| {
        format!("annotation {} is {text:.64?}; write one or more of {all}", labels::REACH)
    });
    let known = if known.is_empty() { vec!["Pod"] } else { known };
    (Some(known.join(",")), odd)
}

fn texts(of: &Value) -> BTreeMap<String, String> {
    let pairs = of.as_object().into_iter().flatten();
    pairs.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(annotations: Value) -> ServiceExport {
        let object = json!({
            "metadata": {
                "namespace": "shop", "name": "web", "generation": 1, "resourceVersion": "7",
                "creationTimestamp": "2026-11-30T12:00:00Z", "annotations": annotations,
            },
            "spec": {"exportedLabels": {"tier": "gold", "odd": 3}},
        });
        AlphaServiceExport::decode(object.to_string().as_bytes()).expect("an export").0
    }

    #[test]
    fn an_export_is_kept_with_what_its_owner_wrote() {
        let export = read(json!({
            "redirector.dev/weight": "0", "redirector.dev/reach": "LoadBalancer, Pod",
        }));
        assert_eq!((export.weight, export.reach.as_deref()), (0, Some("Pod,LoadBalancer")));
        assert_eq!((&*export.created, &*export.version), ("2026-11-30T12:00:00Z", "7"));
        assert_eq!(export.labels, [("tier".to_owned(), "gold".to_owned())].into());
        assert_eq!(export.odd, None);
    }

    #[test]
    fn an_annotation_that_means_nothing_is_named_and_publishes_nothing_else() {
        for weight in ["101", "-1", "many", ""] {
            let export = read(json!({"redirector.dev/weight": weight}));
            assert_eq!(export.weight, 100, "{weight:?}");
            let odd = export.odd.expect("it is said");
            assert!(odd.starts_with("annotation redirector.dev/weight is "), "{odd}");
        }
        let export = read(json!({"redirector.dev/reach": "LoadBallancer"}));
        assert_eq!(export.reach.as_deref(), Some("Pod"));
        let why = "annotation redirector.dev/reach is \"LoadBallancer\"; write one or more of Pod, \
                   LoadBalancer, NodePort";
        assert_eq!(export.odd.as_deref(), Some(why));
    }
}
