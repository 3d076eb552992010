//! One agent at a time: the second waits, says for whom, and takes over.

use std::time::Duration;

use redirector_tests::{agent::Agent, wait::wait_until};

use super::fixture::{CONFIGURATION, Fixture, complaint};

const WAITS: &str = "another agent is running; waiting for it to end";

#[test]
fn a_second_agent_waits_and_takes_over_when_the_first_is_stopped() {
    take_over(|first| {
        first.stop().expect("its end");
    });
}

#[test]
fn a_second_agent_waits_and_takes_over_when_the_first_is_killed() {
    take_over(Agent::kill9);
}

fn take_over(end: impl Fn(&mut Agent)) {
    let site = Fixture::new(CONFIGURATION);
    let mut first = Agent::start(site.options()).expect("an agent");
    let pid = first.pid().expect("it runs");
    let mut second = Agent::spawn(site.options()).expect("a second agent");
    wait_until("the second one says that it waits", || second.log().contains(WAITS));
    let log = second.log();
    let line = log.lines().find(|line| line.contains(WAITS)).expect("a line");
    for part in [" WARN ", &format!("holder={pid}"), &site.bpffs.pin_path().display().to_string()] {
        assert!(line.contains(part), "{part:?} is not in {line:?}");
    }
    assert!(!second.is_ready().expect("it runs"));
    assert_eq!(site.json("status")["agent"], pid);

    end(&mut first);

    second.wait_until_ready().expect("it takes over");
    assert_eq!(site.json("status")["agent"], second.pid().expect("it runs"));
    // Nothing had changed.
    let (status, metrics) = second.get("/metrics").expect("metrics");
    assert_eq!(status, 200);
    assert!(metrics.lines().any(|line| line == "redirector_map_writes_total 0"), "{metrics}");
    second.finish().expect("no errors");
}

#[test]
fn an_agent_that_waits_stops_when_it_is_told() {
    let site = Fixture::new(CONFIGURATION);
    let first = Agent::start(site.options()).expect("an agent");
    let mut second = Agent::spawn(site.options()).expect("a second agent");
    wait_until("the second one says that it waits", || second.log().contains(WAITS));

    let (status, took) = second.stop().expect("its end");

    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert!(!second.log().contains("ERROR"), "{}", second.log());
    // What it would unload is the first one's.
    std::mem::forget(second);
    first.finish().expect("no errors");
}

#[test]
fn load_beside_an_agent_is_refused() {
    let site = Fixture::new(CONFIGURATION);
    let agent = Agent::start(site.options()).expect("an agent");
    let expected = format!(
        "error: {} is in use by process {}; an agent that may load does it itself, stop it to load by hand",
        site.bpffs.pin_path().display(),
        agent.pid().expect("it runs"),
    );
    assert_eq!(complaint(&site.load(&[])), expected);
}
