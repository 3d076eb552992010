//! A rolling update: every pod of a Service replaced several times over while applications dial.

use std::{
    collections::{BTreeSet, VecDeque},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    thread,
    time::{Duration, Instant},
};

use redirector_tests::{
    api::{Api, builders},
    cluster::{Cluster, Options},
    dialer::{Dial, Line, Load},
    replica::Replica,
    size::sized,
};

/// Pods of the Service.
const PODS: usize = 20;
/// So many of them are replaced, one after the other.
const REPLACED: usize = 250;
/// Within this; CI is content with twice as long, on a machine that does other things.
const WITHIN: Duration = Duration::from_secs(10);
/// Pods that terminate at the same time: each for as long as so many are replaced, 480 ms.
const TERMINATING: usize = 12;
/// Pods that still serve though their endpoint is gone: for 240 ms.
const REMOVED: usize = 6;
/// Connects per second.
const RATE: u32 = 300;
const PORT: u16 = 8080;
const ADDRESS: &str = "10.96.0.10:80";

/// A pod as the endpoint slice controller sees it.
struct Pod {
    address: Ipv4Addr,
    _process: Replica,
}

#[test]
fn a_rolling_update_of_250_pods_in_10_s_fails_no_connect() {
    let _alone = redirector_tests::one_at_a_time::one_at_a_time();
    let cluster = Cluster::new(Options::default()).expect("a cluster");
    let node = cluster.lab.node("replicas");
    let addresses: Vec<_> = (0..PODS + REPLACED).map(address).collect();
    let batch: Vec<_> =
        addresses.iter().map(|address| format!("addr add {address}/16 dev eth0")).collect();
    node.netns().ip(&batch.join("\n")).expect("addresses");
    let start = |address: Ipv4Addr| {
        let socket = SocketAddr::new(IpAddr::from(address), PORT);
        let process = Replica::start(node.netns(), &address.to_string(), &[socket]);
        Pod { address, _process: process.expect("a replica") }
    };
    let mut serving: VecDeque<Pod> = addresses[..PODS].iter().copied().map(start).collect();
    let service = builders::Service::redirected("shop", "web", "10.96.0.10");
    cluster.api.put(service).expect("a Service");
    put(&cluster.api, &serving, &VecDeque::new());
    cluster.wait_for(&[("shop/web", PODS)]);

    let dial = Dial::tcp(ADDRESS.parse().expect("an address"));
    let load = Load { threads: 8, every: true, ..Load::new(dial, RATE) };
    let load = cluster.client().and_then(|client| client.load(load)).expect("a load");
    let begun = Instant::now();
    let (mut terminating, mut removed) = (VecDeque::new(), VecDeque::new());
    for (number, address) in (1..).zip(&addresses[PODS..]) {
        // One more pod is ready before one less is: maxSurge 1, maxUnavailable 0.
        serving.push_back(start(*address));
        terminating.extend(serving.pop_front());
        put(&cluster.api, &serving, &terminating);
        // The oldest one's endpoint goes, and its process a little later.
        if terminating.len() > TERMINATING {
            removed.extend(terminating.pop_front());
            put(&cluster.api, &serving, &terminating);
        }
        if removed.len() > REMOVED {
            drop(removed.pop_front());
        }
        let due = WITHIN * number / REPLACED as u32;
        // This is the pace of the update.
        thread::sleep(due.saturating_sub(begun.elapsed()));
    }
    let took = begun.elapsed();
    put(&cluster.api, &serving, &VecDeque::new());
    let (lines, sums) = load.stop().expect("the end of the load");
    let dialled: Vec<_> = lines.into_iter().filter_map(Line::dialled).collect();
    let answered: BTreeSet<_> =
        dialled.iter().filter_map(|one| one.outcome.as_ref().ok()).collect();
    let failed: Vec<_> = dialled.iter().filter(|one| one.outcome.is_err()).collect();
    let slowest = dialled.iter().map(|one| one.connect_us).max().unwrap_or(0);
    println!(
        "rolling update: {PODS} pods, {REPLACED} replaced one by one in {:.1} s, {} connects, {} failed, \
         {} pods answered, slowest connect {:.1} ms",
        took.as_secs_f64(),
        sums.dials,
        failed.len(),
        answered.len(),
        slowest as f64 / 1e3
    );
    assert!(failed.is_empty(), "{failed:#?}\n{}", cluster.agent.log());
    // An update that no connect has seen would prove nothing.
    assert!(answered.len() > REPLACED / 2, "{} pods have answered", answered.len());
    assert!(took < WITHIN * sized(6, 12) / 5, "it took {took:?}");
    cluster.wait_for(&[("shop/web", PODS)]);
}

fn address(number: usize) -> Ipv4Addr {
    let [.., high, low] = (number as u32 + 1).to_be_bytes();
    Ipv4Addr::new(10, 77, 100 + high, low)
}

fn put(api: &Api, serving: &VecDeque<Pod>, terminating: &VecDeque<Pod>) {
    let slice = builders::EndpointSlice::new("shop", "web-1", "web").port("", "TCP", PORT);
    let conditions = |pod: &Pod, is_ready: bool| {
        let endpoint = builders::Endpoint::new(&pod.address.to_string());
        endpoint.conditions(is_ready, true, !is_ready).node("replicas").zone("b")
    };
    let ready = serving.iter().map(|pod| conditions(pod, true));
    let slice = ready
        .chain(terminating.iter().map(|pod| conditions(pod, false)))
        .fold(slice, builders::EndpointSlice::endpoint);
    api.put(slice).expect("a slice");
}
