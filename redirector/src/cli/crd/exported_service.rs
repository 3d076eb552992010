//! The CustomResourceDefinition of ExportedService, from the Rust type of its spec.
//!
//! Only the exporter writes such objects, and importers of other clusters check what they read, so the
//! schema says their form and no bounds beyond it.

use redirector_clusters::api::ExportedServiceSpec;
use redirector_kube::policies::{Definition, age, column};
use redirector_policy::schema_of;
use serde_json::{Value, json};

/// The definition as JSON; as YAML it is `deploy/crd/exportedservices.yaml`.
pub(super) fn exported_service_crd() -> Value {
    let mut spec = schema_of::<ExportedServiceSpec>();
    narrow(&mut spec);
    let number = |name: &str, path: &str, description: &str| json!({"name": name, "type": "integer", "jsonPath": path, "description": description});
    let definition = Definition {
        kind: "ExportedService",
        plural: "exportedservices",
        singular: "exportedservice",
        short: "exs",
        scope: "Namespaced",
        description: "What this cluster exports of a Service to others: written by redirector-clusters \
                      into its outbox, read by importers of other clusters.",
        spec,
        status: None,
        columns: json!([
            column("Service-Namespace", ".spec.namespace", "The Service's namespace"),
            column("Service", ".spec.name", "The Service's name"),
            column("Type", ".spec.type", "Whether it has an address"),
            number("Ready", ".spec.ready", "How many of its endpoints are ready"),
            number("Weight", ".spec.weight", "How much of its share it takes, 0 to 100"),
            age(),
        ]),
    };
    definition.json()
}

/// Says numbers as Kubernetes knows them: it has no formats for small ones.
fn narrow(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.get("type").is_some_and(|kind| kind == "integer") {
                let format = fields.get("format").and_then(Value::as_str).unwrap_or_default();
                let (format, most) = match format {
                    "uint8" => ("int32", Some(u64::from(u8::MAX))),
                    "uint16" => ("int32", Some(u64::from(u16::MAX))),
                    "int32" => ("int32", None),
                    _ => ("int64", None),
                };
                fields.insert("format".to_owned(), json!(format));
                if let Some(most) = most {
                    fields.insert("maximum".to_owned(), json!(most));
                }
            }
            fields.values_mut().for_each(narrow);
        }
        Value::Array(list) => list.iter_mut().for_each(narrow),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use redirector_clusters::api::ExportedType;
    use redirector_kube::policies::yaml;

    use super::*;

    #[test]
    fn the_file_in_deploy_is_up_to_date() {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/crd/exportedservices.yaml");
        let written = yaml(&exported_service_crd());
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, &written).expect("write the definition");
        }
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == written,
            "deploy/crd/exportedservices.yaml is not what `redirector crd` prints; write it anew with \
             UPDATE=1 cargo test -p redirector --lib cli::crd, and commit it"
        );
    }

    /// By the rules of "Specifying a structural schema" of Kubernetes' documentation.
    #[test]
    fn the_schema_is_structural_and_admits_what_the_exporter_writes() {
        fn each(schema: &Value, path: &str) {
            for key in schema.as_object().expect("an object").keys() {
                let is_odd = ["$ref", "oneOf", "anyOf", "allOf", "not", "title", "const"];
                assert!(!is_odd.contains(&key.as_str()), "{path}: {key}");
            }
            assert!(schema["type"].is_string(), "{path} has no type");
            for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
                each(inner, &format!("{path}.{name}"));
            }
            for inner in ["items", "additionalProperties"] {
                if let Some(schema) = schema.get(inner).filter(|schema| schema.is_object()) {
                    each(schema, &format!("{path}[]"));
                }
            }
        }
        let definition = exported_service_crd();
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        each(schema, "");
        let spec = ExportedServiceSpec {
            namespace: "shop".to_owned(),
            name: "web".to_owned(),
            exported_at: "2026-11-30T22:00:00Z".to_owned(),
            kind: ExportedType::ClusterSetIp,
            ports: Vec::new(),
            session_affinity: Some("ClientIP".to_owned()),
            affinity_seconds: Some(60),
            internal_traffic_policy: None,
            traffic_distribution: None,
            ip_families: vec!["IPv4".to_owned()],
            labels: [("team".to_owned(), "a".to_owned())].into(),
            annotations: [].into(),
            weight: 100,
            ready: 3,
            gateways: Vec::new(),
            digest: "0".repeat(64),
        };
        let written = serde_json::to_value(spec).expect("JSON");
        let known = schema["properties"]["spec"]["properties"].as_object().expect("fields");
        for (field, value) in written.as_object().expect("fields") {
            let said = known.get(field).unwrap_or_else(|| panic!("{field} would be pruned"));
            let is_of_kind = match said["type"].as_str() {
                Some("string") => value.is_string(),
                Some("integer") => value.is_u64(),
                Some("array") => value.is_array(),
                Some("object") => value.is_object(),
                other => panic!("{field}: {other:?}"),
            };
            assert!(is_of_kind, "{field}: {value}");
        }
    }
}
