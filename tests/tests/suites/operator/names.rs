//! Names as long as Kubernetes allows: what `status` prints can be explained, with an agent and
//! without.

use std::fs;

use redirector_tests::{fixture::Fixture, tables, zones::Group};
use serde_json::Value;

use super::fixture::groups;

/// A namespace of 63 bytes, a Service of 63 and a port of 15.
fn names() -> [String; 2] {
    ["one", "two"].map(|port| format!("{}/{}:{}", "n".repeat(63), "s".repeat(63), port.repeat(5)))
}

fn zones() -> Fixture {
    let groups = groups();
    let backends: String = groups.iter().map(Group::backends).collect();
    let service = |(name, last)| {
        format!("- name: {name}\n  frontends: ['10.96.0.{last}:80/tcp']\n  backends:\n{backends}")
    };
    let services: String = names().into_iter().zip(30..).map(service).collect();
    Fixture::of_zones(&groups, &services)
}

#[test]
fn what_status_prints_can_be_explained_however_long_it_is() {
    let mut zones = zones();
    let directory = zones.agent.run_directory().display().to_string();
    assert!(names().iter().all(|name| name.len() == 143));
    assert_eq!(shown(&zones, "status", &directory), names());
    assert_eq!(shown(&zones, "dump", &directory), names());
    for name in names() {
        assert_eq!(zones.agent.answer_json("explain", &[&name])["service"], name.as_str());
    }

    // What only the maps say is cut, and can be explained all the same.
    let nowhere = tempfile::tempdir().expect("a directory");
    let cut = shown(&zones, "status", &nowhere.path().display().to_string());
    assert!(cut.iter().all(|name| name.len() <= 64 && name.contains('~')), "{cut:?}");
    let explained = |name: &String| zones.agent.answer_json("explain", &[name])["service"].clone();
    let mut explained: Vec<Value> = cut.iter().map(explained).collect();
    explained.sort_by_key(Value::to_string);
    assert_eq!(explained, names());

    // A crash, and no agent at all.
    zones.agent.restart().expect("the agent after a crash");
    assert_eq!(shown(&zones, "status", &directory), names());
    zones.agent.answer("force", &[&names()[0], "zone"]);
    zones.agent.stop().expect("the end of the agent");
    assert_eq!(shown(&zones, "status", &directory), names());
    let kept = zones.agent.run_directory().join("names.json");
    let kept: Vec<String> =
        serde_json::from_slice(&fs::read(kept).expect("a file")).expect("names");
    assert_eq!(kept, names());
    zones.agent.finish().expect("the agent");
}

/// The names of services, in order.
fn shown(zones: &Fixture, verb: &str, run_directory: &str) -> Vec<String> {
    let told = zones.agent.printed(verb, &["--run-dir", run_directory, "-o", "json"]);
    let told: Value = serde_json::from_str(&told).expect("JSON");
    let name = |service: &Value| service["name"].as_str().expect("a name").to_owned();
    let mut names: Vec<String> = tables::services(&told).map(name).collect();
    names.sort();
    names
}
