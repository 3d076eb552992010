//! What the agent calls, called here: every socket to the peer, whoever has made it so.

use std::time::{Duration, Instant};

use redirector::datapath::{Destroyed, Resets};
use redirector_core::service::{BackendRef, Protocol};
use redirector_tests::netns::Netns;

use super::{
    held::{Held, Transport, all_failed},
    pods::{BACKENDS, Family, PODS, PORT, Pods},
};

/// The ten connections of one pod to one backend.
const TEN: [Family; 10] = [
    Family::V4,
    Family::V4,
    Family::V4,
    Family::V4,
    Family::V6,
    Family::V6,
    Family::V6,
    Family::Mapped,
    Family::Mapped,
    Family::Mapped,
];
const FAMILIES: [Family; 3] = [Family::V4, Family::V6, Family::Mapped];
const LOST: usize = 2;

fn both_families(pods: &Pods, backend: usize, protocol: Protocol) -> [BackendRef; 2] {
    let node = pods.backend(backend);
    [node.ipv4().into(), node.ipv6().into()].map(|address| BackendRef {
        address,
        port: PORT,
        protocol,
    })
}

/// One socket of every pod to every backend for each of `families`.
fn open_all(pods: &Pods, families: &[Family], transport: Transport) -> Vec<Held> {
    let mut held = Vec::new();
    for pod in 0..PODS {
        for backend in 0..BACKENDS {
            for family in families {
                let address = pods.address(backend, *family);
                let netns = pods.pod(pod).netns();
                held.push(Held::open((pod, netns), (backend, address), transport));
            }
        }
    }
    held.iter().for_each(Held::works);
    held
}

#[test]
fn exactly_the_connections_to_the_lost_backend_are_reset() {
    let pods = Pods::new();
    let resets = Resets::by_peer().expect("resets");
    let connections = open_all(&pods, &TEN, Transport::Tcp);
    assert_eq!(connections.len(), 200);
    let (lost, others): (Vec<_>, Vec<_>) =
        connections.iter().partition(|held| held.backend == LOST);

    let begun = Instant::now();
    let done = resets.destroy(&both_families(&pods, LOST, Protocol::Tcp)).expect("a reset");
    let failed = all_failed(&lost, Duration::from_secs(1)) - begun;

    assert!(failed < Duration::from_secs(1), "{failed:?}");
    for held in &lost {
        assert_eq!(held.take_error(), Some(libc::ECONNABORTED), "{held}");
    }
    for held in &others {
        assert_eq!(held.take_error(), None, "{held}");
        held.works();
    }
    let Destroyed { tcp, udp, namespaces, failed: failures, unreadable, took } = done;
    assert_eq!((tcp, udp, failures), (50, 0, 0));
    println!(
        "reset {tcp} of {} connections in {namespaces} namespaces in {took:?}; all had failed \
         {failed:?} after the call began; {unreadable} processes may not be looked at",
        connections.len()
    );

    let nothing = resets.destroy(&both_families(&pods, LOST, Protocol::Tcp)).expect("nothing");
    assert_eq!(nothing.tcp, 0, "they are gone");
    println!("nothing to reset in {namespaces} namespaces: {:?}", nothing.took);
}

#[test]
fn only_connected_udp_sockets_are_reset() {
    let pods = Pods::new();
    let resets = Resets::by_peer().expect("resets");
    let connected = open_all(&pods, &FAMILIES, Transport::Udp);
    let sending = open_all(&pods, &FAMILIES, Transport::Sending);
    let tcp = open_all(&pods, &FAMILIES, Transport::Tcp);
    let (lost, others): (Vec<_>, Vec<_>) = connected.iter().partition(|held| held.backend == LOST);

    let done = resets.destroy(&both_families(&pods, LOST, Protocol::Udp)).expect("a reset");
    all_failed(&lost, Duration::from_secs(1));

    for held in &lost {
        assert_eq!(held.take_error(), Some(libc::ECONNABORTED), "{held}");
    }
    others.into_iter().chain(&sending).chain(&tcp).for_each(Held::works);
    assert_eq!((done.tcp, done.udp), (0, 15));
}

#[test]
fn a_half_closed_connection_that_waits_for_its_answer_is_reset() {
    let pods = Pods::new();
    let address = pods.address(0, Family::V4);
    let held = Held::open((0, pods.pod(0).netns()), (0, address), Transport::Tcp);
    held.works();
    held.half_close();

    let resets = Resets::by_peer().expect("resets");
    let done = resets.destroy(&both_families(&pods, 0, Protocol::Tcp)).expect("a reset");

    assert_eq!(done.tcp, 1);
    all_failed(&[&held], Duration::from_secs(1));
    assert_eq!(held.take_error(), Some(libc::ECONNABORTED));
}

/// The same port elsewhere, another port there, and the end that serves.
#[test]
fn other_peers_are_told_apart_by_address_and_port() {
    let pods = Pods::new();
    let address = pods.address(0, Family::V4);
    let held = Held::open((0, pods.pod(0).netns()), (0, address), Transport::Tcp);
    let resets = Resets::by_peer().expect("resets");
    let [backend, _] = both_families(&pods, 0, Protocol::Tcp);
    let client = pods.pod(0).ipv4().into();
    let elsewhere = pods.backend(1).ipv4().into();

    for other in [
        BackendRef { port: PORT + 1, ..backend },
        BackendRef { address: elsewhere, ..backend },
        BackendRef { address: client, ..backend },
        BackendRef { protocol: Protocol::Udp, ..backend },
    ] {
        let done = resets.destroy(&[other]).expect("a walk");
        assert_eq!((done.tcp, done.udp), (0, 0), "{other}");
        held.works();
    }
}

#[test]
fn many_backends_cost_one_walk() {
    const MANY: u16 = 1_000;
    let pods = Pods::new();
    let connections = open_all(&pods, &FAMILIES, Transport::Tcp);
    let resets = Resets::by_peer().expect("resets");
    let mut backends: Vec<BackendRef> = Vec::new();
    for number in 0..MANY {
        let [v4, v6] = both_families(&pods, 0, Protocol::Tcp);
        backends.extend([v4, v6].map(|backend| BackendRef { port: 30_000 + number, ..backend }));
    }
    backends.extend((0..BACKENDS).flat_map(|number| both_families(&pods, number, Protocol::Tcp)));

    let done = resets.destroy(&backends).expect("a reset");

    all_failed(&connections.iter().collect::<Vec<_>>(), Duration::from_secs(1));
    assert_eq!(done.tcp, connections.len() as u64);
    let Destroyed { tcp, namespaces, took, .. } = done;
    println!("{} backends, {tcp} connections, {namespaces} namespaces: {took:?}", backends.len());
}

/// What one more namespace and one more connection cost.
#[test]
fn the_cost_grows_by_namespace_and_by_connection() {
    const NAMESPACES: u32 = 50;
    const CONNECTIONS: u32 = 1_000;
    let pods = Pods::new();
    let resets = Resets::by_peer().expect("resets");
    let backends = both_families(&pods, 0, Protocol::Tcp);
    let fastest = || (0..5).map(|_| resets.destroy(&backends).expect("a walk").took).min().unwrap();

    let few = fastest();
    let more: Vec<Netns> = (0..NAMESPACES).map(|_| Netns::new().expect("a namespace")).collect();
    let pauses: Vec<_> = more.iter().map(super::reach::pause).collect();
    let many = fastest();
    drop(pauses);
    let open = |_| {
        let address = pods.address(0, Family::V4);
        Held::open((0, pods.pod(0).netns()), (0, address), Transport::Tcp)
    };
    let connections: Vec<_> = (0..CONNECTIONS).map(open).collect();
    let full = resets.destroy(&backends).expect("a reset");

    assert_eq!(full.tcp, connections.len() as u64);
    println!(
        "{:?} for each of {NAMESPACES} more namespaces; {:?} for each of {CONNECTIONS} connections",
        many.saturating_sub(few) / NAMESPACES,
        full.took.saturating_sub(few) / CONNECTIONS,
    );
}
