//! What an operator is told who errs, or who is not allowed, or whom nobody hears.

use std::{fs, os::unix::fs::PermissionsExt as _};

use redirector_tests::fixture::Fixture;
use serde_json::json;

use super::fixture::zones;

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
        (
            "force",
            &["operator/none", "far"],
            REFUSED,
            "no service operator/none is redirected here; there are operator/flat, operator/tiered",
        ),
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
        // What can be read, and is not there.
        (
            "simulate",
            &["--dead", "zone=nosuch"],
            REFUSED,
            "no service has a backend at zone=nosuch; there are zone=a, zone=b, zone=west/x",
        ),
        ("simulate", &["operator/tiered", "--dead", "zone=b", "node=n7"], REFUSED, "at node=n7;"),
        ("drain", &["zone=nosuch"], REFUSED, "there are zone=a, zone=b, zone=west/x"),
        ("drain", &["node=n4"], REFUSED, "there are node=n2, node=n3, node=west/n4"),
        // All of them, or none.
        ("drain", &["zone=a", "node=n4"], REFUSED, "there are node=n2, node=n3, node=west/n4"),
        ("drain", &["cluster=east"], REFUSED, "there are cluster=home, cluster=west"),
        ("drain", &["backend=10.77.2.1:9"], REFUSED, "at backend=10.77.2.1:9/tcp;"),
        ("undrain", &["zone=b"], REFUSED, "zone=b is not drained by an order; there are none"),
        (
            "failback",
            &["operator/teired"],
            REFUSED,
            "no service operator/teired is redirected here; there are operator/flat, operator/tiered",
        ),
    ] {
        let errors = refused(&zones, verb, arguments, code);
        println!("{verb} {}: {}", arguments.join(" "), errors.lines().next().unwrap_or_default());
        assert!(errors.contains(why), "{verb} {arguments:?}: {errors}");
    }
    assert_eq!(zones.agent.answer_json("orders", &[]), json!([]));
    zones.agent.finish().expect("the agent");
}

#[test]
fn what_is_done_is_said_with_what_it_touches() {
    let zones = zones();
    for (verb, arguments, said) in [
        (
            "drain",
            &["zone=a"][..],
            "drain zone=a: in force; no new connections to 2 backends of 2 services\n",
        ),
        (
            "drain",
            &["node=n2"],
            "drain node=n2: in force; no new connections to 2 backends of 2 services\n",
        ),
        (
            "drain",
            &["zone=a"],
            "drain zone=a: in force as before; no new connections to 2 backends of 2 services\n",
        ),
        (
            "undrain",
            &["zone=a"],
            "undrain zone=a: in force; new connections again to 2 backends of 2 services, but 2 of \
             them stay drained by another order\n",
        ),
        (
            "undrain",
            &["node=n2"],
            "undrain node=n2: in force; new connections again to 2 backends of 2 services\n",
        ),
        (
            "force",
            &["operator/tiered", "far"],
            "force operator/tiered far: in force; all new connections to its 1 healthy of 1 backend\n",
        ),
        (
            "failback",
            &["operator/tiered"],
            "failback operator/tiered: in force; health and policy decide\n",
        ),
        (
            "failback",
            &["operator/tiered"],
            "failback operator/tiered: in force; nothing was forced or held back\n",
        ),
    ] {
        let output = zones.agent.ask(verb, arguments).expect("redirector");
        assert_eq!(String::from_utf8_lossy(&output.stdout), said, "{verb} {arguments:?}");
        // Beside what programs read.
        let note = String::from_utf8_lossy(&output.stderr);
        let everywhere = format!("-- redirector {verb} {}; done", arguments.join(" "));
        assert!(note.starts_with("note: on this node alone; "), "{note}");
        assert!(note.trim_end().ends_with(&everywhere), "{note}");
    }
    zones.agent.finish().expect("the agent");
}

#[test]
fn a_part_of_a_name_that_no_service_has_is_a_mistake_with_and_without_an_agent() {
    let mut zones = zones();
    for has_agent in [true, false] {
        let status = |part: &str| zones.agent.run("status", &[part]);
        assert!(status("tier").status.success(), "a part of one");
        let mistake = status("teired");
        assert_eq!(mistake.status.code(), Some(1));
        let errors = String::from_utf8_lossy(&mistake.stderr);
        let wanted =
            "no service here has teired in its name; there are operator/flat, operator/tiered";
        assert!(errors.contains(wanted), "{errors}");
        if has_agent {
            zones.agent.stop().expect("the end of the agent");
        }
    }
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
    zones.agent.answer_json("orders", &[]);
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
fn refused(zones: &Fixture, verb: &str, arguments: &[&str], code: i32) -> String {
    let output = zones.agent.ask(verb, arguments).expect("redirector");
    let errors = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(code), "{verb} {arguments:?}: {errors}");
    assert!(output.stdout.is_empty(), "{verb} {arguments:?}");
    errors
}
