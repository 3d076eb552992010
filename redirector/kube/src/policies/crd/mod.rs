//! The CustomResourceDefinition of FailoverPolicy, from the Rust type of its spec.

mod status;
#[cfg(test)]
mod tests;

use k8s_openapi::{
    apiextensions_apiserver::pkg::apis::apiextensions::v1::{
        CustomResourceColumnDefinition, CustomResourceDefinition, CustomResourceDefinitionNames,
        CustomResourceDefinitionSpec, CustomResourceDefinitionVersion,
        CustomResourceSubresourceStatus, CustomResourceSubresources, CustomResourceValidation,
        JSONSchemaProps,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use serde_json::{Value, json};

use redirector_policy::object_schema;

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
    let definition = serde_json::to_value(definition());
    whole(definition.expect("every part of a definition is JSON"))
}

/// The definition as YAML: `deploy/crd/failoverpolicies.yaml`, and what `redirector crd` prints.
#[must_use]
pub fn crd_yaml() -> String {
    serde_saphyr::to_string(&crd()).expect("what is JSON can be written as YAML")
}

fn definition() -> CustomResourceDefinition {
    let text = |text: &str| Some(text.to_owned());
    let schema = serde_json::from_value(schema()).expect("fields that a CRD's schema has");
    CustomResourceDefinition {
        metadata: ObjectMeta { name: Some(format!("{PLURAL}.{GROUP}")), ..ObjectMeta::default() },
        spec: CustomResourceDefinitionSpec {
            group: GROUP.to_owned(),
            names: CustomResourceDefinitionNames {
                categories: Some(vec!["redirector".to_owned()]),
                kind: KIND.to_owned(),
                list_kind: text("FailoverPolicyList"),
                plural: PLURAL.to_owned(),
                short_names: Some(vec!["fop".to_owned()]),
                singular: text("failoverpolicy"),
            },
            scope: "Namespaced".to_owned(),
            versions: vec![CustomResourceDefinitionVersion {
                additional_printer_columns: Some(columns()),
                name: VERSION.to_owned(),
                schema: Some(CustomResourceValidation {
                    open_api_v3_schema: Some::<JSONSchemaProps>(schema),
                }),
                served: true,
                storage: true,
                subresources: Some(CustomResourceSubresources {
                    status: Some(CustomResourceSubresourceStatus(json!({}))),
                    ..CustomResourceSubresources::default()
                }),
                ..CustomResourceDefinitionVersion::default()
            }],
            ..CustomResourceDefinitionSpec::default()
        },
        ..CustomResourceDefinition::default()
    }
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
fn columns() -> Vec<CustomResourceColumnDefinition> {
    let column = |name: &str, type_: &str, json_path: &str, description: &str| {
        CustomResourceColumnDefinition {
            name: name.to_owned(),
            type_: type_.to_owned(),
            json_path: json_path.to_owned(),
            description: (!description.is_empty()).then(|| description.to_owned()),
            ..CustomResourceColumnDefinition::default()
        }
    };
    let condition = |name: &str, description: &str| {
        let path = format!(".status.conditions[?(@.type==\"{name}\")].status");
        column(name, "string", &path, description)
    };
    vec![
        column("Target", "string", ".spec.targetRefs[0].name", "The first Service it is for"),
        column("Mode", "string", ".spec.mode", "When later tiers carry load"),
        condition("Accepted", "Whether it is valid and holds for a Service"),
        condition("Programmed", "Whether it is in force in the kernel"),
        condition("Degraded", "Whether something of it does not work"),
        column("Age", "date", ".metadata.creationTimestamp", ""),
    ]
}

/// Bounds are floating point numbers to the API's types; written they are whole.
fn whole(value: Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 => json!(float as i64),
            _ => Value::Number(number),
        },
        Value::Array(list) => list.into_iter().map(whole).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (name, whole(value))).collect()
        }
        other => other,
    }
}
