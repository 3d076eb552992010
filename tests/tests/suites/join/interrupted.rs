//! Commands that are cut off at any of their writes, and run again.

use redirector_tests::api::{Fault, Verb};

use super::fixture::World;

#[test]
fn a_join_that_fails_at_any_write_is_completed_by_the_same_command() {
    let both = ["--both", "--own-cidr", "10.1.0.0/16"];
    let whole = World::new();
    whole.join_west(&both).good();
    let mut points: Vec<(&str, Verb, String)> = Vec::new();
    for cluster in ["east", "west"] {
        for (verb, resource) in whole.writes(cluster) {
            if !points.contains(&(cluster, verb, resource.clone())) {
                points.push((cluster, verb, resource));
            }
        }
    }
    assert!(points.len() >= 12, "{points:?}");
    for (cluster, verb, resource) in &points {
        let world = World::new();
        let fault = Fault::status(500).on(*verb).of(resource);
        world.api(cluster).faults().add(fault);
        let what = format!("{} {resource} in {cluster}", verb.name());
        let ended = world.join_west(&both);
        assert_eq!(ended.code, 1, "{what}: {}", ended.stdout);
        assert!(ended.stderr.contains("500"), "{what}: {}", ended.stderr);
        for side in ["east", "west"] {
            for remote in world.api(side).list("remoteclusters") {
                let secret = remote["spec"]["credentials"]["secretName"].as_str().expect("a name");
                let found = world.api(side).get("secrets", "redirector-clusters", secret);
                assert!(
                    found.is_some(),
                    "{what}: a RemoteCluster names a Secret that is not there"
                );
            }
        }
        world.api(cluster).faults().clear();
        world.join_west(&both).good();
        assert_eq!(world.names(), whole.names(), "{what}");
    }
    println!("{} writes, each of which failed once", points.len());
}

#[test]
fn a_leave_that_fails_at_any_write_is_completed_by_the_same_command() {
    let leave = ["leave", "west", "--context", "east", "--remote-context", "west", "--drain", "0s"];
    let whole = World::new();
    let before = whole.names();
    whole.join_west(&[]).good();
    super::leaves::import(&whole, &["west", "north"]);
    whole.api("east").forget_requests();
    whole.api("west").forget_requests();
    whole.run(&leave).good();
    let mut points: Vec<(&str, Verb, String)> = Vec::new();
    for cluster in ["east", "west"] {
        for (verb, resource) in whole.writes(cluster) {
            if !points.contains(&(cluster, verb, resource.clone())) {
                points.push((cluster, verb, resource));
            }
        }
    }
    for (cluster, verb, resource) in &points {
        let world = World::new();
        world.join_west(&[]).good();
        super::leaves::import(&world, &["west", "north"]);
        world.api(cluster).faults().add(Fault::status(500).on(*verb).of(resource));
        let what = format!("{} {resource} in {cluster}", verb.name());
        let ended = world.run(&leave);
        assert_eq!(ended.code, i32::from(*cluster == "east"), "{what}: {}", ended.stderr);
        if *cluster == "west" {
            let says = ended.stdout.contains("kubectl delete serviceaccount -n redirector-exports");
            assert!(says, "{what}: {}", ended.stdout);
        }
        world.api(cluster).faults().clear();
        world.run(&leave).good();
        assert_eq!(world.names(), whole.names(), "{what}");
        let left = super::leaves::left(&world, &before);
        assert!(left.is_empty(), "{what}: {left:?}");
    }
    println!("{} writes, each of which failed once", points.len());
}
