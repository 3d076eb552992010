//! A loader without CAP_PERFMON: what works all the same, and what does not, as `check` says it.

use std::time::Duration;

use redirector_tests::{
    privileges::{LOADER, WITHOUT_PERFMON},
    wait::wait_until,
};

use super::fixture::{answered_by, assert_redirected, kinds, list, redirector_binary, start, tcp};
use crate::common::counter;

/// A connect may take that long at most, where it can be bounded.
const POLICY: &str = "probe: off, connectTimeout: 500ms, \
                      passive: {refused: 3, timeouts: 3, baseEjection: 300s}";

#[test]
fn without_perfmon_sockets_are_redirected_and_silence_moves_a_client_but_refusals_do_not() {
    let mut site = start(POLICY, false);
    let log = site.agent.log();
    let warnings = log.lines().filter(|line| line.contains("CAP_PERFMON is not held")).count();
    assert_eq!(warnings, 1, "{log}");
    let mut client = site.client();
    assert_redirected(&mut client, &["n2", "n3"]);

    // Refused connects fail, and count for nothing.
    site.replicas[1].kill();
    let dialled = client.dial(tcp(), 200).expect("dials");
    let failed = dialled.iter().filter(|one| one.outcome.is_err()).count();
    assert!((50..150).contains(&failed), "{failed} of 200 met the dead replica");
    assert_eq!((counter(&site, "connect_failed"), counter(&site, "avoid_begun")), (0, 0));
    site.replicas[1].restart().expect("the replica");

    // Unanswered ones move it. They are not bounded: the dialer gives up by itself.
    site.lab.node("n3").swallow(8080).expect("a black hole");
    let dial = redirector_tests::dialer::Dial { timeout_ms: 1_500, ..tcp() };
    wait_until("the client avoids what does not answer", || {
        for dialled in client.dial(dial, 1).expect("a dial") {
            let took = Duration::from_micros(dialled.connect_us);
            assert!(
                dialled.outcome.is_ok() || took > Duration::from_millis(1_400),
                "a connect was bounded: {dialled:?}"
            );
        }
        counter(&site, "avoid_begun") == 1
    });
    // A try takes all of the dialer's patience here, and by then the next one may be due.
    let dialled = client.dial(dial, 50).expect("dials");
    assert!(answered_by(&dialled, "n2") >= 42, "{dialled:?}");
    assert_eq!(counter(&site, "ejected"), 0, "there are no witnesses");

    // A change of the file, while UDP sockets go on.
    list(&site, POLICY, 1);
    wait_until("the backend that is not listed any more gets nothing", || {
        kinds().all(|dial| answered_by(&client.dial(dial, 20).expect("dials"), "n2") == 20)
    });
    site.agent.restart().expect("an agent");
    assert_redirected(&mut client, &["n2"]);

    // What is missing is what `check` says.
    let mut check = LOADER.command(&redirector_binary(), WITHOUT_PERFMON);
    let output = check.args(["check", "-o", "json"]).output().expect("redirector check");
    let findings: Vec<serde_json::Value> =
        serde_json::from_slice(&output.stdout).expect("a list of findings");
    let finding = findings.iter().find(|finding| finding["what"] == "CAP_PERFMON");
    let finding = finding.expect("it looks at CAP_PERFMON");
    assert_eq!(finding["verdict"], "degraded");
    let detail = finding["detail"].as_str().expect("a detail");
    for part in
        ["refused connects move no client, unanswered ones do", "`connectTimeout` has no effect"]
    {
        assert!(detail.contains(part), "{detail}");
    }
    site.agent.finish().expect("an agent that unloads, without errors");
}
