//! The fields of a policy, and the schema of each: doc comments are its descriptions.
//!
//! Every field is optional and has a default. `with` says what is written, where the Rust type
//! would otherwise add a `null` that Kubernetes' structural schemas do not know. A default stands
//! in the schema too, unless it follows from another field: the API server would write it down.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    bounds::{
        BASE_EJECTION, CONNECT_TIMEOUT, HOLD_DOWN, MAX_EJECTION, MAX_FAILURES, MIN_HEALTHY,
        OVERPROVISIONING, RAMP,
    },
    probe::ProbeSpec,
    rules,
    tier::TierSpec,
    words::{AllDownWord, FailbackWord, LostWord, ModeWord},
};

/// Which backends of a service receive new connections when some of them fail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FailoverPolicySpec {
    /// Groups of backends in the order of preference, at most 8; a backend belongs to the first
    /// one that it fits, and one that fits none is not used. Omitted: by locality.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<TierSpec>", length(min = 1, max = 8))]
    #[schemars(extend("x-kubernetes-validations" = rules::tiers()))]
    pub tiers: Option<Vec<TierSpec>>,
    /// When later tiers carry load. `LastResort` (default): when no backend of the earlier ones is
    /// healthy. `Spill`: as far as the earlier ones lack healthy backends, by Envoy's formula.
    /// `Threshold`: when the earlier ones have fallen below `minHealthyPercent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ModeWord", extend("default" = "LastResort"))]
    pub mode: Option<ModeWord>,
    /// `Spill`: a tier carries its whole share until less than 100 / this of its backends are
    /// healthy, 100 to 1000. Default 140: until less than 71 % are.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = OVERPROVISIONING.from, max = OVERPROVISIONING.to))]
    #[schemars(extend("default" = 140))]
    pub overprovisioning_percent: Option<i32>,
    /// `Threshold`: percent of healthy backends below which a tier carries nothing, 1 to 100.
    /// Default 50.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = MIN_HEALTHY.from, max = MIN_HEALTHY.to))]
    #[schemars(extend("default" = 50))]
    pub min_healthy_percent: Option<i32>,
    /// How a tier that lost its traffic gets it back.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "FailbackSpec")]
    pub failback: Option<FailbackSpec>,
    /// When no backend is usable: `Panic` (default) uses all of them, `Refuse` refuses,
    /// `PassThrough` leaves the address alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "AllDownWord", extend("default" = "Panic"))]
    pub all_down: Option<AllDownWord>,
    /// How long a connect may take, 300ms to 60s. Default 1s. A shorter timeout that the
    /// application has set itself holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", transform = CONNECT_TIMEOUT.schema(), extend("default" = "1s"))]
    pub connect_timeout: Option<String>,
    /// What happens to established connections to a backend that has fallen silent: `Keep`
    /// (default), or `Reset`, which applications see as ECONNABORTED.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "LostWord", extend("default" = "Keep"))]
    pub on_backend_lost: Option<LostWord>,
    /// Which failed connects and requests of applications eject a backend, and for how long.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PassiveSpec")]
    pub passive: Option<PassiveSpec>,
    /// How its backends are probed. Omitted: as the source does by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ProbeSpec")]
    pub probe: Option<ProbeSpec>,
}

/// How a tier that lost its traffic by ejections or probes gets it back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FailbackSpec {
    /// `Automatic` (default): by itself. `Manual`: when an operator says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "FailbackWord", extend("default" = "Automatic"))]
    pub mode: Option<FailbackWord>,
    /// How long it must have been well without interruption before any traffic returns, 0s to 1h.
    /// Default 30s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", transform = HOLD_DOWN.schema(), extend("default" = "30s"))]
    pub hold_down: Option<String>,
    /// The time in which its share then grows to all of it, 0s to 1h. Default 20s.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", transform = RAMP.schema(), extend("default" = "20s"))]
    pub ramp: Option<String>,
}

/// Ejections for failed connects and requests of applications, by the kernel itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = rules::passive()))]
pub struct PassiveSpec {
    /// Connects in a row that were refused or found no way, 0 to 100; 0 is never. Default 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = MAX_FAILURES.from, max = MAX_FAILURES.to))]
    #[schemars(extend("default" = 3))]
    pub refused: Option<i32>,
    /// Connects in a row that were not answered, 0 to 100; 0 is never. Default 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = MAX_FAILURES.from, max = MAX_FAILURES.to))]
    #[schemars(extend("default" = 5))]
    pub timeouts: Option<i32>,
    /// Requests in a row that were not answered, by a backend that accepts connections and has answered
    /// before, 0 to 100; 0 is never. Default 5. Seen when clients close connections, from Linux 5.19 on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i32", range(min = MAX_FAILURES.from, max = MAX_FAILURES.to))]
    #[schemars(extend("default" = 5))]
    pub unresponsive: Option<i32>,
    /// How long the first ejection lasts, 1s to 1h; each further one in a row twice as long.
    /// Default 10s, or a shorter `maxEjection`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", transform = BASE_EJECTION.schema())]
    pub base_ejection: Option<String>,
    /// What no ejection exceeds, 1s to 24h, not below `baseEjection`. Default 300s, or a longer
    /// `baseEjection`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", transform = MAX_EJECTION.schema())]
    pub max_ejection: Option<String>,
}
