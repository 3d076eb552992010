//! What the schema looks like; what Kubernetes demands of it, the tests of the definition check.

use super::super::{object_schema, schema};

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
