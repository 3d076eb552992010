//! Clusters that are refused, and what stays of them (MULTICLUSTER 1.5).

use redirector_kube::api::Phase;
use serde_json::json;

use super::{
    exporter::{Exporter, spec},
    here::Here,
    phases::{SECOND, beats, live},
};

/// West with reach Pod and with reach LoadBalancer: what is in use by east and overlaps.
fn overlaps(use_range: impl Fn(&mut Here), said: &str) {
    let (mut here, mut west) = live();
    let gateway = crate::api::Gateway {
        kind: crate::api::GatewayKind::LoadBalancer,
        address: Some("10.2.255.1".parse().expect("an address")),
        hostname: None,
        zone: None,
        ports: vec![crate::api::GatewayPort { name: "http".into(), port: 80 }],
    };
    west.exports.get_mut("shop/web").expect("it is exported").spec.gateways = vec![gateway];
    west.write_all();
    let news = west.deliver();
    here.take_all(news);
    beats(&mut here, &mut west, 1);
    use_range(&mut here);
    here.settle();
    assert_eq!(here.backends().len(), 0, "0 endpoints at once");
    assert_eq!(here.importer.desired().statuses["west"].endpoints, Some(0));
    let (status, reason, message) = here.condition("west", "Accepted");
    assert_eq!((status, reason), (Some(false), "CIDROverlap"));
    assert!(message.contains(said), "{message}");
    here.join("west", |object| object["spec"]["reach"] = json!("LoadBalancer"));
    beats(&mut here, &mut west, 1);
    here.settle();
    let backends: Vec<_> =
        here.backends().into_iter().map(|(_, _, address, port)| (address, port)).collect();
    assert_eq!(backends, [("10.2.255.1".parse().expect("an address"), 80)]);
    assert_eq!(here.condition("west", "Accepted").0, Some(true));
}

#[test]
fn ranges_of_own_pods_nodes_and_services_refuse_pod_reach_as_a_whole() {
    overlaps(|here| here.node("n-1", &["192.0.2.1"], &["10.2.4.0/24"]), "pods of node n-1");
    overlaps(|here| here.node("n-1", &["10.2.0.200"], &[]), "10.2.0.200/32 of node n-1");
    let service = |here: &mut Here| {
        let service = json!({
            "metadata": {"namespace": "shop", "name": "own"},
            "spec": {"clusterIP": "10.2.9.9", "clusterIPs": ["10.2.9.9"], "ipFamilies": ["IPv4"]},
        });
        let service = redirector_kube::api::Object::decode(service.to_string().as_bytes());
        let changes = vec![redirector_kube::api::Change::Put(service.expect("a Service"))];
        let batch = redirector_kube::api::Batch { changes, is_synced: true };
        here.take(super::super::News::Services(batch));
    };
    overlaps(service, "10.2.9.9/32 of Service shop/own");
}

#[test]
fn of_two_clusters_that_overlap_the_younger_is_refused_and_comes_when_the_other_leaves() {
    let (mut here, _west) = live();
    here.join("north", |object| object["spec"]["cidrs"] = json!(["10.2.128.0/17"]));
    let mut north = Exporter::new("north");
    north.export(spec("shop/web", "2026-11-02T00:00:00Z"), &["10.2.128.1"]);
    let news = north.list(&[].into());
    here.take_all(news);
    beats(&mut here, &mut north, 6);
    let (status, reason, message) = here.condition("north", "Accepted");
    assert_eq!((status, reason), (Some(false), "CIDROverlap"));
    assert!(message.contains("RemoteCluster west"), "{message}");
    assert_eq!(here.condition("west", "Accepted").0, Some(true), "the older is not harmed");
    assert_eq!(here.phase("north"), Some(Phase::Joining));
    here.leave("west");
    beats(&mut here, &mut north, 1);
    here.settle();
    assert_eq!(here.phase("north"), Some(Phase::Live));
    assert_eq!(here.backends().len(), 1, "west's are gone, north's are here");
}

#[test]
fn another_cluster_under_the_name_is_refused_and_what_was_there_is_kept_for_keep_for() {
    let (mut here, mut west) = live();
    here.join("west", |object| object["spec"]["keepFor"] = json!("1m"));
    let before = here.backends();
    let mut other = Exporter::new("west");
    other.uid = "uid-other".into();
    other.version = west.version + 100;
    other.export(spec("shop/web", "2026-11-02T00:00:00Z"), &["10.2.66.66"]);
    other.told = west.told.clone();
    beats(&mut here, &mut other, 1);
    let news = other.deliver();
    here.take_all(news);
    beats(&mut here, &mut other, 5);
    here.settle();
    let (status, reason, message) = here.condition("west", "Accepted");
    assert_eq!((status, reason), (Some(false), "IdentityChanged"));
    assert!(message.contains("uid-other") && message.contains("uid-west"), "{message}");
    assert_eq!((here.phase("west"), here.backends()), (Some(Phase::Silent), before.clone()));
    // The right one comes back: it is listed anew, and counts again.
    west.version = other.version + 100;
    beats(&mut here, &mut west, 1);
    assert_eq!(here.importer.take_relists(), ["west".into()].into());
    let news = west.list(&[].into());
    here.take_all(news);
    beats(&mut here, &mut west, 5);
    here.settle();
    assert_eq!((here.phase("west"), here.backends()), (Some(Phase::Live), before));
    // The other one stays: after keepFor nothing of the old one does.
    beats(&mut here, &mut other, 1);
    here.pass(SECOND * 61);
    here.pass(SECOND);
    here.settle();
    assert_eq!((here.phase("west"), here.backends().len()), (Some(Phase::Lost), 0));
}

#[test]
fn an_identity_that_was_seen_is_pinned_across_a_restart_and_one_that_is_written_always() {
    let (mut here, _west) = live();
    here.begin();
    let mut other = Exporter::new("west");
    other.uid = "uid-other".into();
    let news = other.list(&[].into());
    here.take_all(news);
    beats(&mut here, &mut other, 5);
    assert_eq!(here.condition("west", "Accepted").1, "IdentityChanged", "by status.uid");
    let mut here = Here::new(false);
    here.join("west", |object| object["spec"]["uid"] = json!("uid-west"));
    beats(&mut here, &mut other, 5);
    assert_eq!(here.condition("west", "Accepted").1, "IdentityChanged", "by spec.uid");
    assert_eq!(here.phase("west"), Some(Phase::Joining));
}

#[test]
fn one_cluster_under_two_names_counts_under_the_older() {
    let (mut here, west) = live();
    let before = here.backends();
    here.join("again", |object| object["spec"]["cidrs"] = json!(["10.9.0.0/16"]));
    let mut again = west.clone();
    again.name = "again".into();
    let news = again.list(&[].into());
    here.take_all(news);
    beats(&mut here, &mut again, 5);
    here.settle();
    let (status, reason, message) = here.condition("again", "Accepted");
    assert_eq!((status, reason), (Some(false), "DuplicateCluster"));
    assert!(message.contains("RemoteCluster west") && message.contains("leave"), "{message}");
    assert_eq!(here.backends(), before);
    assert_eq!(here.condition("west", "Accepted").0, Some(true));
}

#[test]
fn this_cluster_itself_is_refused_by_its_name_and_by_its_uid() {
    for name in ["east", "mirror"] {
        let mut here = Here::new(false);
        here.join(name, |_| {});
        let mut own = Exporter::new(name);
        own.uid = "uid-east".into();
        own.export(spec("shop/web", "2026-11-01T00:00:00Z"), &["10.2.0.1"]);
        if name == "mirror" {
            let news = own.list(&[].into());
            here.take_all(news);
            beats(&mut here, &mut own, 5);
        }
        here.settle();
        assert_eq!(here.condition(name, "Accepted").1, "OwnCluster");
        assert_eq!(here.backends().len(), 0);
        if name == "mirror" {
            // Its server is put right: nothing of the mistake is remembered.
            let mut west = own.clone();
            west.uid = "uid-west".into();
            let news = west.list(&[].into());
            here.take_all(news);
            beats(&mut here, &mut west, 5);
            here.settle();
            assert_eq!((here.phase(name), here.backends().len()), (Some(Phase::Live), 1));
        }
    }
}

#[test]
fn an_invalid_version_leaves_the_last_one_in_force_and_says_what_is_wrong() {
    let (mut here, mut west) = live();
    let before = here.backends();
    here.join("west", |object| {
        object["spec"]["cidrs"] = json!([]);
    });
    beats(&mut here, &mut west, 2);
    here.settle();
    assert_eq!(here.backends(), before);
    let (status, reason, message) = here.condition("west", "Accepted");
    assert_eq!((status, reason), (Some(false), "Invalid"));
    assert!(message.contains("cidrs is empty") && message.contains("last valid"), "{message}");
    assert_eq!(here.importer.desired().statuses["west"].generation, 2);
}

#[test]
fn encryption_that_cannot_be_proven_keeps_endpoints_out_where_it_is_required() {
    let (mut here, mut west) = live();
    for (mode, status, backends) in
        [("Required", None, 0), ("Report", None, 2), ("Required", None, 0), ("Off", Some(false), 2)]
    {
        here.join("west", |object| object["spec"]["encryption"]["mode"] = json!(mode));
        beats(&mut here, &mut west, 1);
        here.settle();
        assert_eq!(here.backends().len(), backends, "{mode}");
        let (secure, reason, message) = here.condition("west", "Secure");
        assert_eq!((secure, reason), (status, if mode == "Off" { "Off" } else { "NoGuard" }));
        assert!(message.contains("plain text") || message.contains("encrypted"), "{message}");
        assert_eq!(here.phase("west"), Some(Phase::Live));
    }
}

#[test]
fn without_a_server_nothing_is_imported_and_it_is_judged_all_the_same() {
    let mut here = Here::new(false);
    here.join("west", |object| {
        let spec = object["spec"].as_object_mut().expect("a spec");
        spec.remove("server");
        spec.remove("credentials");
    });
    assert_eq!(here.phase("west"), None);
    assert_eq!(here.condition("west", "Connected").1, "DiscoveredByOthers");
    here.node("n-1", &["10.2.0.200"], &[]);
    assert_eq!(here.condition("west", "Accepted").1, "CIDROverlap");
}

#[test]
fn endpoints_outside_the_ranges_are_left_out_and_counted() {
    let (mut here, mut west) = live();
    west.export(spec("shop/api", "2026-11-01T00:00:00Z"), &["10.2.0.7", "10.3.0.7", "169.254.0.9"]);
    let news = west.deliver();
    here.take_all(news);
    beats(&mut here, &mut west, 12);
    here.settle();
    assert_eq!(here.backends().len(), 3);
    let message = here.condition("west", "Synced").2;
    assert!(message.starts_with("2 of its endpoints are left out"), "{message}");
    here.join("west", |object| object["spec"]["cidrs"] = json!(["10.2.0.0/16", "10.3.0.0/16"]));
    here.settle();
    assert_eq!(here.backends().len(), 4, "the owner says that they are its");
    here.join("west", |object| object["spec"]["cidrs"] = json!(["10.2.0.2/32"]));
    here.settle();
    assert_eq!(here.backends().len(), 1);
}

#[test]
fn leaving_removes_everything_of_the_cluster_and_nothing_else() {
    let (mut here, _west) = live();
    here.join("north", |object| object["spec"]["cidrs"] = json!(["10.3.0.0/16"]));
    let mut north = Exporter::new("north");
    north.export(spec("shop/web", "2026-11-02T00:00:00Z"), &["10.3.0.1"]);
    let news = north.list(&[].into());
    here.take_all(news);
    beats(&mut here, &mut north, 5);
    here.settle();
    assert_eq!(here.backends().len(), 3);
    here.join("west", |object| {
        object["metadata"]["deletionTimestamp"] = json!("2026-11-30T00:00:09Z");
    });
    here.settle();
    assert_eq!((here.phase("west"), here.backends().len()), (Some(Phase::Leaving), 1));
    here.leave("west");
    here.leave("north");
    here.settle();
    assert!(here.store.is_empty(), "{:?}", here.store.keys());
    assert!(here.importer.desired().statuses.is_empty());
}
