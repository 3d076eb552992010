//! One client whose own network refuses a backend moves itself, and nobody else.

use std::{thread, time::Duration};

use redirector_tests::{
    dialer::{Line, Load, Second},
    tenant::Attempt,
};

use super::{
    fixture::{AgentIs, Fixture, REJECT},
    services::{Family, PORT, PROBED, TIERS, frontends, near, service, west},
    watch::{Victim, assert_served_by},
};

/// Services with these fail-backs: one tier comes back by itself, the other waits for an operator.
const AUTOMATIC: u16 = 1;
const MANUAL: u16 = 2;
const BOTH: [u16; 2] = [AUTOMATIC, MANUAL];
const REFUSED: usize = 3;
/// Of an attacker, at each address; and how often it does all of that.
const ATTEMPTS: u32 = 5;
const ROUNDS: u32 = 2;
/// How long the denied pod goes on, in which it tries the backend again after 1 s and 2 s more.
const LATER: Duration = Duration::from_secs(4);
const TRIALS: u64 = 3;

fn site(agent: AgentIs) -> Fixture {
    let replicas = [("near", PORT), ("near", PORT + 1), ("west", PORT)];
    let services = [(AUTOMATIC, "Automatic"), (MANUAL, "Manual")].map(|(number, mode)| {
        let policy = format!("{TIERS}, failback: {{mode: {mode}}}, {PROBED}");
        service(number, &policy, &[near(PORT + number - 1), west(PORT)])
    });
    let mut site = Fixture::new(&replicas, &services.concat());
    site.wait_for_probes(&BOTH);
    site.let_agent_be(agent);
    site
}

fn refuses_itself(agent: AgentIs) {
    let site = site(agent);
    let victims = BOTH.map(|service| Victim::start(&site, service, 100));
    let mut attacker = site.tenant("pod1", "attacker");
    attacker.own(&site.addresses("near")).expect("a network of its own");
    let mut refused = 0;
    for _ in 0..ROUNDS {
        for frontend in frontends(BOTH) {
            // At once, so that nobody's success comes between two failures.
            let attempt = Attempt { timeout_ms: 50, ..Attempt::new(&[frontend], ATTEMPTS) };
            refused += attacker.attempt(attempt).expect("an attack").refused;
        }
    }
    assert!(refused as usize >= REFUSED * 4, "the attack is none: {refused}");
    thread::sleep(Duration::from_secs(1));
    let [automatic, manual] = victims.map(Victim::end);

    println!(
        "{refused} refused to themselves, agent {agent:?}: {:?} and {:?}",
        automatic.by, manual.by
    );
    assert_served_by("near", &automatic);
    assert_served_by("near-1", &manual);
    site.assert_unmoved(&BOTH, agent);
}

#[test]
fn a_process_that_refuses_itself_in_a_network_of_its_own_moves_nobody_else() {
    refuses_itself(AgentIs::Alive);
}

#[test]
fn a_process_that_refuses_itself_moves_nobody_else_while_the_agent_is_stopped() {
    refuses_itself(AgentIs::Stopped);
}

fn denied(agent: AgentIs) {
    let site = site(agent);
    site.deny("pod1", "near", &[PORT, PORT + 1], REJECT);
    let victims = BOTH.map(|service| Victim::start(&site, service, 50));
    let mut pod = site.client("pod1", "denied");
    for service in BOTH {
        for family in Family::ALL {
            let dialled = pod.dial(family.dial(service), 30).expect("dials");
            let served = dialled.iter().skip(REFUSED).find(|one| one.outcome != Ok("west".into()));
            assert_eq!(served, None, "after {REFUSED} failures another backend serves");
        }
    }
    // Now and then it tries again, with one connect at a time.
    let load = |family: Family| {
        let duration_ms = Some(LATER.as_millis() as u64);
        let load = Load::new(family.dial(AUTOMATIC), 100);
        let load = Load { threads: 1, duration_ms, every: true, ..load };
        site.client("pod1", "denied").load(load).expect("a load")
    };
    for load in Family::ALL.map(load) {
        let (lines, _) = load.wait().expect("the end of a load");
        let dialled: Vec<_> = lines.into_iter().filter_map(Line::dialled).collect();
        let sums = Second::of(&dialled);
        println!(
            "a denied pod, agent {agent:?}: {} of {} failed in {LATER:?}",
            sums.failed, sums.dials
        );
        assert!(sums.failed <= TRIALS, "{sums:?}");
    }
    let [automatic, manual] = victims.map(Victim::end);
    assert_served_by("near", &automatic);
    assert_served_by("near-1", &manual);
    site.assert_unmoved(&BOTH, agent);
}

#[test]
fn a_pod_whose_own_rules_reject_a_backend_is_served_by_another_and_moves_nobody_else() {
    denied(AgentIs::Alive);
}

#[test]
fn a_denied_pod_is_served_by_another_backend_while_the_agent_is_dead() {
    denied(AgentIs::Killed);
}
