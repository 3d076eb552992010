//! The rules of a policy that a schema alone cannot say, in CEL, for the API server.
//!
//! The agent checks all of them itself ([`super::convert`]): an object may be older than its CRD.

use schemars::{Schema, transform::Transform};
use serde_json::{Value, json};

use super::tier::RESERVED;

/// Tiers have names of their own.
pub(super) fn tiers() -> Value {
    rules(&[(
        "self.all(one, self.exists_one(other, other.name == one.name))",
        "tiers need names of their own",
    )])
}

/// A tier is of one kind.
pub(super) fn tier() -> Value {
    rules(&[(
        "[has(self.locality), has(self.zones) || has(self.regions) || \
         (has(self.clusters) && !has(self.service)), has(self.service)].filter(kind, kind).size() \
         == 1",
        "give exactly one of locality, zones/regions/clusters, and service",
    )])
}

/// A tier is not called like the one that the core adds.
pub(super) fn tier_name() -> Value {
    let rule = format!("self != '{RESERVED}'");
    rules(&[(&rule, "is reserved for the tier of backends that are about to end")])
}

/// No target is named twice, and none is a tier of its own.
pub(super) fn targets() -> Value {
    rules(&[
        (
            "self.targetRefs.all(one, self.targetRefs.exists_one(other, other.name == one.name))",
            "targetRefs must name each Service once",
        ),
        (
            "!has(self.tiers) || self.tiers.all(tier, !has(tier.service) || \
             !self.targetRefs.exists(target, target.name == tier.service.name))",
            "the Service of a tier must not be one of targetRefs",
        ),
    ])
}

/// The longest ejection is not below the first one.
pub(super) fn passive() -> Value {
    rules(&[(
        "!has(self.baseEjection) || !has(self.maxEjection) || \
         duration(self.baseEjection) <= duration(self.maxEjection)",
        "baseEjection must not be above maxEjection",
    )])
}

/// A probe is of one kind, over before the next one begins, and not rarer when in doubt.
pub(super) fn probe() -> Value {
    rules(&[
        (
            "[has(self.tcp), has(self.http), has(self.grpc)].filter(kind, kind).size() <= 1",
            "give at most one of tcp, http and grpc",
        ),
        (
            "!has(self.timeout) || \
             duration(self.timeout) <= duration(has(self.interval) ? self.interval : '1s')",
            "timeout must not be above the interval (default 1s)",
        ),
        (
            "!has(self.fastInterval) || \
             duration(self.fastInterval) <= duration(has(self.interval) ? self.interval : '1s')",
            "fastInterval must not be above the interval (default 1s)",
        ),
    ])
}

/// A range begins before it ends.
pub(super) fn status() -> Value {
    rules(&[(
        "self.size() <= 3 || self.substring(0, 3) <= self.substring(4)",
        "the first status must not be above the last one",
    )])
}

/// A list of places by name, as labels of nodes have them.
#[derive(Clone, Copy)]
pub(super) struct Places;

/// Most places in one list.
pub(super) const MAX_PLACES: usize = 64;
/// Longest name of a place, in bytes.
pub(super) const LONGEST_PLACE: usize = 253;

impl Transform for Places {
    fn transform(&mut self, schema: &mut Schema) {
        schema.insert("minItems".to_owned(), json!(1));
        schema.insert("maxItems".to_owned(), json!(MAX_PLACES));
        let name = json!({
            "type": "string",
            "minLength": 1,
            "maxLength": LONGEST_PLACE,
            "pattern": "^[!-~]+$",
        });
        schema.insert("items".to_owned(), name);
    }
}

fn rules(rules: &[(&str, &str)]) -> Value {
    rules.iter().map(|(rule, message)| json!({"rule": rule, "message": message})).collect()
}
