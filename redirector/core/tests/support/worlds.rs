//! Random news about a small world, in which names, addresses and places meet often.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use redirector_common::AllDown;
use redirector_core::{
    Input,
    input::ProbeFailure,
    plan::Capacities,
    service::{
        Backend, BackendRef, Frontend, Locality, Policy, Probe, ProbeKind, Protocol, Service,
        ServiceRef,
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
    timeout_ms: 500,
    unhealthy: 1,
    healthy: 1,
};

pub fn input(random: &mut Random) -> Input {
    match random.below(100) {
        0..45 => Input::Put(service(random)),
        45..52 => Input::Remove(name(random)),
        52..66 => Input::Replace(services(random)),
        66..97 => Input::Probed {
            backend: backend_ref(random, Protocol::Tcp),
            outcome: if random.chance(45) { Ok(()) } else { Err(ProbeFailure::TimedOut) },
        },
        _ => Input::Node(locality(random)),
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
            backends.push(Backend { backend, locality: locality(random), weight });
        }
    }
    let probe = random.chance(80).then_some(PROBE);
    let all_down = [AllDown::Panic, AllDown::Refuse, AllDown::PassThrough][random.below(3)];
    Service {
        name: name(random),
        frontends,
        affinity_seconds: random.chance(30).then_some(60),
        also_served: random.chance(20),
        backends,
        policy: Policy { all_down, probe, ..Policy::default() },
    }
}

fn backend_ref(random: &mut Random, protocol: Protocol) -> BackendRef {
    // Now and then one that is a frontend as well.
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
