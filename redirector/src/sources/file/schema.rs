//! The file as it is written: which fields there are. What they may hold is validated elsewhere.
//!
//! Every scalar is text and nearly everything optional here, so that one pass over the result finds
//! every bad or missing value of a file, not only the first one.

use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::at::{At, Text};

/// Fields of a `FailoverPolicy` that this version knows only to refuse.
pub(super) const LATER: [&str; 9] = [
    "tiers",
    "overprovisioningPercent",
    "minHealthyPercent",
    "failback",
    "connectTimeout",
    "onBackendLost",
    "passive",
    "http",
    "grpc",
];

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
    /// Omitted: tiers by locality, `Panic`, and the default probe where the protocol is TCP.
    pub policy: Option<Policy>,
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
    /// Name of its node.
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

/// `FailoverPolicy.spec` without `targetRefs`, as far as this version knows it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Policy {
    /// `LastResort`: a tier carries everything while one of its backends is healthy.
    pub mode: Option<Text>,
    /// When no backend is usable: `Panic` uses all of them (default), `Refuse` refuses,
    /// `PassThrough` leaves the address alone.
    pub all_down: Option<Text>,
    /// How its backends are probed, or `off`. Omitted: the default TCP probe; UDP has none.
    pub probe: Option<At<ProbeChoice>>,
    pub tiers: Option<At<IgnoredAny>>,
    pub overprovisioning_percent: Option<At<IgnoredAny>>,
    pub min_healthy_percent: Option<At<IgnoredAny>>,
    pub failback: Option<At<IgnoredAny>>,
    pub connect_timeout: Option<At<IgnoredAny>>,
    pub on_backend_lost: Option<At<IgnoredAny>>,
    pub passive: Option<At<IgnoredAny>>,
}

/// The word `off`, another word, or the fields of a probe.
pub(super) enum ProbeChoice {
    Off,
    Word(String),
    On(Box<Probe>),
}

/// A TCP probe: it succeeds when the connection is accepted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Probe {
    /// `{}`; may be omitted, as there is no other kind yet.
    #[expect(dead_code, reason = "it has nothing to say, but it may be written")]
    pub tcp: Option<TcpProbe>,
    /// From one probe's begin to the next one's, `100ms` to `1h`. Default `1s`.
    pub interval: Option<Text>,
    /// `10ms` to `60s`, not above the interval. Default `500ms`, or a shorter interval.
    pub timeout: Option<Text>,
    /// Consecutive failures that eject, 1 to 100. Default 2.
    pub unhealthy: Option<Text>,
    /// Consecutive successes that re-admit, 1 to 100. Default 3.
    pub healthy: Option<Text>,
    pub http: Option<At<IgnoredAny>>,
    pub grpc: Option<At<IgnoredAny>>,
}

/// A TCP probe has no settings of its own.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TcpProbe {}

impl<'de> Deserialize<'de> for ProbeChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ProbeVisitor)
    }
}

struct ProbeVisitor;

impl<'de> Visitor<'de> for ProbeVisitor {
    type Value = ProbeChoice;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("`off` or the fields of a probe")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<ProbeChoice, E> {
        Ok(if text == "off" { ProbeChoice::Off } else { ProbeChoice::Word(text.to_owned()) })
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<ProbeChoice, E> {
        Ok(ProbeChoice::Word(value.to_string()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ProbeChoice, A::Error> {
        let probe = Probe::deserialize(MapAccessDeserializer::new(map))?;
        Ok(ProbeChoice::On(Box::new(probe)))
    }
}
