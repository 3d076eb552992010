//! When a tier that lost its traffic gets it back, for every service with such a policy.

mod outages;
mod window;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use redirector_common::{HealthByte, HealthWord};

use self::{outages::Outages, window::EventWindow};
use crate::{
    compile::{Objected, Overrides, View, compile_service, count, objected},
    failover::{
        holds::{Held, TierHealth, step},
        loads::{Count, Formula},
    },
    input::{Moment, Rerouter, Transition},
    service::{BackendRef, Service, ServiceRef},
    tables::{ServiceTables, Tier},
};

/// Where the services' loads are not what health says, and what that says of outages.
#[derive(Clone, Debug, Default)]
pub(super) struct Failbacks {
    /// Tiers that do not get what they are due, of IPv4 and of IPv6; no service has two empty ones.
    held: BTreeMap<ServiceRef, [Held; 2]>,
    /// When each of these services has to be looked at again.
    due: BTreeSet<(Moment, ServiceRef)>,
    window: EventWindow,
    outages: Outages,
}

impl Failbacks {
    /// The clock has advanced; `is_synced` says whether a source has said what there is.
    pub(super) fn begin_window(&mut self, is_synced: bool) {
        self.window = EventWindow::new(is_synced);
    }

    /// Probes or the kernel object to a backend.
    pub(super) fn note_ejection(&mut self, backend: BackendRef) {
        self.window.ejected.insert(backend);
    }

    /// Probes object to these, which are sorted.
    pub(super) fn note_ejections(&mut self, backends: &[BackendRef]) {
        self.window.ejected.append(&mut backends.iter().copied().collect());
    }

    /// The holds of these services; in a window that begins now.
    pub(super) fn excerpt<'s>(
        &self,
        services: impl Iterator<Item = &'s ServiceRef>,
        is_synced: bool,
    ) -> Self {
        let mut excerpt = Self { window: EventWindow::new(is_synced), ..Self::default() };
        for (name, held) in services.filter_map(|name| self.held.get_key_value(name)) {
            excerpt.set(name, held.clone());
        }
        excerpt
    }

    /// The holds of a service, of IPv4 and of IPv6.
    pub(super) fn held(&self, service: &ServiceRef) -> Option<&[Held; 2]> {
        self.held.get(service)
    }

    /// The tables of a service with these tiers, if they are not the `installed` ones; `wanted` says
    /// whether its policy or an operator moves its traffic.
    pub(super) fn compile(
        &mut self,
        (service, tiers): (&Service, [Vec<Tier>; 2]),
        installed: Option<&ServiceTables>,
        (view, now): (&View<'_>, Moment),
        (forced, wanted): (Option<&Arc<str>>, Option<Rerouter>),
        happened: &mut Vec<Transition>,
    ) -> Option<Arc<ServiceTables>> {
        let name = &service.name;
        let objected = objected(&tiers, view.objections);
        let ramped = self.hold(service, (&tiers, &objected), installed, now);
        let held = self.held.get(name);
        let new = compile_service(service, tiers, Overrides { forced, held }, &objected);
        let how = (self.window.was_synced, wanted);
        self.outages.failed_over(name, installed, (&new, held), how, happened);
        happened.extend(ramped);
        (installed != Some(&new)).then(|| Arc::new(new))
    }

    /// Brings the holds of a service in line with what is known now; `installed` are its tables
    /// until now. Returns what a fail-back changed.
    fn hold(
        &mut self,
        service: &Service,
        (tiers, objected): (&[Vec<Tier>; 2], &[Vec<Objected>; 2]),
        installed: Option<&ServiceTables>,
        now: Moment,
    ) -> Vec<Transition> {
        let Some(failback) = &service.policy.failback else {
            self.release(&service.name);
            return Vec::new();
        };
        let held = self.held.get(&service.name);
        let (before, ejected) = self.window.before(&service.name, installed, held);
        let formula = Formula::from(&service.policy);
        let mut held: [Held; 2] = Default::default();
        for family in 0..2 {
            let carried = |tier: &Tier| {
                let carried = before.carried.as_ref();
                carried.is_none_or(|names| names[family].contains(&tier.name))
            };
            let health =
                |(tier, objected)| tier_health(&formula, tier, objected, carried(tier), ejected);
            let tiers = tiers[family].iter().zip(&objected[family]);
            let health: Vec<TierHealth<'_>> = tiers.map(health).collect();
            held[family] = step(&formula, failback, &health, &before.held[family], now);
        }
        let happened = self.ramped(service, (tiers, objected), &held, &formula);
        self.set(&service.name, held);
        happened
    }

    /// What has changed since the holds that are still in force.
    fn ramped(
        &self,
        service: &Service,
        (tiers, objected): (&[Vec<Tier>; 2], &[Vec<Objected>; 2]),
        held: &[Held; 2],
        formula: &Formula,
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
                    let mut tiers = tiers[family].iter().zip(&objected[family]);
                    let tier = tiers.find(|(tier, _)| tier.name == *name);
                    let is_back = |(tier, objected)| formula.is_well(count(tier, objected));
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

    /// There is no such service any more.
    pub(super) fn forget(&mut self, service: &ServiceRef) {
        self.release(service);
        self.window.forget(service);
        self.outages.forget(service);
    }

    /// Ends every hold-down, ramp and wait of a service with these tables. Returns whether there
    /// was any.
    pub(super) fn end(&mut self, service: &ServiceRef, installed: Option<&ServiceTables>) -> bool {
        let had = self.held.contains_key(service);
        self.window.before(service, installed, None).0.held = Default::default();
        self.release(service);
        had
    }

    /// The node has moved: the tiers are others now, and none of them has lost anything.
    pub(super) fn end_all<'s>(&mut self, services: impl Iterator<Item = &'s ServiceRef>) {
        self.held.clear();
        self.due.clear();
        services.for_each(|name| self.window.forget_tiers(name));
    }

    /// Services whose next step is due.
    pub(super) fn due(&self, now: Moment) -> Vec<ServiceRef> {
        let due = self.due.iter().take_while(|(at, _)| *at <= now);
        due.map(|(_, name)| name.clone()).collect()
    }

    /// When the next step of any is due.
    pub(super) fn deadline(&self) -> Option<Moment> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Gives every tier of a service what it is due.
    fn release(&mut self, service: &ServiceRef) {
        if let Some(held) = self.held.remove(service)
            && let Some(at) = next(&held)
        {
            self.due.remove(&(at, service.clone()));
        }
    }

    fn set(&mut self, service: &ServiceRef, held: [Held; 2]) {
        self.release(service);
        if held.iter().all(BTreeMap::is_empty) {
            return;
        }
        self.due.extend(next(&held).map(|at| (at, service.clone())));
        self.held.insert(service.clone(), held);
    }
}

/// When one of these changes by itself.
fn next(held: &[Held; 2]) -> Option<Moment> {
    held.iter().flat_map(BTreeMap::values).filter_map(|hold| hold.next).min()
}

fn tier_health<'t>(
    formula: &Formula,
    tier: &'t Tier,
    objected: &Objected,
    carried: bool,
    ejected: &BTreeSet<BackendRef>,
) -> TierHealth<'t> {
    let count = count(tier, objected);
    let is_drained = |word: &HealthWord| word.with(HealthByte::Operator, 0).is_usable();
    let drained = objected.iter().filter(|(_, word)| is_drained(word)).count() as u32;
    let undrained = Count { healthy: count.healthy + drained, ..count };
    // So many as are enough are looked up, and none where it makes no difference.
    let was_well = || {
        let others = objected.iter().filter(|(_, word)| !is_drained(word));
        let back = others.filter(|(backend, _)| ejected.contains(backend));
        let mut healthy = (1..).zip(back).map(|(back, _)| undrained.healthy + back);
        healthy.any(|healthy| formula.is_well(Count { healthy, ..count }))
    };
    let is_lost = carried && !formula.is_well(undrained) && was_well();
    TierHealth { name: &tier.name, count, undrained, is_lost }
}
