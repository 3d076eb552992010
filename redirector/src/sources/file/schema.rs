//! The file as it is written: which fields there are. What they may hold is validated elsewhere.
//!
//! Every scalar is text and nearly everything optional here, so that one pass over the result finds
//! every bad or missing value of a file, not only the first one.

use serde::Deserialize;

use super::{
    at::{At, Text},
    tree::Tree,
};

/// The whole file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct File {
    /// Where this node is. Omitted: unknown, no backend is nearer than another.
    pub node: Option<Node>,
    /// `true` allows loopback addresses, for tries on one host. Default `false`.
    #[serde(default)]
    pub allow_loopback: bool,
    /// Every service there is: what is not listed is gone. `[]` is none.
    pub services: Option<Vec<At<Service>>>,
}

/// Where this node is. Each field may be omitted: unknown, and equal to nothing.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Node {
    /// Backends of the same node come first.
    pub name: Option<Text>,
    /// Then those of the same zone.
    pub zone: Option<Text>,
    /// Then those of the same region.
    pub region: Option<Text>,
    /// Then the others of this cluster, then other clusters.
    pub cluster: Option<Text>,
}

/// One service: what applications dial, and what answers.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Service {
    /// 1 to 253 bytes without spaces, `namespace/name` by convention; unique in the file.
    pub name: Option<Text>,
    /// At least one `ADDRESS:PORT/tcp` or `…/udp`, all of one protocol, of either family.
    pub frontends: Option<Vec<Text>>,
    /// Session affinity; omitted is none.
    pub affinity: Option<Affinity>,
    /// What answers; `[]` refuses every connection.
    pub backends: Option<Vec<At<Backend>>>,
    /// `FailoverPolicy.spec` without `targetRefs`, whose fields are those of
    /// [`FailoverPolicySpec`](redirector_policy::FailoverPolicySpec); its probe may also be `off`.
    /// Omitted: tiers by locality without fail-back, `Panic`, and the default probe where the
    /// protocol is TCP.
    pub policy: Option<Tree>,
}

/// Connections of one client stay at one backend.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Affinity {
    /// How long after the last connection: whole seconds, `1s` to `24h`. Default `3h`.
    pub timeout: Option<Text>,
}

/// One backend. It inherits nothing: an omitted node, zone or region is unknown.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Backend {
    /// `ADDRESS:PORT`, IPv6 in brackets. Names are not resolved.
    pub address: Option<Text>,
    /// Name of its node, which is another one in each cluster.
    pub node: Option<Text>,
    /// Its zone.
    pub zone: Option<Text>,
    /// Its region.
    pub region: Option<Text>,
    /// Its cluster. Omitted: the cluster of this node.
    pub cluster: Option<Text>,
    /// Share among the backends of its tier, 1 to 65535. Default 1.
    pub weight: Option<Text>,
}
