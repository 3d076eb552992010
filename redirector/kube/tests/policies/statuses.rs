//! What is said about each policy.

use std::collections::BTreeMap;

use redirector_core::failover::vacancies::{Vacancy, Vacant};
use redirector_kube::{
    api::{Batch, ObjectRef},
    policies::{
        ClusterTrouble, Condition, ConditionKind, Facts, MAX_MESSAGE, Policies, PolicyStatus,
        PortHealth, ServiceState, TierState,
    },
};
use redirector_policy::{TierInClusters, TierServiceSpec};
use serde_json::json;

use super::support::{Written, arc, of, policy, shop};

/// The facts: every Service is programmed and has one healthy backend of one, unless it says
/// otherwise; every tier's Service is there.
#[derive(Default)]
pub struct Ground {
    is_unsynced: bool,
    states: BTreeMap<ObjectRef, ServiceState>,
    health: BTreeMap<ObjectRef, Vec<PortHealth>>,
    tiers: BTreeMap<String, TierState>,
    troubles: BTreeMap<String, ClusterTrouble>,
}

impl Ground {
    fn with(mut self, service: &str, state: ServiceState) -> Self {
        self.states.insert(shop(service), state);
        self
    }

    fn healthy(mut self, service: &str, ports: &[(&str, usize, usize)]) -> Self {
        let port = |&(port, healthy, backends): &(&str, usize, usize)| PortHealth {
            port: arc(port),
            backends,
            healthy,
            ..PortHealth::default()
        };
        self.health.insert(shop(service), ports.iter().map(port).collect());
        self
    }

    /// All traffic of a Service is in another tier than the first, and some tiers have no backend.
    fn moved(mut self, service: &str, away: &[(&str, &str)], empty: &[(&str, Vacant)]) -> Self {
        let away = away.iter().map(|(carrier, first)| (arc(carrier), arc(first))).collect();
        let vacancy =
            |(name, why): &(&str, Vacant)| Vacancy { number: 1, name: arc(name), why: why.clone() };
        let health = PortHealth {
            port: arc("http"),
            backends: 2,
            healthy: 1,
            away,
            vacancies: empty.iter().map(vacancy).collect(),
        };
        self.health.insert(shop(service), vec![health]);
        self
    }

    fn trouble(mut self, cluster: &str, kind: ClusterTrouble) -> Self {
        self.troubles.insert(cluster.to_owned(), kind);
        self
    }

    fn tier(mut self, service: &str, state: TierState) -> Self {
        self.tiers.insert(service.to_owned(), state);
        self
    }
}

impl Facts for Ground {
    fn is_synced(&self) -> bool {
        !self.is_unsynced
    }

    fn service(&self, service: &ObjectRef) -> ServiceState {
        self.states.get(service).cloned().unwrap_or(ServiceState::Programmed)
    }

    fn health(&self, service: &ObjectRef) -> Vec<PortHealth> {
        let well = || {
            let port = arc("http");
            vec![PortHealth { port, backends: 1, healthy: 1, ..PortHealth::default() }]
        };
        self.health.get(service).cloned().unwrap_or_else(well)
    }

    fn tier(&self, namespace: &str, service: &TierServiceSpec) -> TierState {
        assert_eq!(namespace, "shop", "a tier is looked for beside its policy");
        self.tiers.get(&service.name).copied().unwrap_or(TierState::Found)
    }

    fn troubles(&self, _: &ObjectRef, tier: &TierInClusters<'_>) -> Vec<(ClusterTrouble, String)> {
        let named = tier.clusters.iter().filter_map(|cluster| self.troubles.get(cluster));
        named.map(|kind| (*kind, format!("{kind:?}"))).collect()
    }
}

/// One condition of a status.
pub fn said(status: &PolicyStatus, kind: ConditionKind) -> &Condition {
    status.conditions.iter().find(|condition| condition.kind == kind).expect("one of each kind")
}

/// The conditions of policy `a` in short: `+Accepted: message`, `-` where it does not hold, `?`
/// where that is unknown.
fn short(policies: &[Written], ground: &Ground) -> Vec<String> {
    let statuses = of(policies).statuses(ground);
    let status = &statuses[&shop("a")];
    let kinds: Vec<_> = status.conditions.iter().map(|condition| condition.kind.name()).collect();
    assert_eq!(kinds, ["Accepted", "Programmed", "Degraded"]);
    let line = |Condition { kind: _, status, reason, message }: &Condition| {
        let sign = status.map_or("?", |holds| if holds { "+" } else { "-" });
        format!("{sign}{reason}: {message}")
    };
    status.conditions.iter().map(line).collect()
}

fn tiers(policy: &Written) -> Written {
    policy.clone().with(
        "/spec/tiers",
        json!([
            {"name": "near", "locality": "Zone"},
            {"name": "backup", "service": {"name": "spare", "port": "http"}},
            {"name": "last", "service": {"name": "rest"}},
        ]),
    )
}

#[test]
fn conditions_say_what_has_become_of_a_policy() {
    let one = policy("a", 5, 11, &["s"]);
    let two = policy("a", 5, 11, &["s", "t"]);
    let older = policy("old", 1, 12, &["s"]);
    let left = |why: &str| ServiceState::LeftToKubeProxy(arc(why));
    let well = "-AsExpected: every Service has a healthy backend";
    let in_the_kernel =
        "-AsExpected: every Service in the kernel has a healthy backend; not judged: t";
    let none = "?NotAccepted: holds for no Service";
    let nowhere = "-NotAccepted: holds for no Service";
    let [holds_s, holds_both] = ["+Accepted: holds for s", "+Accepted: holds for s, t"];
    let [in_s, in_t] = ["+Programmed: in the kernel: s", "+Programmed: in the kernel: t"];
    let in_both = "+Programmed: in the kernel: s, t";
    let far = one.clone().with(
        "/spec/tiers",
        json!([
            {"name": "west", "clusters": ["west"]},
            {"name": "north", "clusters": ["north"]},
            {"name": "south", "clusters": ["south"], "service": {"name": "dr"}},
        ]),
    );
    let silent = |cluster: &str| Vacant::ClusterSilent(vec![arc(cluster)]);
    let rows: Vec<(&str, Vec<Written>, Ground, [&str; 3])> = vec![
        ("all is well", vec![two.clone()], Ground::default(), [holds_both, in_both, well]),
        (
            "an older policy holds",
            vec![one.clone(), older.clone()],
            Ground::default(),
            ["-Conflicted: s has the older policy old", nowhere, none],
        ),
        (
            "an older policy holds for one of two",
            vec![two.clone(), older.clone()],
            Ground::default(),
            ["+Accepted: holds for t; s has the older policy old", in_t, well],
        ),
        (
            "there is no such Service",
            vec![one.clone()],
            Ground::default().with("s", ServiceState::Missing),
            ["-TargetNotFound: there is no Service s", nowhere, none],
        ),
        (
            "one of two is missing",
            vec![two.clone()],
            Ground::default().with("s", ServiceState::Missing),
            ["+Accepted: holds for t; there is no Service s", in_t, well],
        ),
        (
            "one is lost and the other one missing",
            vec![two.clone(), older],
            Ground::default().with("t", ServiceState::Missing),
            ["-Conflicted: s has the older policy old; there is no Service t", nowhere, none],
        ),
        (
            "not yet in the kernel",
            vec![two.clone()],
            Ground::default().with("t", ServiceState::Pending),
            [holds_both, "-Pending: not yet in the kernel: t", well],
        ),
        (
            "left to kube-proxy, which counts more than what is still to come",
            vec![two.clone()],
            Ground::default().with("s", ServiceState::Pending).with("t", left("it is headless")),
            [holds_both, "-LeftToKubeProxy: left to kube-proxy: t: it is headless", in_the_kernel],
        ),
        (
            "nobody of a Service that is left to kube-proxy is ours to judge",
            vec![one.clone()],
            Ground::default().with("s", left("it is headless")).healthy("s", &[("http", 0, 3)]),
            [
                holds_s,
                "-LeftToKubeProxy: left to kube-proxy: s: it is headless",
                "?LeftToKubeProxy: not judged, because it is not in the kernel: s",
            ],
        ),
        (
            "a tier's Service is missing, and another one's port is not told",
            vec![tiers(&one)],
            Ground::default().tier("spare", TierState::NoService).tier("rest", TierState::NoPort),
            [
                holds_s,
                in_s,
                "+TierUnresolved: tier backup is out: there is no Service spare; tier last is out: \
                 Service rest has not one port only; name the one that is meant",
            ],
        ),
        (
            "a tier's port is missing and nobody is healthy",
            vec![tiers(&one)],
            Ground::default()
                .tier("spare", TierState::NoPort)
                .healthy("s", &[("http", 0, 1), ("grpc", 1, 2)]),
            [
                holds_s,
                in_s,
                "+TierUnresolved: tier backup is out: Service spare has no port http; the only \
                 backend of s port http is not healthy",
            ],
        ),
        (
            "there is no room for it, which counts more than what is still to come",
            vec![two.clone()],
            Ground::default()
                .with("s", ServiceState::Pending)
                .with("t", ServiceState::NotInstalled(arc("needs 3 more backends"))),
            [
                holds_both,
                "-NotInstalled: not in the kernel: t: needs 3 more backends",
                in_the_kernel,
            ],
        ),
        (
            "all traffic is in another tier",
            vec![one.clone()],
            Ground::default().moved("s", &[("west", "near")], &[]),
            [
                holds_s,
                in_s,
                "+FailedOver: all traffic of s port http is in tier west, not in near, as the node \
                 that writes this sees it",
            ],
        ),
        (
            "a tier by place has no backend near this node, which is no trouble",
            vec![one.clone()],
            Ground::default().moved("s", &[], &[("near", Vacant::NotHere), ("z", Vacant::Taken)]),
            [holds_s, in_s, well],
        ),
        (
            "tiers can have no backend, and traffic is in another tier",
            vec![one.clone()],
            Ground::default().moved(
                "s",
                &[("west", "near")],
                &[("far", Vacant::Nowhere), ("z", Vacant::Shadowed(arc("near")))],
            ),
            [
                holds_s,
                in_s,
                "+TierEmpty: tier far of s port http is empty: no backend is in the places that it \
                 names; tier z of s port http is empty: it can never have a backend: tier near \
                 takes all that it could have; all traffic of s port http is in tier west, not in \
                 near, as the node that writes this sees it",
            ],
        ),
        (
            "clusters do not serve; what the node sees of one is said only if nothing else is",
            vec![far.clone()],
            Ground::default()
                .moved("s", &[], &[("west", Vacant::Nowhere), ("north", silent("north"))])
                .trouble("west", ClusterTrouble::NotExported)
                .trouble("south", ClusterTrouble::Insecure),
            [
                holds_s,
                in_s,
                "+ClusterInsecure: tier south of s: Insecure; tier north of s: cluster north is \
                 silent; tier west of s: NotExported",
            ],
        ),
        (
            "an export that nobody has is no Service that is missing",
            vec![far],
            Ground::default().tier("dr", TierState::NoService),
            [holds_s, in_s, well],
        ),
        (
            "nobody is healthy, nobody is there",
            vec![two],
            Ground::default().healthy("s", &[("http", 0, 3)]).healthy("t", &[("80", 0, 0)]),
            [
                holds_both,
                in_both,
                "+NoHealthyBackend: none of 3 backends of s port http is healthy; t port 80 has no \
                 backend",
            ],
        ),
    ];
    for (name, policies, ground, expected) in rows {
        assert_eq!(short(&policies, &ground), expected, "{name}");
    }
}

#[test]
fn nothing_is_said_before_everything_is_known() {
    let mut policies = Policies::default();
    let changes = vec![policy("a", 1, 11, &["s"]).put()];
    policies.take(Batch { changes, is_synced: false });
    assert!(policies.statuses(&Ground::default()).is_empty(), "more policies may come");
    policies.take(Batch { changes: Vec::new(), is_synced: true });
    assert!(policies.is_synced());
    let unsynced = Ground { is_unsynced: true, ..Ground::default() };
    assert!(policies.statuses(&unsynced).is_empty(), "Services may come");
    assert_eq!(policies.statuses(&Ground::default()).len(), 1);
}

#[test]
fn a_long_message_is_cut() {
    let names: Vec<String> = (0..16).map(|at| format!("{at:02}{}", "x".repeat(61))).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let statuses = of(&[policy("a", 1, 11, &names)]).statuses(&Ground::default());
    let message = &said(&statuses[&shop("a")], ConditionKind::Accepted).message;
    assert!(message.len() <= MAX_MESSAGE && message.ends_with('…'), "{message}");
}
