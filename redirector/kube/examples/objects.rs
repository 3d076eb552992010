//! How long a cluster of full size takes, from objects to inputs, and what it costs:
//! `cargo run --release -p redirector-kube --example objects`.

#[path = "../tests/support/allocations.rs"]
mod allocations;

use std::{
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use redirector_kube::{
    api::{Batch, Change, EndpointSlice, Node, Object, Service},
    index::{Index, News, Scope, Settings},
};
use serde_json::{Value, json};

const SERVICES: usize = 10_000;
/// Endpoints of each Service.
const ENDPOINTS: usize = 15;
const NODES: usize = 5_000;
const CHANGES: usize = 1_000;

#[expect(clippy::print_stdout, reason = "what it is for")]
fn main() {
    let mut index = Index::new(Settings { scope: Scope::All, ..Settings::new("n1") });
    let node = json!({"metadata": {"name": "n1", "labels": {"topology.kubernetes.io/zone": "z1"}}});
    index.take(News::Node(put::<Node>([node])));
    index.take(News::Policies(Batch { changes: Vec::new(), is_synced: true }));
    index.take(News::Clusters(Batch { changes: Vec::new(), is_synced: true }));
    let before = allocated();
    let began = Instant::now();
    let services = put::<Service>((0..SERVICES).map(service));
    let slices = put::<EndpointSlice>((0..SERVICES).map(|number| slice(number, 0)));
    println!("made and decoded in {:?}", began.elapsed());
    let began = Instant::now();
    index.take(News::Services(services));
    index.take(News::Slices(slices));
    println!("taken in {:?}", began.elapsed());
    let taken = allocated();
    let began = Instant::now();
    let inputs = index.inputs();
    println!("first inputs() in {:?}", began.elapsed());
    drop(inputs);
    let said = allocated();
    let per = |bytes: usize| bytes / (SERVICES * ENDPOINTS);
    println!(
        "bytes per endpoint, its part of the Service included: {} of objects, {} with what was said",
        per(taken - before),
        per(said - before)
    );

    let mut times: Vec<Duration> = (0..CHANGES)
        .map(|change| {
            let news =
                News::Slices(put::<EndpointSlice>([slice(change * 7 % SERVICES, change + 1)]));
            let began = Instant::now();
            index.take(news);
            assert_eq!(index.inputs().len(), 1);
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    println!(
        "one changed slice: median {:?}, 99 % {:?}",
        times[CHANGES / 2],
        times[CHANGES * 99 / 100]
    );
}

fn put<T: Object>(objects: impl IntoIterator<Item = Value>) -> Batch<T> {
    let changes = objects
        .into_iter()
        .map(|object| Change::Put(T::decode(object.to_string().as_bytes()).expect("an object")));
    Batch { changes: changes.collect(), is_synced: true }
}

fn service(number: usize) -> Value {
    json!({
        "metadata": {"namespace": format!("ns{}", number / 50), "name": format!("s{number}")},
        "spec": {
            "clusterIP": format!("10.96.{}.{}", number / 250, number % 250 + 1),
            "selector": {"app": "x"},
            "ports": [{"name": "http", "port": 80}],
        },
    })
}

fn slice(number: usize, version: usize) -> Value {
    let endpoints: Vec<Value> = (0..ENDPOINTS)
        .map(|endpoint| {
            let pod = number * ENDPOINTS + endpoint;
            let second = if endpoint == 0 {
                if version == 0 { 100 } else { 101 + version % 99 }
            } else {
                1 + pod / 62_500
            };
            let node = pod * 7 % NODES;
            json!({
                "addresses": [format!("10.{second}.{}.{}", pod / 250 % 250, pod % 250 + 1)],
                "conditions": {"ready": true, "serving": true, "terminating": false},
                "nodeName": format!("node-{node}"),
                "zone": format!("z{}", node % 3),
            })
        })
        .collect();
    json!({
        "metadata": {
            "namespace": format!("ns{}", number / 50),
            "name": format!("s{number}-abcde"),
            "labels": {
                "kubernetes.io/service-name": format!("s{number}"),
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
            },
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": endpoints,
    })
}

/// Bytes that are allocated now.
fn allocated() -> usize {
    allocations::NOW.load(Relaxed)
}
