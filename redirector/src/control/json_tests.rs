//! The JSON that operators' programs read: it stays as it is, byte by byte.

use std::time::Duration;

use redirector_core::{
    Input, Moment, State,
    explain::{Explanation, NotInstalled},
    input::{ClientId, Drained, KernelEvent, ProbeFailure, Verb},
    remote_cluster::{ClusterPhase, OnSilence, RemoteCluster},
    service::{BackendRef, Members, Probe, Protocol, ServiceRef, TierRule},
};

use super::{CarriedOut, Effect};
use crate::sources::file::{Config, parse};

/// Everything that an explanation can have.
const SERVICES: &str = r#"
node: {name: n1, zone: a, region: eu, cluster: home}
services:
- name: shop/web:http
  frontends: ["10.96.0.1:80/tcp", "[fd00::a]:80/tcp"]
  backends:
  - {address: "10.1.0.1:80", node: n1, zone: a, region: eu}
  - {address: "10.1.0.2:80", node: n2, zone: a}
  - {address: "10.1.0.3:80", node: n3, zone: a, weight: 2}
  - {address: "10.1.0.9:80", zone: x, region: us, cluster: west}
  - {address: "[fd00::1]:80", node: n1, zone: a}
  policy:
    tiers:
    - {name: near, locality: Zone}
    - {name: nowhere, zones: [nosuch]}
    - {name: backup, service: {name: shop/backup}}
    - {name: gone, service: {name: shop/gone}}
    mode: Spill
    failback: {holdDown: 30s, ramp: 20s}
    allDown: Refuse
- name: shop/backup
  frontends: ["10.96.0.2:80/tcp"]
  backends: [{address: "10.2.0.1:80"}]
"#;

/// At 0 s every backend answers; at 1 s clients cannot reach one, another one fails, a third is
/// drained.
fn state() -> State {
    let Config { node, services, .. } = parse("f", SERVICES).expect("a good file");
    let mut state = State::new();
    let backends: Vec<BackendRef> =
        services.iter().flat_map(|service| &service.backends).map(|it| it.backend).collect();
    state.apply(Input::Node(node), at(0));
    state.apply(Input::Replace(services), at(0));
    for backend in backends {
        state.apply(Input::Probed { backend, outcome: Ok(()) }, at(0));
    }
    let client = ClientId { cgroup: 7, netns: 9 };
    let event = KernelEvent::Avoided { refused: true, client };
    state.apply(Input::Kernel { backend: backend("10.1.0.3"), event }, at(1));
    let outcome = Err(ProbeFailure::TimedOut);
    for _ in 0..2 {
        let backend = backend("10.1.0.2");
        state.apply(Input::Probed { backend, outcome: outcome.clone() }, at(1));
    }
    state.apply(Input::Operator(Verb::Drain(Drained::Node("n1".into()))), at(1));
    state
}

fn backend(address: &str) -> BackendRef {
    let address = address.parse().expect("an address");
    BackendRef { address, port: 80, protocol: Protocol::Tcp }
}

fn at(seconds: u64) -> Moment {
    Moment(Duration::from_secs(seconds))
}

fn not_installed() -> NotInstalled {
    NotInstalled {
        service: "shop/web:http".to_owned(),
        why: "there is no room".to_owned(),
        is_refused: false,
        seconds: Some(1.5),
        has_earlier: true,
    }
}

#[test]
fn an_explanation() {
    let mut state = state();
    let told = |state: &State, seconds| {
        let name = ServiceRef("shop/web:http".into());
        let mut told = state.explain(&name, at(seconds)).expect("it is listed");
        told.not_in_force = Some("no pins".into());
        told.not_installed = Some(not_installed());
        told.families[0].tiers[0].backends[0].unwatched = Some("who knows".to_owned());
        let json = serde_json::to_string_pretty(&told).expect("JSON");
        let read: Explanation = serde_json::from_str(&json).expect("an explanation");
        assert_eq!(read, told);
        json
    };
    let mut all = vec![told(&state, 2)];
    state.apply(Input::Operator(Verb::Undrain(Drained::Node("n1".into()))), at(2));
    let dead = state.meant(&[Drained::Zone("a".into())]);
    all.push(told(&state.clone().with_dead(&dead), 3));
    let tier = "backup".into();
    let force = Verb::Force { service: ServiceRef("shop/web:http".into()), tier };
    state.apply(Input::Operator(force), at(4));
    all.push(told(&state, 4));
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn another_cluster_is_told_and_nothing_where_there_is_none() {
    let mut state = state();
    let name = ServiceRef("shop/web:http".into());
    let told = |state: &State| {
        let told = state.explain(&name, at(2)).expect("it is listed");
        let json = serde_json::to_value(&told).expect("JSON");
        let read: Explanation = serde_json::from_value(json.clone()).expect("an explanation");
        assert_eq!(read, told);
        json
    };
    assert_eq!(told(&state).get("clusters"), None, "its backend in west is in no tier");
    let mut service = state.service(&name).expect("it is listed").clone();
    let members =
        Members::Named { zones: Vec::new(), regions: Vec::new(), clusters: vec!["west".into()] };
    service.policy.tiers.push(TierRule { name: "far".into(), members });
    service.policy.probe = Some(Probe::default());
    state.apply(Input::Put(service), at(1));
    let west = serde_json::json!([
        {"cluster": "west", "isUnreachable": false, "healthy": 1, "backends": 1, "atRest": 1}
    ]);
    let json = told(&state);
    assert_eq!(json["clusters"], west, "nobody speaks for it");
    let member = &json["families"][0]["tiers"][4]["backends"][0];
    assert!(member["rarelyProbed"].as_str().is_some_and(|why| why.contains("cluster west")));

    let on_silence = OnSilence::Drop;
    let west = RemoteCluster { name: "west".into(), phase: ClusterPhase::Silent, on_silence };
    state.apply(Input::RemoteClusters(vec![west]), at(1));
    let west = serde_json::json!([
        {"cluster": "west", "phase": "Silent", "isUnreachable": false, "healthy": 0,
         "backends": 1, "atRest": 0}
    ]);
    assert_eq!(told(&state)["clusters"], west);
}

#[test]
fn an_order_and_what_it_came_to() {
    let orders: Vec<Verb> = ["node=n9", "backend=[fd00::1]:80/udp", "zone=west/a"]
        .map(|text| Verb::Drain(text.parse().expect("a subject")))
        .into();
    let effects = [
        Effect::Unknown,
        Effect::Drained { was_in_force: false, backends: 1, services: 2 },
        Effect::Undrained { backends: 3, services: 1, still_drained: 1 },
    ];
    let carried_out: Vec<CarriedOut> = orders
        .into_iter()
        .zip(effects)
        .map(|(order, effect)| CarriedOut { order, effect })
        .chain([
            CarriedOut {
                order: Verb::Force { service: ServiceRef("shop/web".into()), tier: "near".into() },
                effect: Effect::Forced { healthy: 0, backends: 2 },
            },
            CarriedOut {
                order: Verb::Failback { service: ServiceRef("shop/web".into()) },
                effect: Effect::FailedBack { had_any: false },
            },
            CarriedOut {
                order: Verb::Undrain("cluster=west".parse().expect("a subject")),
                effect: Effect::Unknown,
            },
        ])
        .collect();
    let json = serde_json::to_string(&carried_out).expect("JSON");
    assert_eq!(serde_json::from_str::<Vec<CarriedOut>>(&json).expect("orders"), carried_out);
    insta::assert_snapshot!(json);
}
