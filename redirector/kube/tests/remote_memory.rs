//! What the endpoints of other clusters cost: in the index, and in the core that is told of them.

#![expect(clippy::print_stdout, reason = "the bytes of each layer belong to the result")]

#[path = "support/allocations.rs"]
mod allocations;

use std::sync::atomic::Ordering::Relaxed;

use redirector_core::{Moment, state::State};
use redirector_kube::{
    api::{Batch, Change, EndpointSlice, Node, Object, RemoteCluster, Service},
    index::{Index, News, Scope, Settings},
};
use serde_json::{Value, json};

use self::allocations::NOW;

/// Bytes for an endpoint that has a slice of its own: 826 were measured. 425 of them are the slice's:
/// its name, its place among those of its Service, its ports.
const APART: usize = 1_000;
/// Bytes for an endpoint of ten in a slice: 492 were measured.
const TOGETHER: usize = 600;

/// Bytes that each layer keeps for an endpoint, as they were asked of the allocator.
#[derive(Debug)]
struct Each {
    /// The index, of what the watches said.
    cached: usize,
    /// The index, of what the core was told.
    published: usize,
    /// The core's state and its tables; not what is installed of them.
    core: usize,
}

impl Each {
    fn sum(&self) -> usize {
        let Self { cached, published, core } = self;
        cached + published + core
    }
}

#[test]
fn an_endpoint_of_another_cluster_costs_little_beside_its_slice() {
    let apart = measured(100, 20, 1);
    let together = measured(1, 200, 10);
    println!("a slice each: {apart:?}\nten in a slice: {together:?}");
    assert!(apart.sum() <= APART, "{apart:?}");
    assert!(together.sum() <= TOGETHER, "{together:?}");
}

/// What is kept for an endpoint, of so many in each slice, where that many clusters export that many
/// Services.
fn measured(clusters: usize, services: usize, endpoints: usize) -> Each {
    let settings =
        Settings { scope: Scope::All, cluster: Some("east".into()), ..Settings::new("n1") };
    let mut index = Index::new(settings);
    let mut state = State::new();
    let node = json!({"metadata": {"name": "n1"}});
    index.take(News::Node(put::<Node>([node])));
    index.take(News::Policies(put([])));
    index.take(News::Clusters(put::<RemoteCluster>((0..clusters).map(cluster))));
    index.take(News::Services(put::<Service>((0..services).map(service))));
    index.take(News::Slices(put::<EndpointSlice>((0..services).map(own))));
    index.take(News::ClusterProperty(None));
    for input in index.inputs() {
        state.apply(input, Moment::default());
    }
    let begun = NOW.load(Relaxed);
    for of in 0..clusters {
        for service in 0..services {
            index.take(News::Slices(put::<EndpointSlice>([remote(of, service, endpoints)])));
        }
    }
    let cached = NOW.load(Relaxed);
    let inputs = index.inputs();
    let told = NOW.load(Relaxed);
    let copy = inputs.clone();
    let handed_over = NOW.load(Relaxed) - told;
    drop(copy);
    for input in inputs {
        state.apply(input, Moment::default());
    }
    drop(state.take_commands());
    let end = NOW.load(Relaxed);
    let all = clusters * services * endpoints;
    let tables = state.tables().services.values();
    let tiers = tables.flat_map(|service| &service.v4.tiers);
    let entries: usize = tiers.map(|tier| tier.entries.len()).sum();
    assert_eq!(entries, services + all, "all are there");
    Each {
        cached: (cached - begun) / all,
        published: (told - cached - handed_over) / all,
        core: (end + handed_over - told) / all,
    }
}

fn put<T: Object>(objects: impl IntoIterator<Item = Value>) -> Batch<T> {
    let decoded = objects.into_iter().map(|object| {
        let json = serde_json::to_vec(&object).expect("JSON");
        Change::Put(T::decode(&json).expect("an object"))
    });
    Batch { changes: decoded.collect(), is_synced: true }
}

fn cluster(number: usize) -> Value {
    json!({
        "metadata": {"name": format!("c{number:03}")},
        "spec": {"cidrs": [format!("100.{}.0.0/16", 64 + number)], "encryption": {"mode": "Off"}},
        "status": {"phase": "Live"},
    })
}

fn service(number: usize) -> Value {
    json!({
        "metadata": {
            "namespace": "shop", "name": format!("service-{number}"),
            "labels": {"redirector.dev/failover": "true"},
        },
        "spec": {
            "clusterIP": format!("10.96.{}.{}", number / 250, 1 + number % 250),
            "selector": {"app": "x"},
            "ports": [{"port": 80, "protocol": "TCP"}],
        },
    })
}

fn own(number: usize) -> Value {
    let address = format!("10.128.{}.{}", number / 250, 1 + number % 250);
    slice(
        &format!("service-{number}-own"),
        &[address],
        json!({
            "kubernetes.io/service-name": format!("service-{number}"),
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        }),
    )
}

/// As the importer writes it.
fn remote(cluster: usize, service: usize, endpoints: usize) -> Value {
    let addresses: Vec<String> = (0..endpoints)
        .map(|number| service * endpoints + number)
        .map(|number| format!("100.{}.{}.{}", 64 + cluster, number / 250, 1 + number % 250))
        .collect();
    slice(
        &format!("service-{service}-c{cluster:03}"),
        &addresses,
        json!({
            "multicluster.kubernetes.io/service-name": format!("service-{service}"),
            "multicluster.kubernetes.io/source-cluster": format!("c{cluster:03}"),
            "endpointslice.kubernetes.io/managed-by": "clusters.redirector.dev",
            "service.kubernetes.io/service-proxy-name": "redirector.dev",
        }),
    )
}

fn slice(name: &str, addresses: &[String], labels: Value) -> Value {
    let endpoints: Vec<Value> = addresses
        .iter()
        .map(|address| json!({"addresses": [address], "nodeName": "node-1", "zone": "a"}))
        .collect();
    json!({
        "metadata": {
            "namespace": "shop", "name": name, "labels": labels,
            "annotations": {"redirector.dev/reach": "Pod", "redirector.dev/regions": "{\"a\":\"west\"}"},
        },
        "addressType": "IPv4",
        "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
        "endpoints": endpoints,
    })
}
