//! What Kubernetes demands of a schema, and what it looks like.

use serde_json::Value;

use super::super::{object_schema, schema};

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

#[test]
fn the_schema_is_structural() {
    let mut seen = 0;
    each(object_schema(), "spec", &mut |path, schema| {
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
                "title",
                "default",
                "x-kubernetes-validations",
            ];
            assert!(known.contains(&key.as_str()), "{path}: {key}");
        }
        let kind = schema["type"].as_str();
        let is_known =
            kind.is_some_and(|kind| ["object", "array", "string", "integer"].contains(&kind));
        assert!(is_known, "{path}: type {}", schema["type"]);
    });
    assert!(seen > 35, "{seen}");
}

#[test]
fn everything_is_bounded_and_described() {
    each(object_schema(), "spec", &mut |path, schema| {
        let has = |key: &str| schema.get(key).is_some();
        let is_bounded = match schema["type"].as_str() {
            Some("string") => has("enum") || has("maxLength") && has("pattern"),
            Some("integer") => has("minimum") && has("maximum") && schema["format"] == "int32",
            Some("array") => has("maxItems") && has("minItems"),
            _ => true,
        };
        assert!(is_bounded, "{path}: {schema}");
        assert!(has("description") || path.ends_with("[]"), "{path} has no description");
        for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
            assert!(rule["rule"].is_string() && rule["message"].is_string(), "{path}: {rule}");
        }
    });
}

#[test]
fn the_schema_has_not_changed_unnoticed() {
    let schema = serde_json::to_string_pretty(schema()).expect("JSON");
    insta::assert_snapshot!("failover_policy", schema);
}

#[test]
fn the_schema_of_objects_has_not_changed_unnoticed() {
    // The fields of the policy itself are above.
    let mut schema = object_schema().clone();
    let fields = schema["properties"].as_object_mut().expect("fields");
    fields.retain(|name, _| name == "targetRefs");
    let schema = serde_json::to_string_pretty(&schema).expect("JSON");
    insta::assert_snapshot!("failover_policy_object", schema);
}
