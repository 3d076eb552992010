//! The CustomResourceDefinition of FailoverPolicy, from the Rust type of its spec.

mod status;
#[cfg(test)]
mod tests;

use redirector_policy::object_schema;
use serde_json::{Value, json};

/// The API group of a policy.
pub const GROUP: &str = "redirector.dev";
/// Its only version.
pub const VERSION: &str = "v1alpha1";
/// Its kind.
pub const KIND: &str = "FailoverPolicy";
/// Its resource.
pub const PLURAL: &str = "failoverpolicies";

/// The definition as JSON: what `redirector crd -o json` prints.
#[must_use]
pub fn crd() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{PLURAL}.{GROUP}")},
        "spec": {
            "group": GROUP,
            "names": {
                "categories": ["redirector"],
                "kind": KIND,
                "listKind": format!("{KIND}List"),
                "plural": PLURAL,
                "shortNames": ["fop"],
                "singular": "failoverpolicy",
            },
            "scope": "Namespaced",
            "versions": [{
                "additionalPrinterColumns": columns(),
                "name": VERSION,
                "schema": {"openAPIV3Schema": schema()},
                "served": true,
                "storage": true,
                "subresources": {"status": {}},
            }],
        },
    })
}

/// The definition as YAML: `deploy/crd/failoverpolicies.yaml`, and what `redirector crd` prints.
#[must_use]
pub fn crd_yaml() -> String {
    serde_saphyr::to_string(&crd()).expect("what is JSON can be written as YAML")
}

/// The schema of an object. `apiVersion`, `kind` and `metadata` are implied by the API server.
fn schema() -> Value {
    let mut spec = object_schema().clone();
    tidy(&mut spec);
    json!({
        "type": "object",
        "description": "Which backends of Services receive new connections when some of them fail: \
                        tiers, health, and the way back.",
        "required": ["spec"],
        "properties": {"spec": spec, "status": status::schema()},
    })
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

/// What `kubectl get` shows. Of several targets only the first: a column has one value.
fn columns() -> Value {
    let column = |name: &str, path: &str, description: &str| json!({"name": name, "type": "string", "jsonPath": path, "description": description});
    let condition = |name: &str, description: &str| {
        column(name, &format!(".status.conditions[?(@.type==\"{name}\")].status"), description)
    };
    json!([
        column("Target", ".spec.targetRefs[0].name", "The first Service it is for"),
        column("Mode", ".spec.mode", "When later tiers carry load"),
        condition("Accepted", "Whether it is valid and holds for a Service"),
        condition("Programmed", "Whether it is in force in the kernel"),
        condition("Degraded", "Whether something of it does not work"),
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ])
}
