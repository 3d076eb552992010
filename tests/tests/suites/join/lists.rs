//! `redirector cluster list`: what is true without an agent, and nothing else.

use redirector_tests::api::Verb;
use serde_json::{Value, json};

use super::{fixture::World, leaves::import};

/// A Lease of the Deployment whose holder renews it, or has died.
fn put_lease(world: &World, beat: u32) {
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"namespace": "redirector-clusters", "name": "redirector-clusters"},
        "spec": {"leaseDurationSeconds": 2, "renewTime": format!("2026-11-30T00:00:00.{beat:06}Z")},
    });
    world.api("east").put(lease).expect("a Lease");
}

fn list(world: &World, lives: bool, further: &[&str]) -> super::fixture::Ended {
    let ended = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for beat in 1.. {
                if !lives || ended.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
                put_lease(world, beat);
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
        });
        let outcome = world.run(&[&["list", "--context", "east"], further].concat());
        ended.store(true, std::sync::atomic::Ordering::Relaxed);
        outcome
    })
}

fn say(world: &World, phase: &str) {
    let status = json!({"status": {"phase": phase}});
    world.api("east").patch("remoteclusters", "", "west", status).expect("a RemoteCluster");
}

#[test]
fn what_is_here_of_a_cluster_is_listed_and_anything_but_live_is_exit_code_1() {
    let world = World::new();
    let empty = list(&world, false, &[]);
    assert_eq!(empty.code, 0, "{}", empty.stderr);
    assert!(empty.stdout.contains("no other cluster"), "{}", empty.stdout);
    world.join_west(&[]).good();
    import(&world, &["west"]);
    let message = "port http: west (older) says 80, east 8080; west's holds";
    let export = json!({
        "apiVersion": "multicluster.x-k8s.io/v1beta1", "kind": "ServiceExport",
        "metadata": {"namespace": "shop", "name": "web"},
        "status": {"conditions": [{"type": "Conflict", "status": "True", "message": message}]},
    });
    world.api("east").put(export).expect("a ServiceExport");
    put_lease(&world, 0);
    say(&world, "Live");

    let live = list(&world, true, &[]).good();
    let rows: Vec<_> =
        live.stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
    assert_eq!(
        rows[0],
        ["NAME", "REACH", "PATH", "PHASE", "HEARD", "SERVICES", "ENDPOINTS", "CONFLICTS"]
    );
    assert_eq!(
        rows[1],
        ["west", "Pod", "Off", "Live", "<", "3s", "2", "2", "1"],
        "{}",
        live.stdout
    );

    say(&world, "Silent");
    assert_eq!(list(&world, true, &[]).code, 1, "it is not Live");
    say(&world, "Joining");
    let joining = list(&world, true, &[]);
    assert!(joining.code == 1 && joining.stdout.contains("never"), "{}", joining.stdout);
}

#[test]
fn without_an_importer_that_lives_a_phase_is_unknown() {
    let world = World::new();
    world.join_west(&[]).good();
    say(&world, "Live");
    for has_lease in [false, true] {
        if has_lease {
            put_lease(&world, 0);
        }
        let dead = list(&world, false, &[]);
        assert_eq!(dead.code, 1, "{}", dead.stdout);
        for part in ["UNKNOWN (was Live)", "no importer lives here"] {
            assert!(dead.stdout.contains(part), "{part:?} is not in\n{}", dead.stdout);
        }
    }
    let dead = list(&world, false, &["-o", "json"]).json();
    assert_eq!(dead["importerLives"], false);
    assert_eq!(dead["clusters"][0]["heard"], "unknown");
    assert_eq!(dead["clusters"][0]["isWell"], false);
}

#[test]
fn a_cluster_that_others_discover_needs_no_importer() {
    let world = World::new();
    let south = json!({
        "apiVersion": "redirector.dev/v1alpha1", "kind": "RemoteCluster",
        "metadata": {"name": "south"},
        "spec": {"cidrs": ["10.4.0.0/16"], "encryption": {"mode": "Report"}},
    });
    world.api("east").put(south).expect("a RemoteCluster");
    let row: Value = list(&world, false, &["-o", "json"]).good().json()["clusters"][0].clone();
    assert_eq!((&row["heard"], &row["isWell"]), (&json!("byOthers"), &json!(true)));
    assert_eq!(world.writes("east"), [] as [(Verb, String); 0], "a list writes nothing");
}
