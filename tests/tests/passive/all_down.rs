//! Most backends down, and all of them.

use redirector_tests::{dialer::Failure, lab::Lab, replica::Replica};

use crate::stage::{REPLICA, Stage, backend, failed, service, tcp};

const BACKENDS: u16 = 64;
const DEAD: u16 = 60;
const REFUSED: &str = "probe: off, passive: {refused: 2, timeouts: 5, baseEjection: 300s}";

#[test]
fn sixty_of_sixty_four_are_ejected_and_the_others_serve() {
    let lab = Lab::new(&["n1", "n2"]).expect("a lab");
    let node = lab.node("n2");
    let ports = REPLICA..REPLICA + BACKENDS;
    let alive: Vec<_> = ports.clone().skip(DEAD.into()).map(|port| node.socket4(port)).collect();
    let _alive = Replica::start(node.netns(), "alive", &alive).expect("a replica");
    let backends: Vec<_> = ports.map(|port| backend(2, port)).collect();
    let stage = Stage::new(lab, &service("many", 1, &backends, REFUSED));
    stage.agent.freeze().expect("a frozen agent");
    let mut client = stage.client("client");
    let mut failures = 0;
    while stage.counter("ejected") < DEAD.into() {
        failures += failed(&client.dial(tcp(1), 50).expect("dials")).len();
        assert!(failures <= 2 * usize::from(DEAD), "{failures} failed connects");
    }
    let dialled = client.dial(tcp(1), 2_000).expect("dials");
    assert!(failed(&dialled).is_empty(), "{:?}", failed(&dialled)[0]);
    println!("{DEAD} of {BACKENDS} ejected after {failures} failures; then 0 of 2000 failed");
    stage.agent.thaw().expect("an agent that goes on");
}

#[test]
fn each_policy_does_its_thing_when_all_are_down() {
    let lab = Lab::new(&["n1", "n2"]).expect("a lab");
    let node = lab.node("n2");
    let policies = ["Panic", "Refuse", "PassThrough"];
    let services: String = (1..)
        .zip(policies)
        .map(|(number, policy)| {
            let backends = [backend(2, REPLICA + u16::from(number))];
            service(policy, number, &backends, &format!("{REFUSED}, allDown: {policy}"))
        })
        .collect();
    let netns = node.netns().clone();
    let address = node.socket4(REPLICA + 1);
    let stage = Stage::new(lab, &services);
    stage.agent.freeze().expect("a frozen agent");
    let mut client = stage.client("client");
    for number in 1..=3 {
        assert_eq!(failed(&client.dial(tcp(number), 2).expect("dials")).len(), 2);
    }
    assert_eq!(stage.counter("ejected"), 3);

    let errno = |failure: &Result<String, Failure>| failure.as_ref().err().and_then(|f| f.errno);
    let panic = client.dial(tcp(1), 1).expect("a dial");
    assert_eq!(errno(&panic[0].outcome), Some(libc::ECONNREFUSED));
    assert_eq!(stage.counter("all_down_panic"), 1, "it was asked all the same");
    let _back = Replica::start(&netns, "back", &[address]).expect("a replica");
    let panic = client.dial(tcp(1), 1).expect("a dial");
    assert_eq!(panic[0].outcome.as_deref(), Ok("back"));

    let mut refused = client.dial(tcp(2), 101).expect("dials");
    assert!(refused.iter().all(|one| errno(&one.outcome) == Some(libc::ECONNREFUSED)));
    assert_eq!(stage.counter("all_down_refused"), 101, "by the kernel, not by a replica");
    refused.sort_by_key(|one| one.connect_us);
    let (median, longest) = (refused[50].connect_us, refused[100].connect_us);
    println!("a refusal takes {median} µs, at most {longest} µs");
    assert!(median < 1_000, "{median} µs");

    let passed = client.dial(tcp(3), 1).expect("a dial");
    // Nobody else serves the address here, and there is no way to it.
    assert_eq!(errno(&passed[0].outcome), Some(libc::ENETUNREACH));
    assert_eq!(stage.counter("all_down_passed"), 1);
    stage.agent.thaw().expect("an agent that goes on");
}
