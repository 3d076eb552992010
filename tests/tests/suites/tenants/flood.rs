//! An attacker with as many clients as it likes takes from nobody the memory of what to avoid.

use std::thread;

use redirector_tests::{
    dialer::Second,
    size::sized,
    tenant::{Attempt, Tally},
};

use super::{
    fixture::{AgentIs, Fixture, REJECT},
    services::{Family, PORT, PROBED, TIERS, frontends, near, service, west},
    watch::{Victim, assert_served_by},
};

/// Each has a backend of its own.
const SERVICES: std::ops::RangeInclusive<u16> = 1..=16;
/// Refused connects after which a client avoids a backend.
const REFUSED: u32 = 3;
/// Clients in cgroups, and how many of them CI has.
const CLIENTS: u32 = 100_000;
const FEW_CLIENTS: u32 = 600;
/// Network namespaces.
const NETWORKS: usize = 40;
/// Its backend is denied to a process of the host, the others to a pod: two witnesses of one
/// backend would be another test.
const OF_HOST: u16 = 2;

/// Every client has failed at every backend so often that it avoids it; 100,000 at those of one
/// service.
fn flood(site: &Fixture) -> Tally {
    let clients = sized(CLIENTS, FEW_CLIENTS);
    let services = sized(2 * OF_HOST..=2 * OF_HOST, SERVICES);
    let attempt = Attempt { timeout_ms: 20, ..Attempt::new(&frontends(services), REFUSED) };
    let mut user = site.tenant("pod2", "user");
    let below = site.cgroup_of("user");
    // Whatever is chosen refuses at once.
    let own = [site.addresses("near"), site.addresses("west")].concat();
    user.own(&own).expect("a network of its own");
    let mut tally = user.swarm(&below, clients, attempt.clone()).expect("many clients");
    for _ in 0..NETWORKS {
        user.own(&own).expect("another network");
        let more = user.attempt(attempt.clone()).expect("one more client");
        tally.refused += more.refused;
    }
    tally
}

/// How often this pod fails before another backend serves it: once per backend at the limit.
fn assert_avoids(site: &Fixture, cgroup: &str) {
    let mut pod = site.client("pod1", cgroup);
    for service in [*SERVICES.start(), *SERVICES.end()] {
        for family in Family::ALL {
            let sums = Second::of(&pod.dial(family.dial(service), 40).expect("dials"));
            assert!(sums.failed <= REFUSED.into(), "service {service}, {family:?}: {sums:?}");
            assert_eq!(sums.by.keys().collect::<Vec<_>>(), ["west"], "{sums:?}");
        }
    }
}

/// The same for a process of the host without rights.
fn assert_host_avoids(site: &Fixture, cgroup: &str) {
    let mut process = site.tenant("host", cgroup);
    let tally = process.attempt(Attempt::new(&frontends([OF_HOST]), 40)).expect("connects");
    assert!(tally.failed() <= 2 * REFUSED, "{tally:?}");
}

fn flooded(agent: AgentIs) {
    let replicas: Vec<_> =
        SERVICES.map(|number| ("near", PORT + number - 1)).chain([("west", PORT)]).collect();
    let policy = format!("{TIERS}, {PROBED}");
    let services: String = SERVICES
        .map(|number| service(number, &policy, &[near(PORT + number - 1), west(PORT)]))
        .collect();
    let mut site = Fixture::new(&replicas, &services);
    site.wait_for_probes(&SERVICES.collect::<Vec<_>>());
    site.let_agent_be(agent);
    let port = |service| PORT + service - 1;
    let of_pod: Vec<_> = SERVICES.filter(|service| *service != OF_HOST).map(port).collect();
    site.deny("pod1", "near", &of_pod, REJECT);
    // The agent, who is root, reaches it.
    site.rule("host", "near", &[port(OF_HOST)], "meta skuid 65534", REJECT);

    let victim = Victim::start(&site, 1, 100);
    let tally = thread::scope(|scope| {
        let flood = scope.spawn(|| flood(&site));
        assert_avoids(&site, "during");
        assert_host_avoids(&site, "host-during");
        flood.join().expect("a flood")
    });
    assert_avoids(&site, "after");
    assert_host_avoids(&site, "host-after");
    let sums = victim.end();
    println!("{} refused by a flood, agent {agent:?}: the victim {:?}", tally.refused, sums.by);
    assert!(tally.refused >= sized(CLIENTS, FEW_CLIENTS) * 5, "the flood is none: {tally:?}");
    assert_served_by("near", &sums);
    site.assert_unmoved(&[1], agent);
}

#[test]
fn many_clients_take_from_nobody_the_memory_of_what_to_avoid() {
    flooded(AgentIs::Alive);
}

#[test]
fn many_clients_take_nothing_from_others_while_the_agent_is_stopped() {
    flooded(AgentIs::Stopped);
}
