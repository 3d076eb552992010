//! The running agent: its admin endpoint, its log, and how it ends.

use std::{ffi::OsStr, fs, time::Duration};

use redirector_tests::{agent::Agent, dialer::Dial, replica::Replica, wait::wait_until};
use serde_json::Value;

use super::fixture::{CONFIGURATION, Fixture};
use crate::common::objects::attached;

/// A service with the one replica that there is.
const ONE: &str = r#"
services:
- name: shop/web
  frontends: ["10.96.0.10:80/tcp"]
  backends: [{address: "10.77.2.1:8080"}]
  policy: {probe: {interval: 100ms, timeout: 100ms}}
"#;

#[test]
fn the_admin_endpoint_says_how_things_are() {
    let site = Fixture::new(ONE);
    let far = site.lab.node("far");
    let mut replica = Replica::start(far.netns(), "r", &[far.socket4(8080)]).expect("a replica");
    let agent = Agent::start(site.options()).expect("an agent");
    let get = |path: &str| agent.get(path).expect("an answer");
    assert_eq!(get("/livez"), (200, "alive\n".to_owned()));
    assert_eq!(get("/readyz"), (200, "ready\n".to_owned()));
    assert_eq!(get("/nothing").0, 404);

    let mut client = site.client();
    let service = "10.96.0.10:80".parse().expect("an address");
    for dialled in client.dial(Dial::tcp(service), 3).expect("dials") {
        assert_eq!(dialled.outcome.as_deref(), Ok("r"));
    }
    client.dial(Dial::tcp(far.socket4(8080)), 2).expect("dials");

    let (status, metrics) = get("/metrics");
    assert_eq!(status, 200);
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");
    for sample in [
        "redirector_selections_total{tier=\"0\"} 3",
        "redirector_dials_total{reason=\"not_service\"} 2",
        "redirector_dials_total{reason=\"no_backends\"} 0",
        "redirector_map_entries_used{map=\"frontends\"} 1",
        "redirector_map_entries_used{map=\"backends\"} 1",
        "redirector_map_entries_capacity{map=\"frontends\"} 16",
        "redirector_map_entries_capacity{map=\"slots\"} 256",
        "redirector_services_rejected 0",
        "redirector_config_reload_failures_total 0",
    ] {
        assert!(metrics.lines().any(|line| line == sample), "{sample} is not in\n{metrics}");
    }
    for name in ["redirector_plan_seconds_count", "redirector_map_writes_total"] {
        let line = metrics.lines().find(|line| line.starts_with(name)).expect("a sample");
        assert_ne!(line, format!("{name} 0"));
    }

    // The death of one that has never answered a probe is not believed.
    wait_until("a probe has been answered", || {
        let explained = agent.ask("explain", &["shop/web", "-o", "json"]).expect("explain");
        String::from_utf8_lossy(&explained.stdout).contains("\"probes\":\"healthy\"")
    });
    replica.kill();
    let ejected = "redirector_transitions_total{kind=\"ejected\"} 1";
    wait_until("the ejection is counted", || get("/metrics").1.lines().any(|line| line == ejected));
    agent.finish().expect("no errors");
}

#[test]
fn sigterm_ends_the_agent_within_two_seconds_and_redirection_goes_on() {
    let site = Fixture::new(ONE);
    let far = site.lab.node("far");
    let _replica = Replica::start(far.netns(), "r", &[far.socket4(8080)]).expect("a replica");
    let mut agent = Agent::start(site.options()).expect("an agent");
    let programs = attached(site.cgroup.path());
    assert_eq!(programs.len(), 10);

    let (status, took) = agent.stop().expect("its end");

    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(attached(site.cgroup.path()), programs);
    let mut client = site.client();
    let service = "10.96.0.10:80".parse().expect("an address");
    for dialled in client.dial(Dial::tcp(service), 10).expect("dials") {
        assert_eq!(dialled.outcome.as_deref(), Ok("r"));
        assert_eq!(dialled.peer, Some(service));
    }
    let output = site.on_pins("status", &[]);
    let status = String::from_utf8_lossy(&output.stdout);
    assert!(status.starts_with("agent: none is running, for "), "{status}");
}

#[test]
fn check_looks_where_the_pins_are() {
    let site = Fixture::new(CONFIGURATION);
    let bpffs = |place: &str| {
        let arguments = ["check", "--pin-path", place, "-o", "json"].map(OsStr::new);
        let output = site.redirector(&arguments);
        let findings: Value = serde_json::from_slice(&output.stdout).expect("findings");
        let found = findings.as_array().expect("a list").iter().find(|it| it["what"] == "bpffs");
        let found = found.expect("it looks for a BPF file system").clone();
        (output.status.success(), found)
    };
    let (is_well, found) = bpffs(&site.bpffs.pin_path().display().to_string());
    assert!(is_well && found["verdict"] == "ok", "{found}");
    let directory = tempfile::tempdir().expect("a directory");
    let elsewhere = directory.path().join("redirector").display().to_string();
    let (is_well, found) = bpffs(&elsewhere);
    assert!(!is_well && found["verdict"] == "missing", "{found}");
    let detail = found["detail"].as_str().expect("a detail");
    assert!(detail.contains("is not a BPF file system; mount one"), "{detail}");
}

#[test]
fn a_log_in_json_is_one_object_a_line() {
    let site = Fixture::new(CONFIGURATION);
    let mut options = site.options();
    options.arguments.extend(["--log-format", "json"].map(str::to_owned));
    let mut agent = Agent::start(options).expect("an agent");
    agent.stop().expect("its end");

    let log = agent.log();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    for line in &lines {
        assert!(line["timestamp"].is_string() && line["target"].is_string(), "{line}");
        assert_eq!(line["level"], "INFO", "{line}");
    }
    let loaded = lines.iter().find(|line| line["message"] == "loaded").expect("a line");
    assert_eq!(loaded["cgroup"], site.cgroup.path().display().to_string());
    assert!(loaded["programs"].as_u64().is_some_and(|programs| programs > 8), "{loaded}");
    assert!(lines.iter().any(|line| line["message"] == "SIGTERM"), "{log}");
}

#[test]
fn a_log_as_text_has_level_fields_and_message() {
    let site = Fixture::new(CONFIGURATION);
    let agent = Agent::start(site.options()).expect("an agent");
    let log = agent.log();
    let line = log.lines().find(|line| line.contains(": loaded ")).expect("a line");
    assert!(line.contains(" INFO redirector::datapath::load: loaded programs="), "{line}");
    assert!(!log.contains('\u{1b}'), "colours in a file: {log:?}");
}

#[test]
fn a_refused_file_is_told_until_it_is_mended() {
    let site = Fixture::new(CONFIGURATION);
    let agent = Agent::start(site.options()).expect("an agent");
    let directory = agent.run_directory().display().to_string();
    let status = || {
        let output = site.on_pins("status", &["--run-dir", &directory]);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let ready = || agent.get("/readyz").expect("an answer");
    assert_eq!(ready(), (200, "ready\n".to_owned()));
    let good = fs::read_to_string(site.config()).expect("the file");
    let (bad, renamed) =
        (good.replacen("frontends", "fronts", 1), site.config().with_extension("new"));
    let put = |text: &str| {
        fs::write(&renamed, text).expect("a file");
        fs::rename(&renamed, site.config()).expect("a file in place");
    };

    put(&bad);

    let says = format!("{}: NOT INSTALLED: it is refused: ", site.config().display());
    wait_until("status tells of the file", || status().contains(&says));
    let told = status();
    assert!(told.contains("unknown field `fronts`"), "{told}");
    assert!(told.contains("; an earlier version stays in force"), "{told}");
    let (code, text) = ready();
    assert_eq!(code, 200, "{text}");
    assert!(text.starts_with("ready, but the file's newest version is refused"), "{text}");
    put(&good);
    wait_until("it is mended", || !status().contains("NOT INSTALLED"));
    assert_eq!(ready(), (200, "ready\n".to_owned()));
    agent.finish().expect("no errors");
}
