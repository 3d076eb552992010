//! Joins without a context in the other cluster.

use std::{fs, os::unix::fs::PermissionsExt as _, thread, time::Duration};

use redirector_tests::api::{Options, Verb};
use serde_json::{Value, json};

use super::fixture::{IMPORTER, World};

fn invite(world: &World, name: &str) -> String {
    let file = world.file("invite.yaml");
    let file = file.to_str().expect("a path");
    let invite = ["invite", name, "--context", "west", "--cidr", "10.2.0.0/16", "--file", file];
    world.run(&invite).good();
    file.to_owned()
}

fn join(world: &World, file: &str, further: &[&str]) -> super::fixture::Ended {
    let join = ["join", "-f", file, "--context", "east", "--encryption", "off"];
    world.run(&[&join[..], further].concat())
}

#[test]
fn an_invitation_is_exchanged_for_what_a_join_with_both_contexts_makes() {
    let both = World::new();
    both.join_west(&[]).good();

    let world = World::new();
    let file = invite(&world, "east");
    let mode = fs::metadata(&file).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "it holds a token");
    let text = fs::read_to_string(&file).expect("the file");
    let invitation: Value = serde_saphyr::from_str(&text).expect("YAML");
    let west = world.api("west");
    west.forget_requests();
    join(&world, &file, &[]).good();

    assert_eq!(world.names(), both.names());
    assert_ne!(invitation["token"], json!(world.token()), "the hour's token is not kept");
    let asked: Vec<_> = west.requests();
    assert!(asked.iter().all(|request| request.user == IMPORTER), "{asked:?}");
    let writes = world.writes("west");
    assert_eq!(writes, [(Verb::Create, "serviceaccounts/token".to_owned())]);
    let secret = world.api("east").get("secrets", "redirector-clusters", "west").expect("a Secret");
    let expires =
        secret["metadata"]["annotations"]["clusters.redirector.dev/token-expires"].as_str();
    let days = |text: &str| {
        let at = humantime::parse_rfc3339(text).expect("a time");
        at.duration_since(std::time::SystemTime::now()).expect("a future time").as_secs() / 86_400
    };
    assert_eq!(days(expires.expect("when it ends")), 29, "30 days, not an hour");
    let before = world.versions();
    join(&world, &file, &[]).good();
    assert_eq!(world.versions(), before);
}

#[test]
fn an_invitation_on_stdout_is_nothing_but_the_invitation() {
    let world = World::new();
    let ended = world.run(&["invite", "east", "--context", "west"]).good();
    let invitation: Value = serde_saphyr::from_str(&ended.stdout).expect("YAML");
    assert_eq!(invitation["from"], "west");
    assert_eq!(invitation["kind"], "ClusterInvitation");
}

#[test]
fn an_invitation_that_does_not_fit_says_what_to_do() {
    let world = World::new();
    let file = invite(&world, "north");
    join(&world, &file, &[]).failed(&["it invites north, and this is east", "invite east"]);
    let file = invite(&world, "east");
    join(&world, &file, &["--cidr", "10.1.0.0/16"]).failed(&["10.1.0.0/16 overlaps", "node n1"]);
    let text = fs::read_to_string(&file).expect("the file");
    fs::write(&file, "no: invitation").expect("a file");
    join(&world, &file, &[]).failed(&["is no invitation"]);
    fs::write(&file, text.replace(&world.api("west").url(), &world.api("north").url()))
        .expect("a file");
    join(&world, &file, &[]).failed(&["no TLS with", "CA bundle"]);
    join(&world, "/nonexistent", &[]).failed(&["cannot read /nonexistent"]);
    world.run(&["invite", "East", "--context", "west"]).failed(&["no cluster id", "DNS label"]);
    world.run(&["invite", "west", "--context", "west"]).failed(&["does not join itself"]);
}

#[test]
fn an_invitation_that_is_over_or_was_revoked_is_refused() {
    let world =
        World::with(&Options { longest_token: Duration::from_secs(1), ..Options::default() });
    let file = invite(&world, "east");
    thread::sleep(Duration::from_millis(1_200));
    join(&world, &file, &[]).failed(&["it expired at", "invite east"]);

    let world = World::new();
    let file = invite(&world, "east");
    let west = world.api("west");
    west.delete("serviceaccounts", "redirector-exports", "importer-east").expect("it was there");
    join(&world, &file, &[]).failed(&["401", "expired or was revoked"]);
    assert!(world.api("east").list("remoteclusters").is_empty());
}
