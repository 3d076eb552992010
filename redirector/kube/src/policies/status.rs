//! The conditions of one policy.

use std::sync::Arc;

use redirector_core::failover::vacancies::{Vacancy, Vacant};

use crate::api::ObjectRef;

use super::{
    ClusterTrouble, Condition,
    ConditionKind::{Accepted, Degraded, Programmed},
    Facts, Policies, PolicyStatus, PolicyVersions, PortHealth, Resolved, ServiceState, TierState,
    reason,
};

/// In order: Accepted is about the newest version; Programmed and Degraded about what is in force
/// of it, and about the Services for which it holds.
pub(super) fn status(
    policies: &Policies,
    known: &PolicyVersions,
    facts: &impl Facts,
) -> PolicyStatus {
    let PolicyVersions { generation, problem, good } = known;
    let targets = Targets::of(policies, good.as_ref(), facts);
    let conditions = match problem {
        Some(problem) => refused(problem, good.as_ref(), &targets, facts),
        None => {
            let accepted = targets.accepted();
            vec![accepted, targets.programmed(), targets.degraded(good.as_ref(), facts)]
        }
    };
    PolicyStatus { generation: *generation, conditions }
}

/// The status of a policy whose newest version is invalid.
fn refused(
    problem: &str,
    good: Option<&Resolved>,
    targets: &Targets,
    facts: &impl Facts,
) -> Vec<Condition> {
    let stays = match good {
        Some(good) if !targets.held.is_empty() => {
            format!("generation {} stays in force", good.generation)
        }
        _ => "nothing of it is in force".to_owned(),
    };
    vec![
        Condition::new(Accepted, Some(false), reason::INVALID, format!("{stays}: {problem}")),
        Condition::new(Programmed, Some(false), reason::NOT_ACCEPTED, stays),
        targets.degraded(good, facts),
    ]
}

/// The Services that a policy names.
#[derive(Default)]
struct Targets {
    /// The policy holds for these.
    held: Vec<(ObjectRef, ServiceState)>,
    /// It would hold for these, if they were there.
    missing: Vec<ObjectRef>,
    /// These have an older policy, which is the second one.
    lost: Vec<(ObjectRef, ObjectRef)>,
}

impl Targets {
    fn of(policies: &Policies, good: Option<&Resolved>, facts: &impl Facts) -> Self {
        let mut targets = Self::default();
        let Some(good) = good else { return targets };
        for service in good.targets() {
            match policies.of(&service) {
                Some(holder) if holder.policy != good.policy => {
                    targets.lost.push((service, holder.policy.clone()));
                }
                _ => match facts.service(&service) {
                    ServiceState::Missing => targets.missing.push(service),
                    state => targets.held.push((service, state)),
                },
            }
        }
        targets
    }

    fn accepted(&self) -> Condition {
        let Self { held, missing, lost } = self;
        let mut parts = Vec::new();
        if !held.is_empty() {
            let names = list(held.iter().map(|(service, _)| service));
            parts.push(format!("holds for {names}"));
        }
        for (service, holder) in lost {
            let why = format!("{} has the older policy {}", service.name, holder.name);
            parts.push(why);
        }
        if !missing.is_empty() {
            parts.push(format!("there is no Service {}", list(missing)));
        }
        let (is_accepted, reason) = match (held.is_empty(), lost.is_empty()) {
            (false, _) => (true, reason::ACCEPTED),
            (true, false) => (false, reason::CONFLICTED),
            (true, true) => (false, reason::TARGET_NOT_FOUND),
        };
        Condition::new(Accepted, Some(is_accepted), reason, parts.join("; "))
    }

    /// In order: holds for nothing; something is left to kube-proxy; something is not installed;
    /// something is still to come.
    fn programmed(&self) -> Condition {
        let not = |reason, message| Condition::new(Programmed, Some(false), reason, message);
        if self.held.is_empty() {
            return not(reason::NOT_ACCEPTED, "holds for no Service".to_owned());
        }
        let out = |why: fn(&ServiceState) -> Option<&Arc<str>>| {
            let out = self
                .held
                .iter()
                .filter_map(|(service, state)| Some(format!("{}: {}", service.name, why(state)?)));
            out.collect::<Vec<_>>().join("; ")
        };
        let left = out(|state| match state {
            ServiceState::LeftToKubeProxy(why) => Some(why),
            _ => None,
        });
        if !left.is_empty() {
            return not(reason::LEFT_TO_KUBE_PROXY, format!("left to kube-proxy: {left}"));
        }
        let missing = out(|state| match state {
            ServiceState::NotInstalled(why) => Some(why),
            _ => None,
        });
        if !missing.is_empty() {
            return not(reason::NOT_INSTALLED, format!("not in the kernel: {missing}"));
        }
        let pending = list(self.in_state(&ServiceState::Pending));
        if !pending.is_empty() {
            return not(reason::PENDING, format!("not yet in the kernel: {pending}"));
        }
        let message =
            format!("in the kernel: {}", list(self.held.iter().map(|(service, _)| service)));
        Condition::new(Programmed, Some(true), reason::PROGRAMMED, message)
    }

    /// In order: holds for nothing; a tier's Service is missing; a Service has no healthy backend; a
    /// cluster that a tier names does not serve; a tier is empty; traffic is in a later tier. The message
    /// says all of them.
    fn degraded(&self, good: Option<&Resolved>, facts: &impl Facts) -> Condition {
        let Some(good) = good.filter(|_| !self.held.is_empty()) else {
            let message = "holds for no Service".to_owned();
            return Condition::new(Degraded, None, reason::NOT_ACCEPTED, message);
        };
        let ports: Vec<_> = self.ports(facts).collect();
        let unresolved = unresolved(good, facts);
        let clusters = self.clusters(good, facts);
        let is_said = |service: &ObjectRef, tier: &str| {
            let of_cluster = |it: &TierTrouble| it.service == *service && it.tier == tier;
            unresolved.iter().any(|(missing, _)| *missing == tier)
                || clusters.iter().any(of_cluster)
        };
        let of_clusters = ClusterTrouble::ALL.map(|kind| {
            let of_kind = clusters.iter().filter(|trouble| trouble.kind == kind);
            (kind.reason(), of_kind.map(|trouble| trouble.why.clone()).collect::<Vec<_>>())
        });
        let mut troubles = vec![
            (reason::TIER_UNRESOLVED, unresolved.iter().map(|(_, why)| why.clone()).collect()),
            (reason::NO_HEALTHY_BACKEND, ports.iter().filter_map(unhealthy).collect()),
        ];
        troubles.extend(of_clusters);
        troubles.extend([
            (reason::TIER_EMPTY, ports.iter().flat_map(|port| empty(port, is_said)).collect()),
            (reason::FAILED_OVER, ports.iter().flat_map(away).collect::<Vec<_>>()),
        ]);
        let Some((reason, _)) = troubles.iter().find(|(_, parts)| !parts.is_empty()) else {
            return self.as_expected();
        };
        let parts: Vec<_> = troubles.iter().flat_map(|(_, parts)| parts.clone()).collect();
        Condition::new(Degraded, Some(true), reason, parts.join("; "))
    }

    /// What keeps clusters that tiers name from serving, of every Service that is ours: what is known of
    /// them, or else what this node sees.
    fn clusters(&self, good: &Resolved, facts: &impl Facts) -> Vec<TierTrouble> {
        let ours = self
            .held
            .iter()
            .filter(|(_, state)| !matches!(state, ServiceState::LeftToKubeProxy(_)));
        let mut found = Vec::new();
        for (service, _) in ours {
            let seen: Vec<Vacancy> =
                facts.health(service).into_iter().flat_map(|health| health.vacancies).collect();
            for tier in good.valid.in_clusters() {
                let mut troubles = facts.troubles(service, &tier);
                if troubles.is_empty() {
                    let mut of_tier = seen.iter().filter(|vacancy| *vacancy.name == *tier.name);
                    troubles.extend(of_tier.find_map(|vacancy| seen_of(&vacancy.why)));
                }
                found.extend(troubles.into_iter().map(|(kind, why)| TierTrouble {
                    service: service.clone(),
                    tier: tier.name.to_owned(),
                    kind,
                    why: format!("tier {} of {}: {why}", tier.name, service.name),
                }));
            }
        }
        found
    }

    /// Nothing is wrong with what is in the kernel. What is not is not judged.
    fn as_expected(&self) -> Condition {
        let is_out = |(_, state): &&(ObjectRef, ServiceState)| {
            matches!(state, ServiceState::LeftToKubeProxy(_) | ServiceState::NotInstalled(_))
        };
        let out: Vec<_> = self.held.iter().filter(is_out).collect();
        let names = list(out.iter().map(|(service, _)| service));
        if out.len() == self.held.len() {
            let is_left =
                out.iter().any(|(_, state)| matches!(state, ServiceState::LeftToKubeProxy(_)));
            let reason = if is_left { reason::LEFT_TO_KUBE_PROXY } else { reason::NOT_INSTALLED };
            let message = format!("not judged, because it is not in the kernel: {names}");
            return Condition::new(Degraded, None, reason, message);
        }
        let message = if out.is_empty() {
            "every Service has a healthy backend".to_owned()
        } else {
            format!("every Service in the kernel has a healthy backend; not judged: {names}")
        };
        Condition::new(Degraded, Some(false), reason::AS_EXPECTED, message)
    }

    fn in_state(&self, wanted: &ServiceState) -> impl Iterator<Item = &ObjectRef> {
        self.held.iter().filter(move |(_, found)| found == wanted).map(|(service, _)| service)
    }

    /// What is left to kube-proxy is not ours to judge.
    fn ports(&self, facts: &impl Facts) -> impl Iterator<Item = (&ObjectRef, PortHealth)> {
        let ours = self
            .held
            .iter()
            .filter(|(_, state)| !matches!(state, ServiceState::LeftToKubeProxy(_)));
        ours.flat_map(|(service, _)| {
            facts.health(service).into_iter().map(move |health| (service, health))
        })
    }
}

/// What keeps a cluster that a tier names from serving a Service.
struct TierTrouble {
    service: ObjectRef,
    tier: String,
    kind: ClusterTrouble,
    why: String,
}

/// What a vacant tier says of the clusters that it is of.
fn seen_of(why: &Vacant) -> Option<(ClusterTrouble, String)> {
    let kind = match why {
        Vacant::NoSuchCluster(_) => ClusterTrouble::NoSuchCluster,
        Vacant::ClusterSilent(_) => ClusterTrouble::Silent,
        _ => return None,
    };
    Some((kind, why.to_string()))
}

fn unhealthy((service, health): &(&ObjectRef, PortHealth)) -> Option<String> {
    let PortHealth { port, backends, healthy, .. } = health;
    let name = &service.name;
    (*healthy == 0).then(|| match backends {
        0 => format!("{name} port {port} has no backend"),
        1 => format!("the only backend of {name} port {port} is not healthy"),
        _ => format!("none of {backends} backends of {name} port {port} is healthy"),
    })
}

/// Which tiers are empty, and why; one by place that has no backend near this node is no trouble.
fn empty(
    (service, health): &(&ObjectRef, PortHealth),
    is_said: impl Fn(&ObjectRef, &str) -> bool,
) -> Vec<String> {
    let faults = health.vacancies.iter().filter(|vacancy| vacancy.why.is_fault());
    let faults = faults.filter(|vacancy| !is_said(service, &vacancy.name));
    faults
        .map(|Vacancy { name, why, .. }| {
            let why = match why {
                // It is there, or its tier would be unresolved.
                Vacant::OfService(other, false) => format!("{other} is not redirected"),
                why => why.to_string(),
            };
            format!("tier {name} of {} port {} is empty: {why}", service.name, health.port)
        })
        .collect()
}

fn away((service, health): &(&ObjectRef, PortHealth)) -> Vec<String> {
    let PortHealth { port, away, .. } = health;
    let said = |(carrier, first): &(_, _)| {
        format!(
            "all traffic of {} port {port} is in tier {carrier}, not in {first}, as the node that \
             writes this sees it",
            service.name
        )
    };
    away.iter().map(said).collect()
}

/// Tiers whose Service is not there: they are out, the others work. What other clusters export needs no
/// Service here.
fn unresolved<'g>(good: &'g Resolved, facts: &impl Facts) -> Vec<(&'g str, String)> {
    let mut parts = Vec::new();
    let exports: Vec<&str> = good.valid.in_clusters().map(|tier| tier.name).collect();
    for (tier, service) in good.valid.services().filter(|(tier, _)| !exports.contains(tier)) {
        let (name, port) = (&service.name, service.port.as_deref());
        let why = match (facts.tier(&good.policy.namespace, service), port) {
            (TierState::Found, _) => continue,
            (TierState::NoService, _) => format!("there is no Service {name}"),
            (TierState::NoPort, Some(port)) => format!("Service {name} has no port {port}"),
            (TierState::NoPort, None) => {
                format!("Service {name} has not one port only; name the one that is meant")
            }
        };
        parts.push((tier, format!("tier {tier} is out: {why}")));
    }
    parts
}

fn list<'a>(services: impl IntoIterator<Item = &'a ObjectRef>) -> String {
    services.into_iter().map(|service| &*service.name).collect::<Vec<_>>().join(", ")
}
