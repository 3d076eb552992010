//! Each seeded defect is found by its own question, and its fix is named; nothing else is accused.

use std::time::Duration;

use redirector_kube::api::Object as _;
use serde_json::json;

use super::*;
use crate::{
    admin::check::rights::{needed, questions},
    api::{
        ExportedPort, ExportedServiceSpec, ExportedType, Manifest, OutboxSlice, export_fingerprint,
        outbox_digest, slices_digest,
    },
};
use defects::Defect;

mod defects;

const NOW: i64 = 1_800_000_000;

fn remote(name: &str, spec: &Value) -> RemoteCluster {
    let object = json!({"metadata": {"name": name}, "spec": spec});
    RemoteCluster::decode(object.to_string().as_bytes()).expect("a RemoteCluster")
}

fn spec(reach: &str) -> Value {
    json!({
        "server": "https://west:6443", "credentials": {"secretName": "west"}, "uid": "u-west",
        "reach": reach, "cidrs": ["10.2.0.0/16"], "encryption": {"mode": "Off"},
    })
}

fn slice(addresses: &[&str]) -> Value {
    let endpoints: Vec<_> = addresses
        .iter()
        .map(|address| json!({"addresses": [address], "conditions": {"ready": true}, "nodeName": "n1"}))
        .collect();
    json!({
        "metadata": {"name": "web-1", "labels": {"redirector.dev/exported-service": "shop.web"}},
        "addressType": "IPv4", "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": endpoints,
    })
}

/// An outbox with one Service, and its manifest.
fn outbox(addresses: &[&str]) -> (Outbox, Manifest) {
    let slices = vec![slice(addresses)];
    let decoded = slices.iter().map(|slice| OutboxSlice::decode(slice.to_string().as_bytes()));
    let decoded: Vec<_> = decoded.map(|slice| slice.expect("a slice")).collect();
    let spec = ExportedServiceSpec {
        namespace: "shop".into(),
        name: "web".into(),
        exported_at: "2026-11-30T00:00:00Z".into(),
        kind: ExportedType::ClusterSetIp,
        ports: vec![ExportedPort {
            name: "http".into(),
            protocol: "TCP".into(),
            app_protocol: None,
            port: 80,
        }],
        session_affinity: None,
        affinity_seconds: None,
        internal_traffic_policy: None,
        traffic_distribution: None,
        ip_families: vec!["IPv4".into()],
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        weight: 100,
        ready: 1,
        gateways: Vec::new(),
        digest: slices_digest(&decoded),
    };
    let manifest = Manifest {
        cluster: "west".into(),
        uid: "u-west".into(),
        services: 1,
        endpoints: addresses.len(),
        digest: outbox_digest(&[export_fingerprint("shop.web", &spec)]),
        ..Manifest::default()
    };
    let services = vec![json!({"metadata": {"name": "shop.web"}, "spec": spec})];
    (Outbox { services, slices }, manifest)
}

fn facts() -> Facts {
    let identity =
        Identity { uid: "u-east".into(), property: Some("east".into()), ..Identity::default() };
    let served = here::GROUPS[..2].iter().map(|version| {
        let all = [
            "exportedservices",
            "failoverpolicies",
            "remoteclusters",
            "serviceexports",
            "serviceimports",
        ];
        (*version, all.map(str::to_owned).into())
    });
    let node = json!({"metadata": {"name": "n1"}, "spec": {"podCIDRs": ["10.1.0.0/24"]}});
    let policy = json!({
        "metadata": {"namespace": "shop", "name": "web"},
        "spec": {"targetRefs": [{"kind": "Service", "name": "web"}],
                 "tiers": [{"name": "there", "clusters": ["west", "*"]}]},
    });
    let here = Here {
        side: "context east".into(),
        identity,
        served: served.collect(),
        ranges: Ranges::of(&[node], &[], &[]),
        clusters: vec![remote("west", &spec("Pod"))],
        namespaces: [("shop".to_owned(), BTreeMap::new())].into(),
        policies: vec![policy],
        ..Here::default()
    };
    let (outbox, manifest) = outbox(&["10.2.0.7"]);
    let asked = questions("east").into_iter().map(|of| {
        let is_needed = needed("east").contains(&of);
        (of, is_needed)
    });
    let rights = Rights { asked: asked.collect(), listed: needed("east") };
    let at = |seconds: i64| k8s_openapi::jiff::Timestamp::from_second(NOW + seconds).ok();
    let west = There {
        cluster: here.clusters[0].clone(),
        credentials: Ok(Credentials {
            token: "t".into(),
            issued: at(-86_400),
            expires: at(29 * 86_400),
        }),
        answer: Some(Ok(())),
        rights: Some(rights),
        beat: Some(Beat { manifest: Some(Ok(manifest)), moved: true }),
        outbox: Some(outbox),
        dials: vec![Dial {
            address: "10.2.0.7:8080".parse().expect("an address"),
            connect: Ok(Duration::from_millis(1)),
            mtu: Mtu::Arrived,
        }],
        policies: None,
    };
    Facts { here, there: vec![west], now: NOW }
}

#[test]
fn of_two_clusters_that_are_well_nothing_is_said() {
    let findings = check(&facts());
    assert_eq!(findings.len(), 15, "each question is answered: {findings:#?}");
    let bad: Vec<_> = findings.iter().filter(|one| one.verdict != Verdict::Ok).collect();
    assert!(bad.is_empty(), "{bad:#?}");
}

#[test]
fn each_seeded_defect_is_found_and_its_fix_named() {
    let mut found_by = std::collections::BTreeSet::new();
    for Defect { check: question, verdict, found, fix, seed } in defects::all() {
        let mut facts = facts();
        seed(&mut facts);
        let findings = check(&facts);
        let of_it = findings.iter().find(|one| one.check == question).expect("it is answered");
        assert_eq!(of_it.verdict, verdict, "{of_it:?}");
        assert!(of_it.found.contains(found), "{found:?} is not in {of_it:?}");
        let said = of_it.fix.as_deref().unwrap_or_default();
        assert!(said.contains(fix), "{fix:?} is not in {of_it:?}");
        let is_accused = |one: &&Finding| one.check != question && one.verdict == Verdict::Failed;
        let accused: Vec<_> = findings.iter().filter(is_accused).collect();
        assert!(accused.is_empty(), "by {question:?}: {accused:?}");
        found_by.insert(question);
    }
    assert_eq!(found_by.len(), 15, "each question has a defect");
}

#[test]
fn a_cluster_that_others_discover_is_asked_only_what_concerns_it() {
    let mut facts = facts();
    set_clusters(&mut facts, &json!({"cidrs": ["10.2.0.0/16"], "encryption": {"mode": "Off"}}));
    let west = &mut facts.there[0];
    (west.credentials, west.answer, west.rights) = (Err("it has no server".into()), None, None);
    (west.beat, west.outbox) = (None, None);
    west.dials.clear();
    let findings = check(&facts);
    assert!(findings.iter().all(|one| one.verdict == Verdict::Ok), "{findings:#?}");
    assert!(!findings.iter().any(|one| one.check == Check::Token), "{findings:#?}");
}

fn beat(facts: &mut Facts) -> &mut Beat {
    facts.there[0].beat.as_mut().expect("a heartbeat")
}

fn said(facts: &mut Facts) -> &mut Manifest {
    let manifest = beat(facts).manifest.as_mut().expect("a manifest");
    manifest.as_mut().expect("a good one")
}

fn outbox_of(facts: &mut Facts) -> &mut Outbox {
    facts.there[0].outbox.as_mut().expect("an outbox")
}

fn set_clusters(facts: &mut Facts, spec: &Value) {
    facts.here.clusters = vec![remote("west", spec)];
    facts.there[0].cluster = facts.here.clusters[0].clone();
}
