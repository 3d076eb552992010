//! Packets that die on the way by their sender's wish: no namespace is needed for that.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
};

use redirector_tests::{
    dialer::Second, fixture::Site, lab::Lab, netns::Netns, replica::Replica, tenant::Attempt,
};

use super::{
    fixture::{AgentIs, Fixture},
    services::{NODES, PORT, PROBED, frontends, service},
    watch::Victim,
};

const SERVICE: u16 = 1;
/// The network behind the router.
const BEHIND: [&str; 2] = ["10.78.0.1", "fd78::1"];
/// Processes of the attacker that connect at the same moment: what they hear comes with their second
/// SYN, a quarter of a second later, and hardly any success of the victim between two of them.
const AT_ONCE: usize = 24;
const ROUNDS: usize = 5;

/// A network with one host, behind the node `pod2`, which forwards.
fn behind_a_router(lab: &Lab) -> Netns {
    let behind = Netns::new().expect("a namespace");
    let router = lab.node("pod2");
    router
        .netns()
        .ip(&format!(
            "link add inner type veth peer name eth0 netns {}\n\
             link set inner up\naddr add 10.78.0.254/24 dev inner\n\
             addr add fd78::fe/64 dev inner nodad",
            behind.path().display()
        ))
        .expect("a cable");
    router.netns().run(|| {
        for switch in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
            fs::write(format!("/proc/sys/net/{switch}"), "1").expect("a router");
        }
        // It says of every packet that it died, not of one a second.
        for switch in ["ipv4/icmp_ratelimit", "ipv4/icmp_ratemask", "ipv6/icmp/ratelimit"] {
            fs::write(format!("/proc/sys/net/{switch}"), "0").expect("a talkative router");
        }
        fs::write("/proc/sys/net/ipv6/icmp/ratemask", "").expect("a talkative router");
    });
    behind
        .ip(
            "link set eth0 up\naddr add 10.78.0.1/24 dev eth0\naddr add fd78::1/64 dev eth0 nodad\n\
             route add 0.0.0.0/0 via 10.78.0.254\nroute add ::/0 via fd78::fe",
        )
        .expect("a host behind the router");
    for node in lab.nodes().iter().filter(|node| node.name() != router.name()) {
        node.netns()
            .ip(&format!(
                "route add 10.78.0.0/24 via {}\nroute add fd78::/64 via {}",
                router.ipv4(),
                router.ipv6()
            ))
            .expect("a route");
    }
    behind
}

fn short_lived(agent: AgentIs) {
    let mut site = Site::new("tenants", &NODES);
    let behind = behind_a_router(&site.lab);
    let mut lines = String::new();
    let replicas = [PORT, PORT + 1].map(|port| {
        let sockets = BEHIND.map(|address| {
            let address: IpAddr = address.parse().expect("an address");
            SocketAddr::new(address, port)
        });
        for socket in sockets {
            lines.push_str(&format!(
                "  - {{address: '{socket}', node: far, zone: a, region: eu}}\n"
            ));
        }
        Replica::start(&behind, &format!("far-{port}"), &sockets).expect("a replica")
    });
    let policy = format!("allDown: Refuse, {PROBED}");
    site.replicas.extend(replicas);
    let mut site = Fixture::on(site, &service(SERVICE, &policy, &[lines]));
    site.wait_for_probes(&[SERVICE]);
    site.let_agent_be(agent);

    // A user of the host, in two cgroups that were given to it.
    let mut user: Vec<_> =
        (0..AT_ONCE).map(|number| site.tenant("host", &format!("user/{}", number % 2))).collect();
    let victim = Victim::start(&site, SERVICE, 150);
    let mut unreachable = 0;
    for _ in 0..ROUNDS {
        for frontend in frontends([SERVICE]) {
            for process in &mut user {
                process.begin(Attempt::new(&[frontend], 1).hops(1)).expect("an attack");
            }
            for process in &mut user {
                unreachable += process.end().expect("the end of an attack").unreachable;
            }
        }
    }
    let Second { dials, failed, by, .. } = victim.end();
    println!(
        "{unreachable} connects died on the way, agent {agent:?}: {failed} of {dials} failed, {by:?}"
    );
    assert!(unreachable as usize >= AT_ONCE, "the attack is none: {unreachable}");
    assert_eq!(failed, 0, "of {dials}");
    assert_eq!(by.len(), 2, "both replicas serve: {by:?}");
    site.assert_unmoved(&[SERVICE], agent);
}

#[test]
fn packets_that_die_on_the_way_by_their_senders_wish_eject_nothing() {
    short_lived(AgentIs::Alive);
}

#[test]
fn packets_that_die_on_the_way_eject_nothing_while_the_agent_is_dead() {
    short_lived(AgentIs::Killed);
}
