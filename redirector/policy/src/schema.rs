//! The schema of a policy, structural by Kubernetes' rules.

use std::sync::LazyLock;

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Value, json};

use super::{FailoverPolicyObjectSpec, FailoverPolicySpec, RemoteClusterSpec, bounds::LABEL};

/// The OpenAPI v3 schema of [`FailoverPolicySpec`]: every bound that can be said, descriptions, and
/// the rules in CEL (`x-kubernetes-validations`).
#[must_use]
pub fn schema() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(of::<FailoverPolicySpec>);
    &SCHEMA
}

/// The schema of [`FailoverPolicyObjectSpec`], for the CRD: a tier's Service is named as Services
/// are.
#[must_use]
pub fn object_schema() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
        let mut schema = of::<FailoverPolicyObjectSpec>();
        let tier = &mut schema["properties"]["tiers"]["items"]["properties"];
        let name = &mut tier["service"]["properties"]["name"];
        name["maxLength"] = json!(63);
        name["pattern"] = json!(LABEL);
        schema
    });
    &SCHEMA
}

/// The schema of [`RemoteClusterSpec`], for its CRD.
#[must_use]
pub fn remote_cluster_schema() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(of::<RemoteClusterSpec>);
    &SCHEMA
}

/// The OpenAPI v3 schema of a type, without references.
#[must_use]
pub fn of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::openapi3().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    settings.into_generator().into_root_schema_for::<T>().to_value()
}
