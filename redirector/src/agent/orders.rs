//! What operators order: carried out for all that it means, or for nothing.
//!
//! Of an operator an order is refused that names what there is not, for it is a typing mistake. An
//! earlier agent's order stays in force meanwhile: what it names may return.

use std::collections::BTreeSet;

use redirector_core::{
    Input, Transition,
    input::{Drained, Verb},
    service::ServiceRef,
};
use tracing::warn;

use super::Agent;
use crate::control::{CarriedOut, Effect, Order, Subject, there_are};

impl Agent {
    /// Carries out what was in force when the agent before this one ended; once the services are
    /// known, or a tier to be forced would not be.
    pub(super) fn resume_orders(&mut self) {
        if !self.state.is_synced() {
            return;
        }
        for order in std::mem::take(&mut self.orders_to_resume) {
            if let Err(why) = self.apply_order(&order) {
                warn!(%order, why, "an earlier order cannot be carried out any more");
            }
        }
    }

    /// Carries out an order; returns which orders are in force by it, and what they came to.
    pub(super) fn order(&mut self, order: Order) -> Result<Vec<CarriedOut>, String> {
        let was_in_force = self.is_in_force(&order);
        self.check(&order, was_in_force)?;
        let extent =
            |agent: &Self, subject: &Subject| agent.state.extent(&Drained::from(subject.clone()));
        let carried_out = self.apply_order(&order)?;
        self.forget_to_resume(&order);
        let is_known = self.state.is_synced();
        let carried_out = carried_out.into_iter().map(|(order, has_changed)| {
            let effect = match &order {
                _ if !is_known => Effect::Unknown,
                Order::Drain(subject) => Effect::drained(extent(self, subject), was_in_force),
                Order::Undrain(subject) => Effect::undrained(extent(self, subject)),
                Order::Force { service, tier } => self.forced(service, tier),
                Order::Failback { .. } => Effect::FailedBack { had_any: has_changed },
            };
            CarriedOut { order, effect }
        });
        let carried_out = carried_out.collect();
        self.orders.write(&self.orders_in_force()).map_err(|error| {
            format!("it is in force, but would not survive this agent: {error:#}")
        })?;
        Ok(carried_out)
    }

    /// Whether an order is about something that there is. What is in force already may be ordered
    /// again; until a source has been heard anything may be.
    pub(super) fn check(&self, order: &Order, was_in_force: bool) -> Result<(), String> {
        match order {
            Order::Undrain(_) if was_in_force => Ok(()),
            Order::Undrain(subject) => {
                let drained = self.orders_in_force().into_iter().filter_map(|order| match order {
                    Order::Drain(subject) => Some(subject.to_string()),
                    _ => None,
                });
                let others = there_are(&subject.to_string(), drained);
                Err(format!("{subject} is not drained by an order{others}"))
            }
            _ if was_in_force || !self.state.is_synced() => Ok(()),
            Order::Drain(subject) => self.find(subject),
            Order::Failback { service } if !self.forced_services(service).is_empty() => Ok(()),
            Order::Force { service, .. } | Order::Failback { service } => {
                self.find_services(service).map(|_| ())
            }
        }
    }

    /// Whether a drain is in force, or the drain that an undrain ends.
    pub(super) fn is_in_force(&self, order: &Order) -> bool {
        let (Order::Drain(subject) | Order::Undrain(subject)) = order else { return false };
        let drain = self.state.as_seen(Verb::Drain(subject.clone().into()));
        let resumed = self.orders_to_resume.iter().cloned().map(Verb::from);
        self.state.is_ordered(&drain)
            || resumed.into_iter().any(|verb| self.state.as_seen(verb) == drain)
    }

    /// What ends or replaces an earlier agent's order does so before that is resumed, too.
    fn forget_to_resume(&mut self, order: &Order) {
        let state = &self.state;
        let drain = |subject: &Subject| state.as_seen(Verb::Drain(subject.clone().into()));
        self.orders_to_resume.retain(|earlier| match (order, earlier) {
            (Order::Undrain(subject), Order::Drain(drained)) => drain(subject) != drain(drained),
            (
                Order::Force { service, .. } | Order::Failback { service },
                Order::Force { service: forced, .. },
            ) => !is_meant(service, forced),
            _ => true,
        });
    }

    /// Services of that name, or with ports of it, that a force in force names: some may be gone.
    fn forced_services(&self, name: &str) -> Vec<ServiceRef> {
        let orders = self.orders_in_force().into_iter();
        let forced = orders.filter_map(|order| match order {
            Order::Force { service, .. } if is_meant(name, &service) => Some(ServiceRef(service)),
            _ => None,
        });
        forced.collect()
    }

    fn forced(&self, service: &std::sync::Arc<str>, tier: &str) -> Effect {
        let name = redirector_core::service::ServiceRef(service.clone());
        let told = self.state.explain(&name, self.now());
        let tiers = told.iter().flat_map(|told| &told.families).flat_map(|family| &family.tiers);
        let counts = tiers.filter(|of| &*of.name == tier).map(|of| of.count);
        let (healthy, backends) = counts.fold((0, 0), |(healthy, backends), count| {
            (healthy + count.healthy, backends + count.total)
        });
        Effect::Forced { healthy, backends }
    }

    /// The same order for each service that it means. One that means none is left to be refused.
    fn spelt_out(&self, order: &Order) -> Vec<Order> {
        let (Order::Force { service: name, .. } | Order::Failback { service: name }) = order else {
            return vec![order.clone()];
        };
        let mut services: BTreeSet<_> =
            self.find_services(name).unwrap_or_default().into_iter().collect();
        if matches!(order, Order::Failback { .. }) {
            services.extend(self.forced_services(name));
        }
        if services.is_empty() {
            return vec![order.clone()];
        }
        services.into_iter().map(|service| order.clone().of(service.0)).collect()
    }

    /// Carries out an order for all services that it means, or for none; and says of each whether it
    /// has changed anything.
    fn apply_order(&mut self, order: &Order) -> Result<Vec<(Order, bool)>, String> {
        let orders = self.spelt_out(order);
        if orders.len() > 1 {
            let mut supposed = self.state.clone();
            for order in orders.iter().cloned() {
                has_changed(supposed.apply(Input::Operator(Verb::from(order)), self.now()))?;
            }
        }
        let applied = orders.into_iter().map(|order| {
            let happened = self.take(Input::Operator(Verb::from(order.clone())));
            Ok((order, has_changed(happened)?))
        });
        applied.collect()
    }

    /// Orders of this life, and those still to be resumed.
    pub(super) fn orders_in_force(&self) -> Vec<Order> {
        let orders = self.state.orders().into_iter().map(Order::from);
        orders.chain(self.orders_to_resume.iter().cloned()).collect()
    }
}

/// Whether an operator who says `name` means that service: it, or a port of it.
fn is_meant(name: &str, service: &str) -> bool {
    let rest = service.strip_prefix(name);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
}

/// Whether the state has done something new; or why it does not do what it was ordered to do.
fn has_changed(transitions: Vec<Transition>) -> Result<bool, String> {
    let mut has_changed = false;
    for transition in transitions {
        match transition {
            Transition::Rejected { object, why } => return Err(format!("{object}: {why}")),
            Transition::Ordered(_) => has_changed = true,
            _ => {}
        }
    }
    Ok(has_changed)
}
