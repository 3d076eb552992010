//! The static file source: a YAML file with this node, the services and their backends.
//!
//! A file is used as a whole or not at all. What may stand in it is in the module `schema`:
//!
//! ```yaml
//! node: {name: n1, zone: a, region: eu, cluster: local}
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
//!     probe: {tcp: {}, interval: 1s, timeout: 500ms, unhealthy: 2, healthy: 3}
//! ```

mod address;
mod at;
mod backends;
mod invalid;
mod lenient;
mod names;
mod policy;
mod read;
mod schema;
mod signs;
#[cfg(test)]
mod tests;
mod tree;
mod validate;
mod warnings;
mod watch;

pub use at::Position;
use invalid::Problems;
pub use invalid::{Invalid, Problem};
pub use read::read;
use redirector_core::service::{Locality, Service};
use serde_saphyr::Options;
pub use watch::watch;

/// What a valid file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where this node is.
    pub node: Locality,
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
    match serde_saphyr::from_str_with_options(text, options()) {
        Ok(file) => validate::validate(path, text, &file, Problems::default()),
        Err(error) => match lenient::read(text) {
            Some((file, problems)) => validate::validate(path, text, &file, problems),
            None => Err(Invalid::yaml(path, &error)),
        },
    }
}

/// A file is as large as [`read()`] allows, so size needs no budget; repetition through aliases
/// and depth do. Within that anchors are free: twenty thousand services may share a policy.
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
        strict_booleans: true,
        with_snippet: false,
    }
}
