//! Random news about a small state, in which names, addresses and places meet often.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use redirector_common::AllDown;
use redirector_core::{
    Input, Moment,
    input::{Drained, ProbeFailure, Verb},
    locality::Place,
    plan::Capacities,
    remote_cluster::{ClusterPhase, OnSilence, RemoteCluster},
    service::{
        Backend, BackendRef, Failback, FailbackMode, Frontend, Locality, Members, Mode, Policy,
        Probe, ProbeKind, Protocol, Rank, Service, ServiceRef, TierRule,
    },
};

use super::random::Random;

/// Room for everything that [`input`] can say.
pub const ROOMY: Capacities =
    Capacities { frontends: 20, services: 16, backends: 60, nodes: 16, slots: 256 };

/// Too little for everything, too much for nothing.
pub fn tight(random: &mut Random) -> Capacities {
    Capacities {
        frontends: 2 + random.below(5) as u32,
        services: 1 + random.below(5) as u32,
        backends: 2 + random.below(14) as u32,
        nodes: 1 + random.below(4) as u32,
        slots: 4 * (2 + random.below(24) as u32),
    }
}

const NAMES: [&str; 5] = ["shop/cart", "shop/checkout", "a/b", "dns", "web"];
const PROBE: Probe = Probe {
    kind: ProbeKind::Tcp,
    port: None,
    interval_ms: 1_000,
    fast_interval_ms: 200,
    timeout_ms: 500,
    unhealthy: 1,
    healthy: 1,
};

pub fn input(random: &mut Random) -> Input {
    match random.below(100) {
        0..40 => Input::Put(service(random)),
        40..46 => Input::Remove(name(random)),
        46..58 => Input::Replace(services(random)),
        58..89 => Input::Probed {
            backend: backend_ref(random, Protocol::Tcp),
            outcome: if random.chance(45) { Ok(()) } else { Err(ProbeFailure::TimedOut) },
        },
        89..94 => Input::Operator(verb(random)),
        94 => Input::RemoteClusters(remote_clusters(random)),
        95..97 => Input::Tick,
        _ => Input::Node(locality(random)),
    }
}

/// What may be said of west; of others nothing depends on it.
pub fn remote_clusters(random: &mut Random) -> Vec<RemoteCluster> {
    let phases = [ClusterPhase::Live, ClusterPhase::Silent, ClusterPhase::Lost];
    let mut west = RemoteCluster {
        name: "west".into(),
        phase: phases[random.below(3)],
        on_silence: OnSilence::KeepReachable,
    };
    if random.chance(30) {
        west.on_silence = OnSilence::Drop;
    }
    if random.chance(80) { vec![west] } else { Vec::new() }
}

/// The clock: often nothing has passed, or as much as a hold-down and a ramp of these worlds.
pub fn pass(random: &mut Random, now: &mut Moment) -> Moment {
    now.0 += Duration::from_millis([0, 0, 0, 1, 250, 1_000, 3_000, 10_000][random.below(8)]);
    *now
}

fn verb(random: &mut Random) -> Verb {
    match random.below(10) {
        0..3 => Verb::Drain(drained(random)),
        3..6 => Verb::Undrain(drained(random)),
        6..8 => Verb::Force { service: name(random), tier: (*random.pick(&TIERS)).into() },
        _ => Verb::Failback { service: name(random) },
    }
}

fn drained(random: &mut Random) -> Drained {
    match random.below(6) {
        0..3 => Drained::Backend(backend_ref(random, Protocol::Tcp)),
        3 => Drained::Node((*random.pick(&["n1", "n2", "west/n1"])).into()),
        4 => Drained::Zone((*random.pick(&["a", "b", "west/a"])).into()),
        _ => Drained::Cluster("west".into()),
    }
}

pub fn services(random: &mut Random) -> Vec<Service> {
    let mut list: Vec<Service> = Vec::new();
    for _ in 0..random.below(5) {
        let service = service(random);
        if list.iter().all(|other| other.name != service.name) {
            list.push(service);
        }
    }
    list
}

fn name(random: &mut Random) -> ServiceRef {
    ServiceRef((*random.pick(&NAMES)).into())
}

pub fn service(random: &mut Random) -> Service {
    let protocol = if random.chance(85) { Protocol::Tcp } else { Protocol::Udp };
    let mut frontends = Vec::new();
    for _ in 0..random.below(4) {
        let last = random.below(6) as u8;
        let address = address(random, [10, 96, 0, last]);
        let frontend = Frontend { address, port: 80, protocol };
        if !frontends.contains(&frontend) {
            frontends.push(frontend);
        }
    }
    let mut backends: Vec<Backend> = Vec::new();
    for _ in 0..random.below(7) {
        let backend = backend_ref(random, protocol);
        if backends.iter().all(|other| other.backend != backend) {
            let weight = [1, 1, 1, 3, 65_535][random.below(5)];
            backends.push(Backend {
                backend,
                locality: locality(random),
                weight,
                rank: Rank::default(),
            });
        }
    }
    let probe = random.chance(80).then_some(PROBE);
    let all_down = [AllDown::Panic, AllDown::Refuse, AllDown::PassThrough][random.below(3)];
    Service {
        name: name(random),
        frontends,
        affinity_seconds: random.chance(30).then_some(60),
        virtual_addresses: Vec::new(),
        also_served: random.chance(20),
        unreachable: false,
        backends,
        policy: Policy { all_down, probe, ..policy(random) },
    }
}

fn policy(random: &mut Random) -> Policy {
    let failback = Failback {
        mode: if random.chance(85) { FailbackMode::Automatic } else { FailbackMode::Manual },
        hold_down_ms: [0, 1_000, 3_000][random.below(3)],
        ramp_ms: [0, 500, 2_000][random.below(3)],
    };
    Policy {
        tiers: if random.chance(40) { rules(random) } else { Vec::new() },
        mode: [Mode::LastResort, Mode::Spill, Mode::Threshold][random.below(3)],
        overprovisioning_percent: [100, 140, 1_000][random.below(3)],
        min_healthy_percent: [1, 50, 100][random.below(3)],
        failback: random.chance(60).then_some(failback),
        ..Policy::default()
    }
}

const TIERS: [&str; 8] =
    ["first", "second", "third", "node", "zone", "region", "cluster", "remote"];

fn rules(random: &mut Random) -> Vec<TierRule> {
    let mut rules = Vec::new();
    for tier in &TIERS[..1 + random.below(3)] {
        let mut some = |of: &[&str]| -> Vec<Arc<str>> {
            let is_any = random.chance(50);
            of.iter()
                .filter(|_| !is_any && random.chance(50))
                .map(|name| Arc::from(*name))
                .collect()
        };
        let named = Members::Named {
            zones: some(&["a", "b"]),
            regions: some(&["eu", "us"]),
            clusters: some(&["west", "*"]),
        };
        let clusters = vec![Arc::from(*random.pick(&["west", "*"]))];
        let members = match random.below(5) {
            0 => Members::Within(*random.pick(&Place::ALL)),
            1 => Members::Service(name(random)),
            2 => Members::Exported { service: name(random), clusters },
            _ => named,
        };
        rules.push(TierRule { name: (*tier).into(), members });
    }
    rules
}

fn backend_ref(random: &mut Random, protocol: Protocol) -> BackendRef {
    // Now and then it is an address that a frontend has as well.
    let net = if random.chance(2) { 96 } else { 1 };
    let last = random.below(8) as u8;
    let address = address(random, [10, net, 0, last]);
    BackendRef { address, port: 80, protocol }
}

fn address(random: &mut Random, four: [u8; 4]) -> IpAddr {
    let [a, b, c, d] = four.map(u16::from);
    if random.chance(65) {
        Ipv4Addr::from(four).into()
    } else {
        Ipv6Addr::new(0xfd00, a, b, c, 0, 0, 0, d).into()
    }
}

pub fn locality(random: &mut Random) -> Locality {
    let mut one_of = |names: &[&str]| {
        let name = *random.pick(names);
        (!name.is_empty()).then(|| name.into())
    };
    Locality {
        node: one_of(&["", "n1", "n2", "n3", "n4"]),
        zone: one_of(&["", "a", "b"]),
        region: one_of(&["", "eu", "eu", "us"]),
        cluster: one_of(&["", "", "", "west"]),
    }
}
