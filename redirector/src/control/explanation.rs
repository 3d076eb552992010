//! Why a service's connections go where they go, as the control socket tells it.

use redirector_common::AllDown;
use redirector_core::{
    Moment,
    explain::{self, HoldState},
    health::ProbeHealth,
    service::Mode,
};
use serde::{Deserialize, Serialize};

/// A service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// `namespace/name`.
    pub service: String,
    /// `LastResort`, `Spill` or `Threshold`.
    pub mode: String,
    /// `Panic`, `Refuse` or `PassThrough`.
    pub all_down: String,
    /// The tier that an operator has forced.
    pub forced: Option<String>,
    /// IPv4, then IPv6.
    pub families: Vec<Family>,
}

/// One address family.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Family {
    /// `IPv4` or `IPv6`.
    pub family: String,
    /// Nobody is healthy: [`Explanation::all_down`] decides.
    pub is_all_down: bool,
    /// In the order of preference.
    pub tiers: Vec<Tier>,
    /// Backends that fit no tier: they get nothing.
    pub without_tier: Vec<String>,
}

/// A tier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tier {
    /// Counted from 0.
    pub number: u8,
    /// As in the policy, or the place.
    pub name: String,
    /// The service that its backends are taken from.
    pub of_service: Option<String>,
    /// That service does not exist.
    pub is_unresolved: bool,
    /// Percent of new connections.
    pub load: u8,
    /// Percent by health alone.
    pub due: u8,
    /// Why it does not get what it is due.
    pub hold: Option<String>,
    /// Backends without an objection.
    pub healthy: u32,
    /// Sorted by address.
    pub backends: Vec<Member>,
}

/// A backend in a tier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// `ADDRESS:PORT/PROTOCOL`.
    pub backend: String,
    /// Where it runs, as far as it is known.
    pub node: Option<String>,
    /// As above.
    pub zone: Option<String>,
    /// As above.
    pub region: Option<String>,
    /// As above.
    pub cluster: Option<String>,
    /// Share within the tier.
    pub weight: u16,
    /// Percent of the service's new connections.
    pub share: f64,
    /// How this node's probes see it: `unknown`, `healthy` or `failing`.
    pub probes: String,
    /// Who objects to new connections; empty is healthy.
    pub objections: Vec<Objection>,
}

/// Who keeps new connections away from a backend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Objection {
    /// `discovery`, `prober`, `operator`, `passive` or `listener`.
    pub by: String,
    /// What was seen.
    pub why: String,
    /// How long ago that was, in seconds.
    pub seconds: f64,
}

impl Explanation {
    /// What the core says, at `now`.
    #[must_use]
    pub fn new(told: explain::Explanation, now: Moment) -> Self {
        let explain::Explanation { service, mode, all_down, forced, families } = told;
        Self {
            service: service.to_string(),
            mode: match mode {
                Mode::LastResort => "LastResort",
                Mode::Spill => "Spill",
                Mode::Threshold => "Threshold",
            }
            .to_owned(),
            all_down: match all_down {
                AllDown::Panic => "Panic",
                AllDown::Refuse => "Refuse",
                AllDown::PassThrough => "PassThrough",
            }
            .to_owned(),
            forced: forced.map(|tier| tier.to_string()),
            families: families.into_iter().map(|told| family(told, now)).collect(),
        }
    }
}

fn family(told: explain::Family, now: Moment) -> Family {
    let explain::Family { is_ipv6, is_all_down, tiers, without_tier } = told;
    Family {
        family: if is_ipv6 { "IPv6" } else { "IPv4" }.to_owned(),
        is_all_down,
        tiers: tiers.into_iter().map(|told| tier(told, now)).collect(),
        without_tier: without_tier.iter().map(ToString::to_string).collect(),
    }
}

fn tier(told: explain::TierExplained, now: Moment) -> Tier {
    let explain::TierExplained { number, name, of, load, due, count, hold, members } = told;
    Tier {
        number,
        name: name.to_string(),
        is_unresolved: of.as_ref().is_some_and(|(_, is_there)| !is_there),
        of_service: of.map(|(service, _)| service.to_string()),
        load,
        due,
        hold: hold.map(describe),
        healthy: count.healthy,
        backends: members.into_iter().map(|told| member(told, now)).collect(),
    }
}

fn describe(hold: HoldState) -> String {
    match hold {
        HoldState::Down => "it is not well".to_owned(),
        HoldState::Waiting(None) => "it waits for `redirector failback`".to_owned(),
        HoldState::Waiting(Some(left)) => format!("hold-down, {:.0} s left", left.as_secs_f64()),
        HoldState::Ramping { percent, remaining } => {
            format!("ramp at {percent} %, {:.0} s left", remaining.as_secs_f64())
        }
    }
}

fn member(told: explain::Member, now: Moment) -> Member {
    let explain::Member { backend, locality, weight, share, probes, objections } = told;
    let name = |name: Option<std::sync::Arc<str>>| name.map(|name| name.to_string());
    Member {
        backend: backend.to_string(),
        node: name(locality.node),
        zone: name(locality.zone),
        region: name(locality.region),
        cluster: name(locality.cluster),
        weight,
        share: (share * 100.0).round() / 100.0,
        probes: match probes {
            ProbeHealth::Unknown => "unknown",
            ProbeHealth::Healthy => "healthy",
            ProbeHealth::Failing { .. } => "failing",
        }
        .to_owned(),
        objections: objections
            .into_iter()
            .map(|(by, objection)| Objection {
                by: by.name().to_owned(),
                why: objection.why.to_string(),
                seconds: now.0.saturating_sub(objection.since.0).as_secs_f64(),
            })
            .collect(),
    }
}
