//! The tiers of a policy.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    bounds::{PORT_NAME, TIER_NAME},
    rules,
    words::LocalityWord,
};

/// The core's own tier, behind all that are declared.
pub(super) const RESERVED: &str = "terminating";

/// A group of backends of equal rank: of a place relative to the client's node, of named places, or
/// of another service, here or in other clusters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = rules::tier()), extend("required" = ["name"]))]
pub struct TierSpec {
    /// Unique within the policy: 1 to 63 lower-case letters, digits and dashes, not `terminating`,
    /// which is the tier of backends that are about to end, behind all others.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(transform = TIER_NAME.schema())]
    #[schemars(extend("x-kubernetes-validations" = rules::tier_name()))]
    pub name: String,
    /// Backends at least as near to the client's node as this: `Node`, `Zone`, `Region` or
    /// `Cluster`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "LocalityWord")]
    pub locality: Option<LocalityWord>,
    /// Backends in any of these zones of the own cluster, or of `clusters`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<String>", transform = rules::Places)]
    pub zones: Option<Vec<String>>,
    /// Backends in any of these regions, in the own cluster or in `clusters`. With `zones`, both
    /// must fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<String>", transform = rules::Places)]
    pub regions: Option<Vec<String>>,
    /// Backends of any of these clusters; omitted, of the own one. `*` is each but the own. With
    /// `zones` or `regions`, all must fit. With `service`, what these clusters export of that one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<String>", transform = rules::Places)]
    pub clusters: Option<Vec<String>>,
    /// The backends of another service, wherever they are; with `clusters`, those there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TierServiceSpec")]
    pub service: Option<TierServiceSpec>,
}

/// Another service of the same namespace and protocol. While there is none of that name the tier is
/// empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name"]))]
pub struct TierServiceSpec {
    /// Its name.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Name or number of its port. Omitted: the only one it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", transform = PORT_NAME.schema())]
    pub port: Option<String>,
}
