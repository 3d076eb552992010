//! Only sockets that were redirected are reset: the storage of each is asked.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use redirector::datapath::{Kept, Options, Pins, Resets, cgroup::Cgroup};
use redirector_core::{
    plan::Capacities,
    service::{BackendRef, Protocol},
};

use super::{
    fixture::{DIALLED, Fixture, frontends},
    held::{Held, Transport, all_failed},
    pods::{BACKENDS, Family, PODS, PORT},
};
use crate::common::load_options;

const FAMILIES: [Family; 3] = [Family::V4, Family::V6, Family::Mapped];
const LOST: usize = 1;

/// As the agent loads by default, or with `--peer-name none`.
fn resets(site: &Fixture, remembers: bool) -> Resets {
    let none = Capacities { frontends: 0, services: 0, backends: 0, nodes: 0, slots: 0 };
    let options =
        Options { remember_tcp: remembers, remember_udp: remembers, ..load_options(none) };
    let cgroup = Cgroup::open(Some(site.pods.site.cgroup.path())).expect("the cgroup");
    Resets::open(&Pins::new(site.pods.site.bpffs.pin_path()), &options, &cgroup).expect("resets")
}

fn lost_backends(site: &Fixture) -> Vec<BackendRef> {
    let node = site.pods.backend(LOST);
    let addresses = [node.ipv4().into(), node.ipv6().into()];
    let protocols = [Protocol::Tcp, Protocol::Udp];
    addresses
        .into_iter()
        .flat_map(|address| protocols.map(|protocol| BackendRef { address, port: PORT, protocol }))
        .collect()
}

/// Sockets of every pod to every backend, made by `open`.
fn everywhere(mut open: impl FnMut(usize, usize, Family)) {
    for pod in 0..PODS {
        for backend in 0..BACKENDS {
            FAMILIES.into_iter().for_each(|family| open(pod, backend, family));
        }
    }
}

#[test]
fn sockets_that_were_not_redirected_stay() {
    let site = Fixture::new("", "");
    let mut foreign = Vec::new();
    everywhere(|pod, backend, family| {
        let open = |transport| site.dial_directly(pod, backend, family, transport);
        foreign.extend([Transport::Tcp, Transport::Udp, Transport::Sending].map(open));
    });
    let _entered = site.enter();
    let (mut redirected, mut direct) = (Vec::new(), Vec::new());
    everywhere(|pod, backend, family| {
        let open = |transport| site.dial(pod, backend, family, transport);
        redirected.extend([Transport::Tcp, Transport::Udp].map(open));
        foreign.push(site.dial(pod, backend, family, Transport::Sending));
        direct.push(site.dial_directly(pod, backend, family, Transport::Tcp));
    });
    let all = || redirected.iter().chain(&foreign).chain(&direct);
    all().for_each(Held::works);
    let of_lost = |held: &&Held| held.backend == LOST;

    let done = resets(&site, true).destroy(&lost_backends(&site)).expect("a reset");

    let lost_ones: Vec<_> = redirected.iter().filter(of_lost).collect();
    all_failed(&lost_ones, Duration::from_secs(1));
    for held in &lost_ones {
        assert_eq!(held.take_error(), Some(libc::ECONNABORTED), "{held}");
    }
    let others = redirected.iter().filter(|held| !of_lost(held));
    others.chain(&foreign).chain(&direct).for_each(Held::works);
    assert_eq!((done.tcp, done.udp), (15, 15));
    println!("reset {} + {} in {:?}, their storage read", done.tcp, done.udp, done.took);

    // Where sockets remember nothing, their cgroup is all there is to go by.
    let done = resets(&site, false).destroy(&lost_backends(&site)).expect("a reset");
    assert_eq!((done.tcp, done.udp), (15, 0), "those that dialled it themselves");
    all_failed(&direct.iter().filter(of_lost).collect::<Vec<_>>(), Duration::from_secs(1));
    foreign.iter().for_each(Held::works);
}

/// As the agent asks when another service keeps its connections to the same backend.
#[test]
fn a_socket_that_dialled_a_service_which_keeps_its_connections_stays() {
    let site = Fixture::new("", "");
    let _entered = site.enter();
    let [v4, v6, mapped] = FAMILIES.map(|family| site.dial(0, LOST, family, Transport::Tcp));
    [&v4, &v6, &mapped].into_iter().for_each(Held::works);
    let (kept, _) = frontends(LOST);
    let tcp = BTreeSet::from([SocketAddr::new(kept.into(), DIALLED)]);
    let kept = Kept { tcp, ..Kept::default() };

    let done = resets(&site, true).destroy_but(&lost_backends(&site), &kept).expect("a reset");

    assert_eq!(done.tcp, 1);
    all_failed(&[&v6], Duration::from_secs(1));
    [&v4, &mapped].into_iter().for_each(Held::works);
}

/// The storage outlives a connection: a socket that went elsewhere since is not the backend's.
#[test]
fn a_socket_that_has_dialled_the_backend_itself_since_keeps_its_connection() {
    let site = Fixture::new("", "");
    let _entered = site.enter();
    let redirected = site.dial(0, LOST, Family::V4, Transport::Tcp);
    redirected.works();
    let direct = redirected.connected_to(site.pods.address(LOST, Family::V4));
    direct.works();

    let done = resets(&site, true).destroy(&lost_backends(&site)).expect("a walk");

    assert_eq!(done.tcp, 0, "it has dialled the backend itself");
    direct.works();
}
