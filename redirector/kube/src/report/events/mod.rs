//! Events: what of the core's transitions a cluster's users should see, and in which words.

mod ledger;
mod write;

use std::sync::Arc;

pub(super) use ledger::{Job, Ledger, Outcome};
use redirector_common::HealthByte;
use redirector_core::{
    Transition,
    input::{ClusterEvent, Rerouter, Verb},
    service::ServiceRef,
};
pub(super) use write::write;

use crate::api::{ObjectRef, PortRef};

/// What an Event is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Regarding {
    /// A Service.
    Service(ObjectRef),
    /// A FailoverPolicy.
    Policy(ObjectRef),
    /// The Node of the agent that reports; its Events are in the namespace `default`.
    Node,
}

/// One occurrence of something that becomes an Event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventReport {
    /// What it is about.
    pub regarding: Regarding,
    /// `Warning`, else `Normal`.
    pub is_warning: bool,
    /// One word in CamelCase, for programs, at most 128 bytes: `FailedOver`.
    pub reason: &'static str,
    /// What was done, as `reason`.
    pub action: &'static str,
    /// Occurrences with the same one, and the same `regarding` and `reason`, are counted in one
    /// Event: the note without what differs each time.
    pub template: String,
    /// For people; cut to 1,024 bytes.
    pub note: String,
}

/// The Event of a transition, if it has one.
///
/// In order:
/// - what discovery withdraws or brings back has none, since each rolling update does both;
/// - what an operator's drain does to single backends has none, since the drain has;
/// - what the importer says of another cluster has none, since it says so itself, once;
/// - steps of a ramp have none, since the fail-back has;
/// - what a policy reroutes is `Rerouted`, a `Warning` only if it is to no tier; a tier of the same
///   number has none, since it only is called otherwise now;
/// - what an operator reroutes has none, since the force has;
/// - a transition to an earlier tier, or from no tier to one (the end of an outage: the core says
///   nothing of a service's first backends), is `FailedBack`, else `FailedOver`;
/// - a service that is none of Kubernetes (not `namespace/name`) has none. What follows the name
///   after a colon, a port, is no part of it.
///
/// A backend is no object, and may belong to several services: what happens to one regards the
/// Node from which it was seen.
#[must_use]
pub fn event_of(transition: &Transition) -> Option<EventReport> {
    match transition {
        Transition::Ejected { backend, by, why } => {
            let by = objector(*by)?;
            let template = format!("backend {backend} ejected by {by}");
            let note = format!("{template}: {why}");
            Some(warning(Regarding::Node, "BackendEjected", "Eject", template, Some(note)))
        }
        Transition::Readmitted { backend, by } => {
            let by = objector(*by)?;
            let note = format!("backend {backend} readmitted by {by}");
            Some(normal(Regarding::Node, "BackendReadmitted", "Readmit", note))
        }
        // Clients can have it said as often as they like.
        Transition::Contradicted { .. } => None,
        Transition::FailedOver { service, from, to } => {
            let (regarding, note) = movement(service, from.as_ref(), to.as_ref())?;
            let is_back = match (from, to) {
                (_, None) => false,
                (None, Some(_)) => true,
                (Some((from, _)), Some((to, _))) => to < from,
            };
            Some(if is_back {
                normal(regarding, "FailedBack", "FailBack", note)
            } else {
                warning(regarding, "FailedOver", "FailOver", note, None)
            })
        }
        Transition::Rerouted { by: Rerouter::Operator, .. } => None,
        Transition::Rerouted { from: Some((from, _)), to: Some((to, _)), .. } if from == to => None,
        Transition::Rerouted { service, from, to, by: Rerouter::Policy } => {
            let (regarding, note) = movement(service, from.as_ref(), to.as_ref())?;
            let note = format!("{note} by its policy");
            Some(match to {
                Some(_) => normal(regarding, "Rerouted", "Reroute", note),
                None => warning(regarding, "Rerouted", "Reroute", note, None),
            })
        }
        Transition::NodeSuspect(true) => {
            let note = "nothing answers this node: its own network is suspected, and no further \
                        backend is ejected";
            Some(warning(Regarding::Node, "NodeSuspect", "Suspect", note.to_owned(), None))
        }
        Transition::NodeSuspect(false) => {
            let note = "backends answer this node again".to_owned();
            Some(normal(Regarding::Node, "NodeTrusted", "Trust", note))
        }
        Transition::Cluster { cluster, event } => of_cluster(cluster, *event),
        Transition::Ramped { .. } => None,
        Transition::Ordered(verb) => ordered(verb),
        Transition::Rejected { object, why } => {
            let template = "not accepted; the last good version stays in force".to_owned();
            let note = format!("{template}: {why}");
            Some(warning(regarding(object)?, "Rejected", "Reject", template, Some(note)))
        }
    }
}

/// What this node sees of another cluster.
fn of_cluster(cluster: &str, event: ClusterEvent) -> Option<EventReport> {
    match event {
        ClusterEvent::Silent { .. } | ClusterEvent::Lost { .. } | ClusterEvent::Live => None,
        ClusterEvent::Unreachable { is_told: _, out } => {
            let template = format!("cluster {cluster} does not answer this node");
            let note = format!("{template}: none of its {out} backends gets connections");
            let reason = "ClusterUnreachable";
            Some(warning(Regarding::Node, reason, "EjectCluster", template, Some(note)))
        }
        ClusterEvent::Reachable => {
            let note = format!("cluster {cluster} answers this node again");
            Some(normal(Regarding::Node, "ClusterReachable", "ReadmitCluster", note))
        }
    }
}

fn ordered(verb: &Verb) -> Option<EventReport> {
    // Operators write `node=n9`.
    let drained = |what: &dyn ToString| what.to_string().replacen('=', " ", 1);
    match verb {
        Verb::Drain(what) => {
            let note = format!("{} drained by an operator", drained(what));
            Some(normal(Regarding::Node, "Drained", "Drain", note))
        }
        Verb::Undrain(what) => {
            let note = format!("{}: an operator's drain ended", drained(what));
            Some(normal(Regarding::Node, "Undrained", "Undrain", note))
        }
        Verb::Force { service, tier } => {
            let note = format!("traffic forced to tier {tier} by an operator");
            Some(normal(regarding(service)?, "TierForced", "Force", note))
        }
        Verb::Failback { service } => {
            let note = "fail-back ordered by an operator".to_owned();
            Some(normal(regarding(service)?, "FailbackOrdered", "FailBack", note))
        }
    }
}

/// Who objects by that byte, if an Event is due.
fn objector(by: HealthByte) -> Option<&'static str> {
    match by {
        HealthByte::Discovery | HealthByte::Operator => None,
        HealthByte::Prober => Some("probes"),
        HealthByte::Passive => Some("failed connects"),
        HealthByte::Listener => Some("its listener"),
    }
}

/// Whose traffic moved, and from where to where.
fn movement(
    service: &ServiceRef,
    from: Option<&(u8, Arc<str>)>,
    to: Option<&(u8, Arc<str>)>,
) -> Option<(Regarding, String)> {
    let PortRef { object, port } = PortRef::read(service)?;
    let port = if port.is_empty() { String::new() } else { format!("port {port}: ") };
    let name = |tier: Option<&(u8, Arc<str>)>| match tier {
        Some((number, name)) => format!("tier {number} ({name})"),
        None => "no tier".to_owned(),
    };
    Some((
        Regarding::Service(object),
        format!("{port}traffic moved from {} to {}", name(from), name(to)),
    ))
}

fn regarding(service: &ServiceRef) -> Option<Regarding> {
    Some(Regarding::Service(PortRef::read(service)?.object))
}

fn normal(
    regarding: Regarding,
    reason: &'static str,
    action: &'static str,
    note: String,
) -> EventReport {
    let template = note.clone();
    EventReport { regarding, is_warning: false, reason, action, template, note }
}

fn warning(
    regarding: Regarding,
    reason: &'static str,
    action: &'static str,
    template: String,
    note: Option<String>,
) -> EventReport {
    let note = note.unwrap_or_else(|| template.clone());
    EventReport { regarding, is_warning: true, reason, action, template, note }
}

#[cfg(test)]
mod tests {
    use redirector_core::{
        input::Drained,
        service::{BackendRef, Protocol},
    };

    use super::*;

    #[test]
    fn transitions_have_the_reason_and_the_object_that_a_user_looks_for() {
        let backend =
            BackendRef { address: [10, 1, 0, 5].into(), port: 8080, protocol: Protocol::Tcp };
        let ejected = |by| Transition::Ejected { backend, by, why: "refused".into() };
        let tier = |tier: Option<u8>| tier.map(|tier| (tier, Arc::from(format!("t{tier}"))));
        let rerouted = |from: Option<u8>, to: Option<u8>, by: Rerouter| {
            let service = ServiceRef("shop/a".into());
            Transition::Rerouted { service, from: tier(from), to: tier(to), by }
        };
        let moved = |service: &str, from: Option<u8>, to: Option<u8>| {
            let service = ServiceRef(service.into());
            Transition::FailedOver { service, from: tier(from), to: tier(to) }
        };
        let rows = [
            (
                ejected(HealthByte::Passive),
                Some(
                    "BackendEjected Node backend 10.1.0.5:8080/tcp ejected by failed connects: refused",
                ),
            ),
            (ejected(HealthByte::Discovery), None),
            (ejected(HealthByte::Operator), None),
            (
                Transition::Readmitted { backend, by: HealthByte::Prober },
                Some("BackendReadmitted Node backend 10.1.0.5:8080/tcp readmitted by probes"),
            ),
            (
                moved("shop/a", Some(0), Some(1)),
                Some("FailedOver shop/a traffic moved from tier 0 (t0) to tier 1 (t1)"),
            ),
            (
                moved("shop/a:http", Some(1), Some(0)),
                Some("FailedBack shop/a port http: traffic moved from tier 1 (t1) to tier 0 (t0)"),
            ),
            (
                moved("shop/a", Some(0), None),
                Some("FailedOver shop/a traffic moved from tier 0 (t0) to no tier"),
            ),
            (
                moved("shop/a", None, Some(1)),
                Some("FailedBack shop/a traffic moved from no tier to tier 1 (t1)"),
            ),
            (rerouted(Some(1), Some(1), Rerouter::Policy), None),
            (
                rerouted(Some(0), Some(1), Rerouter::Policy),
                Some("Rerouted shop/a traffic moved from tier 0 (t0) to tier 1 (t1) by its policy"),
            ),
            (
                rerouted(Some(0), None, Rerouter::Policy),
                Some("Rerouted shop/a traffic moved from tier 0 (t0) to no tier by its policy"),
            ),
            (rerouted(Some(0), Some(1), Rerouter::Operator), None),
            (moved("no-namespace", Some(0), Some(1)), None),
            (moved("Shop/a", Some(0), Some(1)), None),
            (
                Transition::NodeSuspect(false),
                Some("NodeTrusted Node backends answer this node again"),
            ),
            (
                Transition::Ordered(Verb::Drain(Drained::Zone("a".into()))),
                Some("Drained Node zone a drained by an operator"),
            ),
            (
                Transition::Ordered(Verb::Drain(Drained::Node("west/n9".into()))),
                Some("Drained Node node west/n9 drained by an operator"),
            ),
            (
                Transition::Rejected { object: ServiceRef("shop/a".into()), why: "bad".into() },
                Some("Rejected shop/a not accepted; the last good version stays in force: bad"),
            ),
            (
                Transition::Ramped {
                    service: ServiceRef("shop/a".into()),
                    tier: "t".into(),
                    percent: 50,
                },
                None,
            ),
        ];
        for (transition, expected) in rows {
            let said = event_of(&transition).map(|report| {
                let EventReport { regarding, reason, note, .. } = report;
                let regarding = match regarding {
                    Regarding::Service(object) | Regarding::Policy(object) => object.to_string(),
                    Regarding::Node => "Node".to_owned(),
                };
                format!("{reason} {regarding} {note}")
            });
            assert_eq!(said.as_deref(), expected, "{transition:?}");
        }
    }
}
