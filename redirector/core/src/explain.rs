//! Why a service's connections go where they go: tiers, members, who objects, what is waited for.
//!
//! Plain data for people and machines; nothing here is read back.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use redirector_common::{AllDown, HealthByte};

use crate::{
    failover::{
        holds::Hold,
        loads::{Count, Formula},
        tiers,
        vacancies::Vacancy,
    },
    health::{ProbeHealth, Suspicion, Veto},
    input::Moment,
    service::{Backend, BackendRef, Failback, FailbackMode, Locality, Mode, Service, ServiceRef},
    state::State,
    tables::Table,
};

/// A service, as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// Which service.
    pub service: ServiceRef,
    /// When later tiers carry load.
    pub mode: Mode,
    /// What happens when no backend is usable.
    pub all_down: AllDown,
    /// The tier that an operator wants to carry everything.
    pub forced: Option<Arc<str>>,
    /// IPv4, then IPv6; a family without a frontend is absent.
    pub families: Vec<Family>,
    /// Tiers of the policy that have no backend of either family.
    pub vacancies: Vec<Vacancy>,
}

/// One address family of a service.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// Whether it is IPv6; else it is IPv4.
    pub is_ipv6: bool,
    /// Whether no backend is healthy: then the all-down policy decides.
    pub is_all_down: bool,
    /// Tiers in order. With rules all of them; else those by locality that have backends.
    pub tiers: Vec<TierExplained>,
    /// Own backends that fit no rule, and where they run: they get nothing.
    pub without_tier: Vec<(BackendRef, Locality)>,
}

/// A tier.
#[derive(Clone, Debug, PartialEq)]
pub struct TierExplained {
    /// Counted from 0.
    pub number: u8,
    /// The tier's name in the policy, or its place.
    pub name: Arc<str>,
    /// The service that its backends are taken from; `false` if there is none of that name.
    pub of: Option<(ServiceRef, bool)>,
    /// Percent of the connections.
    pub load: u8,
    /// Percent by health alone, without forces and hold-downs.
    pub due: u8,
    /// How many backends it has, and how many of them are healthy.
    pub count: Count,
    /// Why it does not get what it is due.
    pub hold: Option<HoldState>,
    /// Sorted by backend.
    pub members: Vec<Member>,
}

/// A tier that lost its traffic by ejection or probes, and what it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldState {
    /// It is not well.
    Down,
    /// It is well: so much of the hold-down remains; `None` is until an operator says so.
    Waiting(Option<Duration>),
    /// Its share grows.
    Ramping {
        /// Percent of what it is due.
        percent: u8,
        /// How long until it gets all that it is due.
        remaining: Duration,
    },
}

/// A backend in a tier.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Which backend.
    pub backend: BackendRef,
    /// Where it runs.
    pub locality: Locality,
    /// Share within the tier.
    pub weight: u16,
    /// Percent of the service's connections, 0 to 100.
    pub share: f64,
    /// What the probes of this node say of it.
    pub probes: ProbeHealth,
    /// Who objects to new connections; without any it is healthy.
    pub objections: Vec<(HealthByte, Veto)>,
    /// What was seen of it that its probes are being asked about.
    pub suspicions: Vec<Suspicion>,
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
        Some(Explanation {
            service: name.clone(),
            mode: service.policy.mode,
            all_down: service.policy.all_down,
            forced: self.overrides(name).forced.cloned(),
            families: families
                .map(|(is_ipv6, table)| self.family(service, is_ipv6, table, now))
                .collect(),
            vacancies: self.vacancies(name),
        })
    }

    fn family(&self, service: &Service, is_ipv6: bool, table: &Table, now: Moment) -> Family {
        let is_of = |backend: &Backend| backend.backend.address.is_ipv6() == is_ipv6;
        let view = self.view();
        let placed = tiers::members(service, view.node, view.services, is_of);
        let has_rules = !service.policy.tiers.is_empty();
        let mut tiers: Vec<TierExplained> = Vec::new();
        for (number, name) in tiers::names(service) {
            let members = placed.iter().filter(|(tier, _)| *tier == number);
            let members: Vec<Member> = members.map(|(_, listed)| self.member(listed)).collect();
            if members.is_empty() && !has_rules {
                continue;
            }
            let hold = self.overrides(&service.name).held;
            let hold = hold.and_then(|held| held[usize::from(is_ipv6)].get(&name));
            let position = table.tiers.iter().position(|tier| tier.name == name);
            let is_healthy = |member: &&Member| member.objections.is_empty();
            let healthy = members.iter().filter(is_healthy).count() as u32;
            tiers.push(TierExplained {
                number: if has_rules { number } else { tiers.len() as u8 },
                of: self.origin(service, number),
                load: position.map_or(0, |position| table.share(position)),
                due: 0,
                count: Count { total: members.len() as u32, healthy },
                hold: hold
                    .zip(service.policy.failback.as_ref())
                    .map(|(hold, failback)| state(hold, failback, now)),
                name,
                members,
            });
        }
        let counts: Vec<Count> = tiers.iter().map(|tier| tier.count).collect();
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
        let without_tier =
            without_tier.map(|backend| (backend.backend, backend.locality.clone())).collect();
        Family { is_ipv6, is_all_down, tiers, without_tier }
    }

    fn member(&self, Backend { backend, locality, weight, rank: _ }: &Backend) -> Member {
        let health = self.health_of(backend);
        Member {
            backend: *backend,
            locality: locality.clone(),
            weight: *weight,
            share: 0.0,
            probes: health.as_ref().map_or(ProbeHealth::Unknown, |health| health.probes),
            suspicions: health.as_ref().map(|it| it.suspicions.clone()).unwrap_or_default(),
            objections: health.map(|health| health.objections).unwrap_or_default(),
        }
    }

    /// The service that a tier takes its backends from, and whether it is there.
    fn origin(&self, service: &Service, number: u8) -> Option<(ServiceRef, bool)> {
        let (_, of) = tiers::others(service).find(|(tier, _)| *tier == number)?;
        Some((of.clone(), self.service(of).is_some()))
    }
}

impl TierExplained {
    /// Shares the load among the healthy members by weight; among all of them in a panic.
    fn spread(&mut self, is_panic: bool) {
        let is_used = |member: &Member| is_panic || member.objections.is_empty();
        let used = self.members.iter().filter(|member| is_used(member));
        let sum: f64 = used.map(|member| f64::from(member.weight)).sum();
        for member in self.members.iter_mut().filter(|member| is_used(member)) {
            member.share = f64::from(self.load) * f64::from(member.weight) / sum;
        }
    }
}

fn state(hold: &Hold, failback: &Failback, now: Moment) -> HoldState {
    let Some(since) = hold.well_since else { return HoldState::Down };
    let left = |wait: Duration| (since.0 + wait).saturating_sub(now.0);
    let hold_down = Duration::from_millis(failback.hold_down_ms.into());
    match hold.ramped {
        None if failback.mode == FailbackMode::Manual => HoldState::Waiting(None),
        None => HoldState::Waiting(Some(left(hold_down))),
        Some(percent) => {
            let ramp = Duration::from_millis(failback.ramp_ms.into());
            HoldState::Ramping { percent, remaining: left(hold_down + ramp) }
        }
    }
}

#[cfg(test)]
mod tests;
