//! What operators order and ask: answered by the one task that knows.

use redirector_core::{Input, Transition, input::Verb};
use tracing::warn;

use super::Agent;
use crate::control::{Ask, Order};

impl Agent {
    /// Carries out or answers. Nobody may be waiting for the answer any more.
    pub(super) fn answer(&mut self, ask: Ask) {
        match ask {
            Ask::Order(order, answer) => {
                let result = self.order(order);
                // In force before it is said to be.
                self.retry_at = self.settle();
                let _ = answer.send(result);
            }
            Ask::Orders(answer) => {
                let _ = answer.send(self.orders_in_force());
            }
            Ask::Services(answer) => {
                let names = self.world.services().map(|service| service.name.to_string());
                let _ = answer.send(names.collect());
            }
            Ask::Explain { service, dead, answer } => {
                let _ = (service, dead);
                let _ = answer.send(None);
            }
        }
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

    fn order(&mut self, order: Order) -> Result<(), String> {
        self.apply_order(order)?;
        let orders = self.orders_in_force();
        self.orders
            .write(&orders)
            .map_err(|error| format!("it is in force, but would not survive this agent: {error:#}"))
    }

    fn apply_order(&mut self, order: Order) -> Result<(), String> {
        let transitions = self.take(Input::Operator(Verb::from(order)));
        let refusal = transitions.into_iter().find_map(|transition| match transition {
            Transition::Rejected { object, why } => Some(format!("{object}: {why}")),
            _ => None,
        });
        refusal.map_or(Ok(()), Err)
    }

    /// Those of this life, and those still to be resumed.
    fn orders_in_force(&self) -> Vec<Order> {
        let orders = self.world.orders().iter().cloned().map(Order::from);
        orders.chain(self.orders_to_resume.iter().cloned()).collect()
    }
}
