//! What an operator of etcd and of the API server does under a running agent: the tables are right
//! afterwards, by at most one LIST of each kind, and no connect fails.

use std::time::{Duration, Instant};

use redirector_tests::{
    api,
    cluster::{Cluster, Options, slice},
};

use super::{
    operated::{KINDS, Stage, prepare, refusing},
    stage::{FAST, definition, options, service, until},
};

const CRD: &str = "failoverpolicies.redirector.dev";

#[test]
fn a_compaction_costs_one_list_of_each_kind() {
    let stage = stage();
    let api = &stage.cluster.api;
    KINDS.iter().for_each(|kind| api.faults().silence(kind, true));
    api.put(slice("web", "", &[1, 2])).expect("a change that nobody hears");
    api.skip_revisions(1_000);
    api.compact();
    api.faults().cut_watches(None);
    until(&stage.cluster, "somebody is told that its version is compacted", || {
        api.requests().iter().any(|request| request.code == 410)
    });
    KINDS.iter().for_each(|kind| api.faults().silence(kind, false));

    let took = stage.until_backends(2);
    stage.healed("compaction", took);
}

#[test]
fn a_restart_costs_at_most_one_list_of_each_kind() {
    let stage = stage();
    let api = &stage.cluster.api;
    api.stop();
    api.put(slice("web", "", &[1, 2])).expect("a change that nobody hears");
    api.delete("services", "shop", "other").expect("a removal that nobody hears");
    start_again(&stage);

    let took = stage.until_backends(2);
    stage.until_services(&["shop/web"]);
    stage.healed("restart", took);
}

#[test]
fn an_older_state_restored_is_believed() {
    let stage = stage();
    let api = &stage.cluster.api;
    let saved = api.save();
    api.put(slice("web", "", &[1, 2])).expect("a change");
    api.put(service("late", "10.96.0.12")).expect("a Service");
    api.delete("services", "shop", "other").expect("a removal");
    stage.until_backends(2);
    stage.until_services(&["shop/late", "shop/web"]);

    api.stop();
    // As etcd's documentation wants it for Kubernetes: `etcdutl snapshot restore --bump-revision
    // 1000000000 --mark-compacted`, so that no version means two things.
    let before = api.revision();
    api.restore(&saved);
    api.skip_revisions(before + 1_000);
    api.compact();
    api.forget_requests();
    start_again(&stage);

    let begun = Instant::now();
    stage.until_backends(1);
    stage.until_services(&["shop/other", "shop/web"]);
    stage.healed("an older state", begun.elapsed());
}

#[test]
fn policies_hold_through_an_upgrade_of_their_definition_and_go_and_come_with_it() {
    let stage = stage();
    let api = &stage.cluster.api;
    assert_eq!(stage.all_down(), "refuse");
    let mut upgraded = definition();
    upgraded["metadata"]["labels"]["version"] = "next".into();
    api.put(upgraded).expect("the next version");
    // The real server ends the watches of a definition that changes.
    api.faults().close_watches(Some("failoverpolicies"));
    api.put(slice("web", "", &[1, 2])).expect("a change");
    let upgrade = stage.until_backends(2);
    assert_eq!(stage.all_down(), "refuse");

    // The real server's finalizer removes the objects first, and only then the definition.
    api.delete("failoverpolicies", "shop", "web").expect("what goes with its definition");
    let removal = until(&stage.cluster, "the policy is gone", || stage.all_down() != "refuse");
    api.delete("customresourcedefinitions", "", CRD).expect("the definition");
    api.faults().close_watches(Some("failoverpolicies"));
    until(&stage.cluster, "the agent is told that there is no such kind", || {
        let asked = api.requests();
        asked.iter().any(|asked| asked.resource.is_empty() && asked.code == 404)
            || stage.cluster.agent.log().contains("kind=\"FailoverPolicy\" error=")
    });
    let ready = stage.cluster.agent.get("/readyz").expect("an answer");
    assert_eq!(ready.0, 200, "{ready:?}");
    api.put(definition()).expect("the definition again");
    api.put(refusing()).expect("the policy again");
    let again = until(&stage.cluster, "the policy is back", || stage.all_down() == "refuse");

    println!("outages: definition removed {removal:?}, applied again {again:?}");
    stage.healed("an upgrade of the definition", upgrade);
}

fn stage() -> Stage<api::Api> {
    let options = options(2, &FAST);
    let server =
        api::Options { needs_crd: true, bookmarks: Duration::from_millis(300), ..options.api };
    let cluster = Cluster::prepared(Options { api: server, ..options }, |api, _| {
        api.put(definition())?;
        prepare(api)
    });
    Stage::new(cluster.expect("a cluster"))
}

/// As soon as the port is free.
fn start_again(stage: &Stage<api::Api>) {
    until(&stage.cluster, "the server again", || stage.cluster.api.restart().is_ok());
}
