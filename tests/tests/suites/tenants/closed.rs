//! The death of a listener says nothing about another's address.

use std::net::SocketAddr;

use redirector_tests::{
    dialer::{Client, Dial},
    netns::Netns,
    place::Place,
    server::{Listen, Server},
    wait::wait_until,
};

use super::{
    fixture::{AgentIs, DROP, Fixture},
    services::{Family, PORT, PROBED, TIERS, backend, near, service, west},
    watch::{Victim, assert_served_by},
};

const SERVICE: u16 = 1;
/// Lines of a replica in a pod of this node.
const HERE: &str = "node: host, zone: a, region: eu, cluster: home";

/// A pod with NET_ADMIN in a network of its own that the system has made for it: it takes the
/// addresses of `node`, accepts a connection of its own at each, and closes.
fn lie(site: &Fixture, node: &str) {
    let netns = Netns::new().expect("a namespace");
    let addresses = site.addresses(node);
    for address in addresses {
        // Else an IPv6 address cannot be bound to for a moment.
        let rest = if address.is_ipv4() { "/32 dev lo" } else { "/128 dev lo nodad" };
        netns.ip(&format!("addr add {address}{rest}")).expect("an address");
    }
    let place = Place::new(&netns, &site.cgroup);
    let mut client = Client::start(place).expect("a client");
    for address in addresses.map(|address| SocketAddr::new(address, PORT)) {
        let mut liar = Server::listening(place, "liar", Listen::on(address)).expect("a listener");
        let dialled = client.dial(Dial::tcp(address), 2).expect("dials");
        let is_own = dialled.iter().all(|one| one.outcome.as_deref() == Ok("liar"));
        assert!(is_own, "a connection of its own: {dialled:?}");
        liar.close(0).expect("it closes");
    }
}

fn elsewhere(agent: AgentIs) {
    let policy = format!("{TIERS}, {PROBED}");
    let services = service(SERVICE, &policy, &[near(PORT), west(PORT)]);
    let mut site = Fixture::new(&[("near", PORT), ("west", PORT)], &services);
    site.wait_for_probes(&[SERVICE]);
    site.let_agent_be(agent);
    let victim = Victim::start(&site, SERVICE, 150);
    lie(&site, "near");
    // Dials that come after the lie.
    let dialled = super::watch::dial_many(&site, SERVICE, 150);
    println!("a listener at another node's address closed, agent {agent:?}: {:?}", dialled.by);
    assert_served_by("near", &dialled);
    assert_served_by("near", &victim.end());
    site.assert_unmoved(&[SERVICE], agent);
}

#[test]
fn a_listener_at_the_address_of_another_nodes_backend_moves_nobody_when_it_closes() {
    elsewhere(AgentIs::Alive);
}

#[test]
fn a_listener_at_another_nodes_address_moves_nobody_while_the_agent_is_dead() {
    elsewhere(AgentIs::Killed);
}

/// A service with a replica in `pod1`, on this node, and one in west.
fn with_own(probe: &str) -> Fixture {
    let policy = format!("{TIERS}, passive: {{baseEjection: 1s, maxEjection: 4s}}, {probe}");
    let services = service(SERVICE, &policy, &[backend("pod1", PORT, HERE), west(PORT)]);
    Fixture::new(&[("west", PORT)], &services)
}

/// A server at both addresses of `pod1`.
fn server(site: &Fixture, place: Place<'_>, name: &str) -> Server {
    let mut server = Server::start(place, name).expect("a server");
    for address in site.addresses("pod1") {
        server.open(Listen::sharing(SocketAddr::new(address, PORT))).expect("a listener");
    }
    server
}

/// Dials until the kernel has seen who serves.
fn learn(site: &Fixture, name: &str) {
    let mut client = site.client("victim", "victim");
    for family in Family::ALL {
        wait_until("an answer of the pod", || {
            let dialled = client.dial(family.dial(SERVICE), 1).expect("a dial");
            dialled[0].outcome.as_deref() == Ok(name)
        });
    }
}

fn here(agent: AgentIs) {
    let mut site = with_own(PROBED);
    let mut owner = server(&site, site.place_on("pod1"), "owner");
    site.wait_for_probes(&[SERVICE]);
    learn(&site, "owner");
    site.let_agent_be(agent);
    lie(&site, "pod1");
    let dialled = super::watch::dial_many(&site, SERVICE, 150);
    println!("a listener at a neighbour's address closed, agent {agent:?}: {:?}", dialled.by);
    assert_served_by("owner", &dialled);
    site.assert_unmoved(&[], agent);

    owner.kill();
    let out = site.objections();
    assert_eq!(out.len(), 2, "the owner's death is seen at once: {out:?}");
    assert_served_by("west", &super::watch::dial_many(&site, SERVICE, 50));
}

#[test]
fn a_second_namespace_with_a_neighbours_address_moves_nobody_while_the_owner_listens() {
    here(AgentIs::Alive);
}

#[test]
fn a_second_namespace_moves_nobody_while_the_owner_listens_and_the_agent_is_stopped() {
    here(AgentIs::Stopped);
}

/// Where no probe says otherwise.
fn ends(agent: AgentIs) {
    let mut site = with_own("probe: off, failback: {holdDown: 2s, ramp: 2s}");
    site.rule("host", "pod1", &[PORT], "", DROP);
    let mut seen = server(&site, site.place_on("pod1"), "seen");
    learn(&site, "seen");
    // Out of the cgroup that the agent serves: nobody sees its listeners.
    let _unseen = server(&site, Place::netns(site.lab.node("pod1").netns()), "unseen");
    site.let_agent_be(agent);
    seen.kill();
    assert_eq!(site.objections().len(), 2, "{:?}", site.objections());
    learn(&site, "unseen");
}

#[test]
fn the_word_of_a_closed_listener_has_an_end_where_no_probe_reaches_the_backend() {
    ends(AgentIs::Alive);
}

#[test]
fn the_word_of_a_closed_listener_has_an_end_while_the_agent_is_dead() {
    ends(AgentIs::Killed);
}
