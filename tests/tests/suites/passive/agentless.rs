//! Without an agent the kernel tries again by itself.

use std::time::{Duration, Instant};

use redirector_tests::wait::wait_until;

use super::fixture::{REPLICA, backend, failed, service, site, start, tcp};
use crate::common::counter;

const POLICY: &str =
    "probe: off, passive: {refused: 2, timeouts: 2, baseEjection: 1s, maxEjection: 4s}";
/// Longer than it takes until the agent counts as silent, and than two ejections.
const DEAD: Duration = Duration::from_secs(12);

#[test]
fn each_client_tries_an_ejected_backend_for_itself_until_it_answers() {
    let site = site(&["n1", "n2", "n3"]).with_replicas(&["n2", "n3"], REPLICA);
    let backends = [backend(2, REPLICA), backend(3, REPLICA)];
    let mut site = start(site, &service("two", 1, &backends, POLICY));
    let mut clients = [site.client_in("n1", "client"), site.client_in("n3", "other")];
    site.replicas[0].kill();
    site.agent.kill9();
    let start = Instant::now();
    let mut failures = 0;
    let mut dials = 0;
    while start.elapsed() < DEAD {
        for client in &mut clients {
            failures += failed(&client.dial(tcp(1), 20).expect("dials")).len();
            dials += 20;
        }
    }
    let (begun, ejected) = (counter(&site, "avoid_begun"), counter(&site, "ejected"));
    println!("{failures} of {dials} connects failed in {DEAD:?}: {begun} times avoided");
    assert_eq!(ejected, 1, "by two networks");
    // Two to the limit, then one for each try: after 1, 2, 4 and 8 s, and when the ejection is over.
    assert_eq!(failures as u64, 2 + begun, "of two clients");
    assert!((4..=10).contains(&begun), "{begun} times");
    assert!(counter(&site, "tried") >= 1, "a try of what is ejected");

    site.replicas[0].restart().expect("the replica");
    wait_until("it is re-admitted", || {
        for client in &mut clients {
            assert!(failed(&client.dial(tcp(1), 10).expect("dials")).is_empty());
        }
        counter(&site, "readmitted") == 1
    });
    let dialled = site.client_in("n1", "new").dial(tcp(1), 100).expect("dials");
    let back = dialled.iter().filter(|one| one.outcome.as_deref() == Ok("n2")).count();
    assert!((20..80).contains(&back), "{back} of 100");
    site.agent.spawn_again().expect("an agent");
    site.agent.wait_until_ready().expect("an agent");
}
