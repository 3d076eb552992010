//! Program exchanges: an upgrade, thousands of times over, under connects at full speed. Each of
//! them is redirected, by the old programs or by the new ones.

mod dialers;

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use dialers::{Dialer, connects};
use redirector::datapath::{self, Counters, Lock, Options, Pins, Programs, cgroup};
use redirector_core::plan::Capacities;
use redirector_tests::{
    dialer::Transport,
    fixture::{Fixture, Site},
};

use crate::common::load_options;

/// Each exchanges the programs of all eight hooks, and what they call.
const EXCHANGES: u64 = 5_000;
/// Whole loads among them, verifier included.
const LOADS: u64 = 20;
const CONNECTS: u64 = 100_000;
const LONGEST: Duration = Duration::from_secs(120);

/// Frontends lead nowhere: what is not redirected fails at once.
const CONFIG: &str = "
node: {name: n1, zone: a, region: eu}
services:
- name: exchange/plain
  frontends: ['10.96.0.10:80/tcp', '[fd00:96::10]:80/tcp']
  backends: &replicas
  - {address: '10.77.2.1:8080', node: n2, zone: a, region: eu}
  - {address: '10.77.3.1:8080', node: n3, zone: a, region: eu}
  - {address: '[fd77::2:1]:8080', node: n2, zone: a, region: eu}
  - {address: '[fd77::3:1]:8080', node: n3, zone: a, region: eu}
- name: exchange/sticky
  frontends: ['10.96.0.11:80/tcp']
  affinity: {timeout: 1h}
  backends: *replicas
- name: exchange/udp
  frontends: ['10.96.0.12:80/udp']
  backends: *replicas
";

/// Who dials what, each in a process of its own.
const DIALS: [(&str, Transport); 5] = [
    ("10.96.0.10:80", Transport::Tcp),
    ("[fd00:96::10]:80", Transport::Tcp),
    ("10.96.0.11:80", Transport::Tcp),
    ("10.96.0.12:80", Transport::Udp),
    ("10.96.0.12:80", Transport::UdpUnconnected),
];

#[test]
fn no_connect_escapes_while_programs_are_exchanged() {
    let site = fixture();
    let mut exchange = Exchange::new(&site);
    let mut dialers = dial(&site);

    let start = Instant::now();
    while exchange.count < EXCHANGES || connects(&mut dialers) < CONNECTS {
        exchange.next();
        assert!(start.elapsed() < LONGEST, "too slow: {} exchanges", exchange.count);
    }
    let took = start.elapsed();
    let sums: Vec<_> = dialers.into_iter().map(Dialer::stop).collect();

    let dials: u64 = sums.iter().map(|sums| sums.dials).sum();
    let connects: u64 = sums.iter().filter(|sums| sums.connects()).map(|sums| sums.dials).sum();
    let failures: Vec<_> = sums.iter().flat_map(|sums| &sums.failures).collect();
    let counters = Counters::open(&exchange.pins).and_then(|counters| counters.named());
    let counted: BTreeMap<_, _> = counters.expect("the counters").into_iter().collect();
    println!(
        "{} exchanges of all programs, {} of them whole loads, under {connects} connects and {} \
         sends in {took:.1?}: {} failed, {} not redirected",
        exchange.count,
        exchange.loads,
        dials - connects,
        failures.len(),
        counted["not_service"],
    );
    assert!(failures.is_empty(), "{} failed, for example {:?}", failures.len(), failures[0]);
    for nothing in ["not_service", "unpublished", "inconsistent", "no_backends"] {
        assert_eq!(counted[nothing], 0, "{nothing}: {counted:?}");
    }
    let redirected: u64 = (0..8).map(|tier| counted[&format!("tier_{tier}")]).sum();
    assert!(redirected + counted["resumed"] >= dials, "{dials} dials, {counted:?}");
    assert!(connects >= CONNECTS && exchange.loads >= LOADS);
}

#[test]
fn connects_would_escape_if_programs_were_detached_first() {
    let site = fixture();
    let mut exchange = Exchange::new(&site);
    let mut dialers = dial(&site);

    let start = Instant::now();
    while dialers.iter().all(|dialer| dialer.sums.failures.is_empty()) {
        exchange.detach();
        exchange.next();
        connects(&mut dialers);
        assert!(start.elapsed() < LONGEST, "nothing escaped: the dialers are blind");
    }
    println!("the first connect escaped after {} exchanges", exchange.count);
}

/// A network, a service with two replicas, and tables that are in force without an agent: it has ended;
/// what it has written stays in force.
fn fixture() -> Fixture {
    let site = Site::new("exchange", &["n1", "n2", "n3"]).with_maps(&[]);
    let mut fixture = site.with_replicas(&["n2", "n3"], 8080).start(CONFIG);
    fixture.agent.stop().expect("it ends");
    fixture
}

/// Starts all loads.
fn dial(site: &Site) -> Vec<Dialer> {
    let dial = |(address, transport): &(&str, _)| Dialer::start(site.place(), address, *transport);
    DIALS.iter().map(dial).collect()
}

/// Two copies of the programs, one of them attached.
struct Exchange {
    pins: Pins,
    lock: Lock,
    cgroup: cgroup::Cgroup,
    options: Options,
    copies: [Programs; 2],
    count: u64,
    loads: u64,
}

impl Exchange {
    fn new(site: &Site) -> Self {
        let pins = Pins::new(site.bpffs.pin_path());
        let lock = pins.try_lock().expect("the pins").expect("the agent has let go of the lock");
        // Maps that are pinned keep their capacities: these are not asked for.
        let capacities =
            Capacities { frontends: 64, services: 64, backends: 64, nodes: 64, slots: 64 };
        let options = load_options(capacities);
        let load = || Programs::load(&pins, &lock, &options).expect("the programs load");
        let copies = [load(), load()];
        let cgroup = cgroup::Cgroup::open(Some(site.cgroup.path())).expect("the cgroup");
        Self { pins, lock, cgroup, options, copies, count: 0, loads: 0 }
    }

    fn next(&mut self) {
        let Self { pins, lock, cgroup, options, copies, count, loads } = self;
        if *count >= *loads * EXCHANGES / LOADS && *loads < LOADS {
            datapath::load(pins, lock, cgroup, options).expect("a load");
            *loads += 1;
        } else {
            let copy = &mut copies[(*count % 2) as usize];
            copy.attach(pins, lock, cgroup).expect("an exchange");
        }
        *count += 1;
    }
    /// What an upgrade must not do.
    fn detach(&self) {
        for link in fs::read_dir(self.pins.links()).expect("the links") {
            fs::remove_file(link.expect("a link").path()).expect("it is removed");
        }
    }
}
