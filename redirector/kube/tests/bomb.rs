//! A Service that would have 20,000,000 entries costs little, and other Services nothing.

#[path = "support/allocations.rs"]
mod allocations;

use std::sync::atomic::Ordering::Relaxed;

use redirector_core::Input;
use redirector_kube::{
    api::{Batch, Change, EndpointSlice, Node, Object, Service},
    index::{Index, News, Scope, Settings, reason},
};
use serde_json::{Value, json};

use self::allocations::{MOST, NOW};

const PORTS: usize = 20_000;
const ENDPOINTS: usize = 1_000;
/// What the API allows in one slice.
const PORTS_OF_SLICE: usize = 100;
const LIMIT: usize = 300 << 20;

#[test]
fn twenty_thousand_ports_with_a_thousand_endpoints_harm_nobody() {
    let mut index = Index::new(Settings { scope: Scope::All, ..Settings::new("n1") });
    let node = json!({"metadata": {"name": "n1"}});
    index.take(News::Node(put::<Node>(&node)));
    index.take(News::Policies(Batch { changes: Vec::new(), is_synced: true }));
    index.take(News::Clusters(Batch { changes: Vec::new(), is_synced: true }));
    index.take(News::Services(put::<Service>(&service("shop", "web", "10.96.0.1", 1))));
    index.take(News::Slices(put::<EndpointSlice>(&slice("shop", "web", 0..1, 3))));
    assert_eq!(index.inputs().len(), 2);

    let before = NOW.load(Relaxed);
    MOST.store(before, Relaxed);
    index.take(News::Services(put::<Service>(&service("evil", "bomb", "10.96.0.2", PORTS))));
    index.take(News::Services(put::<Service>(&service("evil", "small", "10.96.0.3", 1))));
    index.take(News::Slices(put::<EndpointSlice>(&slice("evil", "small", 0..1, 3))));
    for first in (0..PORTS).step_by(PORTS_OF_SLICE) {
        let ports = first..first + PORTS_OF_SLICE;
        index.take(News::Slices(put::<EndpointSlice>(&slice("evil", "bomb", ports, ENDPOINTS))));
        // As it would be when the events come one by one: it is ours while it is small.
        let inputs = index.inputs();
        assert!(!inputs.iter().any(is_of_shop), "the neighbours are left alone");
    }
    let grown = MOST.load(Relaxed) - before;
    assert!(grown < LIMIT, "{} MiB", grown >> 20);

    let notices = index.notices();
    let notices: Vec<_> =
        notices.iter().map(|notice| (notice.object.to_string(), notice.reason)).collect();
    assert_eq!(notices, [("evil/bomb".to_owned(), reason::OVER_SHARE)]);

    index.take(News::Slices(put::<EndpointSlice>(&slice("shop", "web", 0..1, 4))));
    let inputs = index.inputs();
    let [Input::Change { put, .. }] = &inputs[..] else { panic!("{inputs:?}") };
    assert_eq!(put[0].backends.len(), 4, "the neighbours live on");
}

#[test]
fn more_endpoints_than_a_tier_can_have_are_none() {
    let mut index = Index::new(Settings { scope: Scope::All, ..Settings::new("n1") });
    index.take(News::Node(put::<Node>(&json!({"metadata": {"name": "n1"}}))));
    index.take(News::Policies(Batch { changes: Vec::new(), is_synced: true }));
    index.take(News::Clusters(Batch { changes: Vec::new(), is_synced: true }));
    index.take(News::Services(put::<Service>(&service("evil", "wide", "10.96.0.2", 1))));
    for number in 0..66 {
        let mut slice = slice("evil", "wide", 0..1, ENDPOINTS);
        slice["metadata"]["name"] = format!("wide-{number}").into();
        index.take(News::Slices(put::<EndpointSlice>(&slice)));
    }
    let inputs = index.inputs();
    let [Input::Node(_), Input::Replace(services)] = &inputs[..] else { panic!("{inputs:?}") };
    assert!(services.is_empty());
    let reasons: Vec<_> = index.notices().into_iter().map(|notice| notice.reason).collect();
    assert_eq!(reasons, [reason::TOO_MANY_ENDPOINTS]);
}

fn is_of_shop(input: &Input) -> bool {
    match input {
        Input::Change { put, remove } => {
            let mut names = put.iter().map(|service| &service.name).chain(remove);
            names.any(|name| name.0.starts_with("shop/"))
        }
        _ => true,
    }
}

fn put<T: Object>(object: &Value) -> Batch<T> {
    let json = serde_json::to_vec(object).expect("JSON");
    let object = T::decode(&json).expect("an object");
    Batch { changes: vec![Change::Put(object)], is_synced: true }
}

fn service(namespace: &str, name: &str, ip: &str, ports: usize) -> Value {
    let ports: Vec<Value> = (0..ports)
        .map(|port| json!({"name": format!("p{port}"), "port": port + 1, "protocol": "TCP"}))
        .collect();
    json!({
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"clusterIP": ip, "selector": {"app": name}, "ports": ports},
    })
}

fn slice(namespace: &str, service: &str, ports: std::ops::Range<usize>, endpoints: usize) -> Value {
    let name = format!("{service}-{}", ports.start);
    let ports: Vec<Value> = ports
        .map(|port| json!({"name": format!("p{port}"), "port": port + 1, "protocol": "TCP"}))
        .collect();
    let endpoints: Vec<Value> = (0..endpoints)
        .map(|number| {
            json!({
                "addresses": [format!("10.1.{}.{}", number / 250, number % 250)],
                "nodeName": format!("n{}", number % 50),
                "zone": "a",
            })
        })
        .collect();
    json!({
        "metadata": {
            "namespace": namespace,
            "name": name,
            "labels": {
                "kubernetes.io/service-name": service,
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
            },
        },
        "addressType": "IPv4",
        "ports": ports,
        "endpoints": endpoints,
    })
}
