//! What an operator is told who errs, or who is not allowed, or whom nobody hears.

use std::{fs, os::unix::fs::PermissionsExt as _};

use redirector_tests::zones::Zones;
use serde_json::json;

use crate::stage::{say_json, zones};

#[test]
fn a_mistake_is_named_and_changes_nothing() {
    // As with every flag: what cannot be read is told from what the agent refuses.
    const UNREADABLE: i32 = 2;
    const REFUSED: i32 = 1;
    let zones = zones();
    for (verb, arguments, code, why) in [
        ("drain", &["n2"][..], UNREADABLE, "`n2` is none of backend=ADDRESS:PORT, node=NAME"),
        ("drain", &["pod=web-1"], UNREADABLE, "`pod` is none of backend, node, zone, cluster"),
        ("drain", &["zone="], UNREADABLE, "`zone=` names nothing"),
        ("undrain", &["backend=10.77.2.1"], UNREADABLE, "`10.77.2.1` is no ADDRESS:PORT"),
        ("drain", &["backend=10.77.2.1:8001/sctp"], UNREADABLE, "`sctp` is no protocol"),
        ("force", &["operator/none", "far"], REFUSED, "operator/none: there is no such service"),
        (
            "force",
            &["operator/tiered", "none"],
            REFUSED,
            "it has no tier \"none\", but near, far, west",
        ),
        ("failback", &["operator/none"], REFUSED, "operator/none"),
        ("explain", &["operator/none"], REFUSED, "operator/none"),
        ("simulate", &["operator/none", "--dead", "zone=b"], REFUSED, "operator/none"),
        ("simulate", &["operator/tiered", "--dead", "b"], UNREADABLE, "`b` is none of"),
    ] {
        let errors = refused(&zones, verb, arguments, code);
        println!("{verb} {}: {}", arguments.join(" "), errors.lines().next().unwrap_or_default());
        assert!(errors.contains(why), "{verb} {arguments:?}: {errors}");
    }
    assert_eq!(say_json(&zones, "orders", &[]), json!([]));
    zones.agent.finish().expect("the agent");
}

#[test]
fn only_the_agents_user_can_reach_its_socket() {
    let zones = zones();
    let directory = zones.agent.run_directory();
    let mode = |path| fs::metadata(path).expect("metadata").permissions().mode() & 0o7777;
    // The agent's own; or, where a loader has made it, also that of the group for the agent alone.
    assert!(matches!(mode(directory.clone()), 0o700 | 0o770), "{:o}", mode(directory));
    assert_eq!(mode(directory.join("control.sock")), 0o600);
    say_json(&zones, "orders", &[]);
    zones.agent.finish().expect("the agent");
}

#[test]
fn every_verb_says_that_no_agent_hears_it() {
    let mut zones = zones();
    zones.agent.stop().expect("the end of the agent");
    let socket = zones.agent.run_directory().join("control.sock");
    let wanted = format!("cannot reach the agent at {}; is one running", socket.display());
    for (verb, arguments) in [
        ("drain", &["node=n2"][..]),
        ("undrain", &["node=n2"]),
        ("force", &["operator/tiered", "far"]),
        ("failback", &["operator/tiered"]),
        ("orders", &[]),
        ("explain", &["operator/tiered"]),
        ("simulate", &["--dead", "zone=b"]),
    ] {
        let errors = refused(&zones, verb, arguments, 1);
        assert!(errors.contains(&wanted), "{verb}: {errors}");
    }
    zones.agent.finish().expect("the agent");
}

/// What stderr says about a mistake that ends with that exit code, and nothing on stdout.
fn refused(zones: &Zones, verb: &str, arguments: &[&str], code: i32) -> String {
    let output = zones.agent.ask(verb, arguments).expect("redirector");
    let errors = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(code), "{verb} {arguments:?}: {errors}");
    assert!(output.stdout.is_empty(), "{verb} {arguments:?}");
    errors
}
