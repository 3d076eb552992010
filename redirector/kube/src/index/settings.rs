//! What the operator of an agent decides about the Kubernetes source.

use std::sync::Arc;

use ipnet::IpNet;

/// Settings, fixed while the agent runs.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Name of the own Node.
    pub node: Arc<str>,
    /// How policies call this cluster.
    pub cluster: Option<Arc<str>>,
    /// Which Services are ours.
    pub scope: Scope,
    /// `spec.externalIPs` are frontends too. Off by default: any user who may write a Service may
    /// claim any address with them.
    pub external_ips: bool,
    /// Where endpoints may be that the endpoint slice controller did not list.
    pub trusted: Vec<IpNet>,
    /// Feature gates of this cluster's kube-proxy.
    pub features: Features,
    /// What there is to be shared.
    pub quotas: Quotas,
}

impl Settings {
    /// Settings with the defaults, for the Node of that name.
    #[must_use]
    pub fn new(node: impl Into<Arc<str>>) -> Self {
        Self { node: node.into(), ..Self::default() }
    }
}

/// Which Services are ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Services with the label `redirector.dev/failover: "true"` or with a policy.
    #[default]
    Labelled,
    /// All Services that kube-proxy serves.
    All,
}

/// Feature gates of kube-proxy that change what it chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// `PreferSameTrafficDistribution` (on by default from Kubernetes 1.34): hints for nodes.
    pub node_hints: bool,
}

impl Default for Features {
    fn default() -> Self {
        Self { node_hints: true }
    }
}

/// Capacities of the maps, or how much of them this source may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quotas {
    /// Addresses with ports, of each family.
    pub frontends: u64,
    /// Service ports.
    pub services: u64,
    /// Backends.
    pub backends: u64,
    /// Slots of the tables: one for each IPv4 entry, two for each IPv6 entry.
    pub slots: u64,
}

impl Default for Quotas {
    /// The capacities that `redirector load` gives the maps by default; of the slots half, because
    /// a table that changes is written beside the old one.
    fn default() -> Self {
        Self { frontends: 65_536, services: 65_536, backends: 262_144, slots: 1 << 20 }
    }
}
