//! Which endpoints are exported, and how they are divided into slices.

use super::*;
use crate::api::{OutboxSlice, slices_digest};

#[test]
fn an_endpoint_is_copied_with_its_conditions_and_its_place() {
    let mut dying = ready("10.1.4.3", "n2", "b");
    dying["conditions"] = json!({"ready": false, "serving": true, "terminating": true});
    let bare = json!({"addresses": ["10.1.4.4", "10.9.9.9"]});
    let found = exporter(&[
        service(json!({})),
        export(json!({})),
        slice("web-1", json!([ready("10.1.4.2", "n1", "a"), dying, bare])),
    ]);
    let exported = only(&found);
    assert_eq!(exported.service.spec.ready, 2, "what is not given is ready");
    let object = slice_object(&exported.slices[0]);
    assert_eq!(object["metadata"]["labels"]["redirector.dev/exported-service"], "shop.web");
    let proxy = &object["metadata"]["labels"]["service.kubernetes.io/service-proxy-name"];
    assert_eq!(proxy, "redirector.dev", "kube-proxy sees none of it");
    assert_eq!(object["ports"], json!([{"name": "http", "protocol": "TCP", "port": 8080}]));
    assert_eq!(
        object["endpoints"],
        json!([
            ready("10.1.4.2", "n1", "a"),
            {
                "addresses": ["10.1.4.3"], "nodeName": "n2", "zone": "b",
                "conditions": {"ready": false, "serving": true, "terminating": true},
            },
            {
                "addresses": ["10.1.4.4"],
                "conditions": {"ready": true, "serving": true, "terminating": false},
            },
        ])
    );
}

#[test]
fn what_an_importer_reads_has_the_digest_that_was_said() {
    let found = exporter(&[
        service(json!({})),
        export(json!({})),
        slice("web-1", json!([ready("10.1.4.2", "n1", "a"), {"addresses": ["10.1.4.3"]}])),
        slice("web-2", json!([ready("10.1.4.5", "n1", "a")])),
    ]);
    let exported = only(&found);
    let read = |slice: &OutboxSlice| {
        OutboxSlice::decode(slice_object(slice).to_string().as_bytes()).expect("a slice")
    };
    let mut read: Vec<OutboxSlice> = exported.slices.iter().map(read).collect();
    assert_eq!(slices_digest(&read), exported.service.spec.digest);
    read.reverse();
    assert_eq!(slices_digest(&read), exported.service.spec.digest);
    read.pop();
    assert_ne!(slices_digest(&read), exported.service.spec.digest);
    let object = exported.service.object().to_string();
    let service = crate::api::ExportedService::decode(object.as_bytes()).expect("a service");
    assert_eq!(service, exported.service);
}

#[test]
fn only_the_controller_is_believed_and_other_writers_within_trusted_ranges() {
    let endpoints = json!([ready("10.1.4.2", "n1", "a"), ready("192.0.2.9", "n1", "a")]);
    let by = |maker: Value| {
        let mut object = slice("web-1", endpoints.clone());
        object["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] = maker;
        object
    };
    let addresses = |spec: Value, slice: Value| -> Vec<String> {
        let found = exporter(&[service(spec), export(json!({})), slice]);
        let slices = only(&found).slices.iter().flat_map(|slice| slice.endpoints.to_vec());
        slices.map(|endpoint| endpoint.address.to_string()).collect()
    };
    let controller = || by(json!("endpointslice-controller.k8s.io"));
    assert_eq!(addresses(json!({}), controller()), ["10.1.4.2", "192.0.2.9"]);
    assert_eq!(addresses(json!({}), by(json!("user"))), ["192.0.2.9"]);
    // Without a selector the controller undoes no forgery.
    assert_eq!(addresses(json!({"selector": {}}), controller()), ["192.0.2.9"]);
}

#[test]
fn endpoints_of_other_clusters_are_never_exported_again() {
    for (label, value) in [
        ("multicluster.kubernetes.io/source-cluster", "west"),
        ("multicluster.kubernetes.io/service-name", "web"),
        ("endpointslice.kubernetes.io/managed-by", "clusters.redirector.dev"),
    ] {
        let mut foreign = slice("web-1", json!([ready("192.0.2.9", "n1", "a")]));
        foreign["metadata"]["labels"][label] = json!(value);
        let found = exporter(&[service(json!({})), export(json!({})), foreign]);
        let exported = only(&found);
        assert_eq!((exported.slices.len(), exported.service.spec.ready), (0, 0), "{label}");
    }
}

#[test]
fn addresses_that_may_not_be_used_and_other_families_are_left_out() {
    let endpoints = ["127.0.0.1", "169.254.169.254", "fd00::1", "web", ""]
        .map(|address| ready(address, "n1", "a"))
        .to_vec();
    let found =
        exporter(&[service(json!({})), export(json!({})), slice("web-1", endpoints.into())]);
    assert_eq!(only(&found).slices, []);
    let mut names = slice("web-1", json!([ready("west.example", "n1", "a")]));
    names["addressType"] = json!("FQDN");
    let found = exporter(&[service(json!({})), export(json!({})), names]);
    assert_eq!(only(&found).slices, []);
}

#[test]
fn a_slice_has_at_most_a_hundred_endpoints_and_a_change_of_one_here_is_one_there() {
    let many = |slice_at: u8, count: u8| {
        let each = (0..count).map(|pod| ready(&format!("10.1.{slice_at}.{pod}"), "n1", "a"));
        slice(&format!("web-{slice_at}"), each.collect())
    };
    let mut exporter =
        exporter(&[service(json!({})), export(json!({})), many(1, 250), many(2, 5), many(3, 5)]);
    let before = only(&exporter).slices.clone();
    let sizes = |slices: &[OutboxSlice]| {
        let mut sizes: Vec<usize> = slices.iter().map(|slice| slice.endpoints.len()).collect();
        sizes.sort_unstable();
        sizes
    };
    assert_eq!(sizes(&before), [5, 5, 50, 100, 100]);
    say(&mut exporter, &[many(2, 6)]);
    exporter.refresh();
    let after = &only(&exporter).slices;
    let same = before.iter().filter(|slice| after.contains(slice)).count();
    assert_eq!((same, after.len()), (4, 5));
}

#[test]
fn a_service_of_the_longest_names_has_valid_ones_in_the_outbox() {
    let (namespace, name) = ("n".repeat(63), "s".repeat(63));
    let mut objects = [
        service(json!({})),
        export(json!({})),
        slice("web-1", json!([ready("10.1.4.2", "n1", "a")])),
    ];
    for object in &mut objects {
        object["metadata"]["namespace"] = json!(namespace);
    }
    objects[0]["metadata"]["name"] = json!(name);
    objects[1]["metadata"]["name"] = json!(name);
    objects[2]["metadata"]["labels"]["kubernetes.io/service-name"] = json!(name);
    let found = exporter(&objects);
    let object = slice_object(&only(&found).slices[0]);
    let length = |value: &Value| value.as_str().map_or(0, str::len);
    assert!(length(&object["metadata"]["name"]) <= 253);
    assert!(length(&object["metadata"]["labels"]["redirector.dev/exported-service"]) <= 63);
}
