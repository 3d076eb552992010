//! A pod that opens and closes its listener without end fills no disk of the node.

use std::{thread, time::Duration};

use redirector_tests::server::Listen;

use super::fixture::{Fixture, frontend4};

/// Each is an ejection, which a probe confirms, and its end.
const TIMES: usize = 40;
/// So long it is closed, and open: probes that are asked for at once take less.
const WHILE: Duration = Duration::from_millis(30);
/// Lines about one backend in a minute, and the service's that gets its traffic back.
const MAX_LINES: usize = 12;

#[test]
fn a_listener_that_comes_and_goes_without_end_has_a_bounded_number_of_lines() {
    let mut site = Fixture::without_agent();
    let (local, remote) = (site.local4(), site.far4());
    let config = format!(
        "node: {{name: n1, zone: a, region: eu, cluster: local}}\nservices:\n- name: shop/four\n  \
         frontends: [\"{}/tcp\"]\n  backends:\n  - {{address: \"{local}\", node: n1}}\n  \
         - {{address: \"{remote}\"}}\n  policy:\n    probe: {{tcp: {{}}, interval: 100ms, timeout: \
         100ms, unhealthy: 1, healthy: 1}}\n    passive: {{baseEjection: 1s, maxEjection: 1s}}\n",
        frontend4()
    );
    site.start_agent_with(&config, &[]);
    site.thaw();
    let mut server = site.server(Listen::on(local));
    site.learn(frontend4());
    let mut listener = 0;
    for _ in 0..TIMES {
        server.close(listener).expect("it closes");
        thread::sleep(WHILE);
        listener = server.open(Listen::on(local)).expect("a new one");
        thread::sleep(WHILE);
    }
    site.wait_for("it is usable again", |site| site.objections(local).is_empty());
    let log = site.agent().log();
    let backend = format!("{local}/tcp");
    let said = log.lines().filter(|line| line.contains(&backend)).count();
    println!("{TIMES} ejections of a listener and their ends: {said} lines");
    assert!(said > 0, "the agent has heard of none:\n{log}");
    assert!(said <= MAX_LINES, "{said} lines:\n{log}");
    site.finish();
}
