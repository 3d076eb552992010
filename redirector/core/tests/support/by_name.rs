//! Short ways to say what a service is.

use redirector_core::service::{
    Backend, BackendRef, Frontend, Locality, Policy, Probe, Protocol, Rank, Service, ServiceRef,
};

/// TCP port 80, probed; one failure ejects and one success re-admits.
pub fn service(name: &str, frontends: &[&str], backends: &[impl AsRef<str>]) -> Service {
    let listed = |address: &str| Backend {
        backend: backend(address),
        locality: Locality::default(),
        weight: 1,
        rank: Rank::default(),
    };
    let probe = Probe { unhealthy: 1, healthy: 1, ..Probe::default() };
    Service {
        name: ServiceRef(name.into()),
        frontends: frontends.iter().map(|address| frontend(address)).collect(),
        affinity_seconds: None,
        virtual_addresses: Vec::new(),
        also_served: false,
        unreachable: false,
        backends: backends.iter().map(|address| listed(address.as_ref())).collect(),
        policy: Policy { probe: Some(probe), ..Policy::default() },
    }
}

pub fn frontend(address: &str) -> Frontend {
    let BackendRef { address, port, protocol } = backend(address);
    Frontend { address, port, protocol }
}

pub fn backend(address: &str) -> BackendRef {
    let address = address.parse().expect("an address");
    BackendRef { address, port: 80, protocol: Protocol::Tcp }
}
