//! Real failures move clients as fast as ever.

use std::{collections::BTreeSet, thread};

use redirector_tests::{dialer::Second, wait::wait_until};

use super::{
    fixture::{AgentIs, Fixture},
    services::{Family, PORT, PROBED, near, service},
};

const SERVICE: u16 = 1;
const DIALS: u32 = 60;
const REFUSED: u64 = 3;
const UNANSWERED: u64 = 5;

/// How the replica ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Killed,
    BlackHole,
}

/// One pod alone on the node, in both families at once.
fn dial(site: &Fixture, pod: &str) -> Vec<Second> {
    let one = |family: Family| {
        let mut client = site.client(pod, pod);
        thread::spawn(move || Second::of(&client.dial(family.dial(SERVICE), DIALS).expect("dials")))
    };
    Family::ALL.map(one).into_iter().map(|thread| thread.join().expect("dials")).collect()
}

fn one_pod(end: End, agent: AgentIs) {
    let replicas = [("near", PORT), ("near", PORT + 1)];
    let services = service(SERVICE, PROBED, &[near(PORT), near(PORT + 1)]);
    let mut site = Fixture::new(&replicas, &services);
    site.wait_for_probes(&[SERVICE]);
    site.let_agent_be(agent);
    match end {
        End::Killed => site.replicas[0].kill(),
        End::BlackHole => site.lab.node("near").swallow(PORT).expect("a black hole"),
    }
    let sums = dial(&site, "victim");
    let failed: Vec<_> = sums.iter().map(|sums| sums.failed).collect();
    println!("{end:?}, agent {agent:?}: {failed:?} of {DIALS} dials of one pod failed");
    let most = if end == End::Killed { REFUSED } else { UNANSWERED };
    assert!(failed.iter().all(|failed| *failed <= most), "{sums:?}");
    if agent == AgentIs::Alive {
        let dead: BTreeSet<_> =
            site.addresses("near").map(|ip| std::net::SocketAddr::new(ip, PORT).to_string()).into();
        wait_until("the probe's verdict", || {
            let out = site.objections();
            dead.iter().all(|dead| out.iter().any(|out| out.starts_with(dead.as_str())))
        });
        let second = dial(&site, "pod1");
        assert!(second.iter().all(|sums| sums.failed == 0), "a second pod: {second:?}");
    }
}

#[test]
fn one_pod_alone_meets_a_killed_backend_three_times_at_most() {
    one_pod(End::Killed, AgentIs::Alive);
}

#[test]
fn one_pod_alone_meets_a_killed_backend_three_times_at_most_while_the_agent_is_stopped() {
    one_pod(End::Killed, AgentIs::Stopped);
}

#[test]
fn one_pod_alone_meets_a_black_hole_five_times_at_most() {
    one_pod(End::BlackHole, AgentIs::Alive);
}

#[test]
fn one_pod_alone_meets_a_black_hole_five_times_at_most_while_the_agent_is_dead() {
    one_pod(End::BlackHole, AgentIs::Killed);
}
