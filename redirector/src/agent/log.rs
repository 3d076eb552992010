//! What happened, as log lines: INFO is a transition, WARN may need a person.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use redirector_common::HealthByte;
use redirector_core::{
    Transition,
    input::{ClientId, Rerouter},
    service::BackendRef,
};
use tracing::{info, warn};

/// How often it is said of a backend that a client cannot reach it, at most.
const SAID: Duration = Duration::from_mins(1);
/// Of so many backends it is known when that was.
const KNOWN: usize = 4_096;

/// When it was said of each backend that a client cannot reach it: clients can make it happen as
/// often as they like.
#[derive(Debug, Default)]
pub(super) struct Contradictions(BTreeMap<BackendRef, Instant>);

impl Contradictions {
    /// Whether to say it once more.
    fn are_worth_a_line(&mut self, backend: BackendRef, now: Instant) -> bool {
        let is_recent = |said: &Instant| now.duration_since(*said) < SAID;
        if self.0.get(&backend).is_some_and(is_recent) {
            return false;
        }
        if self.0.len() >= KNOWN {
            self.0.retain(|_, said| is_recent(said));
        }
        let has_room = self.0.len() < KNOWN;
        if has_room {
            self.0.insert(backend, now);
        }
        has_room
    }
}

pub(super) fn log(transition: &Transition, contradictions: &mut Contradictions) {
    match transition {
        Transition::Ejected { backend, by, why } => {
            info!(%backend, by = by.name(), %why, "ejected");
        }
        Transition::Readmitted { backend, by } => {
            let by: HealthByte = *by;
            info!(%backend, by = by.name(), "re-admitted");
        }
        Transition::Contradicted { backend, client, refused } => {
            if contradictions.are_worth_a_line(*backend, Instant::now()) {
                match client {
                    Some(ClientId { cgroup, netns }) => {
                        info!(%backend, cgroup, netns, refused, "a client cannot reach it, and a probe can");
                    }
                    None => info!(%backend, "a listener of it has ended, and a probe is answered"),
                }
            }
        }
        Transition::FailedOver { service, from, to } => {
            let movement = Movement::of(from.as_ref(), to.as_ref());
            let (from, to) = (name(from.as_ref()), name(to.as_ref()));
            match movement {
                Movement::Begun => info!(%service, %from, %to, "gets traffic"),
                Movement::Back => info!(%service, %from, %to, "failed back"),
                Movement::Over => warn!(%service, %from, %to, "failed over"),
            }
        }
        Transition::Rerouted { service, from, to, by } => {
            let by = match by {
                Rerouter::Policy => "its policy",
                Rerouter::Operator => "an operator",
            };
            let is_nowhere = to.is_none();
            let (from, to) = (name(from.as_ref()), name(to.as_ref()));
            if is_nowhere {
                warn!(%service, %from, %to, by, "rerouted: none of its tiers has a healthy backend");
            } else {
                info!(%service, %from, %to, by, "rerouted");
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

/// A tier's, for a line.
fn name(tier: Option<&(u8, Arc<str>)>) -> Arc<str> {
    tier.map_or_else(|| "none".into(), |(_, name)| Arc::clone(name))
}

/// Where a service's traffic went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Movement {
    /// From no tier to one: the end of an outage.
    Begun,
    /// To an earlier tier.
    Back,
    /// To a later tier or to none.
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
    use redirector_core::service::Protocol;

    use super::*;

    #[test]
    fn that_a_client_cannot_reach_a_backend_is_said_once_a_minute() {
        let address = std::net::IpAddr::from([10, 1, 0, 1]);
        let one = BackendRef { address, port: 80, protocol: Protocol::Tcp };
        let begin = Instant::now();
        let mut contradictions = Contradictions::default();
        let mut said = |backend, second| {
            let now = begin + Duration::from_secs(second);
            contradictions.are_worth_a_line(backend, now)
        };
        assert_eq!(
            [0, 1, 59, 60, 61].map(|second| said(one, second)),
            [true, false, false, true, false]
        );
        let lines = (0..=u16::MAX).filter(|port| said(BackendRef { port: *port, ..one }, 62));
        assert_eq!(lines.count(), KNOWN - 1, "what is remembered is bounded");
        assert!(said(BackendRef { port: 9_999, ..one }, 200));
    }

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
