//! What happened, as log lines: INFO is a transition, WARN may need a person.

use std::sync::Arc;

use redirector_common::HealthByte;
use redirector_core::{Transition, input::ClientId};
use tracing::{info, warn};

pub(super) fn log(transition: &Transition) {
    match transition {
        Transition::Ejected { backend, by, why } => {
            info!(%backend, by = by.name(), %why, "ejected");
        }
        Transition::Readmitted { backend, by } => {
            let by: HealthByte = *by;
            info!(%backend, by = by.name(), "re-admitted");
        }
        Transition::Contradicted { backend, client, refused } => {
            let ClientId { cgroup, netns } = client;
            info!(%backend, cgroup, netns, refused, "a client cannot reach what answers its probes");
        }
        Transition::FailedOver { service, from, to } => {
            let name = |tier: &Option<(u8, Arc<str>)>| {
                tier.as_ref().map_or_else(|| "none".into(), |(_, name)| Arc::clone(name))
            };
            let movement = Movement::of(from.as_ref(), to.as_ref());
            let (from, to) = (name(from), name(to));
            match movement {
                Movement::Begun => info!(%service, %from, %to, "gets traffic"),
                Movement::Back => info!(%service, %from, %to, "failed back"),
                Movement::Over => warn!(%service, %from, %to, "failed over"),
            }
        }
        Transition::NodeSuspect(true) => {
            warn!("nothing answers this node; its own network is suspected");
        }
        Transition::NodeSuspect(false) => info!("this node's network answers again"),
        Transition::Ramped { service, tier, percent } => {
            info!(%service, %tier, percent, "the tier gets its traffic back");
        }
        Transition::Ordered(verb) => info!(?verb, "an operator's wish is in force"),
        Transition::Rejected { object, why } => {
            warn!(%object, %why, "rejected; its last good version stays in force");
        }
    }
}

/// Where a service's traffic went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Movement {
    /// From no tier to one: the end of an outage.
    Begun,
    /// To an earlier tier.
    Back,
    /// To a later tier or to none; and within a number, whose tier is another one now.
    Over,
}

impl Movement {
    fn of(from: Option<&(u8, Arc<str>)>, to: Option<&(u8, Arc<str>)>) -> Self {
        match (from, to) {
            (None, Some(_)) => Self::Begun,
            (Some((from, _)), Some((to, _))) if to < from => Self::Back,
            _ => Self::Over,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_need_a_person_is_a_failover() {
        for (from, to, expected) in [
            (None, Some(0), Movement::Begun),
            (None, Some(1), Movement::Begun),
            (Some(1), Some(0), Movement::Back),
            (Some(0), Some(1), Movement::Over),
            (Some(0), None, Movement::Over),
        ] {
            let tier = |number: Option<u8>| number.map(|number| (number, Arc::from("t")));
            let movement = Movement::of(tier(from).as_ref(), tier(to).as_ref());
            assert_eq!(movement, expected, "{from:?} to {to:?}");
        }
    }
}
