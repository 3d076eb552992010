//! Why a service's connections go where they go, as the control socket tells it.

use std::collections::BTreeSet;

use redirector_common::AllDown;
use redirector_core::{
    Moment,
    explain::{self, HoldState},
    failover::vacancies::Vacancy,
    health::{self, ProbeHealth, Sight},
    service::{self, BackendRef, Mode},
};
use serde::{Deserialize, Serialize};

use super::NotInstalled;

/// Said of a backend of this node of which the kernel does not know who serves it.
const UNWATCHED: &str = "who listens there is not known (it has accepted no connection since the \
                         programs were loaded, or they watch no listeners: `redirector check`): the \
                         end of its listener would be seen by failing connects and probes";

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
    /// What of this node's programs and maps is gone, so that connects go where nothing here says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_in_force: Option<String>,
    /// Why what the sources say of it is not in the kernel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_installed: Option<NotInstalled>,
    /// IPv4, then IPv6.
    pub families: Vec<Family>,
}

/// One address family.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Family {
    /// `IPv4` or `IPv6`.
    pub family: String,
    /// No backend is healthy: [`Explanation::all_down`] decides.
    pub is_all_down: bool,
    /// The tiers in the order of preference.
    pub tiers: Vec<Tier>,
    /// Backends that fit no tier: they get nothing.
    pub without_tier: Vec<String>,
    /// Where each of those backends runs, in the same order.
    #[serde(default)]
    pub without_tier_localities: Vec<Locality>,
}

/// A tier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tier {
    /// Counted from 0.
    pub number: u8,
    /// The tier's name in the policy, or the place.
    pub name: String,
    /// The service that its backends are taken from.
    pub of_service: Option<String>,
    /// That service does not exist.
    pub is_unresolved: bool,
    /// Why it has no backend of either family.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vacant: Option<String>,
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
    /// Where it runs.
    #[serde(flatten)]
    pub locality: Locality,
    /// Share within the tier.
    pub weight: u16,
    /// Percent of the service's new connections.
    pub share: f64,
    /// How this node's probes see it: `unknown`, `healthy` or `failing`.
    pub probes: String,
    /// Who objects to new connections; empty is healthy.
    pub objections: Vec<Objection>,
    /// Why the end of its listener would not be seen at once, though it is on this node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unwatched: Option<String>,
    /// What was seen of it and a probe is being asked about; that is no objection.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suspicions: Vec<Suspicion>,
}

/// Where a backend runs, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Locality {
    /// Name of its node.
    pub node: Option<String>,
    /// The node's zone.
    pub zone: Option<String>,
    /// The zone's region.
    pub region: Option<String>,
    /// Its cluster, as the file source calls it. Kubernetes has no name for one.
    pub cluster: Option<String>,
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

/// What the kernel saw of a backend, as long as no probe has said whether it is so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Suspicion {
    /// What it was, and who is kept away from the backend meanwhile.
    pub what: String,
    /// How long ago that was, in seconds.
    pub seconds: f64,
}

impl Explanation {
    /// What the core says, at `now`, on a node that lacks what `not_in_force` says, of a service of
    /// which the kernel lacks what `not_installed` says, and where the kernel does not know who serves
    /// these.
    #[must_use]
    pub fn new(
        told: explain::Explanation,
        now: Moment,
        not_in_force: Option<&str>,
        not_installed: Option<NotInstalled>,
        unserved: &BTreeSet<BackendRef>,
    ) -> Self {
        let explain::Explanation { service, mode, all_down, forced, families, vacancies } = told;
        let families = families.into_iter();
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
            not_in_force: not_in_force.map(str::to_owned),
            not_installed,
            families: families.map(|told| family(told, &vacancies, now, unserved)).collect(),
        }
    }
}

fn family(
    told: explain::Family,
    vacancies: &[Vacancy],
    now: Moment,
    unserved: &BTreeSet<BackendRef>,
) -> Family {
    let explain::Family { is_ipv6, is_all_down, tiers, without_tier } = told;
    Family {
        family: if is_ipv6 { "IPv6" } else { "IPv4" }.to_owned(),
        is_all_down,
        tiers: tiers.into_iter().map(|told| tier(told, vacancies, now, unserved)).collect(),
        without_tier: without_tier.iter().map(|(backend, _)| backend.to_string()).collect(),
        without_tier_localities: without_tier.into_iter().map(|(_, told)| locality(told)).collect(),
    }
}

fn tier(
    told: explain::TierExplained,
    vacancies: &[Vacancy],
    now: Moment,
    unserved: &BTreeSet<BackendRef>,
) -> Tier {
    let explain::TierExplained { number, name, of, load, due, count, hold, members } = told;
    let vacant = vacancies.iter().find(|vacancy| vacancy.name == name);
    Tier {
        number,
        name: name.to_string(),
        vacant: vacant.map(|vacancy| vacancy.why.to_string()),
        is_unresolved: of.as_ref().is_some_and(|(_, is_there)| !is_there),
        of_service: of.map(|(service, _)| service.to_string()),
        load,
        due,
        hold: hold.map(describe),
        healthy: count.healthy,
        backends: members.into_iter().map(|told| member(told, now, unserved)).collect(),
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

fn member(told: explain::Member, now: Moment, unserved: &BTreeSet<BackendRef>) -> Member {
    let explain::Member { backend, locality, weight, share, probes, objections, suspicions } = told;
    let ago = |since: Moment| now.0.saturating_sub(since.0).as_secs_f64();
    Member {
        unwatched: unserved.contains(&backend).then(|| UNWATCHED.to_owned()),
        backend: backend.to_string(),
        locality: self::locality(locality),
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
                seconds: ago(objection.since),
            })
            .collect(),
        suspicions: suspicions
            .into_iter()
            .map(|told| Suspicion { what: suspected(&told), seconds: ago(told.since) })
            .collect(),
    }
}

fn suspected(told: &health::Suspicion) -> String {
    let seen = match told.sight {
        Sight::Connects { refused, client } => {
            let ended = if refused { "refused" } else { "not answered" };
            let whose = match (client, told.is_held) {
                (None, _) => "of earlier clients".to_owned(),
                (Some(client), true) => format!("of several clients, {client} among them,"),
                (Some(client), false) => format!("of {client}"),
            };
            format!("connects {whose} were {ended}")
        }
        Sight::ListenerGone => "nobody listens there any more".to_owned(),
    };
    let kept = if told.is_held { "nobody on this node uses it" } else { "that client avoids it" };
    format!("{seen}; a probe is being asked, and meanwhile {kept}")
}

fn locality(told: service::Locality) -> Locality {
    let service::Locality { node, zone, region, cluster } = told;
    let [node, zone, region, cluster] =
        [node, zone, region, cluster].map(|name| name.map(|name| name.to_string()));
    Locality { node, zone, region, cluster }
}

impl std::fmt::Display for Locality {
    /// Writes the place from the widest to the nearest.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { node, zone, region, cluster } = self;
        let all = [("cluster", cluster), ("region", region), ("zone", zone), ("node", node)];
        let mut known = all.into_iter().filter_map(|(kind, name)| Some((kind, name.as_ref()?)));
        let Some((kind, name)) = known.next() else { return f.write_str("place unknown") };
        write!(f, "{kind} {name}")?;
        known.try_for_each(|(kind, name)| write!(f, ", {kind} {name}"))
    }
}

#[cfg(test)]
mod tests {
    use redirector_core::input::ClientId;

    use super::*;

    #[test]
    fn a_locality_says_what_is_known_of_it_and_lies_flat_in_json() {
        let at = |node: &str, zone: &str, region: &str, cluster: &str| {
            let [node, zone, region, cluster] =
                [node, zone, region, cluster].map(|name| (!name.is_empty()).then(|| name.into()));
            locality(service::Locality { node, zone, region, cluster })
        };
        for (at, said) in [
            (at("n9", "x", "us", "west"), "cluster west, region us, zone x, node n9"),
            (at("n2", "", "eu", ""), "region eu, node n2"),
            (at("", "b", "", ""), "zone b"),
            (at("", "", "", ""), "place unknown"),
        ] {
            assert_eq!(at.to_string(), said);
        }
        let member = Member {
            backend: "10.1.0.5:8080/tcp".into(),
            locality: at("n9", "x", "us", ""),
            weight: 1,
            share: 50.0,
            probes: "healthy".into(),
            objections: Vec::new(),
            unwatched: None,
            suspicions: Vec::new(),
        };
        let json = r#"{"backend":"10.1.0.5:8080/tcp","node":"n9","zone":"x","region":"us","cluster":null,"weight":1,"share":50.0,"probes":"healthy","objections":[]}"#;
        assert_eq!(serde_json::to_string(&member).expect("it is plain"), json);
        assert_eq!(serde_json::from_str::<Member>(json).expect("it was written so"), member);
    }

    #[test]
    fn a_suspicion_says_who_saw_what_and_who_is_kept_away_meanwhile() {
        let client = ClientId { cgroup: 7, netns: 9 };
        let one = Sight::Connects { refused: true, client: Some(client) };
        let several = Sight::Connects { refused: false, client: Some(client) };
        for (sight, is_held, said) in [
            (
                one,
                false,
                "connects of cgroup 7 in network namespace 9 were refused; a probe is being asked, \
                 and meanwhile that client avoids it",
            ),
            (
                several,
                true,
                "connects of several clients, cgroup 7 in network namespace 9 among them, were not \
                 answered; a probe is being asked, and meanwhile nobody on this node uses it",
            ),
            (
                Sight::ListenerGone,
                true,
                "nobody listens there any more; a probe is being asked, and meanwhile nobody on \
                 this node uses it",
            ),
        ] {
            let since = Moment::default();
            assert_eq!(suspected(&health::Suspicion { sight, since, is_held }), said);
        }
    }
}
