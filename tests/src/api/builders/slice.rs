//! EndpointSlices and their endpoints.

use serde_json::{Map, Value, json};

/// A slice as the endpoint-slice controller makes it: labelled with its Service and its maker.
#[derive(Debug, Clone, PartialEq)]
pub struct EndpointSlice(Value);

impl EndpointSlice {
    /// A slice of IPv4 without ports and endpoints.
    #[must_use]
    pub fn new(namespace: &str, name: &str, service: &str) -> Self {
        Self(json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"namespace": namespace, "name": name, "labels": {
                "kubernetes.io/service-name": service,
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
            }},
            "addressType": "IPv4", "ports": [], "endpoints": [],
        }))
    }

    /// `IPv4`, `IPv6` or `FQDN`.
    #[must_use]
    pub fn address_type(mut self, kind: &str) -> Self {
        self.0["addressType"] = json!(kind);
        self
    }

    /// One more port.
    #[must_use]
    pub fn port(mut self, name: &str, protocol: &str, port: u16) -> Self {
        self.push("ports", json!({"name": name, "protocol": protocol, "port": port}));
        self
    }

    /// One more endpoint.
    #[must_use]
    pub fn endpoint(mut self, endpoint: Endpoint) -> Self {
        self.push("endpoints", Value::Object(endpoint.0));
        self
    }

    /// Who made it, in place of the controller; empty: its label is missing.
    #[must_use]
    pub fn managed_by(mut self, who: &str) -> Self {
        const LABEL: &str = "endpointslice.kubernetes.io/managed-by";
        if let Some(labels) = self.0["metadata"]["labels"].as_object_mut() {
            labels.remove(LABEL);
            if !who.is_empty() {
                labels.insert(LABEL.to_owned(), json!(who));
            }
        }
        self
    }

    /// One more label.
    #[must_use]
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.0["metadata"]["labels"][name] = json!(value);
        self
    }

    fn push(&mut self, field: &str, value: Value) {
        if let Some(list) = self.0[field].as_array_mut() {
            list.push(value);
        }
    }
}

impl From<EndpointSlice> for Value {
    fn from(slice: EndpointSlice) -> Self {
        slice.0
    }
}

/// One endpoint. What is not said is absent, so that conditions are nil.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint(Map<String, Value>);

impl Endpoint {
    /// An endpoint with that one address and nothing else.
    #[must_use]
    pub fn new(address: &str) -> Self {
        Self([("addresses".to_owned(), json!([address]))].into_iter().collect())
    }

    /// `conditions.ready` and `conditions.serving`, and not terminating.
    #[must_use]
    pub fn ready(self, is_ready: bool) -> Self {
        self.conditions(is_ready, is_ready, false)
    }

    /// Sets all three conditions.
    #[must_use]
    pub fn conditions(self, is_ready: bool, is_serving: bool, is_terminating: bool) -> Self {
        let conditions =
            json!({"ready": is_ready, "serving": is_serving, "terminating": is_terminating});
        self.field("conditions", conditions)
    }

    /// The node it is on.
    #[must_use]
    pub fn node(self, name: &str) -> Self {
        self.field("nodeName", json!(name))
    }

    /// The zone it is in.
    #[must_use]
    pub fn zone(self, zone: &str) -> Self {
        self.field("zone", json!(zone))
    }

    /// The pod behind it.
    #[must_use]
    pub fn pod(self, namespace: &str, name: &str) -> Self {
        self.field("targetRef", json!({"kind": "Pod", "namespace": namespace, "name": name}))
    }

    /// Sets any field.
    #[must_use]
    pub fn field(mut self, name: &str, value: Value) -> Self {
        self.0.insert(name.to_owned(), value);
        self
    }
}
