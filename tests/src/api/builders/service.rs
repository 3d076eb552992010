//! Services.

use serde_json::{Value, json};

/// A Service. Without [`Service::cluster_ips`] the server gives it an IPv4 address.
#[derive(Debug, Clone, PartialEq)]
pub struct Service(Value);

impl Service {
    /// A Service of type ClusterIP without ports.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self(json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"namespace": namespace, "name": name},
            "spec": {"ports": []},
        }))
    }

    /// Labelled to be redirected: TCP port 80 of `address`, for the pods of its name.
    #[must_use]
    pub fn redirected(namespace: &str, name: &str, address: &str) -> Self {
        Self::new(namespace, name)
            .port("", "TCP", 80)
            .cluster_ips(&[address])
            .spec("selector", json!({"app": name}))
            .label("redirector.dev/failover", "true")
    }

    /// One more port; `protocol` is `TCP`, `UDP` or `SCTP`. The target port is the same number.
    #[must_use]
    pub fn port(mut self, name: &str, protocol: &str, port: u16) -> Self {
        let port = json!({"name": name, "protocol": protocol, "port": port});
        if let Some(ports) = self.0["spec"]["ports"].as_array_mut() {
            ports.push(port);
        }
        self
    }

    /// `ClusterIP`, `NodePort`, `LoadBalancer`, `ExternalName`.
    #[must_use]
    pub fn kind(self, kind: &str) -> Self {
        self.spec("type", json!(kind))
    }

    /// `clusterIP` and `clusterIPs`; `None` makes it headless.
    #[must_use]
    pub fn cluster_ips(self, addresses: &[&str]) -> Self {
        let first = addresses.first().copied().unwrap_or_default();
        self.spec("clusterIP", json!(first)).spec("clusterIPs", json!(addresses))
    }

    /// `externalIPs`.
    #[must_use]
    pub fn external_ips(self, addresses: &[&str]) -> Self {
        self.spec("externalIPs", json!(addresses))
    }

    /// `status.loadBalancer.ingress`, in `ipMode` VIP.
    #[must_use]
    pub fn load_balancer(mut self, addresses: &[&str]) -> Self {
        let ingress: Vec<_> =
            addresses.iter().map(|address| json!({"ip": address, "ipMode": "VIP"})).collect();
        self.0["status"] = json!({"loadBalancer": {"ingress": ingress}});
        self
    }

    /// `sessionAffinity: ClientIP` for so many seconds.
    #[must_use]
    pub fn affinity(self, seconds: u32) -> Self {
        self.spec("sessionAffinity", json!("ClientIP"))
            .spec("sessionAffinityConfig", json!({"clientIP": {"timeoutSeconds": seconds}}))
    }

    /// One more label.
    #[must_use]
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.0["metadata"]["labels"][name] = json!(value);
        self
    }

    /// Sets any field of the spec.
    #[must_use]
    pub fn spec(mut self, field: &str, value: Value) -> Self {
        self.0["spec"][field] = value;
        self
    }
}

impl From<Service> for Value {
    fn from(service: Service) -> Self {
        service.0
    }
}
