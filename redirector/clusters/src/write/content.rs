//! What of an object is compared: what its writer says, without what the API server adds.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

/// The content of an object, as short as a comparison allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content([u8; 16]);

impl Content {
    /// Of labels, annotations, owners and everything beside `metadata` and `status`. What is empty or
    /// null is as if it were not given: API servers leave such fields out, each in its own way.
    #[must_use]
    pub fn of(object: &Value) -> Self {
        Self::hash(&compared(object))
    }

    /// Of `status`.
    #[must_use]
    pub fn of_status(object: &Value) -> Self {
        Self::hash(&pruned(&object["status"]))
    }

    fn hash(value: &Value) -> Self {
        // Keys of an object are in order.
        let digest: [u8; 32] = Sha256::digest(value.to_string()).into();
        let mut half = [0; 16];
        half.copy_from_slice(&digest[..16]);
        Self(half)
    }
}

/// What is compared.
fn compared(object: &Value) -> Value {
    let mut fields = Map::new();
    for (name, value) in object.as_object().into_iter().flatten() {
        if !matches!(&**name, "apiVersion" | "kind" | "metadata" | "status") {
            fields.insert(name.clone(), value.clone());
        }
    }
    let metadata = &object["metadata"];
    let owners = metadata["ownerReferences"].as_array().into_iter().flatten();
    let owner = |owner: &Value| json!([owner["kind"], owner["name"], owner["uid"]]);
    fields.insert(
        "metadata".to_owned(),
        json!({
            "labels": metadata["labels"],
            "annotations": metadata["annotations"],
            "owners": owners.map(owner).collect::<Vec<_>>(),
        }),
    );
    pruned(&Value::Object(fields))
}

/// Whether `actual` says everything that `desired` does, in fields that others may add to: of a Service,
/// which the API server completes.
#[must_use]
pub(super) fn covers(actual: &Value, desired: &Value) -> bool {
    let (actual, desired) = (compared(actual), compared(desired));
    has(&actual, &desired)
}

fn has(actual: &Value, desired: &Value) -> bool {
    match (actual, desired) {
        (Value::Object(actual), Value::Object(desired)) => desired
            .iter()
            .all(|(name, value)| actual.get(name).is_some_and(|found| has(found, value))),
        (Value::Array(actual), Value::Array(desired)) => {
            actual.len() == desired.len()
                && actual.iter().zip(desired).all(|(found, value)| has(found, value))
        }
        (actual, desired) => actual == desired,
    }
}

/// `desired` over `actual`: objects field by field, everything else as a whole.
#[must_use]
pub(super) fn overlaid(actual: &Value, desired: &Value) -> Value {
    let (Value::Object(actual), Value::Object(desired)) = (actual, desired) else {
        return desired.clone();
    };
    let mut fields = actual.clone();
    for (name, value) in desired {
        let over = fields.get(name).map_or_else(|| value.clone(), |old| overlaid(old, value));
        fields.insert(name.clone(), over);
    }
    Value::Object(fields)
}

/// Without fields that are null, empty texts, lists or objects.
fn pruned(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| (name.clone(), pruned(value)));
            Value::Object(fields.filter(|(_, value)| !is_empty(value)).collect())
        }
        Value::Array(values) => Value::Array(values.iter().map(pruned).collect()),
        other => other.clone(),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_api_server_adds_is_no_difference_and_what_others_change_is() {
        let ours = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"namespace": "shop", "name": "a", "labels": {"x": "y"}},
            "addressType": "IPv4", "ports": [{"name": "", "port": 80}], "endpoints": [],
        });
        let theirs = json!({
            "metadata": {
                "namespace": "shop", "name": "a", "labels": {"x": "y"}, "uid": "u",
                "resourceVersion": "7", "generation": 1, "managedFields": [{"manager": "m"}],
            },
            "addressType": "IPv4", "ports": [{"port": 80}], "endpoints": null,
        });
        assert_eq!(Content::of(&ours), Content::of(&theirs));
        for (field, value) in [("addressType", json!("IPv6")), ("endpoints", json!([{}]))] {
            let mut other = theirs.clone();
            other[field] = value;
            assert_ne!(Content::of(&ours), Content::of(&other), "{field}");
        }
        let mut labelled = theirs;
        labelled["metadata"]["labels"]["z"] = json!("added");
        assert_ne!(Content::of(&ours), Content::of(&labelled));
    }

    #[test]
    fn a_service_that_the_api_server_has_completed_is_as_desired() {
        let desired =
            json!({"spec": {"type": "ClusterIP", "ports": [{"name": "http", "port": 80}]}});
        let actual = json!({
            "metadata": {"resourceVersion": "7"},
            "spec": {
                "type": "ClusterIP", "clusterIP": "10.96.0.9",
                "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 80}],
            },
        });
        assert!(covers(&actual, &desired));
        let mut more = desired.clone();
        more["spec"]["ports"] = json!([{"name": "http", "port": 81}]);
        assert!(!covers(&actual, &more));
        let over = overlaid(&actual, &more);
        assert_eq!(over["spec"]["clusterIP"], "10.96.0.9");
        assert_eq!(over["spec"]["ports"], json!([{"name": "http", "port": 81}]));
        assert_eq!(over["metadata"]["resourceVersion"], "7");
    }
}
