//! FailoverPolicies.

use serde_json::{Value, json};

/// A FailoverPolicy.
#[derive(Debug, Clone, PartialEq)]
pub struct FailoverPolicy(Value);

impl FailoverPolicy {
    /// A policy with that `spec`, as YAML.
    ///
    /// # Panics
    ///
    /// If it is no YAML: a test's mistake.
    #[must_use]
    pub fn new(namespace: &str, name: &str, spec: &str) -> Self {
        let spec: Value = serde_saphyr::from_str(spec)
            .unwrap_or_else(|error| panic!("the spec of {namespace}/{name} is no YAML: {error}"));
        Self(json!({
            "apiVersion": "redirector.dev/v1alpha1", "kind": "FailoverPolicy",
            "metadata": {"namespace": namespace, "name": name}, "spec": spec,
        }))
    }

    /// One more label.
    #[must_use]
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.0["metadata"]["labels"][name] = json!(value);
        self
    }
}

impl From<FailoverPolicy> for Value {
    fn from(policy: FailoverPolicy) -> Self {
        policy.0
    }
}
