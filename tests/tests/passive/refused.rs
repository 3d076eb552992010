//! Backends that refuse.

use redirector_tests::{lab::Lab, replica::Replica};

use crate::stage::{REPLICA, Stage, backend, failed, service, tcp};

const LIMIT: usize = 3;
const POLICY: &str = "probe: off, passive: {refused: 3, timeouts: 5, baseEjection: 300s}";

#[test]
fn three_refusals_eject_for_everybody_while_the_agent_stands_still() {
    let lab = Lab::new(&["n1", "n2", "n3"]).expect("a lab");
    let alive = lab.node("n3");
    let _alive =
        Replica::start(alive.netns(), "alive", &[alive.socket4(REPLICA)]).expect("a replica");
    let backends = [backend(2, REPLICA), backend(3, REPLICA)];
    let services: String =
        [1, 2, 3].map(|number| service(&format!("s{number}"), number, &backends, POLICY)).concat();
    let stage = Stage::new(lab, &services);
    stage.agent.freeze().expect("a frozen agent");

    // Three processes in three cgroups; their failures count together.
    let mut seen = 0;
    'all: for round in 0.. {
        let mut client = stage.client(&format!("first{}", round % 3));
        for dialled in client.dial(tcp(1), 20).expect("dials") {
            seen += usize::from(dialled.outcome.is_err());
        }
        if seen >= LIMIT || round > 10 {
            break 'all;
        }
    }
    assert_eq!(seen, LIMIT, "exactly so many connects meet the dead replica");

    let mut later = 0;
    for number in [1, 2, 3] {
        let mut client = stage.client(&format!("later{number}"));
        let dialled = client.dial(tcp(number), 3_400).expect("dials");
        assert!(failed(&dialled).is_empty(), "{:?}", failed(&dialled)[0]);
        later += dialled.len();
    }
    println!("refused: {seen} failed connects, then 0 of {later} over three services");
    assert_eq!(stage.counter("ejected"), 1);
    stage.agent.thaw().expect("an agent that goes on");
}

#[test]
fn a_success_between_failures_begins_the_count_again() {
    let lab = Lab::new(&["n1", "n2"]).expect("a lab");
    let node = lab.node("n2");
    let mut replica =
        Replica::start(node.netns(), "flaky", &[node.socket4(REPLICA)]).expect("a replica");
    let stage = Stage::new(lab, &service("one", 1, &[backend(2, REPLICA)], POLICY));
    stage.agent.freeze().expect("a frozen agent");
    let mut client = stage.client("client");
    for _ in 0..3 {
        replica.kill();
        assert_eq!(failed(&client.dial(tcp(1), 2).expect("dials")).len(), 2);
        replica.restart().expect("the replica");
        assert!(failed(&client.dial(tcp(1), 1).expect("dials")).is_empty());
    }
    assert_eq!(stage.counter("ejected"), 0);
    assert_eq!(stage.counter("connect_failed"), 6);
    stage.agent.thaw().expect("an agent that goes on");
}
