//! A CustomResourceDefinition, from what its kinds differ in.

use serde_json::{Value, json};

use super::{GROUP, VERSION};

/// What a definition of this group is made of.
#[derive(Clone, Debug)]
pub struct Definition {
    /// `RemoteCluster`.
    pub kind: &'static str,
    /// `remoteclusters`.
    pub plural: &'static str,
    /// `remotecluster`.
    pub singular: &'static str,
    /// `rc`: what people type.
    pub short: &'static str,
    /// `Namespaced` or `Cluster`.
    pub scope: &'static str,
    /// What an object of it is, for people.
    pub description: &'static str,
    /// The schema of its spec.
    pub spec: Value,
    /// The schema of its status, if it has one.
    pub status: Option<Value>,
    /// What `kubectl get` shows.
    pub columns: Value,
}

impl Definition {
    /// The definition as JSON.
    #[must_use]
    pub fn json(self) -> Value {
        let Self { kind, plural, singular, short, scope, description, mut spec, status, columns } =
            self;
        tidy(&mut spec);
        let mut properties = json!({"spec": spec});
        let mut version = json!({
            "additionalPrinterColumns": columns,
            "name": VERSION,
            "served": true,
            "storage": true,
        });
        if let Some(status) = status {
            properties["status"] = status;
            version["subresources"] = json!({"status": {}});
        }
        // `apiVersion`, `kind` and `metadata` are implied by the API server.
        version["schema"] = json!({"openAPIV3Schema": {
            "type": "object",
            "description": description,
            "required": ["spec"],
            "properties": properties,
        }});
        json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{plural}.{GROUP}")},
            "spec": {
                "group": GROUP,
                "names": {
                    "categories": ["redirector"],
                    "kind": kind,
                    "listKind": format!("{kind}List"),
                    "plural": plural,
                    "shortNames": [short],
                    "singular": singular,
                },
                "scope": scope,
                "versions": [version],
            },
        })
    }
}

/// A column of text.
#[must_use]
pub fn column(name: &str, path: &str, description: &str) -> Value {
    json!({"name": name, "type": "string", "jsonPath": path, "description": description})
}

/// A column with the status of a condition.
#[must_use]
pub fn condition(name: &str, description: &str) -> Value {
    column(name, &format!(".status.conditions[?(@.type==\"{name}\")].status"), description)
}

/// The column that `kubectl get` has always.
#[must_use]
pub fn age() -> Value {
    json!({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"})
}

/// A definition as YAML: a file in `deploy/crd`, and what `redirector crd` prints.
#[must_use]
pub fn yaml(definition: &Value) -> String {
    serde_saphyr::to_string(definition).expect("what is JSON can be written as YAML")
}

/// Leaves out the name of the Rust type, and line breaks of its comments.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.get("title").is_some_and(Value::is_string) {
                fields.remove("title");
            }
            if let Some(Value::String(text)) = fields.get_mut("description") {
                *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            }
            fields.values_mut().for_each(tidy);
        }
        Value::Array(list) => list.iter_mut().for_each(tidy),
        _ => {}
    }
}
