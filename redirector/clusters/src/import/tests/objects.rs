//! What is written here for an import (MULTICLUSTER 1.2): names, labels, owners, ports.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    exporter::{Exporter, port, spec},
    here::Here,
    phases::{beats, live},
};
use crate::api::{ExportedServiceSpec, export_name};

/// East with clusterset addresses or without, and west with that Service, live and written.
fn with(cluster_set_ips: bool, spec: ExportedServiceSpec, addresses: &[&str]) -> (Here, Exporter) {
    let mut here = Here::new(cluster_set_ips);
    here.join("west", |_| {});
    let mut west = Exporter::new("west");
    west.export(spec, addresses);
    let news = west.list(&[].into());
    here.take_all(news);
    beats(&mut here, &mut west, 5);
    here.settle();
    (here, west)
}

fn web() -> ExportedServiceSpec {
    spec("shop/web", "2026-11-01T00:00:00Z")
}

fn labels(object: &Value) -> BTreeMap<String, String> {
    serde_json::from_value(object["metadata"]["labels"].clone()).expect("labels")
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn attach_slices_are_invisible_to_kube_proxy_and_owned_by_the_import() {
    let (here, _west) = with(false, ExportedServiceSpec { weight: 40, ..web() }, &["10.2.0.1"]);
    assert_eq!(here.store.len(), 2, "an import and a slice: {:?}", here.store.keys());
    let slices = here.slices();
    let (name, slice) = slices.first_key_value().expect("a slice");
    assert!(name.starts_with("web-west-") && name.ends_with("-0"), "{name}");
    assert_eq!(
        labels(slice),
        pairs(&[
            ("multicluster.kubernetes.io/service-name", "web"),
            ("multicluster.kubernetes.io/source-cluster", "west"),
            ("endpointslice.kubernetes.io/managed-by", "clusters.redirector.dev"),
            ("service.kubernetes.io/service-proxy-name", "redirector.dev"),
        ])
    );
    assert_eq!(
        slice["metadata"]["annotations"],
        json!({
            "redirector.dev/reach": "Pod",
            "redirector.dev/weight": "40",
            "redirector.dev/regions": "{\"a\":\"eu\"}",
        })
    );
    let import = here.import("shop/web").expect("an import");
    assert_eq!(slice["metadata"]["ownerReferences"][0]["uid"], import["given"]["uid"]);
    assert_eq!(slice["metadata"]["ownerReferences"][0]["kind"], "ServiceImport");
    assert_eq!(slice["addressType"], "IPv4");
    assert_eq!(slice["ports"], json!([{"name": "http", "protocol": "TCP", "port": 8080}]));
    assert_eq!(
        slice["endpoints"],
        json!([{
            "addresses": ["10.2.0.1"],
            "conditions": {"ready": true, "serving": true, "terminating": false},
            "nodeName": "worker-1",
            "zone": "a",
        }])
    );
    assert_eq!(import["spec"]["type"], "ClusterSetIP");
    assert_eq!(import["spec"]["ports"], json!([{"name": "http", "protocol": "TCP", "port": 80}]));
    assert!(import["spec"].get("ips").is_none());
    assert_eq!(import["status"], json!({"clusters": [{"cluster": "west"}]}));
}

#[test]
fn clusterset_slices_are_those_of_a_derived_service_whose_address_the_import_has() {
    let (here, _west) = with(true, web(), &["10.2.0.1"]);
    let import = here.import("shop/web").expect("an import");
    let derived = import["metadata"]["annotations"]["multicluster.kubernetes.io/derived-service"]
        .as_str()
        .expect("a derived Service");
    assert!(derived.starts_with("derived-"), "{derived}");
    let (of, service) =
        here.store.iter().find(|(of, _)| &*of.name == derived).expect("the derived Service");
    assert_eq!((of.kind.name(), &*of.namespace), ("Service", "shop"));
    assert_eq!(import["spec"]["ips"], json!([service["given"]["ip"]]));
    assert_eq!(import["spec"]["ipFamilies"], json!(["IPv4"]));
    assert_eq!(service["spec"]["ports"], json!([{"name": "http", "protocol": "TCP", "port": 80}]));
    assert!(service["spec"].get("selector").is_none());
    assert_eq!(service["metadata"]["ownerReferences"][0]["name"], "web");
    let slices = here.slices();
    let (_, slice) = slices.first_key_value().expect("a slice");
    assert_eq!(
        labels(slice),
        pairs(&[
            ("multicluster.kubernetes.io/service-name", "web"),
            ("multicluster.kubernetes.io/source-cluster", "west"),
            ("endpointslice.kubernetes.io/managed-by", "clusters.redirector.dev"),
            ("kubernetes.io/service-name", derived),
        ])
    );
}

#[test]
fn own_endpoints_are_one_more_set_of_slices_only_with_clusterset_addresses() {
    for (cluster_set_ips, slices) in [(true, 2), (false, 1)] {
        let (mut here, _west) = with(cluster_set_ips, web(), &["10.2.0.1"]);
        let mut own = Exporter::new("east");
        own.export(spec("shop/web", "2026-10-01T00:00:00Z"), &["10.1.0.1"]);
        let news = own.list(&[].into());
        here.take_all(news);
        here.settle();
        assert_eq!(here.slices().len(), slices);
        let import = here.import("shop/web").expect("an import");
        let both = json!({"clusters": [{"cluster": "east"}, {"cluster": "west"}]});
        assert_eq!(import["status"], both);
        own.unexport("shop/web");
        let news = own.deliver();
        here.take_all(news);
        here.settle();
        assert_eq!(here.slices().len(), 1, "it is gone at once: it is this cluster's own word");
    }
}

#[test]
fn only_namespaces_that_exist_here_and_are_chosen_are_imported_and_the_others_counted() {
    let (mut here, mut west) = live();
    for namespace in ["absent", "test"] {
        west.export(spec(&format!("{namespace}/web"), "2026-11-01T00:00:00Z"), &["10.2.0.9"]);
    }
    let news = west.deliver();
    here.take_all(news);
    here.namespace("test", &[("tier", "test")]);
    beats(&mut here, &mut west, 12);
    here.settle();
    assert_eq!(here.backends().len(), 3, "shop and test");
    assert!(here.condition("west", "Synced").2.starts_with("1 of its services are not imported"));
    here.namespace("absent", &[("tier", "prod")]);
    here.settle();
    assert_eq!(here.backends().len(), 4, "as soon as it exists");
    here.join("west", |object| {
        object["spec"]["namespaces"] = json!({"matchLabels": {"tier": "prod"}})
    });
    here.settle();
    assert_eq!(here.backends().len(), 1, "only those that are chosen");
    here.namespace("test", &[("tier", "prod")]);
    here.settle();
    assert_eq!(here.backends().len(), 2);
    here.namespace("absent", &[]);
    here.settle();
    beats(&mut here, &mut west, 12);
    assert_eq!(here.backends().len(), 1);
    assert!(here.condition("west", "Synced").2.starts_with("2 of its services are not imported"));
}

#[test]
fn the_import_of_another_implementation_is_left_as_it_is_and_owns_our_slices() {
    let mut here = Here::new(true);
    let object = redirector_kube::api::ObjectRef { namespace: "shop".into(), name: "web".into() };
    let foreign = super::super::OwnImport { object, uid: "foreign".into(), is_ours: false };
    let changes = vec![redirector_kube::api::Change::Put(foreign)];
    let batch = redirector_kube::api::Batch { changes, is_synced: true };
    here.take(super::super::News::Imports(batch));
    here.join("west", |_| {});
    let mut west = Exporter::new("west");
    west.export(web(), &["10.2.0.1"]);
    let news = west.list(&[].into());
    here.take_all(news);
    beats(&mut here, &mut west, 5);
    here.settle();
    assert_eq!(here.store.len(), 1, "a slice alone: {:?}", here.store.keys());
    let slices = here.slices();
    let (_, slice) = slices.first_key_value().expect("a slice");
    assert_eq!(slice["metadata"]["ownerReferences"][0]["uid"], "foreign");
    assert!(labels(slice).contains_key("service.kubernetes.io/service-proxy-name"));
}

#[test]
fn imports_that_vanish_leave_their_slices_which_get_another_owner() {
    let (mut here, _west) = live();
    let import = here.store.keys().next().expect("an import").clone();
    here.write(&import, None);
    let slices = here.due();
    let (of, body) =
        slices.iter().find(|(of, _)| of.name.starts_with("web-west-")).expect("its slice");
    let body = body.as_ref().expect("it stays");
    assert!(body["metadata"].get("ownerReferences").is_none(), "{of}: the owner is gone");
    here.settle();
    assert_eq!(here.backends().len(), 2);
    let import = here.import("shop/web").expect("it is made again")["given"]["uid"].clone();
    let slices = here.slices();
    let (_, slice) = slices.first_key_value().expect("a slice");
    assert_eq!(slice["metadata"]["ownerReferences"][0]["uid"], import);
}

#[test]
fn both_families_are_one_slice_each() {
    let families = vec!["IPv4".to_owned(), "IPv6".to_owned()];
    let spec = ExportedServiceSpec { ip_families: families, ..web() };
    let (here, _west) = with(false, spec, &["10.2.0.1", "fd00:2::1"]);
    let slices = here.slices();
    let families: Vec<_> = slices.values().map(|slice| slice["addressType"].clone()).collect();
    assert_eq!(families, ["IPv4", "IPv6"]);
    assert_eq!(
        here.import("shop/web").expect("an import")["spec"]["ipFamilies"],
        json!(["IPv4", "IPv6"])
    );
}

#[test]
fn names_of_any_length_are_names_of_objects() {
    let (namespace, name) = ("shop", "w".repeat(63));
    let long = spec(&format!("{namespace}/{name}"), "2026-11-01T00:00:00Z");
    assert!(export_name(namespace, &name).len() > 63);
    let (here, _west) = with(true, long, &["10.2.0.1"]);
    assert_eq!(here.backends().len(), 1);
    assert!(here.store.keys().all(|of| of.name.len() <= 253));
}

#[test]
fn a_gateway_is_an_endpoint_while_a_pod_behind_it_is_ready() {
    let (mut here, mut west) = live();
    let gateway = |kind, address: &str, port| crate::api::Gateway {
        kind,
        address: address.parse().ok(),
        hostname: None,
        zone: Some("a".into()),
        ports: vec![crate::api::GatewayPort { name: "http".into(), port }],
    };
    use crate::api::GatewayKind::{LoadBalancer, NodePort};
    let gateways = vec![
        gateway(LoadBalancer, "10.2.255.1", 80),
        gateway(NodePort, "10.2.254.1", 30_080),
        gateway(NodePort, "10.2.254.2", 30_080),
        gateway(LoadBalancer, "not resolved here", 80),
    ];
    west.exports.get_mut("shop/web").expect("it is exported").spec.gateways = gateways;
    west.write_all();
    let news = west.deliver();
    here.take_all(news);
    beats(&mut here, &mut west, 1);
    for (reach, ports) in [("LoadBalancer", vec![80]), ("NodePort", vec![30_080, 30_080])] {
        here.join("west", |object| object["spec"]["reach"] = json!(reach));
        here.settle();
        let found: Vec<u16> = here.backends().into_iter().map(|(_, _, _, port)| port).collect();
        assert_eq!(found, ports, "{reach}");
        let slices = here.slices();
        let (_, slice) = slices.first_key_value().expect("a slice");
        assert_eq!(slice["metadata"]["annotations"]["redirector.dev/reach"], reach);
    }
    for endpoint in west.exports.get_mut("shop/web").expect("it").endpoints.values_mut() {
        endpoint.is_ready = false;
    }
    west.write_all();
    let news = west.deliver();
    here.take_all(news);
    here.settle();
    assert_eq!(here.backends().len(), 0, "at once, without a manifest");
}

#[test]
fn ports_of_an_export_that_changes_are_both_there_until_the_manifest_agrees() {
    let (mut here, mut west) = live();
    let export = west.exports.get_mut("shop/web").expect("it is exported");
    export.spec.ports = vec![port("web", "TCP", 81)];
    west.write_all();
    let news = west.deliver();
    here.take_all(news);
    here.settle();
    let ports = |here: &Here| -> Vec<Value> {
        let import = here.import("shop/web").expect("an import");
        import["spec"]["ports"]
            .as_array()
            .expect("ports")
            .iter()
            .map(|p| p["name"].clone())
            .collect()
    };
    assert_eq!(ports(&here), ["web", "http"]);
    assert_eq!(here.backends().len(), 4);
    beats(&mut here, &mut west, 4);
    here.settle();
    assert_eq!(ports(&here), ["web"]);
    assert_eq!(here.backends().len(), 2);
}
