//! What an ExportedService and the manifest say.

use super::*;
use crate::api::ExportedType;

#[test]
fn every_field_of_the_service_that_other_clusters_need_is_said_and_no_other() {
    let found = exporter(&[
        service(json!({
            "sessionAffinity": "ClientIP",
            "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}},
            "internalTrafficPolicy": "Local",
            "trafficDistribution": "PreferClose",
            "ipFamilies": ["IPv6", "IPv4"],
            "ports": [
                {"name": "http", "port": 80, "targetPort": 8080, "appProtocol": "http"},
                {"name": "sctp", "port": 9, "protocol": "SCTP"},
            ],
        })),
        export(json!({"redirector.dev/weight": "7"})),
        slice("web-1", json!([ready("10.1.4.2", "n1", "a"), ready("10.1.4.3", "n2", "b")])),
    ]);
    let exported = only(&found);
    let mut spec = serde_json::to_value(&exported.service.spec).expect("JSON");
    let digest = spec["digest"].take();
    assert_eq!(digest.as_str().map(str::len), Some(64));
    assert_eq!(exported.service.name, "shop.web");
    assert_eq!(
        spec,
        json!({
            "namespace": "shop", "name": "web", "exportedAt": "2026-11-30T12:00:00Z",
            "type": "ClusterSetIP",
            "ports": [
                {"name": "http", "protocol": "TCP", "appProtocol": "http", "port": 80},
                {"name": "sctp", "protocol": "SCTP", "port": 9},
            ],
            "sessionAffinity": "ClientIP", "affinitySeconds": 60,
            "internalTrafficPolicy": "Local", "trafficDistribution": "PreferClose",
            "ipFamilies": ["IPv6", "IPv4"], "weight": 7, "ready": 2, "digest": null,
        })
    );
}

#[test]
fn labels_are_those_of_the_export_and_never_the_services_own() {
    let mut wished = export(json!({}));
    wished["spec"] = json!({"exportedLabels": {"a": "b"}, "exportedAnnotations": {"c": "d"}});
    let found = exporter(&[service(json!({})), wished]);
    let spec = &only(&found).service.spec;
    assert_eq!(spec.labels, [("a".to_owned(), "b".to_owned())].into());
    assert_eq!(spec.annotations, [("c".to_owned(), "d".to_owned())].into());
}

#[test]
fn a_headless_service_has_the_names_of_its_pods_and_no_gateway() {
    let mut pod = ready("10.1.4.2", "n1", "a");
    pod["hostname"] = json!("web-0");
    let found = exporter(&[
        service(json!({"clusterIP": "None", "ports": [{"port": 80, "nodePort": 30_080}]})),
        export(json!({})),
        slice("web-1", json!([pod])),
        node("n1", "a", "192.0.2.1"),
    ]);
    let exported = only(&found);
    assert_eq!(exported.service.spec.kind, ExportedType::Headless);
    assert_eq!(exported.service.spec.gateways, []);
    assert_eq!(exported.slices[0].endpoints[0].hostname.as_deref(), Some("web-0"));
}

#[test]
fn a_service_and_its_export_may_come_and_go_in_any_order() {
    let objects = [service(json!({})), export(json!({})), slice("web-1", json!([]))];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut exporter = exporter(&[]);
        for at in order {
            say(&mut exporter, &objects[at..=at]);
            exporter.refresh();
        }
        assert_eq!(exporter.exported().len(), 1, "{order:?}");
        let web = ObjectRef { namespace: "shop".into(), name: "web".into() };
        let gone = Batch { changes: vec![Change::Remove(web.clone())], is_synced: true };
        exporter.take(LocalNews::Exports(gone));
        let differences = exporter.refresh();
        assert!(matches!(&*differences, [Difference { before: Some(_), after: None }]));
        assert_eq!(exporter.export_of(&web), None);
    }
}

#[test]
fn before_everything_has_been_heard_nothing_is_said() {
    let mut exporter = Exporter::new(Vec::new());
    exporter.take(LocalNews::Services(batch(&[service(json!({}))])));
    exporter.take(LocalNews::Exports(batch(&[export(json!({}))])));
    exporter.take(LocalNews::Slices(batch(&[])));
    exporter.take(LocalNews::Nodes(batch(&[])));
    assert!(exporter.refresh().is_empty());
    // A list of namespaces without kube-system is cut short.
    exporter.take(LocalNews::Namespaces(batch(&[])));
    assert!(!exporter.is_synced() && exporter.refresh().is_empty());
    let uid = json!({"kind": "Namespace", "metadata": {"name": "kube-system", "uid": "u"}});
    exporter.take(LocalNews::Namespaces(batch(&[uid])));
    assert_eq!(exporter.refresh().len(), 1);
}

#[test]
fn a_version_that_cannot_be_read_leaves_the_last_good_one() {
    let mut exporter = exporter(&[service(json!({})), export(json!({}))]);
    let object = ObjectRef { namespace: "shop".into(), name: "web".into() };
    let change = Change::Rejected { object, why: "odd".to_owned() };
    exporter.take(LocalNews::Services(Batch { changes: vec![change], is_synced: true }));
    assert!(exporter.refresh().is_empty());
    assert_eq!(exporter.exported().len(), 1);
}

#[test]
fn the_manifest_is_of_the_content_whatever_came_first() {
    let objects = [
        service(json!({})),
        export(json!({})),
        slice("web-1", json!([ready("10.1.4.2", "n1", "a")])),
        slice("web-2", json!([ready("10.1.4.3", "n2", "b"), ready("10.1.4.4", "n2", "b")])),
        node("n1", "a", "192.0.2.1"),
        node("n2", "b", "192.0.2.2"),
    ];
    let manifest = exporter(&objects).manifest("east", 9);
    assert_eq!((manifest.services, manifest.endpoints, manifest.epoch), (1, 3, 9));
    assert_eq!((&*manifest.cluster, &*manifest.uid), ("east", "u-east"));
    assert_eq!(manifest.cidrs, ["10.1.4.0/24"]);
    assert_eq!(manifest.regions.len(), 2);
    for turn in 1..objects.len() {
        let mut turned = objects.clone();
        turned.rotate_left(turn);
        assert_eq!(exporter(&turned).manifest("east", 9), manifest);
    }
    let mut fewer = exporter(&objects[..3]);
    assert_ne!(fewer.manifest("east", 9).digest, manifest.digest);
    say(&mut fewer, &objects[3..]);
    fewer.refresh();
    assert_eq!(fewer.manifest("east", 9), manifest);
}
