//! When the agent resets: after a backend fell silent, if the policy says so, and never after it
//! has refused.

use std::time::{Duration, Instant};

use redirector_tests::wait::wait_until;

use super::{
    fixture::Fixture,
    held::{Held, Transport, all_failed},
    pods::{BACKENDS, Family, PODS, PORT},
};

const PROBE: &str = "probe: {tcp: {}, interval: 200ms, timeout: 200ms, unhealthy: 2, healthy: 2}";
const RESET: &str = "onBackendLost: Reset";
const LOST: usize = 2;

/// The ten connections of one pod to one service.
const TEN: [Family; 10] = {
    use Family::{Mapped, V4, V6};
    [V4, V4, V4, V4, V6, V6, V6, Mapped, Mapped, Mapped]
};

/// Every pod to every service, all working; every backend has answered the agent's probes.
fn connections(site: &Fixture, families: &[Family], transport: Transport) -> Vec<Held> {
    let mut all = Vec::new();
    for pod in 0..PODS {
        for service in 0..BACKENDS {
            all.extend(families.iter().map(|family| site.dial(pod, service, *family, transport)));
        }
    }
    all.iter().for_each(Held::works);
    let agent = site.pods.site.lab.node("agent");
    for backend in &site.pods.backends {
        let has_answered = || {
            backend.accepted(agent.ipv4().into()) > 1 && backend.accepted(agent.ipv6().into()) > 1
        };
        wait_until("probes", has_answered);
    }
    all
}

/// Waits until both addresses of the lost backend are ejected, and says when that was.
fn ejected(site: &Fixture) -> Instant {
    let node = site.pods.backend(LOST);
    let names = [node.socket4(PORT), node.socket6(PORT)].map(|address| format!("{address}/tcp"));
    let is_ejected = |log: &str, name: &String| {
        log.lines().any(|line| line.contains(" ejected ") && line.contains(name.as_str()))
    };
    wait_until("the ejection", || {
        let log = site.agent.log();
        names.iter().all(|name| is_ejected(&log, name))
    });
    Instant::now()
}

fn has_reset(site: &Fixture) -> bool {
    site.agent.log().contains("reset the connections")
}

#[test]
fn connections_to_a_silent_backend_are_reset_within_a_second_of_its_ejection() {
    let site = Fixture::new(&format!("{RESET}, {PROBE}"), RESET);
    let _entered = site.enter();
    let tcp = connections(&site, &TEN, Transport::Tcp);
    let udp = connections(&site, &[Family::V4, Family::V6, Family::Mapped], Transport::Udp);
    let sending = connections(&site, &[Family::V4], Transport::Sending);
    assert_eq!(tcp.len(), 200);

    let cut = Instant::now();
    site.pods.site.lab.cut("b2").expect("a cut cable");
    let ejected = ejected(&site);
    let of_lost = |held: &&Held| held.backend == LOST;
    let lost: Vec<_> = tcp.iter().filter(of_lost).collect();
    let failed = all_failed(&lost, Duration::from_secs(1));

    for held in &lost {
        assert_eq!(held.take_error(), Some(libc::ECONNABORTED), "{held}");
    }
    println!(
        "{} of {} connections reset: ejected {:?} after the cable was cut, all reset {:?} later",
        lost.len(),
        tcp.len(),
        ejected - cut,
        failed.saturating_duration_since(ejected)
    );
    let lost_udp: Vec<_> = udp.iter().filter(of_lost).collect();
    all_failed(&lost_udp, Duration::from_secs(1));
    tcp.iter().chain(&udp).filter(|held| !of_lost(held)).for_each(Held::works);
    // Of the unconnected ones also those that have used the lost backend go on, elsewhere.
    sending.iter().for_each(Held::works);
}

#[test]
fn with_keep_no_connection_is_reset() {
    let site = Fixture::new(&format!("onBackendLost: Keep, {PROBE}"), "");
    let _entered = site.enter();
    let tcp = connections(&site, &TEN, Transport::Tcp);

    site.pods.site.lab.cut("b2").expect("a cut cable");
    ejected(&site);
    site.pods.site.lab.heal("b2").expect("a cable");

    tcp.iter().for_each(Held::works);
    assert!(!has_reset(&site), "{}", site.agent.log());
}

/// A graceful shutdown: the listener first, and then what is under way.
#[test]
fn a_replica_that_closes_its_listener_finishes_its_requests() {
    let site = Fixture::new(&format!("{RESET}, {PROBE}"), RESET);
    let _entered = site.enter();
    let tcp = connections(&site, &TEN, Transport::Tcp);
    let slow: Vec<_> = tcp.iter().filter(|held| held.backend == LOST).collect();
    assert_eq!(slow.len(), 50);

    let replica = &site.pods.backends[LOST];
    replica.be_slow(true);
    slow.iter().for_each(|held| held.ask().expect("a request"));
    replica.close_listeners();
    ejected(&site);
    replica.be_slow(false);

    for held in slow {
        held.receive().unwrap_or_else(|error| panic!("{held}: no answer: {error}"));
        held.works();
    }
    assert!(!has_reset(&site), "{}", site.agent.log());
}
