//! Joins with both contexts.

use redirector_tests::api::{Options, Verb};
use serde_json::{Value, json};

use super::fixture::World;

#[test]
fn a_cluster_is_joined_once_and_again_nothing_changes() {
    let world = World::new();
    let ended = world.join_west(&[]).good();
    for part in [
        "made       ServiceAccount redirector-exports/importer-east",
        "made       Secret redirector-clusters/west",
        "made       RemoteCluster west",
        "warning: encryption is Off",
        "warning: no exporter has written a manifest in west yet",
    ] {
        assert!(ended.stdout.contains(part), "{part:?} is not in\n{}", ended.stdout);
    }
    let east = world.api("east");
    let west = east.get("remoteclusters", "", "west").expect("a RemoteCluster");
    let system = world.api("west").get("namespaces", "", "kube-system").expect("a namespace");
    assert_eq!(west["spec"]["uid"], system["metadata"]["uid"], "the uid is pinned");
    assert_eq!(west["spec"]["server"], world.api("west").url());
    assert_eq!(west["spec"]["credentials"], json!({"secretName": "west"}));
    let secret = east.get("secrets", "redirector-clusters", "west").expect("a Secret");
    assert_eq!(secret["metadata"]["labels"]["clusters.redirector.dev/cluster"], "west");

    let (before, token) = (world.versions(), world.token());
    for api in world.apis.values() {
        api.forget_requests();
    }
    let again = world.join_west(&["-o", "json"]).good().json();
    assert_eq!(world.versions(), before);
    assert_eq!(world.token(), token);
    let steps = again["steps"].as_array().expect("steps");
    assert_eq!(steps.len(), 7, "{again}");
    assert!(steps.iter().all(|step| step["outcome"] == "unchanged"), "{again}");
    let asked = world.writes("west");
    assert!(!asked.iter().any(|(_, resource)| resource == "serviceaccounts/token"), "{asked:?}");
}

#[test]
fn what_an_owner_adds_to_a_remote_cluster_stays_when_it_is_joined_again() {
    let world = World::new();
    world.join_west(&[]).good();
    let east = world.api("east");
    let own = json!({"spec": {"keepFor": "1h", "onSilence": "Drop"}});
    east.patch("remoteclusters", "", "west", own).expect("a RemoteCluster");
    world.join_west(&["--cidr", "10.12.0.0/16"]).good();
    let west = east.get("remoteclusters", "", "west").expect("a RemoteCluster");
    assert_eq!(west["spec"]["keepFor"], "1h");
    assert_eq!(west["spec"]["onSilence"], "Drop");
    assert_eq!(west["spec"]["cidrs"], json!(["10.2.0.0/16", "10.12.0.0/16"]));
}

#[test]
fn a_dry_run_asks_for_nothing_but_reads_and_prints_what_would_be_made() {
    let world = World::new();
    let before = world.versions();
    for api in world.apis.values() {
        api.forget_requests();
    }
    let ended =
        world.join_west(&["--both", "--own-cidr", "10.1.0.0/16", "--dry-run", "-o", "yaml"]);
    let yaml = ended.good().stdout;
    for cluster in ["east", "west"] {
        assert_eq!(world.writes(cluster), [], "{cluster}");
        let asked = world.api(cluster).requests();
        assert!(asked.iter().all(|one| matches!(one.verb, Verb::Get | Verb::List)), "{asked:?}");
    }
    assert_eq!(world.versions(), before);

    world.join_west(&["--both", "--own-cidr", "10.1.0.0/16"]).good();
    let mut made: Vec<_> =
        world.names().into_iter().filter(|name| !before.contains_key(name)).collect();
    let documents: Vec<Value> = serde_saphyr::from_multiple(&yaml).expect("YAML");
    let text =
        |object: &Value, field: &str| object["metadata"][field].as_str().unwrap_or("").to_owned();
    let sides = yaml
        .split("---\n")
        .skip(1)
        .map(|document| if document.starts_with("# in context east") { "east" } else { "west" });
    let mut printed: Vec<_> = sides
        .zip(&documents)
        .map(|(side, object)| {
            let kind = object["kind"].as_str().unwrap_or_default();
            format!("{side}: {kind} {}/{}", text(object, "namespace"), text(object, "name"))
        })
        .collect();
    made.sort();
    printed.sort();
    assert_eq!(printed, made, "{yaml}");
}

#[test]
fn both_import_from_each_other_with_one_command() {
    let world = World::new();
    let both = ["--both", "--own-cidr", "10.1.0.0/16", "-o", "json"];
    let ended = world.join_west(&both).good().json();
    assert_eq!(ended["joined"], json!(["west", "east"]));
    let east = world.api("west").get("remoteclusters", "", "east").expect("a RemoteCluster");
    assert_eq!(east["spec"]["cidrs"], json!(["10.1.0.0/16"]));
    assert_eq!(east["spec"]["server"], world.api("east").url());
    let account = world.api("east").get("serviceaccounts", "redirector-exports", "importer-west");
    assert!(account.is_some());
    let before = world.versions();
    world.join_west(&both).good();
    assert_eq!(world.versions(), before);
}

#[test]
fn a_token_that_is_old_or_was_revoked_is_replaced() {
    let world = World::with(&Options {
        // Half of its life is over at once.
        longest_token: std::time::Duration::from_secs(1),
        ..Options::default()
    });
    world.join_west(&[]).good();
    let first = world.token();
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    world.join_west(&[]).good();
    assert_ne!(world.token(), first, "half of its life is over");

    let world = World::new();
    world.join_west(&[]).good();
    let first = world.token();
    let west = world.api("west");
    west.delete("serviceaccounts", "redirector-exports", "importer-east").expect("it was there");
    world.join_west(&[]).good();
    assert_ne!(world.token(), first, "it was revoked");
}
