//! Connections of others end only after a probe has failed too.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
};

use redirector_tests::{
    fixture::Site,
    netns::Netns,
    tenant::{Attempt, Tenant},
};

use super::{
    fixture::{AgentIs, DROP, Fixture},
    services::{NODES, PORT, PROBED, frontends, near, service},
};

const SERVICE: u16 = 1;
/// Connections that the victim holds, in each family.
const HELD: u32 = 10;
/// Of an attacker in each family: more than five unanswered connects eject.
const CONNECTS: u32 = 3;

/// Answers what it is sent, until the other side closes. Ends with the test's process.
fn serve_echo(netns: &Netns, address: SocketAddr) {
    let listener = netns.run(|| TcpListener::bind(address).expect("a listener"));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || echo(stream));
        }
    });
}

fn echo(mut stream: TcpStream) {
    let mut bytes = [0; 64];
    // Its client is gone: a probe only connects.
    while let Ok(length @ 1..) = stream.read(&mut bytes) {
        if stream.write_all(&bytes[..length]).is_err() {
            return;
        }
    }
}

/// Each attacker's connects go unanswered; all attackers at once.
fn attack(attackers: Vec<(Tenant, Attempt)>) -> u32 {
    let begin = |(mut tenant, attempt): (Tenant, Attempt)| {
        tenant.begin(attempt).expect("an attack");
        tenant
    };
    let running: Vec<_> = attackers.into_iter().map(begin).collect();
    running.into_iter().map(|mut one| one.end().expect("its end").unanswered).sum()
}

#[test]
fn timeouts_that_no_probe_confirms_reset_no_connection() {
    let site = Site::new("tenants", &NODES);
    let node = site.lab.node("near");
    for address in [node.socket4(PORT), node.socket6(PORT)] {
        serve_echo(node.netns(), address);
    }
    let policy = format!("onBackendLost: Reset, {PROBED}");
    let mut site = Fixture::on(site, &service(SERVICE, &policy, &[near(PORT)]));
    site.wait_for_probes(&[SERVICE]);
    let mut victim = site.tenant("victim", "victim");
    let held = victim.hold(&frontends([SERVICE]), HELD).expect("connections").connected;
    assert_eq!(held, 2 * HELD);

    let attempt = || Attempt::new(&frontends([SERVICE]), CONNECTS);
    // A user in a network of its own, who moves between two cgroups.
    let cgroups = ["user/one", "user/two"].map(|name| site.cgroup_of(name));
    let users = ["user/one", "user/two"].map(|cgroup| {
        let mut user = site.tenant("pod1", cgroup);
        user.own(&[]).expect("a network of its own");
        (user, attempt().from(&cgroups))
    });
    let by_users = attack(users.into());
    let after_users = victim.ask().expect("answers").connected;

    // Two pods whose own network swallows what they send.
    let pods =
        |site: &Fixture| ["pod1", "pod2"].map(|pod| (site.tenant(pod, pod), attempt())).into();
    for pod in ["pod1", "pod2"] {
        site.deny(pod, "near", &[PORT], DROP);
    }
    let by_pods = attack(pods(&site));
    let after_pods = victim.ask().expect("answers").connected;

    // What they say while there is no agent is all that the next one finds.
    site.let_agent_be(AgentIs::Killed);
    let without_agent = attack(pods(&site));
    site.agent.spawn_again().expect("an agent");
    site.agent.wait_until_ready().expect("it is ready");
    site.wait_for_probes(&[SERVICE]);
    let after_restart = victim.ask().expect("answers").connected;

    println!(
        "unanswered: {by_users} of users, {by_pods} of pods, {without_agent} without an agent; of \
         {held} connections live {after_users}, {after_pods}, {after_restart}"
    );
    assert!(by_users >= 10 && by_pods >= 10 && without_agent >= 10, "the attack is none");
    assert_eq!([after_users, after_pods, after_restart], [held; 3]);
    assert!(!site.agent.log().contains("reset the connections"), "{}", site.agent.log());
}
