//! Without an agent the kernel tries again by itself.

use std::time::{Duration, Instant};

use redirector_tests::{lab::Lab, replica::Replica};

use crate::passive::stage::{REPLICA, Stage, backend, failed, service, tcp, wait_until};

const POLICY: &str =
    "probe: off, passive: {refused: 2, timeouts: 2, baseEjection: 1s, maxEjection: 4s}";
/// Longer than it takes until the agent counts as silent, and than two ejections.
const DEAD: Duration = Duration::from_secs(12);

#[test]
fn each_client_tries_an_ejected_backend_for_itself_until_it_answers() {
    let lab = Lab::new(&["n1", "n2", "n3"]).expect("a lab");
    let mut replicas = ["n2", "n3"].map(|name| {
        let node = lab.node(name);
        Replica::start(node.netns(), name, &[node.socket4(REPLICA)]).expect("a replica")
    });
    let backends = [backend(2, REPLICA), backend(3, REPLICA)];
    let mut stage = Stage::new(lab, &service("two", 1, &backends, POLICY));
    let mut clients = [stage.client("client"), stage.client_on("n3", "other")];
    replicas[0].kill();
    stage.agent.kill9();
    let start = Instant::now();
    let mut failures = 0;
    let mut dials = 0;
    while start.elapsed() < DEAD {
        for client in &mut clients {
            failures += failed(&client.dial(tcp(1), 20).expect("dials")).len();
            dials += 20;
        }
    }
    let (begun, ejected) = (stage.counter("avoid_begun"), stage.counter("ejected"));
    println!("{failures} of {dials} connects failed in {DEAD:?}: {begun} times avoided");
    assert_eq!(ejected, 1, "by two networks");
    // Two to the limit, then one for each try: after 1, 2, 4 and 8 s, and when the ejection is over.
    assert_eq!(failures as u64, 2 + begun, "of two clients");
    assert!((4..=10).contains(&begun), "{begun} times");
    assert!(stage.counter("tried") >= 1, "a try of what is ejected");

    replicas[0].restart().expect("the replica");
    wait_until("it is re-admitted", || {
        for client in &mut clients {
            assert!(failed(&client.dial(tcp(1), 10).expect("dials")).is_empty());
        }
        stage.counter("readmitted") == 1
    });
    let dialled = stage.client("new").dial(tcp(1), 100).expect("dials");
    let back = dialled.iter().filter(|one| one.outcome.as_deref() == Ok("n2")).count();
    assert!((20..80).contains(&back), "{back} of 100");
    stage.agent.spawn_again().expect("an agent");
    stage.agent.wait_until_ready().expect("an agent");
}
