//! Short ways to say what a service is, and what a probe of a backend has found. The tests inside the
//! crate read this file, too.

use redirector_core::{
    Input,
    input::ProbeFailure,
    service::{
        Backend, BackendRef, Frontend, Locality, Policy, Probe, Protocol, Rank, Service, ServiceRef,
    },
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

pub fn success(address: &str) -> Input {
    Input::Probed { backend: backend(address), outcome: Ok(()) }
}

/// A probe that nothing answers.
pub fn failure(address: &str) -> Input {
    Input::Probed { backend: backend(address), outcome: Err(ProbeFailure::TimedOut) }
}

/// A probe that is refused: an answer, unlike [`failure`].
pub fn refusal(address: &str) -> Input {
    let why = ProbeFailure::Failed("connection refused".into());
    Input::Probed { backend: backend(address), outcome: Err(why) }
}
