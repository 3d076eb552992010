//! When a tier that lost its traffic gets it back, for every service with such a policy.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use redirector_common::{HealthByte, HealthWord};

use super::{State, instant::Instant};
use crate::{
    failover::{
        loads::{Count, Formula},
        standing::{Held, Known, step},
    },
    input::{Moment, Transition},
    service::{BackendRef, Service, ServiceRef},
    tables::{Overrides, ServiceTables, Tier, View, count},
};

/// Where the services' loads are not what health says.
#[derive(Clone, Debug, Default)]
pub(super) struct Failbacks {
    /// Tiers that do not get what they are due, of IPv4 and of IPv6; no service has two empty ones.
    held: BTreeMap<ServiceRef, [Held; 2]>,
    /// When each of these services has to be looked at again.
    due: BTreeSet<(Moment, ServiceRef)>,
    /// Tiers that an operator wants to carry everything.
    pub(super) forced: BTreeMap<ServiceRef, Arc<str>>,
}

/// How a service was when an instant began.
#[derive(Clone, Debug)]
pub(super) struct Before {
    /// Tiers that carried load, per family; `None` is any, because the agent has just started and
    /// what it finds ejected may have carried load before.
    carried: Option<[BTreeSet<Arc<str>>; 2]>,
    held: [Held; 2],
}

impl Failbacks {
    pub(super) fn overrides(&self, service: &ServiceRef) -> Overrides<'_> {
        Overrides { forced: self.forced.get(service), held: self.held.get(service) }
    }

    /// Brings the holds of a service in line with what is known now; `installed` are its tables
    /// until now. Returns what a fail-back changed.
    pub(super) fn stand(
        &mut self,
        service: &Service,
        tiers: &[Vec<Tier>; 2],
        installed: Option<&ServiceTables>,
        instant: &mut Instant,
        (view, now): (&View<'_>, Moment),
    ) -> Vec<Transition> {
        let Some(failback) = &service.policy.failback else {
            self.forget(&service.name);
            return Vec::new();
        };
        let was_synced = instant.was_synced;
        let before = instant
            .before
            .entry(service.name.clone())
            .or_insert_with(|| Before::of(installed, self.held.get(&service.name), was_synced));
        let formula = Formula::from(&service.policy);
        let mut held: [Held; 2] = Default::default();
        for family in 0..2 {
            let known: Vec<Known<'_>> = tiers[family]
                .iter()
                .map(|tier| {
                    let carried = before.carried.as_ref();
                    let carried = carried.is_none_or(|names| names[family].contains(&tier.name));
                    known(tier, carried, &instant.fresh, view.objections)
                })
                .collect();
            held[family] = step(&formula, failback, &known, &before.held[family], now);
        }
        let happened = self.ramped(service, tiers, &held, (&formula, view));
        self.hold(&service.name, held);
        happened
    }

    /// What has changed since the holds that are still in force.
    fn ramped(
        &self,
        service: &Service,
        tiers: &[Vec<Tier>; 2],
        held: &[Held; 2],
        (formula, view): (&Formula, &View<'_>),
    ) -> Vec<Transition> {
        let mut happened = Vec::new();
        let Some(earlier) = self.held.get(&service.name) else { return happened };
        for (family, (name, hold)) in
            (0..2).flat_map(|family| earlier[family].iter().map(move |held| (family, held)))
        {
            let percent = match held[family].get(name) {
                Some(now) if now.ramped == hold.ramped => continue,
                Some(now) => now.ramped,
                None => {
                    let tier = tiers[family].iter().find(|tier| tier.name == *name);
                    let is_back =
                        |tier: &Tier| formula.is_well(count(tier, view.objections, |_, _| false));
                    tier.is_some_and(is_back).then_some(100)
                }
            };
            let tier = Arc::clone(name);
            let service = service.name.clone();
            let event = percent.map(|percent| Transition::Ramped { service, tier, percent });
            if let Some(event) = event.filter(|event| !happened.contains(event)) {
                happened.push(event);
            }
        }
        happened
    }

    /// Gives every tier of a service what it is due.
    pub(super) fn forget(&mut self, service: &ServiceRef) {
        if let Some(held) = self.held.remove(service)
            && let Some(at) = next(&held)
        {
            self.due.remove(&(at, service.clone()));
        }
    }

    /// Keeps only the holds of services that there are.
    pub(super) fn retain(&mut self, services: &BTreeMap<ServiceRef, Service>) {
        self.held.retain(|name, _| services.contains_key(name));
        self.due.retain(|(_, name)| services.contains_key(name));
    }

    pub(super) fn hold(&mut self, service: &ServiceRef, held: [Held; 2]) {
        self.forget(service);
        if held.iter().all(BTreeMap::is_empty) {
            return;
        }
        self.due.extend(next(&held).map(|at| (at, service.clone())));
        self.held.insert(service.clone(), held);
    }
}

impl Before {
    fn nothing() -> Self {
        Self { carried: Some(Default::default()), held: Default::default() }
    }

    fn of(installed: Option<&ServiceTables>, held: Option<&[Held; 2]>, was_synced: bool) -> Self {
        let held = held.cloned().unwrap_or_default();
        let Some(installed) = installed else {
            // A service that appears later has not lost anything.
            return Self { carried: was_synced.then(Default::default), held };
        };
        let carried = [&installed.v4, &installed.v6].map(|table| {
            let tiers = table.tiers.iter().enumerate().filter(|_| table.carrier.is_some());
            let carrying = tiers.filter(|(position, _)| table.share(*position) > 0);
            carrying.map(|(_, tier)| Arc::clone(&tier.name)).collect()
        });
        Self { carried: Some(carried), held }
    }
}

impl State {
    /// Takes the next step of every fail-back that is due.
    pub(super) fn failback_pass(&mut self, now: Moment, happened: &mut Vec<Transition>) {
        let due = self.failbacks.due.iter().take_while(|(at, _)| *at <= now);
        let due: Vec<ServiceRef> = due.map(|(_, name)| name.clone()).collect();
        for name in due {
            self.recompile(&name, None, happened);
        }
    }

    pub(super) fn failback_deadline(&self) -> Option<Moment> {
        self.failbacks.due.first().map(|(at, _)| *at)
    }

    /// Ends every hold-down, ramp and wait of a service. Returns whether there was any.
    pub(super) fn end_holds(&mut self, name: &ServiceRef) -> bool {
        let had = self.failbacks.held.contains_key(name);
        let installed = self.tables.services.get(name);
        let was_synced = self.instant.was_synced;
        let before = self.instant.before.entry(name.clone());
        let before =
            before.or_insert_with(|| Before::of(installed.map(AsRef::as_ref), None, was_synced));
        before.held = Default::default();
        self.failbacks.forget(name);
        had
    }

    /// The node has moved: the tiers are others now, and none of them has lost anything.
    pub(super) fn end_all_holds(&mut self) {
        self.failbacks.held.clear();
        self.failbacks.due.clear();
        for name in self.services.keys() {
            let before = self.instant.before.entry(name.clone()).or_insert_with(Before::nothing);
            if before.carried.is_some() {
                *before = Before::nothing();
            }
        }
    }
}

/// When one of these changes by itself.
fn next(held: &[Held; 2]) -> Option<Moment> {
    held.iter().flat_map(BTreeMap::values).filter_map(|hold| hold.next).min()
}

fn known<'t>(
    tier: &'t Tier,
    carried: bool,
    fresh: &BTreeSet<BackendRef>,
    objections: &BTreeMap<BackendRef, HealthWord>,
) -> Known<'t> {
    let undrained = |word: HealthWord| word.with(HealthByte::Operator, 0).is_usable();
    let count = |is_healthy: &dyn Fn(&BackendRef, HealthWord) -> bool| -> Count {
        count(tier, objections, is_healthy)
    };
    Known {
        name: &tier.name,
        count: count(&|_, _| false),
        undrained: count(&|_, word| undrained(word)),
        earlier: count(&|backend, word| undrained(word) || fresh.contains(backend)),
        carried,
    }
}
