//! The static file source: a YAML file with this node, the services and their backends.
//!
//! A file is used as a whole or not at all, and nothing in it is inherited. What may stand in it:
//!
//! ```yaml
//! node: {name: n1, zone: a, region: eu, cluster: local}
//! clusters:
//! - {name: west, cidrs: [10.9.0.0/16], encryption: {mode: Report}}
//! services:
//! - name: shop/checkout
//!   frontends: ["10.96.0.10:80/tcp"]
//!   affinity: {timeout: 3h}
//!   backends:
//!   - {address: "10.1.0.5:8080", node: n1, zone: a, region: eu}
//!   - {address: "10.2.0.7:8080", node: n9, zone: b, region: eu, weight: 2}
//!   - {address: "10.9.0.3:8080", zone: x, region: us, cluster: west}
//!   policy:
//!     tiers:
//!     - {name: near, locality: Zone}
//!     - {name: far, clusters: [local, west]}
//!     mode: Spill
//!     allDown: Panic
//!     probe: {tcp: {}, interval: 1s, fastInterval: 200ms, timeout: 500ms, unhealthy: 2, healthy: 3}
//! ```
//!
//! - `node`: where this node is, each field optional: unknown, and equal to nothing. Backends of the
//!   same node come first, then those of the same zone, of the same region, of this cluster, and of
//!   other clusters.
//! - `allowLoopback`: `true` allows loopback addresses, for tries on one host.
//! - `clusters`: what is stated of other clusters: `name`, and the fields of a RemoteCluster's spec
//!   ([`RemoteClusterSpec`](redirector_policy::RemoteClusterSpec)), of which `cidrs` and `encryption` must
//!   be there. Backends of a cluster that is listed are in its `cidrs`, and with reach `Pod` nothing else
//!   is. A cluster that is not listed may be named at a backend all the same.
//! - `services`: every service there is; what is not listed is gone, and `[]` is none.
//! - `name`: 1 to 253 bytes without spaces, `namespace/name` by convention; unique in the file.
//! - `frontends`: at least one `ADDRESS:PORT/tcp` or `…/udp`, all of one protocol, of either family.
//! - `affinity`: connections of one client stay at one backend until so long after the last one:
//!   `timeout` in whole seconds, `1s` to `24h`, by default `3h`. Omitted: none.
//! - `backends`: what answers; `[]` refuses every connection. `address` is `ADDRESS:PORT`, IPv6 in
//!   brackets, and names are not resolved. An omitted `node`, `zone` or `region` is unknown, an
//!   omitted `cluster` that of this node. `weight` is the share among the backends of a tier, 1 to
//!   65535, by default 1.
//! - `policy`: `FailoverPolicy.spec` without `targetRefs`, whose fields are those of
//!   [`FailoverPolicySpec`](redirector_policy::FailoverPolicySpec); its probe may also be `off`.
//!   Omitted: tiers by locality without fail-back, `Panic`, and the default probe where the protocol
//!   is TCP.

mod address;
mod backends;
mod clusters;
mod fields;
mod names;
mod policy;
mod problems;
mod read;
mod schema;
mod signs;
#[cfg(test)]
mod tests;
mod tree;
mod validate;
mod warnings;
mod watch;

pub use problems::{Invalid, Problem};
pub use read::read;
use redirector_core::{
    remote_cluster::RemoteCluster,
    service::{Locality, Service},
};
use serde_saphyr::{DuplicateKeyPolicy, NonFiniteFloatPolicy, Options};
pub use tree::Position;
use tree::Tree;
pub use watch::watch;

/// What a valid file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where this node is.
    pub node: Locality,
    /// Other clusters that may be used, in the order of the file.
    pub clusters: Vec<RemoteCluster>,
    /// Every service there is, in the order of the file.
    pub services: Vec<Service>,
    /// What is allowed and hardly meant: at most 20.
    pub warnings: Vec<Problem>,
    /// How many more there are.
    pub unlisted_warnings: usize,
}

/// Reads the text of a file. `path` is only for the messages.
pub fn parse(path: &str, text: &str) -> Result<Config, Invalid> {
    if text.trim().is_empty() {
        return Err(Invalid::whole(path, "the file is empty; write `services: []` for none"));
    }
    let mut tree: Tree<'_> = serde_saphyr::from_str_with_options(text, options())
        .map_err(|error| Invalid::yaml(path, &error))?;
    tree.take_plain_texts(text);
    validate::validate(path, &tree)
}

/// A file is as large as [`read()`] allows, so size needs no budget; repetition through aliases
/// and depth do. Within that anchors are free: twenty thousand services may share a policy. What is
/// no mistake of YAML's is told with all the others.
fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: usize::MAX,
            max_nodes: usize::MAX,
            max_depth: 16,
            flow_nesting_limit: 16,
            max_aliases: 250_000,
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 250_000 },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        strict_booleans: true,
        with_snippet: false,
    }
}
