//! What operators order and ask: answered by the one task that knows.

use std::collections::BTreeSet;

use redirector_core::{
    Input, Transition,
    input::{Drained, Verb},
    service::{BackendRef, Service, ServiceRef},
};
use tracing::warn;

use super::Agent;
use crate::control::{Ask, Explanation, Health, Order, Subject};

impl Agent {
    /// Carries out or answers. Nobody may be waiting for the answer any more.
    pub(super) fn answer(&mut self, ask: Ask) {
        match ask {
            Ask::Order(order, asker) if !asker.waits() => {
                warn!(%order, "not carried out: its client has given up");
            }
            Ask::Order(order, asker) => {
                let result = self.order(order);
                // In force before it is said to be.
                self.retry_at = self.settle();
                asker.answer(result);
            }
            Ask::Orders(answer) => {
                let _ = answer.send(self.orders_in_force());
            }
            Ask::Explain { service, dead, answer } => {
                let told = tokio::task::block_in_place(|| self.explain(service, dead));
                let _ = answer.send(told);
            }
            Ask::Health(services, answer) => {
                let told = services.iter().map(|service| self.health(service)).collect();
                let _ = answer.send(told);
            }
        }
    }

    fn health(&self, service: &ServiceRef) -> Option<Health> {
        let tables = self.world.tables();
        let of = tables.services.get(service)?;
        let tiers = of.v4.tiers.iter().chain(&of.v6.tiers);
        let backends: BTreeSet<_> =
            tiers.flat_map(|tier| &tier.entries).map(|entry| entry.backend).collect();
        let is_healthy = |backend: &&BackendRef| {
            tables.objections.get(backend).is_none_or(|word| word.is_usable())
        };
        Some(Health {
            is_programmed: self.retry_at.is_none()
                && self.outputs.lost().is_none()
                && !self.rejected.contains_key(service),
            backends: backends.len(),
            healthy: backends.iter().filter(is_healthy).count(),
        })
    }

    /// One service, or all, as they are, or as they would be if some were dead.
    fn explain(&self, service: Option<String>, dead: Vec<Subject>) -> Vec<Explanation> {
        let now = self.now();
        let dead: Vec<Drained> = dead.into_iter().map(Drained::from).collect();
        let supposed = (!dead.is_empty()).then(|| self.world.suppose(&dead));
        let world = supposed.as_ref().unwrap_or(&self.world);
        let names: Vec<ServiceRef> = match service {
            Some(service) => self.meant(&service),
            None => world.services().map(|service| service.name.clone()).collect(),
        };
        let told = names.iter().filter_map(|name| world.explain(name, now));
        let lost = self.outputs.lost();
        told.map(|told| Explanation::new(told, now, lost.as_deref())).collect()
    }

    /// The services that an operator means by a name: the one that is called so, and one for each of
    /// its named ports.
    fn meant(&self, name: &str) -> Vec<ServiceRef> {
        let is_meant = |service: &&Service| {
            let rest = service.name.0.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
        };
        self.world.services().filter(is_meant).map(|service| service.name.clone()).collect()
    }

    /// The same order for each service that it means. One that means none is left to be refused.
    fn spelt_out(&self, order: Order) -> Vec<Order> {
        let (Order::Force { service: name, .. } | Order::Failback { service: name }) = &order
        else {
            return vec![order];
        };
        let services = self.meant(name);
        if services.is_empty() {
            return vec![order];
        }
        services.into_iter().map(|service| order.clone().of(service.0)).collect()
    }

    /// Carries out what was in force when the agent before this one ended; once the services are
    /// known, or a tier to be forced would not be.
    pub(super) fn resume_orders(&mut self) {
        if !self.world.is_synced() {
            return;
        }
        for order in std::mem::take(&mut self.orders_to_resume) {
            if let Err(why) = self.apply_order(order.clone()) {
                warn!(%order, why, "an earlier order cannot be carried out any more");
            }
        }
    }

    /// Which orders are in force by that one.
    fn order(&mut self, order: Order) -> Result<Vec<Order>, String> {
        let carried_out = self.apply_order(order)?;
        let orders = self.orders_in_force();
        self.orders.write(&orders).map_err(|error| {
            format!("it is in force, but would not survive this agent: {error:#}")
        })?;
        Ok(carried_out)
    }

    /// Carries out an order for all services that it means, or for none.
    fn apply_order(&mut self, order: Order) -> Result<Vec<Order>, String> {
        let orders = self.spelt_out(order);
        if orders.len() > 1 {
            let mut supposed = self.world.suppose(&[]);
            for order in orders.iter().cloned() {
                refusal(supposed.apply(Input::Operator(Verb::from(order)), self.now()))?;
            }
        }
        for order in orders.iter().cloned() {
            refusal(self.take(Input::Operator(Verb::from(order))))?;
        }
        Ok(orders)
    }

    /// Those of this life, and those still to be resumed.
    fn orders_in_force(&self) -> Vec<Order> {
        let orders = self.world.orders().iter().cloned().map(Order::from);
        orders.chain(self.orders_to_resume.iter().cloned()).collect()
    }
}

/// Why the world does not do what it was ordered to do.
fn refusal(transitions: Vec<Transition>) -> Result<(), String> {
    let refusal = transitions.into_iter().find_map(|transition| match transition {
        Transition::Rejected { object, why } => Some(format!("{object}: {why}")),
        _ => None,
    });
    refusal.map_or(Ok(()), Err)
}
