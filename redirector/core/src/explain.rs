//! Why a service's connections go where they go: tiers, members, who objects, what is waited for.
//!
//! Plain data, and text where only people read it. With the feature `serde` it is what the agent's
//! control socket says; nothing here steers.

mod not_installed;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use redirector_common::AllDown;
#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

use crate::{
    failover::{
        holds::Hold,
        loads::{Count, Formula},
        tiers,
        vacancies::Vacancy,
    },
    health::{self, ProbeHealth, Sight},
    input::Moment,
    service::{
        Backend, BackendRef, Failback, FailbackMode, Locality, Protocol, Service, ServiceRef,
    },
    state::State,
    tables::Table,
};

pub use not_installed::NotInstalled;

/// A service, as it is now.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub struct Explanation {
    /// Which service.
    pub service: ServiceRef,
    /// When later tiers carry load: `LastResort`, `Spill` or `Threshold`.
    pub mode: String,
    /// What happens when no backend is usable: `Panic`, `Refuse` or `PassThrough`.
    pub all_down: String,
    /// The tier that an operator wants to carry everything.
    pub forced: Option<Arc<str>>,
    /// What of this node's programs and maps is gone, so that connects go where nothing here says.
    /// The agent knows it, the state does not.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub not_in_force: Option<Arc<str>>,
    /// Why what the sources say of it is not in the kernel, as the agent knows.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub not_installed: Option<NotInstalled>,
    /// IPv4, then IPv6; a family without a frontend is absent.
    pub families: Vec<Family>,
    /// Other clusters with backends in its tiers, by name.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub clusters: Vec<Elsewhere>,
}

/// What a service has in another cluster.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub struct Elsewhere {
    /// The cluster's id.
    pub cluster: Arc<str>,
    /// `Live`, `Silent` or `Lost`, as the importer says; `None` is that no RemoteCluster names it.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub phase: Option<String>,
    /// Whether none of its backends that this node has asked answers: then all are out.
    #[cfg_attr(feature = "serde", serde(default))]
    pub is_unreachable: bool,
    /// Backends in the service's tiers without a veto.
    pub healthy: u32,
    /// Backends in the service's tiers.
    pub backends: u32,
    /// Those that are asked less often than the policy says ([`Member::rarely_probed`]).
    #[cfg_attr(feature = "serde", serde(default))]
    pub at_rest: u32,
    /// Those that cannot be asked (UDP): while the cluster is silent they share the fate of those that
    /// can. Where it has no others nothing is known of them, and they stay until it is lost.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_zero"))]
    pub unaskable: u32,
}

#[cfg(feature = "serde")]
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// One address family of a service.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub struct Family {
    /// `IPv4` or `IPv6`.
    pub family: String,
    /// Whether no backend is healthy: then the all-down policy decides.
    pub is_all_down: bool,
    /// Tiers in order. With rules all of them; else those by locality that have backends.
    pub tiers: Vec<Tier>,
    /// Own backends that fit no rule: they get nothing.
    pub without_tier: Vec<BackendRef>,
    /// Where each of those backends runs, in the same order.
    #[cfg_attr(feature = "serde", serde(default))]
    pub without_tier_localities: Vec<Locality>,
}

/// A tier.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub struct Tier {
    /// Counted from 0.
    pub number: u8,
    /// The tier's name in the policy, or its place.
    pub name: Arc<str>,
    /// The service that its backends are taken from.
    pub of_service: Option<ServiceRef>,
    /// Whether there is no service of that name.
    pub is_unresolved: bool,
    /// Why it has no backend of either family.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub vacant: Option<String>,
    /// Percent of the connections.
    pub load: u8,
    /// Percent by health alone, without forces and hold-downs.
    pub due: u8,
    /// Why it does not get what it is due, and for how long yet.
    pub hold: Option<String>,
    /// How many of its backends are healthy.
    pub healthy: u32,
    /// Sorted.
    pub backends: Vec<Member>,
}

/// A backend in a tier.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub struct Member {
    /// Which backend.
    pub backend: BackendRef,
    /// Where it runs.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub locality: Locality,
    /// Share within the tier.
    pub weight: u16,
    /// Percent of the service's connections, 0 to 100, in hundredths.
    pub share: f64,
    /// What the probes of this node say of it: `unknown`, `healthy` or `failing`.
    pub probes: String,
    /// Who objects to new connections; without any it is healthy.
    pub objections: Vec<Objection>,
    /// Why the end of its listener would not be seen at once, though it is on this node; as the
    /// agent knows.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub unwatched: Option<String>,
    /// What was seen of it that its probes are being asked about; that objects to nothing.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub suspicions: Vec<Suspicion>,
    /// Why it is asked less often than its policy says.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub rarely_probed: Option<String>,
}

/// Who keeps new connections away from a backend.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub struct Objection {
    /// `discovery`, `prober`, `operator`, `passive` or `listener`.
    pub by: String,
    /// What was seen or ordered.
    pub why: Arc<str>,
    /// How long ago that was, in seconds.
    pub seconds: f64,
}

/// What the kernel saw of a backend, as long as no probe has said whether it is so.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub struct Suspicion {
    /// What it was, and who is kept away from the backend meanwhile.
    pub what: String,
    /// How long ago that was, in seconds.
    pub seconds: f64,
}

impl State {
    /// Everything that decides where a service's connections go; `None` if there is none of that
    /// name.
    #[must_use]
    pub fn explain(&self, name: &ServiceRef, now: Moment) -> Option<Explanation> {
        let service = self.service(name)?;
        let tables = self.tables().services.get(name)?;
        let families =
            [(false, &tables.v4), (true, &tables.v6)].into_iter().filter(|(is_ipv6, _)| {
                tables.frontends.iter().any(|frontend| frontend.address.is_ipv6() == *is_ipv6)
            });
        let families: Vec<Family> =
            families.map(|(is_ipv6, table)| self.family(service, is_ipv6, table, now)).collect();
        Some(Explanation {
            service: name.clone(),
            // The variants are called as a policy calls them.
            mode: format!("{:?}", service.policy.mode),
            all_down: format!("{:?}", service.policy.all_down),
            forced: self.overrides(name).forced.cloned(),
            not_in_force: None,
            not_installed: None,
            clusters: self.elsewhere(&families),
            families,
        })
    }

    /// What is in other clusters.
    fn elsewhere(&self, families: &[Family]) -> Vec<Elsewhere> {
        let own = self.node().cluster.as_ref();
        let tiers = families.iter().flat_map(|family| &family.tiers);
        let mut counts: BTreeMap<&Arc<str>, [u32; 4]> = BTreeMap::new();
        for member in tiers.flat_map(|tier| &tier.backends) {
            if let Some(cluster) = member.locality.other_cluster(own) {
                let [healthy, all, at_rest, unaskable] = counts.entry(cluster).or_default();
                *healthy += u32::from(member.objections.is_empty());
                *all += 1;
                *at_rest += u32::from(member.rarely_probed.is_some());
                *unaskable += u32::from(member.backend.protocol == Protocol::Udp);
            }
        }
        let told = |name: &str| self.remote_clusters().iter().find(|told| *told.name == *name);
        let counts = counts.into_iter();
        counts
            .map(|(cluster, [healthy, backends, at_rest, unaskable])| Elsewhere {
                cluster: Arc::clone(cluster),
                // The variants are called as statuses call them.
                phase: told(cluster).map(|told| format!("{:?}", told.phase)),
                is_unreachable: self.is_unreachable(cluster),
                healthy,
                backends,
                at_rest,
                unaskable,
            })
            .collect()
    }

    fn family(&self, service: &Service, is_ipv6: bool, table: &Table, now: Moment) -> Family {
        let is_of = |backend: &Backend| backend.backend.address.is_ipv6() == is_ipv6;
        let view = self.view();
        let placed = tiers::members(service, view.node, view.services, is_of);
        let has_rules = !service.policy.tiers.is_empty();
        let vacancies = self.vacancies(&service.name);
        let resting = self.resting(&service.name);
        let mut tiers: Vec<Tier> = Vec::new();
        for (number, name) in tiers::names(service) {
            let members = placed.iter().filter(|(tier, _)| *tier == number);
            let backends: Vec<Member> =
                members.map(|(_, listed)| self.member(listed, &resting, now)).collect();
            if backends.is_empty() && !has_rules {
                continue;
            }
            let hold = self.overrides(&service.name).held;
            let hold = hold.and_then(|held| held[usize::from(is_ipv6)].get(&name));
            let position = table.tiers.iter().position(|tier| tier.name == name);
            let vacancy = vacancies.iter().find(|vacancy| vacancy.name == name);
            let of_service = origin(service, number);
            tiers.push(Tier {
                number: if has_rules { number } else { tiers.len() as u8 },
                is_unresolved: of_service.is_some_and(|of| self.service(of).is_none()),
                of_service: of_service.cloned(),
                vacant: vacancy.map(|Vacancy { why, .. }| why.to_string()),
                load: position.map_or(0, |position| table.share(position)),
                due: 0,
                hold: hold
                    .zip(service.policy.failback.as_ref())
                    .map(|(hold, failback)| describe(hold, failback, now)),
                healthy: backends.iter().filter(|member| member.objections.is_empty()).count()
                    as u32,
                name,
                backends,
            });
        }
        let count =
            |tier: &Tier| Count { total: tier.backends.len() as u32, healthy: tier.healthy };
        let counts: Vec<Count> = tiers.iter().map(count).collect();
        let due = Formula::from(&service.policy).shares(&counts);
        for (tier, due) in tiers.iter_mut().zip(due) {
            tier.due = due;
        }
        let is_all_down = table.carrier.is_none();
        if !is_all_down || service.policy.all_down == AllDown::Panic {
            tiers.iter_mut().for_each(|tier| tier.spread(is_all_down));
        }
        let placed: BTreeSet<BackendRef> =
            placed.iter().map(|(_, backend)| backend.backend).collect();
        let own = service.backends.iter().filter(|backend| is_of(backend));
        let without_tier = own.filter(|backend| !placed.contains(&backend.backend));
        let without_tier = without_tier.map(|backend| (backend.backend, backend.locality.clone()));
        let (without_tier, without_tier_localities) = without_tier.unzip();
        let family = if is_ipv6 { "IPv6" } else { "IPv4" }.to_owned();
        Family { family, is_all_down, tiers, without_tier, without_tier_localities }
    }

    fn member(
        &self,
        Backend { backend, locality, weight, rank: _ }: &Backend,
        resting: &BTreeSet<BackendRef>,
        now: Moment,
    ) -> Member {
        let ago = |since: Moment| now.0.saturating_sub(since.0).as_secs_f64();
        let health = self.health_of(backend);
        let probes = match health.as_ref().map(|health| health.probes) {
            None | Some(ProbeHealth::Unknown) => "unknown",
            Some(ProbeHealth::Healthy) => "healthy",
            Some(ProbeHealth::Failing { .. }) => "failing",
        };
        let (objections, suspicions) =
            health.map(|health| (health.objections, health.suspicions)).unwrap_or_default();
        let objections = objections.into_iter().map(|(by, told)| Objection {
            by: by.name().to_owned(),
            why: told.why,
            seconds: ago(told.since),
        });
        let suspicions = suspicions
            .iter()
            .map(|told| Suspicion { what: suspected(told), seconds: ago(told.since) });
        Member {
            backend: *backend,
            locality: locality.clone(),
            weight: *weight,
            share: 0.0,
            probes: probes.to_owned(),
            objections: objections.collect(),
            unwatched: None,
            suspicions: suspicions.collect(),
            rarely_probed: resting.contains(backend).then(|| at_rest(locality)),
        }
    }
}

/// Why a backend is asked rarely.
fn at_rest(locality: &Locality) -> String {
    let cluster = locality.cluster.as_deref().unwrap_or_default();
    format!(
        "it gets no connections from this node: all such in cluster {cluster} share \
         --remote-probes a second, and each is asked every 5 s at most"
    )
}

/// The service that a tier takes its backends from, if that is another one.
fn origin(service: &Service, number: u8) -> Option<&ServiceRef> {
    tiers::others(service).find(|(tier, _)| *tier == number).map(|(_, of)| of)
}

impl Tier {
    /// Shares the load among the healthy members by weight; among all of them in a panic.
    fn spread(&mut self, is_panic: bool) {
        let is_used = |member: &Member| is_panic || member.objections.is_empty();
        let used = self.backends.iter().filter(|member| is_used(member));
        let sum: f64 = used.map(|member| f64::from(member.weight)).sum();
        for member in self.backends.iter_mut().filter(|member| is_used(member)) {
            let share = f64::from(self.load) * f64::from(member.weight) / sum;
            member.share = (share * 100.0).round() / 100.0;
        }
    }
}

/// A tier that lost its traffic by ejection or probes, and what it waits for.
fn describe(hold: &Hold, failback: &Failback, now: Moment) -> String {
    let Some(since) = hold.well_since else { return "it is not well".to_owned() };
    let left = |wait: Duration| (since.0 + wait).saturating_sub(now.0).as_secs_f64();
    let hold_down = Duration::from_millis(failback.hold_down_ms.into());
    match hold.ramped {
        None if failback.mode == FailbackMode::Manual => {
            "it waits for `redirector failback`".to_owned()
        }
        None => format!("hold-down, {:.0} s left", left(hold_down)),
        Some(percent) => {
            let ramp = Duration::from_millis(failback.ramp_ms.into());
            format!("ramp at {percent} %, {:.0} s left", left(hold_down + ramp))
        }
    }
}

fn suspected(told: &health::Suspicion) -> String {
    let whose = |client| match (client, told.is_held) {
        (None, _) => "of earlier clients".to_owned(),
        (Some(client), true) => format!("of several clients, {client} among them,"),
        (Some(client), false) => format!("of {client}"),
    };
    let seen = match told.sight {
        Sight::Connects { refused, client } => {
            let ended = if refused { "refused" } else { "not answered" };
            format!("connects {} were {ended}", whose(client))
        }
        Sight::Unresponsive { client } => format!("requests {} were not answered", whose(client)),
        Sight::ListenerGone => "nobody listens there any more".to_owned(),
    };
    let kept = if told.is_held { "nobody on this node uses it" } else { "that client avoids it" };
    format!("{seen}; a probe is being asked, and meanwhile {kept}")
}

#[cfg(test)]
mod tests;
