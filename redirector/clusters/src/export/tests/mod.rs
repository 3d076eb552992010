//! What is exported of which objects: a case per row of the table of fields, and of bad input.

mod fields;
mod gateways;
mod slices;
mod status;

use redirector_kube::api::{Batch, Change, Object};
use serde_json::{Value, json};

use super::*;

/// An exporter that has heard of a cluster with these objects, and nothing else.
fn exporter(objects: &[Value]) -> Exporter {
    let mut exporter = Exporter::new(vec!["192.0.2.0/24".parse().expect("a range")]);
    let uid = json!({"kind": "Namespace", "metadata": {"name": "kube-system", "uid": "u-east"}});
    say(&mut exporter, &[uid]);
    say(&mut exporter, objects);
    exporter.refresh();
    exporter
}

/// Tells it of more objects; every kind is in sync afterwards.
fn say(exporter: &mut Exporter, objects: &[Value]) {
    exporter.take(LocalNews::Services(batch(objects)));
    exporter.take(LocalNews::Slices(batch(objects)));
    exporter.take(LocalNews::Exports(batch(objects)));
    exporter.take(LocalNews::Namespaces(batch(objects)));
    exporter.take(LocalNews::Nodes(batch(objects)));
}

fn batch<T: Object>(objects: &[Value]) -> Batch<T> {
    let mine = objects.iter().filter(|object| object["kind"] == T::KIND);
    let read = |object: &Value| T::decode(object.to_string().as_bytes()).expect("an object");
    Batch { changes: mine.map(|object| Change::Put(read(object))).collect(), is_synced: true }
}

/// A Service `shop/web` with a selector and this `spec` beside it.
fn service(spec: Value) -> Value {
    let mut object = json!({
        "kind": "Service",
        "metadata": {"namespace": "shop", "name": "web", "labels": {"own": "label"}},
        "spec": {
            "clusterIP": "10.96.0.10",
            "selector": {"app": "web"},
            "ipFamilies": ["IPv4"],
            "sessionAffinity": "None",
            "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
        },
    });
    for (field, value) in spec.as_object().into_iter().flatten() {
        object["spec"][field] = value.clone();
    }
    object
}

fn export(annotations: Value) -> Value {
    json!({
        "kind": "ServiceExport",
        "metadata": {
            "namespace": "shop", "name": "web", "generation": 1, "resourceVersion": "5",
            "creationTimestamp": "2026-11-30T12:00:00Z", "annotations": annotations,
        },
    })
}

/// A slice of `shop/web` that the controller made, with these endpoints.
fn slice(name: &str, endpoints: Value) -> Value {
    json!({
        "kind": "EndpointSlice",
        "metadata": {"namespace": "shop", "name": name, "labels": {
            "kubernetes.io/service-name": "web",
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        }},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": endpoints,
    })
}

fn ready(address: &str, node: &str, zone: &str) -> Value {
    json!({
        "addresses": [address], "nodeName": node, "zone": zone,
        "conditions": {"ready": true, "serving": true, "terminating": false},
    })
}

fn node(name: &str, zone: &str, address: &str) -> Value {
    json!({
        "kind": "Node",
        "metadata": {"name": name, "labels": {
            "topology.kubernetes.io/zone": zone, "topology.kubernetes.io/region": "eu",
        }},
        "spec": {"podCIDRs": ["10.1.4.0/24"]},
        "status": {"addresses": [{"type": "InternalIP", "address": address}]},
    })
}

/// The one Service that is exported.
fn only(exporter: &Exporter) -> &Exported {
    assert_eq!(exporter.exported().len(), 1, "{:?}", exporter.exported());
    exporter.exported().values().next().expect("one")
}
