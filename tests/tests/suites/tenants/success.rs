//! A process that succeeds in a network of its own keeps nobody at a dead backend.

use std::{net::SocketAddr, thread};

use redirector_core::input::Network;
use redirector_tests::{
    dialer::Second,
    tenant::{Attempt, Tenant},
};

use super::{
    fixture::{AgentIs, Fixture},
    services::{Family, PORT, PROBED, frontends, near, service},
};

const SERVICE: u16 = 1;
const DIALS: u32 = 110;
/// Unanswered connects after which a client goes elsewhere, and one more try after a second.
const MOST_FAILED: u64 = 5 + 1;

/// Somebody who has the addresses of the node near in a network of his own, and listens there.
fn pretender(site: &Fixture) -> Tenant {
    let mut attacker = site.tenant("pod1", "attacker");
    let addresses = site.addresses("near");
    attacker.own(&addresses).expect("a network of its own");
    for address in addresses {
        attacker.listen(SocketAddr::new(address, PORT)).expect("a listener");
    }
    attacker
}

fn pretends(policy: &str, agent: AgentIs) {
    let services = service(SERVICE, policy, &[near(PORT), near(PORT + 1)]);
    let mut site = Fixture::new(&[("near", PORT), ("near", PORT + 1)], &services);
    if agent != AgentIs::Alive {
        site.wait_for_probes(&[SERVICE]);
    }
    site.let_agent_be(agent);
    site.lab.node("near").swallow(PORT).expect("a black hole");
    let mut attacker = pretender(&site);
    let attempt = Attempt { timeout_ms: 50, ..Attempt::new(&frontends([SERVICE]), 400).every(2) };
    attacker.begin(attempt).expect("an attack");
    let one = |family: Family| {
        let mut client = site.client("victim", "victim");
        thread::spawn(move || Second::of(&client.dial(family.dial(SERVICE), DIALS).expect("dials")))
    };
    let victims = Family::ALL.map(one).map(|thread| thread.join().expect("a victim"));
    let tally = attacker.end().expect("the end of the attack");
    let failed = victims.each_ref().map(|sums| sums.failed);
    println!("{} false successes, agent {agent:?}: {failed:?} of {DIALS} failed", tally.connected);
    assert!(tally.connected >= 20, "the attack is none: {tally:?}");
    assert!(failed.iter().all(|failed| *failed <= MOST_FAILED), "{victims:?}");
}

#[test]
fn false_success_keeps_nobody_at_a_black_hole_that_is_not_probed() {
    pretends("connectTimeout: 300ms, probe: off", AgentIs::Alive);
}

#[test]
fn false_success_keeps_nobody_at_a_black_hole_while_the_agent_is_dead() {
    pretends(PROBED, AgentIs::Killed);
}

#[test]
fn a_false_success_does_not_count_as_use() {
    let services = service(SERVICE, PROBED, &[near(PORT)]);
    let mut site = Fixture::new(&[("near", PORT)], &services);
    site.wait_for_probes(&[SERVICE]);
    site.let_agent_be(AgentIs::Stopped);
    let datapath = site.datapath();
    let used = || -> Vec<Network> {
        (0..64).filter_map(|index| datapath.take_seen(index).used_from).collect()
    };
    used();
    let mut attacker = pretender(&site);
    attacker.begin(Attempt::new(&frontends([SERVICE]), 400).every(2)).expect("an attack");
    let tally = attacker.end().expect("the end of the attack");
    assert!(tally.connected >= 20, "the attack is none: {tally:?}");
    assert_eq!(used(), [Network::OfProcess; 2], "worth a probe, and no more");
    let mut client = site.client("victim", "victim");
    for family in Family::ALL {
        client.dial(family.dial(SERVICE), 1).expect("dials");
    }
    let mut attacker = pretender(&site);
    attacker.begin(Attempt::new(&frontends([SERVICE]), 400).every(2)).expect("an attack");
    attacker.end().expect("the end of the attack");
    assert_eq!(used(), [Network::OfSystem; 2], "what the system's networks said stays said");
}
