//! What is demanded of a schema; how it looks is in `deploy/crd`, which the definition's tests compare.

use serde_json::Value;

use super::super::object_schema;

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
fn everything_is_bounded_and_described() {
    let mut seen = 0;
    each(object_schema(), "spec", &mut |path, schema| {
        seen += 1;
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
    assert!(seen > 35, "{seen}");
}
