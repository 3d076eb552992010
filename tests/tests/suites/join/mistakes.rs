//! What is wrong is said with the object and the fix, and nothing is written.

use redirector_tests::api::{Fault, Rule, Token};
use serde_json::json;

use super::fixture::World;

/// Joins of west that fail, with what they say.
#[test]
fn a_join_that_cannot_be_names_the_object_and_the_fix() {
    let world = World::new();
    let before = world.versions();
    let contexts = ["--context", "east", "--remote-context", "west"];
    let cases: [(&[&str], &[&str]); 9] = [
        (
            &["west", "--cidr", "10.2.0.0/16"],
            &["--encryption is missing", "required", "report", "off"],
        ),
        (&["West", "--cidr", "10.2.0.0/16", "--encryption", "off"], &["\"West\" is no cluster id"]),
        (
            &["north", "--cidr", "10.2.0.0/16", "--encryption", "off"],
            &["calls itself \"west\"", "join west"],
        ),
        (&["east", "--cidr", "10.2.0.0/16", "--encryption", "off"], &["does not join itself"]),
        (&["west", "--encryption", "off"], &["--cidr is missing", "its nodes say 10.2.0.0/24"]),
        (
            &["west", "--cidr", "10.1.0.0/16", "--encryption", "off"],
            &["10.1.0.0/24 of pods of node n1"],
        ),
        (&["west", "--cidr", "192.0.2.0/24", "--encryption", "off"], &["192.0.2.1/32 of node n1"]),
        (&["west", "--cidr", "0.0.0.0/0", "--encryption", "off"], &["is every address"]),
        (&["west", "--cidr", "10.2.0.0/16", "--encryption", "off", "-o", "yaml"], &["--dry-run"]),
    ];
    for (arguments, parts) in cases {
        let arguments = [&["join"], arguments, &contexts].concat();
        world.run(&arguments).failed(parts);
    }
    let join = ["join", "west", "--cidr", "10.2.0.0/16", "--encryption", "off"];
    let with = |contexts: &[&str]| world.run(&[&join[..], contexts].concat());
    with(&["--context", "east"]).failed(&["--remote-context is missing", "invite east"]);
    with(&["--context", "east", "--remote-context", "east"]).failed(&["of this very cluster"]);
    with(&["--context", "nowhere", "--remote-context", "west"])
        .failed(&["context nowhere", "get-contexts"]);
    with(&["--context", "east", "--remote-context", "nowhere"])
        .failed(&["context nowhere", "get-contexts"]);
    assert_eq!(world.versions(), before, "nothing was written");
}

#[test]
fn two_clusters_do_not_share_a_range() {
    let world = World::new();
    world.join_west(&[]).good();
    let join = ["join", "north", "--encryption", "off", "--context", "east"];
    let north = |further: &[&str]| {
        world.run(&[&join[..], &["--remote-context", "north"], further].concat())
    };
    north(&["--cidr", "10.2.128.0/17"])
        .failed(&["overlaps 10.2.0.0/16 of RemoteCluster west", "reach LoadBalancer"]);
    north(&["--cidr", "10.2.128.0/17", "--reach", "LoadBalancer"]).good();
    let north = world.api("east").get("remoteclusters", "", "north").expect("a RemoteCluster");
    assert_eq!(north["spec"]["reach"], "LoadBalancer");
}

#[test]
fn a_server_that_does_not_answer_or_forbids_is_named() {
    let world = World::new();
    world.api("west").stop();
    world.join_west(&[]).failed(&["context west: cannot read", "no connection to 127.0.0.1"]);
    world.api("west").restart().expect("it comes back");

    let rules = Rule::of_role("rules: [{apiGroups: ['*'], resources: ['*'], verbs: [get, list]}]");
    let tokens = vec![
        Token::administrator("admin-token", "admin"),
        Token::limited("reader", "reader", rules),
    ];
    world.api("west").set_tokens(tokens).expect("files");
    world.write_kubeconfig(
        "reader",
        &[("east", "east", "admin-token"), ("west", "west", "reader"), ("old", "west", "gone")],
    );
    let join = [&["join"], &super::fixture::WEST[..], &["--context", "east"]].concat();
    let with = |context: &str| {
        let arguments = [&join[..], &["--remote-context", context]].concat();
        world.run_with(&world.file("reader"), &arguments)
    };
    with("west").failed(&[
        "context west: cannot",
        "forbidden (403)",
        "use a context whose user may",
    ]);
    with("old").failed(&["context old: cannot read", "(401)", "log in again"]);
    assert!(world.api("east").list("remoteclusters").is_empty());
}

#[test]
fn a_token_that_the_importer_could_not_use_is_no_join() {
    let world = World::new();
    // Its rights come too late: the Roles are there, and are not obeyed.
    world.api("west").faults().add(Fault::status(403).of("exportedservices"));
    world.join_west(&[]).failed(&["cluster west at https://", "forbidden (403)", "anew"]);
    assert!(world.api("east").list("remoteclusters").is_empty());
    world.api("west").faults().clear();
    let port = world.api("west").address().port();
    let server = format!("https://other.invalid:{port}");
    let ended = world.join_west(&["--server", &server]).good();
    assert!(ended.stdout.contains("warning: not tried from this host"), "{}", ended.stdout);
    let west = world.api("east").get("remoteclusters", "", "west").expect("a RemoteCluster");
    assert_eq!(west["spec"]["server"], server);
    let before = world.versions();
    world.join_west(&["--server", &server]).good();
    assert_eq!(world.versions(), before, "what cannot be tried is no reason for another token");
}

#[test]
fn a_cluster_that_was_made_anew_is_another_one() {
    let world = World::new();
    world.join_west(&[]).good();
    world.api("west").delete("namespaces", "", "kube-system").expect("it was there");
    let system =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system"}});
    world.api("west").put(system).expect("another one");
    world.join_west(&[]).failed(&["pinned to the uid", "made anew", "leave west"]);
}

#[test]
fn an_id_that_is_said_twice_is_one_or_none() {
    let world = World::new();
    world
        .join_west(&["--cluster", "middle"])
        .failed(&["\"east\" by its ClusterProperty", "\"middle\""]);
    let east = world.api("east");
    east.delete("clusterproperties", "", "cluster.clusterset.k8s.io").expect("it had an id");
    world.join_west(&[]).failed(&["own id is not known", "--cluster ID"]);
    world.join_west(&["--cluster", "middle"]).good();
    let account = world.api("west").get("serviceaccounts", "redirector-exports", "importer-middle");
    assert!(account.is_some());
}
