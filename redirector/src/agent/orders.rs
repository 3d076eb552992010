//! What operators order: carried out for all that it means, or for nothing.
//!
//! Of an operator an order is refused that names what there is not, for it is a typing mistake. An
//! earlier agent's order stays in force meanwhile: what it names may return.

use std::collections::BTreeSet;

use redirector_core::{
    Input, Transition,
    input::{Drained, Verb},
    service::ServiceRef,
    state::Extent,
};
use tracing::warn;

use super::Agent;
use crate::control::{CarriedOut, Effect, there_are};

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
    pub(super) fn order(&mut self, order: Verb) -> Result<Vec<CarriedOut>, String> {
        let was_in_force = self.is_in_force(&order);
        self.check(&order, was_in_force)?;
        let carried_out = self.apply_order(&order)?;
        self.forget_to_resume(&order);
        let is_known = self.state.is_synced();
        let carried_out = carried_out.into_iter().map(|(order, has_changed)| {
            let effect = match &order {
                _ if !is_known => Effect::Unknown,
                Verb::Drain(subject) => {
                    let Extent { backends, services, drained: _ } = self.state.extent(subject);
                    Effect::Drained { was_in_force, backends, services }
                }
                Verb::Undrain(subject) => {
                    let Extent { backends, services, drained } = self.state.extent(subject);
                    Effect::Undrained { backends, services, still_drained: drained }
                }
                Verb::Force { service, tier } => self.forced(service, tier),
                Verb::Failback { .. } => Effect::FailedBack { had_any: has_changed },
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
    pub(super) fn check(&self, order: &Verb, was_in_force: bool) -> Result<(), String> {
        match order {
            Verb::Undrain(_) if was_in_force => Ok(()),
            Verb::Undrain(subject) => {
                let drained = self.orders_in_force().into_iter().filter_map(|order| match order {
                    Verb::Drain(subject) => Some(subject.to_string()),
                    _ => None,
                });
                let others = there_are(&subject.to_string(), drained);
                Err(format!("{subject} is not drained by an order{others}"))
            }
            _ if was_in_force || !self.state.is_synced() => Ok(()),
            Verb::Drain(subject) => self.find(subject),
            Verb::Failback { service } if !self.forced_services(service).is_empty() => Ok(()),
            Verb::Force { service, .. } | Verb::Failback { service } => {
                self.find_services(&service.0).map(|_| ())
            }
        }
    }

    /// Whether a drain is in force, or the drain that an undrain ends.
    pub(super) fn is_in_force(&self, order: &Verb) -> bool {
        let (Verb::Drain(subject) | Verb::Undrain(subject)) = order else { return false };
        let drain = self.state.as_seen(Verb::Drain(subject.clone()));
        let mut resumed = self.orders_to_resume.iter().cloned();
        self.state.is_ordered(&drain) || resumed.any(|verb| self.state.as_seen(verb) == drain)
    }

    /// What ends or replaces an earlier agent's order does so before that is resumed, too.
    fn forget_to_resume(&mut self, order: &Verb) {
        let state = &self.state;
        let drain = |subject: &Drained| state.as_seen(Verb::Drain(subject.clone()));
        self.orders_to_resume.retain(|earlier| match (order, earlier) {
            (Verb::Undrain(subject), Verb::Drain(drained)) => drain(subject) != drain(drained),
            (
                Verb::Force { service, .. } | Verb::Failback { service },
                Verb::Force { service: forced, .. },
            ) => !is_meant(&service.0, forced),
            _ => true,
        });
    }

    /// Services of that name, or with ports of it, that a force in force names: some may be gone.
    fn forced_services(&self, name: &ServiceRef) -> Vec<ServiceRef> {
        let orders = self.orders_in_force().into_iter();
        let forced = orders.filter_map(|order| match order {
            Verb::Force { service, .. } if is_meant(&name.0, &service) => Some(service),
            _ => None,
        });
        forced.collect()
    }

    fn forced(&self, service: &ServiceRef, tier: &str) -> Effect {
        let told = self.state.explain(service, self.now());
        let tiers = told.iter().flat_map(|told| &told.families).flat_map(|family| &family.tiers);
        let tiers = tiers.filter(|of| &*of.name == tier);
        let (healthy, backends) = tiers.fold((0, 0), |(healthy, backends), tier| {
            (healthy + tier.healthy, backends + tier.backends.len() as u32)
        });
        Effect::Forced { healthy, backends }
    }

    /// The same order for each service that it means. One that means none is left to be refused.
    fn spelt_out(&self, order: &Verb) -> Vec<Verb> {
        let (Verb::Force { service: name, .. } | Verb::Failback { service: name }) = order else {
            return vec![order.clone()];
        };
        let mut services: BTreeSet<_> =
            self.find_services(&name.0).unwrap_or_default().into_iter().collect();
        if matches!(order, Verb::Failback { .. }) {
            services.extend(self.forced_services(name));
        }
        if services.is_empty() {
            return vec![order.clone()];
        }
        let of = |service| match order {
            Verb::Force { tier, .. } => Verb::Force { service, tier: tier.clone() },
            _ => Verb::Failback { service },
        };
        services.into_iter().map(of).collect()
    }

    /// Carries out an order for all services that it means, or for none; and says of each whether it
    /// has changed anything.
    fn apply_order(&mut self, order: &Verb) -> Result<Vec<(Verb, bool)>, String> {
        let orders = self.spelt_out(order);
        if orders.len() > 1 {
            let services = orders.iter().filter_map(|order| match order {
                Verb::Force { service, .. } | Verb::Failback { service } => Some(service.clone()),
                Verb::Drain(_) | Verb::Undrain(_) => None,
            });
            let mut supposed = self.state.excerpt(&services.collect::<Vec<_>>());
            for order in orders.iter().cloned() {
                has_changed(supposed.apply(Input::Operator(order), self.now()))?;
            }
        }
        let applied = orders.into_iter().map(|order| {
            let happened = self.take(Input::Operator(order.clone()));
            Ok((order, has_changed(happened)?))
        });
        applied.collect()
    }

    /// Orders of this life, and those still to be resumed.
    pub(super) fn orders_in_force(&self) -> Vec<Verb> {
        self.state.orders().iter().chain(&self.orders_to_resume).cloned().collect()
    }
}

/// Whether an operator who says `name` means that service: it, or a port of it.
pub(super) fn is_meant(name: &str, service: &ServiceRef) -> bool {
    let rest = service.0.strip_prefix(name);
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
