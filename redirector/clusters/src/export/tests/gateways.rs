//! Which gateways are published.

use std::collections::BTreeMap;

use super::*;
use crate::api::{Gateway, GatewayKind};

fn balanced() -> Value {
    let mut object = service(json!({
        "type": "LoadBalancer",
        "ports": [{"name": "http", "port": 80, "nodePort": 30_080}],
    }));
    object["status"] = json!({"loadBalancer": {"ingress": [
        {"hostname": "lb.west.example"}, {"ip": "198.51.100.7"}, {"ip": "127.0.0.1"}, {"ip": "?"},
    ]}});
    object
}

fn gateways(objects: &[Value]) -> Vec<Gateway> {
    only(&exporter(objects)).service.spec.gateways.clone()
}

#[test]
fn a_load_balancer_is_published_by_address_and_by_name_at_the_services_port() {
    let found = gateways(&[
        balanced(),
        export(json!({})),
        slice("web-1", json!([ready("10.1.4.2", "n1", "a")])),
    ]);
    let ports = json!([{"name": "http", "port": 80}]);
    assert_eq!(
        serde_json::to_value(found).expect("JSON"),
        json!([
            {"kind": "LoadBalancer", "address": "198.51.100.7", "ports": ports},
            {"kind": "LoadBalancer", "hostname": "lb.west.example", "ports": ports},
        ])
    );
}

#[test]
fn without_a_ready_endpoint_there_is_no_gateway() {
    let mut unready = ready("10.1.4.2", "n1", "a");
    unready["conditions"]["ready"] = json!(false);
    for endpoints in [json!([]), json!([unready])] {
        let slice = slice("web-1", endpoints);
        let objects = [balanced(), export(json!({})), slice, node("n1", "a", "192.0.2.1")];
        assert_eq!(gateways(&objects), []);
    }
}

#[test]
fn of_many_nodes_sixteen_stand_for_the_service_spread_over_zones() {
    // Zone a has 90 of 100 nodes, b and c 5 each.
    let zone = |number: u8| match number {
        0..90 => "a",
        90..95 => "b",
        _ => "c",
    };
    let nodes: Vec<Value> =
        (0..100).map(|at| node(&format!("n{at}"), zone(at), &format!("192.0.2.{at}"))).collect();
    let mut objects = vec![
        service(json!({"ports": [{"name": "http", "port": 80, "nodePort": 30_080}]})),
        export(json!({})),
        slice("web-1", json!([ready("10.1.4.2", "n1", "a")])),
    ];
    objects.extend(nodes);
    let before = gateways(&objects);
    assert!(
        before.iter().all(|one| one.kind == GatewayKind::NodePort && one.ports[0].port == 30_080)
    );
    let mut zones: BTreeMap<&str, usize> = BTreeMap::new();
    for gateway in &before {
        *zones.entry(gateway.zone.as_deref().expect("a zone")).or_default() += 1;
    }
    assert_eq!(zones, [("a", 6), ("b", 5), ("c", 5)].into());
    // Another node goes, and at most one of the sixteen changes.
    objects.remove(50);
    let after = gateways(&objects);
    let same = before.iter().filter(|gateway| after.contains(gateway)).count();
    assert!(same >= 15, "{same} of 16 stay");
}

#[test]
fn with_a_local_traffic_policy_only_nodes_with_ready_endpoints_answer() {
    let found = gateways(&[
        service(json!({
            "externalTrafficPolicy": "Local", "ports": [{"port": 80, "nodePort": 30_080}],
        })),
        export(json!({})),
        slice("web-1", json!([ready("10.1.4.2", "n2", "a")])),
        node("n1", "a", "192.0.2.1"),
        node("n2", "a", "192.0.2.2"),
        node("n3", "a", "fd00::3"),
    ]);
    let addresses: Vec<_> = found.iter().filter_map(|gateway| gateway.address).collect();
    assert_eq!(addresses, ["192.0.2.2".parse::<std::net::IpAddr>().expect("an address")]);
}

#[test]
fn the_owner_says_what_may_be_published() {
    let objects = |reach: &str| {
        [
            balanced(),
            export(json!({"redirector.dev/reach": reach})),
            slice("web-1", json!([ready("10.1.4.2", "n1", "a")])),
            node("n1", "a", "192.0.2.1"),
        ]
    };
    for (reach, slices, balancers, ports) in [
        ("Pod", 1, 0, 0),
        ("LoadBalancer", 0, 2, 0),
        ("NodePort", 0, 0, 1),
        ("Pod,LoadBalancer", 1, 2, 0),
        ("LoadBallancer", 1, 0, 0),
    ] {
        let found = exporter(&objects(reach));
        let exported = only(&found);
        let count = |kind| {
            exported.service.spec.gateways.iter().filter(|gateway| gateway.kind == kind).count()
        };
        let kinds = (count(GatewayKind::LoadBalancer), count(GatewayKind::NodePort));
        assert_eq!((exported.slices.len(), kinds), (slices, (balancers, ports)), "{reach}");
        assert_eq!(exported.service.spec.ready, 1, "{reach}");
    }
}
