//! Without an agent the kernel tries again by itself.

use std::time::{Duration, Instant};

use redirector_tests::{lab::Lab, replica::Replica};

use crate::stage::{REPLICA, Stage, backend, failed, service, tcp, wait_until};

const POLICY: &str =
    "probe: off, passive: {refused: 2, timeouts: 2, baseEjection: 1s, maxEjection: 4s}";
/// Longer than it takes until the agent counts as silent, and than two ejections.
const DEAD: Duration = Duration::from_secs(12);

#[test]
fn an_ejected_backend_gets_one_connect_at_a_time_until_it_answers() {
    let lab = Lab::new(&["n1", "n2", "n3"]).expect("a lab");
    let mut replicas = ["n2", "n3"].map(|name| {
        let node = lab.node(name);
        Replica::start(node.netns(), name, &[node.socket4(REPLICA)]).expect("a replica")
    });
    let backends = [backend(2, REPLICA), backend(3, REPLICA)];
    let mut stage = Stage::new(lab, &service("two", 1, &backends, POLICY));
    let mut client = stage.client("client");
    replicas[0].kill();
    stage.agent.kill9();
    let start = Instant::now();
    let mut failures = 0;
    let mut dials = 0;
    while start.elapsed() < DEAD {
        failures += failed(&client.dial(tcp(1), 20).expect("dials")).len();
        dials += 20;
    }
    let tried = stage.counter("tried");
    println!("{failures} of {dials} connects failed in {DEAD:?}: 2 ejected, {tried} were trials");
    assert!(tried >= 2, "{tried} trials");
    assert_eq!(failures as u64, 2 + tried);
    // 1 s, 2 s, 4 s, 4 s, …: more would be more than one in each.
    assert!(tried <= 4, "{tried} trials");

    replicas[0].restart().expect("the replica");
    wait_until("it is re-admitted", || {
        assert!(failed(&client.dial(tcp(1), 10).expect("dials")).is_empty());
        stage.counter("readmitted") == 1
    });
    let dialled = client.dial(tcp(1), 100).expect("dials");
    let back = dialled.iter().filter(|one| one.outcome.as_deref() == Ok("n2")).count();
    assert!((20..80).contains(&back), "{back} of 100");
    stage.agent.spawn_again().expect("an agent");
    stage.agent.wait_until_ready().expect("an agent");
}
