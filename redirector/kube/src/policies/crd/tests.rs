//! What Kubernetes demands of a definition, and that the file in `deploy` is this one.

use std::{fs, path::Path};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Value, json};

use super::*;

/// Every schema within `schema`, with the way to it.
fn each(schema: &Value, path: &str, visit: &mut impl FnMut(&str, &Value)) {
    visit(path, schema);
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        each(inner, &format!("{path}.{name}"), visit);
    }
    if let Some(items) = schema.get("items") {
        each(items, &format!("{path}[]"), visit);
    }
}

fn written() -> Value {
    crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

#[test]
fn the_api_types_have_every_field_of_the_definition() {
    let definition: CustomResourceDefinition = serde_json::from_value(crd()).expect("a definition");
    let again = serde_json::to_value(definition).expect("JSON");
    assert_eq!(whole(again), crd(), "a field that no API server knows");
}

/// Bounds are floating point numbers to the API's types.
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

/// Structural by the rules of "Specifying a structural schema" of Kubernetes' documentation: a type
/// for every node, no logical junctors, no `$ref`, nothing nullable; and what this project demands:
/// bounds everywhere.
#[test]
fn the_schema_is_structural_and_bounded() {
    let mut seen = 0;
    each(&written(), "", &mut |path, schema| {
        seen += 1;
        for key in schema.as_object().expect("an object").keys() {
            let known = [
                "type",
                "description",
                "properties",
                "required",
                "items",
                "enum",
                "format",
                "minimum",
                "maximum",
                "minLength",
                "maxLength",
                "minItems",
                "maxItems",
                "pattern",
                "default",
                "x-kubernetes-validations",
                "x-kubernetes-list-type",
                "x-kubernetes-list-map-keys",
            ];
            assert!(known.contains(&key.as_str()), "{path}: {key}");
        }
        let has = |key: &str| schema.get(key).is_some();
        // What people write has tighter bounds than what agents write.
        let is_spec = path.starts_with(".spec");
        let is_bounded = match schema["type"].as_str() {
            Some("object") => true,
            Some("array") => has("items") && has("maxItems") && (!is_spec || has("minItems")),
            Some("string") => has("enum") || has("maxLength") && (!is_spec || has("pattern")),
            Some("integer") if is_spec => {
                has("minimum") && has("maximum") && schema["format"] == "int32"
            }
            Some("integer") => has("minimum") && (has("maximum") || schema["format"] == "int64"),
            other => panic!("{path}: type {other:?}"),
        };
        assert!(is_bounded, "{path} has no bounds: {schema}");
        assert!(has("description") || path.ends_with("s[]"), "{path} has no description");
        let required = schema["required"].as_array().into_iter().flatten();
        for name in required.filter_map(Value::as_str) {
            assert!(schema["properties"].get(name).is_some(), "{path}: {name} is required");
        }
    });
    assert!(seen > 50, "{seen}");
}

#[test]
fn every_default_is_valid_where_it_stands() {
    let mut seen = 0;
    each(&written(), "", &mut |path, schema| {
        let Some(default) = schema.get("default") else { return };
        seen += 1;
        let validator = jsonschema::validator_for(schema).expect("a schema");
        assert!(validator.is_valid(default), "{path}: {default}");
    });
    assert!(seen > 10, "{seen}");
}

/// A rule's cost is estimated from the largest lists and strings it may meet
/// (`apiextensions-apiserver`, at most 10 million per rule): the largest product of ours is far
/// below, and stays so while the lists stay short.
#[test]
fn lists_that_rules_walk_are_short() {
    each(&written(), "", &mut |path, schema| {
        for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
            let text = rule["rule"].as_str().expect("a rule");
            let message = rule["message"].as_str().expect("a message");
            assert!(text.len() < 2_048 && !message.is_empty() && !message.contains('\n'), "{path}");
            let walks = text.matches(".all(").count() + text.matches(".exists").count();
            assert!(walks <= 2, "{path}: {text}");
        }
    });
    let spec = &written()["properties"]["spec"]["properties"];
    for list in ["tiers", "targetRefs"] {
        assert!(spec[list]["maxItems"].as_u64().expect("a bound") <= 16, "{list}");
    }
}

#[test]
fn the_definition_says_how_policies_are_called_and_shown() {
    let crd = crd();
    assert_eq!(crd["apiVersion"], "apiextensions.k8s.io/v1");
    assert_eq!(crd["kind"], "CustomResourceDefinition");
    assert_eq!(crd["metadata"], json!({"name": "failoverpolicies.redirector.dev"}));
    let version = &crd["spec"]["versions"][0];
    assert_eq!(version["subresources"], json!({"status": {}}));
    let columns = version["additionalPrinterColumns"].as_array().expect("columns");
    let names: Vec<_> = columns.iter().filter_map(|column| column["name"].as_str()).collect();
    assert_eq!(names, ["Target", "Mode", "Accepted", "Programmed", "Degraded", "Age"]);
}

#[test]
fn the_yaml_is_the_definition() {
    for definition in [crd(), remote_cluster_crd()] {
        let read: Value = serde_saphyr::from_str(&yaml(&definition)).expect("YAML");
        assert_eq!(read, definition);
    }
}

#[test]
fn a_remote_cluster_is_of_no_namespace_and_shows_whether_it_is_used() {
    let crd = remote_cluster_crd();
    assert_eq!(crd["metadata"], json!({"name": "remoteclusters.redirector.dev"}));
    assert_eq!(crd["spec"]["scope"], "Cluster");
    let version = &crd["spec"]["versions"][0];
    assert_eq!(version["subresources"], json!({"status": {}}));
    let columns = version["additionalPrinterColumns"].as_array().expect("columns");
    let names: Vec<_> = columns.iter().filter_map(|column| column["name"].as_str()).collect();
    let expected =
        ["Reach", "Phase", "Services", "Endpoints", "Accepted", "Synced", "Secure", "Age"];
    assert_eq!(names, expected);
    let schema = &version["schema"]["openAPIV3Schema"]["properties"];
    assert_eq!(schema["spec"]["required"], json!(["cidrs", "encryption"]));
    for field in ["phase", "services", "endpoints", "uid", "observedGeneration", "conditions"] {
        assert!(schema["status"]["properties"].get(field).is_some(), "{field}");
    }
    // Whoever joins decides: the API server fills nothing in.
    assert_eq!(schema["spec"]["properties"]["encryption"].get("default"), None);
    each(&schema["spec"], "", &mut |path, schema| {
        assert!(schema["type"].is_string(), "{path} has no type");
        for junctor in ["$ref", "oneOf", "anyOf", "allOf", "not", "nullable", "title"] {
            assert!(schema.get(junctor).is_none(), "{path}: {junctor}");
        }
    });
}

#[test]
fn the_files_in_deploy_are_up_to_date() {
    for (name, definition) in
        [("failoverpolicies", crd()), ("remoteclusters", remote_cluster_crd())]
    {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../deploy/crd")
            .join(format!("{name}.yaml"));
        let written = yaml(&definition);
        if std::env::var_os("UPDATE").is_some() {
            fs::create_dir_all(path.parent().expect("a directory")).expect("create deploy/crd");
            fs::write(&path, &written).expect("write the definition");
        }
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == written,
            "deploy/crd/{name}.yaml is not what `redirector crd` prints; write it anew with UPDATE=1 \
             cargo test -p redirector-kube --lib policies::crd, and commit it"
        );
    }
}
