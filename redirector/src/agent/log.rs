//! What happened, as log lines: INFO is a transition, WARN may need a person.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Instant,
};

use redirector_core::{
    Transition,
    input::{ClientId, ClusterEvent, Rerouter},
    service::{BackendRef, ServiceRef},
};
use tracing::{info, warn};

use crate::quota::{Quota, Subject};

/// What has been said lately.
#[derive(Debug, Default)]
pub(super) struct Log {
    quota: Quota,
    /// Tiers whose ramp has begun.
    ramps: BTreeMap<ServiceRef, BTreeSet<Arc<str>>>,
}

/// The first of several, and how many more there are.
pub(super) struct Several<'s, T>(pub(super) &'s [T]);

impl<T: fmt::Display> fmt::Display for Several<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => f.write_str("none"),
            [one] => one.fmt(f),
            [first, rest @ ..] => write!(f, "{first} and {} more", rest.len()),
        }
    }
}

impl Log {
    /// Says that something has happened, unless as much has been said of the same object.
    pub(super) fn transition(&mut self, transition: &Transition) {
        if !self.has_line(transition) {
            return;
        }
        let subject = match transition {
            Transition::Ejected { backend, .. } | Transition::Readmitted { backend, .. } => {
                Subject::Backend(*backend)
            }
            Transition::Contradicted { backend, .. } => Subject::Clients(*backend),
            Transition::FailedOver { service, .. }
            | Transition::Rerouted { service, .. }
            | Transition::Ramped { service, .. } => Subject::Service(service.clone()),
            Transition::Rejected { object, .. } => Subject::Service(object.clone()),
            Transition::NodeSuspect(_) | Transition::Ordered(_) | Transition::Cluster { .. } => {
                return write_line(transition);
            }
        };
        if self.quota.allows(subject, Instant::now()) {
            write_line(transition);
        }
    }

    /// Whether to say that connections to these are reset.
    pub(super) fn allows_reset(&mut self, lost: &[BackendRef]) -> bool {
        let now = Instant::now();
        lost.iter().any(|backend| self.quota.allows(Subject::Resets(*backend), now))
    }

    /// Says how much has been left out, once a minute for each object.
    pub(super) fn sweep(&mut self) {
        self.quota.say_left_out(Instant::now());
    }

    /// Whether a transition has a line: of a ramp only its begin and its end have one.
    fn has_line(&mut self, transition: &Transition) -> bool {
        match transition {
            Transition::Ramped { service, tier, percent: 100 } => {
                let Some(tiers) = self.ramps.get_mut(service) else { return true };
                tiers.remove(tier);
                if tiers.is_empty() {
                    self.ramps.remove(service);
                }
                true
            }
            Transition::Ramped { service, tier, .. } => {
                self.ramps.entry(service.clone()).or_default().insert(Arc::clone(tier))
            }
            // Another ramp will begin, and whether this one ends is not known.
            Transition::FailedOver { service, from, to }
            | Transition::Rerouted { service, from, to, .. } => {
                if Movement::of(from.as_ref(), to.as_ref()) == Movement::Over {
                    self.ramps.remove(service);
                }
                true
            }
            _ => true,
        }
    }
}

fn write_line(transition: &Transition) {
    match transition {
        Transition::Ejected { backend, by, why } => {
            info!(%backend, by = by.name(), %why, "ejected");
        }
        Transition::Readmitted { backend, by } => {
            info!(%backend, by = by.name(), "re-admitted");
        }
        Transition::Contradicted { backend, client: Some(client), unresponsive: true, .. } => {
            let ClientId { cgroup, netns } = client;
            info!(%backend, cgroup, netns, "it did not answer a client, and a probe is answered");
        }
        Transition::Contradicted { backend, client: None, unresponsive: true, .. } => {
            info!(%backend, "clients were not answered, and a probe is");
        }
        Transition::Contradicted { backend, client, refused, .. } => match client {
            Some(ClientId { cgroup, netns }) => {
                info!(%backend, cgroup, netns, refused, "a client cannot reach it, and a probe can");
            }
            None => info!(%backend, "a listener of it has ended, and a probe is answered"),
        },
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
        Transition::Cluster { cluster, event } => write_cluster_line(cluster, *event),
        Transition::Ramped { service, tier, percent: 100 } => {
            info!(%service, %tier, percent = 100, "the tier has its traffic back");
        }
        Transition::Ramped { service, tier, percent } => {
            info!(%service, %tier, percent, "the tier gets its traffic back, step by step");
        }
        Transition::Ordered(order) => info!(%order, "an operator's wish is in force"),
        Transition::Rejected { object, why } => {
            warn!(%object, %why, "rejected; its last good version stays in force");
        }
    }
}

fn write_cluster_line(cluster: &str, event: ClusterEvent) {
    match event {
        ClusterEvent::Silent { out: 0 } => {
            warn!(%cluster, "the importer does not hear it; its backends that answer are kept");
        }
        ClusterEvent::Silent { out } => {
            warn!(%cluster, out, "the importer does not hear it: all of its backends are out");
        }
        ClusterEvent::Lost { out } => {
            warn!(%cluster, out, "the importer has lost it: all of its backends are out");
        }
        ClusterEvent::Live => info!(%cluster, "the importer hears it again"),
        ClusterEvent::Unreachable { is_told: true, out } => {
            warn!(%cluster, out, "it is not heard, and none of its backends answers: all are out");
        }
        ClusterEvent::Unreachable { is_told: false, out } => {
            warn!(%cluster, out, "none of its backends answers this node: all are out");
        }
        ClusterEvent::Reachable => info!(%cluster, "its backends answer this node again"),
    }
}

/// A tier's name, for a line.
fn name(tier: Option<&(u8, Arc<str>)>) -> Arc<str> {
    tier.map_or_else(|| "none".into(), |(_, name)| Arc::clone(name))
}

/// Where a service's traffic went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Movement {
    /// It went from no tier to one: the end of an outage.
    Begun,
    /// It went to an earlier tier.
    Back,
    /// It went to a later tier or to none.
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
    fn a_ramp_is_a_line_at_its_begin_and_one_at_its_end() {
        let ramped = |percent| Transition::Ramped {
            service: ServiceRef("shop/web".into()),
            tier: "near".into(),
            percent,
        };
        let mut log = Log::default();
        let mut lines = || -> Vec<u8> {
            (5..=100).step_by(5).filter(|percent| log.has_line(&ramped(*percent))).collect()
        };
        assert_eq!(lines(), [5, 100]);
        assert_eq!(lines(), [5, 100], "the next one");
        // One that a failure cuts off has no end.
        assert!(log.has_line(&ramped(5)));
        let (near, far) = (Some((0, "near".into())), Some((1, "far".into())));
        let service = ServiceRef("shop/web".into());
        assert!(log.has_line(&Transition::FailedOver { service, from: near, to: far }));
        assert!(log.has_line(&ramped(5)));
        assert!(!log.has_line(&ramped(10)));
    }

    #[test]
    fn of_several_one_is_named() {
        assert_eq!(Several(&[1]).to_string(), "1");
        assert_eq!(Several(&[1, 2, 3]).to_string(), "1 and 2 more");
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
