//! What an operator of etcd and of the API server does under a running agent: the tables are right
//! afterwards, by at most one LIST of each kind, and no connect fails.

use std::time::{Duration, Instant};

use redirector_tests::{
    api,
    cluster::{Cluster, Options, slice},
};

use super::{
    fixture::{FAST, definition, options, service, until},
    operated::{Fixture, KINDS, prepare, refusing},
};

const CRD: &str = "failoverpolicies.redirector.dev";

#[test]
fn a_compaction_costs_one_list_of_each_kind() {
    let site = site();
    let api = &site.cluster.api;
    KINDS.iter().for_each(|kind| api.faults().silence(kind, true));
    api.put(slice("web", "", &[1, 2])).expect("a change that nobody hears");
    api.skip_revisions(1_000);
    api.compact();
    api.faults().cut_watches(None);
    until(&site.cluster, "somebody is told that its version is compacted", || {
        api.requests().iter().any(|request| request.code == 410)
    });
    KINDS.iter().for_each(|kind| api.faults().silence(kind, false));

    let took = site.until_backends(2);
    site.healed("compaction", took);
}

#[test]
fn a_restart_costs_at_most_one_list_of_each_kind() {
    let site = site();
    let api = &site.cluster.api;
    api.stop();
    api.put(slice("web", "", &[1, 2])).expect("a change that nobody hears");
    api.delete("services", "shop", "other").expect("a removal that nobody hears");
    start_again(&site);

    let took = site.until_backends(2);
    site.until_services(&["shop/web"]);
    site.healed("restart", took);
}

#[test]
fn an_older_state_restored_is_believed() {
    let site = site();
    let api = &site.cluster.api;
    let saved = api.save();
    api.put(slice("web", "", &[1, 2])).expect("a change");
    api.put(service("late", "10.96.0.12")).expect("a Service");
    api.delete("services", "shop", "other").expect("a removal");
    site.until_backends(2);
    site.until_services(&["shop/late", "shop/web"]);

    api.stop();
    // As etcd's documentation wants it for Kubernetes: `etcdutl snapshot restore --bump-revision
    // 1000000000 --mark-compacted`, so that no version means two things.
    let before = api.revision();
    api.restore(&saved);
    api.skip_revisions(before + 1_000);
    api.compact();
    api.forget_requests();
    start_again(&site);

    let begun = Instant::now();
    site.until_backends(1);
    site.until_services(&["shop/other", "shop/web"]);
    site.healed("an older state", begun.elapsed());
}

#[test]
fn policies_hold_through_an_upgrade_of_their_definition_and_go_and_come_with_it() {
    let site = site();
    let api = &site.cluster.api;
    assert_eq!(site.all_down(), "refuse");
    let mut upgraded = definition();
    upgraded["metadata"]["labels"]["version"] = "next".into();
    api.put(upgraded).expect("the next version");
    // The real server ends the watches of a definition that changes.
    api.faults().close_watches(Some("failoverpolicies"));
    api.put(slice("web", "", &[1, 2])).expect("a change");
    let upgrade = site.until_backends(2);
    assert_eq!(site.all_down(), "refuse");

    // The real server's finalizer removes the objects first, and only then the definition.
    api.delete("failoverpolicies", "shop", "web").expect("what goes with its definition");
    let removal = until(&site.cluster, "the policy is gone", || site.all_down() != "refuse");
    api.delete("customresourcedefinitions", "", CRD).expect("the definition");
    api.faults().close_watches(Some("failoverpolicies"));
    until(&site.cluster, "the agent is told that there is no such kind", || {
        let asked = api.requests();
        asked.iter().any(|asked| asked.resource.is_empty() && asked.code == 404)
            || site.cluster.agent.log().contains("kind=\"FailoverPolicy\" error=")
    });
    let ready = site.cluster.agent.get("/readyz").expect("an answer");
    assert_eq!(ready.0, 200, "{ready:?}");
    api.put(definition()).expect("the definition again");
    api.put(refusing()).expect("the policy again");
    let again = until(&site.cluster, "the policy is back", || site.all_down() == "refuse");

    println!("outages: definition removed {removal:?}, applied again {again:?}");
    site.healed("an upgrade of the definition", upgrade);
}

fn site() -> Fixture<api::Api> {
    let options = options(2, &FAST);
    let server =
        api::Options { needs_crd: true, bookmarks: Duration::from_millis(300), ..options.api };
    let cluster = Cluster::prepared(Options { api: server, ..options }, |api, _| {
        api.put(definition())?;
        prepare(api)
    });
    Fixture::new(cluster.expect("a cluster"))
}

/// As soon as the port is free.
fn start_again(site: &Fixture<api::Api>) {
    until(&site.cluster, "the server again", || site.cluster.api.restart().is_ok());
}
