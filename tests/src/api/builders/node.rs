//! Nodes.

use serde_json::{Value, json};

/// A Node that is ready.
#[derive(Debug, Clone, PartialEq)]
pub struct Node(Value);

impl Node {
    /// A Node with its `kubernetes.io/hostname` label.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
            "spec": {},
            "status": {"conditions": [{"type": "Ready", "status": "True"}], "addresses": []},
        }))
    }

    /// `topology.kubernetes.io/zone`.
    #[must_use]
    pub fn zone(self, zone: &str) -> Self {
        self.label("topology.kubernetes.io/zone", zone)
    }

    /// `topology.kubernetes.io/region`.
    #[must_use]
    pub fn region(self, region: &str) -> Self {
        self.label("topology.kubernetes.io/region", region)
    }

    /// One more label.
    #[must_use]
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.0["metadata"]["labels"][name] = json!(value);
        self
    }

    /// One more `InternalIP`.
    #[must_use]
    pub fn internal_ip(mut self, address: &str) -> Self {
        if let Some(list) = self.0["status"]["addresses"].as_array_mut() {
            list.push(json!({"type": "InternalIP", "address": address}));
        }
        self
    }

    /// Its `Ready` condition: `True`, `False` or `Unknown`.
    #[must_use]
    pub fn is_ready(mut self, status: &str) -> Self {
        self.0["status"]["conditions"] = json!([{"type": "Ready", "status": status}]);
        self
    }
}

impl From<Node> for Value {
    fn from(node: Node) -> Self {
        node.0
    }
}
