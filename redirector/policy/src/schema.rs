//! The schema of a policy, structural by Kubernetes' rules.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::FailoverPolicySpec;

/// The OpenAPI v3 schema of [`FailoverPolicySpec`]: every bound that can be said, descriptions, and
/// the rules in CEL (`x-kubernetes-validations`).
#[must_use]
pub fn schema() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
        let settings = SchemaSettings::openapi3().with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        });
        settings.into_generator().into_root_schema_for::<FailoverPolicySpec>().to_value()
    });
    &SCHEMA
}
