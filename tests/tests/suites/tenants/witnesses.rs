//! Two cgroups in one network namespace are one witness, and one in a namespace of its own is none.

use std::{path::PathBuf, thread, time::Duration};

use redirector_tests::{
    dialer::Second,
    tenant::{Attempt, Tenant},
};

use super::{
    fixture::{AgentIs, Fixture, REJECT},
    services::{PORT, PROBED, frontends, near, service},
    watch::Victim,
};

const SERVICE: u16 = 1;
/// Of the victim, a second, both families together.
const GOOD: u32 = 300;
/// An attacker's connects at one address without a pause, so that hardly any success of the victim
/// comes between two failures; and how often it does that.
const BURST: u32 = 11;
const ROUNDS: usize = 10;
const PAUSE: Duration = Duration::from_millis(200);

fn site(agent: AgentIs) -> Fixture {
    let replicas = [("near", PORT), ("near", PORT + 1)];
    let policy = format!("allDown: Refuse, {PROBED}");
    let mut site =
        Fixture::new(&replicas, &service(SERVICE, &policy, &[near(PORT), near(PORT + 1)]));
    site.wait_for_probes(&[SERVICE]);
    site.let_agent_be(agent);
    site
}

/// All attackers at once, again and again, and what becomes of the victim.
fn attacked(site: &Fixture, mut attackers: Vec<Tenant>, cgroups: &[PathBuf], agent: AgentIs) {
    let victim = Victim::start(site, SERVICE, GOOD / 2);
    let mut refused = 0;
    for _ in 0..ROUNDS {
        for frontend in frontends([SERVICE]) {
            for tenant in &mut attackers {
                let burst = Attempt::new(&[frontend], BURST).from(cgroups);
                tenant.begin(burst).expect("an attack");
            }
            for tenant in &mut attackers {
                refused += tenant.end().expect("the end of an attack").refused;
            }
        }
        thread::sleep(PAUSE);
    }
    let Second { dials, failed, by, .. } = victim.end();
    println!("{refused} refused, agent {agent:?}: {failed} of the victim's {dials} failed, {by:?}");
    assert!(refused >= 2 * 2 * BURST, "the attack is none: {refused}");
    assert_eq!(failed, 0, "of {dials}");
    assert_eq!(by.len(), 2, "both replicas serve: {by:?}");
    site.assert_unmoved(&[SERVICE], agent);
}

fn two_containers(agent: AgentIs) {
    let site = site(agent);
    site.deny("pod1", "near", &[PORT, PORT + 1], REJECT);
    let attackers = ["pod1/one", "pod1/two"].map(|container| site.tenant("pod1", container));
    attacked(&site, attackers.into(), &[], agent);
}

#[test]
fn two_containers_of_one_pod_eject_nothing() {
    two_containers(AgentIs::Alive);
}

#[test]
fn two_containers_of_one_pod_eject_nothing_while_the_agent_is_dead() {
    two_containers(AgentIs::Killed);
}

fn moving(agent: AgentIs) {
    let site = site(agent);
    let cgroups = ["user/one", "user/two"].map(|name| site.cgroup_of(name));
    let mut user = site.tenant("pod1", "user/one");
    user.own(&site.addresses("near")).expect("a network of its own");
    attacked(&site, vec![user], &cgroups, agent);
}

#[test]
fn a_user_who_moves_between_two_cgroups_ejects_nothing() {
    moving(AgentIs::Alive);
}

#[test]
fn a_user_who_moves_between_two_cgroups_ejects_nothing_while_the_agent_is_stopped() {
    moving(AgentIs::Stopped);
}
