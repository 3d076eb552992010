//! The same as in `healed`, done to a real kube-apiserver and etcd where their programs are given:
//! what the fake server takes to be so, the real one has to confirm.

use std::time::Instant;

use redirector_tests::{
    api::{RealApi, Server as _, real::Restored},
    cluster::{Cluster, slice},
    fixture::SMALL,
};
use serde_json::{Value, json};

use super::{
    fixture::{service, until},
    operated::{Fixture, prepare, refusing},
};

const CRD: &str = "failoverpolicies.redirector.dev";
/// The real server takes seconds to start, and 3 s to say that it does not know a version yet: no
/// relist may be due meanwhile, nor a deadline pass.
const DIVISOR: &str = "2";

/// Ends the test as a counted skip, unless there is a real server.
macro_rules! stage_or_skip {
    ($test:literal) => {
        match RealApi::assets() {
            Ok(assets) => site(assets),
            Err(why) => {
                println!("SKIP {}: {why}", $test);
                return;
            }
        }
    };
}

#[test]
fn really_compacted() {
    let mut site = stage_or_skip!("really_compacted");
    site.cluster.agent.freeze().expect("the agent hears nothing");
    let api = &mut site.cluster.api;
    // What is sent before the connections are cut would wait in them.
    api.stop().expect("it ends");
    api.restart().expect("it comes back");
    api.put(slice("web", "", &[1, 2])).expect("a change that nobody hears");
    api.compact().expect("etcd forgets");
    // A server that has been there all the time remembers what etcd has forgotten.
    api.stop().expect("it ends");
    api.restart().expect("it comes back");
    site.cluster.agent.thaw().expect("the agent goes on");

    let took = site.until_backends(2);
    let (_, metrics) = site.cluster.agent.get("/metrics").expect("the metrics");
    let gone = r#"redirector_kube_errors_total{kind="EndpointSlice",error="gone"}"#;
    assert!(metrics.contains(gone), "nobody was told that its version is gone: {metrics}");
    site.healed("a real compaction", took);
}

#[test]
fn really_restarted() {
    let mut site = stage_or_skip!("really_restarted");
    site.cluster.api.stop().expect("it ends");
    site.cluster.api.restart().expect("it comes back");
    let begun = Instant::now();
    site.cluster.api.put(slice("web", "", &[1, 2])).expect("a change");
    site.cluster.api.remove("services", "shop", "other").expect("a removal");

    site.until_backends(2);
    site.until_services(&["shop/web"]);
    let took = begun.elapsed();
    site.healed("a real restart", took);
}

#[test]
fn really_restored_as_it_was() {
    restored(stage_or_skip!("really_restored_as_it_was"), Restored::AsItWas);
}

#[test]
fn really_restored_with_raised_revisions() {
    let site = stage_or_skip!("really_restored_with_raised_revisions");
    if !site.cluster.api.has_etcdutl() {
        println!("SKIP really_restored_with_raised_revisions: no etcdutl in KUBEBUILDER_ASSETS");
        return;
    }
    restored(site, Restored::Raised);
}

#[test]
fn policies_really_hold_through_an_upgrade_of_their_definition() {
    let site = stage_or_skip!("policies_really_hold_through_an_upgrade_of_their_definition");
    let api = &site.cluster.api;
    assert_eq!(site.all_down(), "refuse");
    let mut upgraded = definition();
    let properties = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
    let properties = upgraded.pointer_mut(properties).expect("the schema of a spec");
    properties["later"] = json!({"type": "string", "maxLength": 10});
    api.put(upgraded).expect("the next version");
    api.put(slice("web", "", &[1, 2])).expect("a change");
    let upgrade = site.until_backends(2);
    assert_eq!(site.all_down(), "refuse");
    let mut changed = refusing();
    changed["spec"]["allDown"] = "PassThrough".into();
    api.put(changed).expect("a change of the policy");
    until(&site.cluster, "the changed policy", || site.all_down() == "passthrough");
    api.put(refusing()).expect("the policy as it was");
    until(&site.cluster, "the policy as it was", || site.all_down() == "refuse");

    // With its definition the policy goes.
    api.remove("customresourcedefinitions", "", CRD).expect("the definition");
    let removal = until(&site.cluster, "the policy is gone", || site.all_down() != "refuse");
    let ready = site.cluster.agent.get("/readyz").expect("an answer");
    assert_eq!(ready.0, 200, "{ready:?}");
    api.define(definition()).expect("the definition again");
    api.put(refusing()).expect("the policy again");
    let again = until(&site.cluster, "the policy is back", || site.all_down() == "refuse");

    println!("outages: definition really removed {removal:?}, applied again {again:?}");
    site.healed("a real upgrade of the definition", upgrade);
}

/// The state of before some changes comes back.
fn restored(mut site: Fixture<RealApi>, how: Restored) {
    let saved = site.cluster.api.save().expect("a snapshot");
    let api = &site.cluster.api;
    api.put(slice("web", "", &[1, 2])).expect("a change");
    api.put(service("late", "10.96.0.12")).expect("a Service");
    api.remove("services", "shop", "other").expect("a removal");
    site.until_backends(2);
    site.until_services(&["shop/late", "shop/web"]);

    let api = &mut site.cluster.api;
    api.stop().expect("it ends");
    api.restore(&saved, how).expect("an older state");
    api.forget_requests().expect("a log");
    api.restart().expect("it comes back");
    let begun = Instant::now();
    site.until_backends(1);
    site.until_services(&["shop/other", "shop/web"]);
    let took = begun.elapsed();
    site.healed(&format!("a real older state, {how:?}"), took);
}

fn site(assets: std::path::PathBuf) -> Fixture<RealApi> {
    let arguments = SMALL.iter().chain(&["--divide-timeouts", DIVISOR]);
    let arguments = arguments.map(|text| (*text).to_owned()).collect();
    let start = |netns: &_| RealApi::start(assets, netns);
    let cluster = Cluster::of(start, 2, arguments, |api, _| {
        api.define(definition())?;
        prepare(api)
    });
    Fixture::new(cluster.expect("a cluster with a real API server"))
}

/// As users install it.
fn definition() -> Value {
    let yaml = include_str!("../../../../deploy/crd/failoverpolicies.yaml");
    serde_saphyr::from_str(yaml).expect("deploy/crd is YAML")
}
