//! Made-up services of any number: which frontends and backends they have.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use redirector_core::{
    plan::Capacities,
    service::{
        Backend, BackendRef, Frontend, Locality, Policy, Probe, Protocol, Rank, Service, ServiceRef,
    },
};

use crate::{client::Addresses, server};

/// What `load` makes without flags.
pub const DEFAULT_CAPACITIES: Capacities = Capacities {
    frontends: 65_536,
    services: 65_536,
    backends: 262_144,
    nodes: 65_536,
    slots: 2_097_152,
};
/// Backends of each service: as many in the client's zone as in another one, so two tiers.
pub const BACKENDS: u32 = 10;
/// Nodes that they are on.
const NODES: u32 = 100;
/// The namespaces have no route to the frontends': a dial that is not redirected fails.
const FIRST_FRONTEND: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);
const FRONTEND_PORT: u16 = 80;
/// 10.77.0.0/16 is local in each namespace. Without its broadcast address.
const FIRST_BACKEND: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const BACKEND_ADDRESSES: u32 = 65_000;

/// So many services of one protocol.
#[derive(Debug, Clone, Copy)]
pub struct Services {
    pub count: u32,
    pub protocol: Protocol,
}

impl Services {
    /// All of them. Each has one frontend and backends of its own.
    pub fn all(self) -> Vec<Service> {
        let names: Vec<Arc<str>> = (0..NODES).map(|node| format!("n{node}").into()).collect();
        let zones: [Arc<str>; 2] = ["a".into(), "b".into()];
        let region: Arc<str> = "eu".into();
        let backend = |number: u32| Backend {
            backend: self.backend(number),
            locality: Locality {
                node: Some(Arc::clone(&names[(number % NODES) as usize])),
                zone: Some(Arc::clone(&zones[(number % 2) as usize])),
                region: Some(Arc::clone(&region)),
                cluster: None,
            },
            weight: 1,
            rank: Rank::default(),
        };
        let service = |number: u32| Service {
            name: ServiceRef(format!("bench/service-{number}").into()),
            frontends: vec![Frontend {
                address: IpAddr::V4(frontend(number)),
                port: FRONTEND_PORT,
                protocol: self.protocol,
            }],
            affinity_seconds: None,
            virtual_addresses: Vec::new(),
            also_served: false,
            unreachable: false,
            backends: (number * BACKENDS..(number + 1) * BACKENDS).map(backend).collect(),
            policy: Policy {
                probe: (self.protocol == Protocol::Tcp).then(Probe::default),
                ..Policy::default()
            },
        };
        (0..self.count).map(service).collect()
    }

    /// The backend of that number, counted over all services.
    pub fn backend(self, number: u32) -> BackendRef {
        BackendRef {
            address: IpAddr::V4(backend_address(number)),
            port: server::PORT + (number / BACKEND_ADDRESSES) as u16,
            protocol: self.protocol,
        }
    }

    /// Room for exactly these.
    pub fn exact_capacities(self) -> Capacities {
        /// Header, settings, two ranges and the entries, rounded up to whole cache lines.
        const SLOTS: u32 = (4 + BACKENDS).next_multiple_of(4);
        Capacities {
            frontends: self.count,
            services: self.count,
            backends: self.count * BACKENDS,
            nodes: NODES + 1,
            slots: (self.count + 1) * SLOTS,
        }
    }
}

/// Where this agent would run.
pub fn here() -> Locality {
    Locality {
        node: Some("here".into()),
        zone: Some("a".into()),
        region: Some("eu".into()),
        cluster: None,
    }
}

/// The frontends of the first `count` services.
pub fn frontends(count: u32) -> Addresses {
    Addresses { first: FIRST_FRONTEND, count, port: FRONTEND_PORT }
}

/// As many backends, to be dialled without detour.
pub fn backends(count: u32) -> Addresses {
    Addresses { first: FIRST_BACKEND, count: count.min(BACKEND_ADDRESSES), port: server::PORT }
}

/// The frontend's address of one service.
pub fn frontend(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(FIRST_FRONTEND) + number)
}

/// The address of one backend.
pub fn backend_address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(FIRST_BACKEND) + number % BACKEND_ADDRESSES)
}
