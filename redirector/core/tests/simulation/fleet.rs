//! Random fleets: 2 to 200 replicas in 1 to 4 tiers, and services that list them.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use redirector_common::AllDown;
use redirector_core::service::{
    Backend, BackendRef, Failback, Frontend, Locality, Mode, OnBackendLost, Policy, Probe,
    Protocol, Rank, Service, ServiceRef,
};

use crate::support::random::Random;

/// Where the agent runs.
pub fn here() -> Locality {
    let name = |name: &str| Some(Arc::from(name));
    Locality { node: name("n0"), zone: name("z0"), region: name("r0"), cluster: None }
}

/// Replicas; the first ones are near.
pub fn fleet(random: &mut Random) -> Vec<Backend> {
    // As many small ones as large ones, on a scale of powers of two.
    let exponent = 1 + random.below(7);
    let count = ((1 << exponent) + random.below(1 << exponent)).clamp(2, 200);
    let tiers = 1 + random.below(4);
    let on_node = 1 + random.below(4);
    let is_abroad = random.chance(40);
    (0..count)
        .map(|number| {
            let place = number * tiers / count;
            let node = match place {
                0 if tiers == 4 => "n0".into(),
                _ => format!("n{place}-{}", number / on_node),
            };
            let (zone, region) = match place {
                0 => ("z0".into(), "r0"),
                1 => (format!("z{}", 1 + number % 2), "r0"),
                2 => (format!("z{}", 3 + number % 2), "r1"),
                _ => ("z5".into(), "r2"),
            };
            let is_last = is_abroad && tiers > 1 && place == tiers - 1;
            let cluster = (place == 3 || is_last).then(|| "west".into());
            let (node, zone, region) = (Some(node.into()), Some(zone.into()), Some(region.into()));
            let locality = Locality { node, zone, region, cluster };
            let weight = if random.chance(90) { 1 } else { 5 };
            Backend { backend: backend(number), locality, weight, rank: Rank::default() }
        })
        .collect()
}

/// One or two services that share what they list.
pub fn services(random: &mut Random, fleet: &[Backend]) -> Vec<Service> {
    let count = 1 + usize::from(random.chance(30));
    (0..count).map(|number| service(random, number, fleet)).collect()
}

fn service(random: &mut Random, number: usize, fleet: &[Backend]) -> Service {
    let mut backends = fleet.to_vec();
    if number > 0 {
        backends.retain(|_| random.chance(60));
    }
    let probe = Probe {
        unhealthy: 1 + random.below(3) as u8,
        healthy: 1 + random.below(3) as u8,
        ..Probe::default()
    };
    let policy = Policy {
        mode: [Mode::LastResort, Mode::Spill, Mode::Threshold][random.below(3)],
        failback: random.chance(50).then(Failback::default),
        all_down: [AllDown::Panic, AllDown::Refuse, AllDown::PassThrough][random.below(3)],
        on_backend_lost: [OnBackendLost::Keep, OnBackendLost::Reset][random.below(2)],
        probe: random.chance(85).then_some(probe),
        ..Policy::default()
    };
    Service {
        name: ServiceRef(format!("shop/{number}").into()),
        frontends: vec![frontend(number)],
        affinity_seconds: None,
        backends,
        policy,
        virtual_addresses: Vec::new(),
        also_served: false,
        unreachable: false,
    }
}

pub fn frontend(number: usize) -> Frontend {
    let address = IpAddr::V4(Ipv4Addr::new(10, 96, 0, 1 + number as u8));
    Frontend { address, port: 80, protocol: Protocol::Tcp }
}

fn backend(number: usize) -> BackendRef {
    let address = IpAddr::V4(Ipv4Addr::new(10, 1, 0, number as u8));
    BackendRef { address, port: 80, protocol: Protocol::Tcp }
}

/// The number that a backend was made from.
pub fn number_of(backend: &BackendRef) -> usize {
    match backend.address {
        IpAddr::V4(four) => usize::from(four.octets()[3]),
        IpAddr::V6(_) => unreachable!("no such backend was made"),
    }
}
