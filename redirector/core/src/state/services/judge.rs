//! Whether a service can be taken in: the second line, behind the validation of the sources.

use std::sync::Arc;

use redirector_common::MAX_TIERS;
use thiserror::Error;

use super::Services;
use crate::{
    address::{Refusal, usable},
    service::{BackendRef, Frontend, Policy, Service, ServiceRef},
    state::backends::Backends,
};

/// Why a service is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(in crate::state) enum Rejection {
    #[error("is listed twice, and differently")]
    Twice,
    #[error("{0} has port 0 or a v4-mapped address")]
    Form(Frontend),
    #[error("{0} {1}")]
    Address(Frontend, Refusal),
    #[error("{0} is of another protocol than the service's first frontend")]
    Protocol(Frontend),
    #[error("frontend {0} is listed twice")]
    FrontendTwice(Frontend),
    #[error("backend {0} is listed twice")]
    BackendTwice(BackendRef),
    #[error("backend {0} has weight 0")]
    Weight(BackendRef),
    #[error("session affinity of {0} s is outside 1 to 86400")]
    Affinity(u32),
    #[error("{0} tiers are more than {MAX_TIERS}")]
    Tiers(usize),
    #[error("tier {0:?} is listed twice")]
    TierTwice(Arc<str>),
    #[error("overprovisioning of {0} % is outside 100 to 1000")]
    Overprovisioning(u16),
    #[error("a threshold of {0} % healthy is outside 1 to 100")]
    Threshold(u8),
    #[error("a probe needs at least one failure to eject and one success to re-admit")]
    Probe,
    #[error("backend {0} is a frontend of {1}: connections would go in a circle")]
    BackendIsFrontend(BackendRef, ServiceRef),
    #[error("frontend {0} is a backend of {1}: connections would go in a circle")]
    FrontendIsBackend(Frontend, ServiceRef),
    #[error("frontend {0} belongs to {1}")]
    Taken(Frontend, ServiceRef),
}

/// What is wrong with a service, whatever else there is.
pub(super) fn validate(service: &Service) -> Result<(), Rejection> {
    let Service {
        name,
        frontends,
        virtual_addresses: _,
        affinity_seconds,
        also_served: _,
        unreachable: _,
        backends,
        policy,
    } = service;
    let mut mine = frontends.clone();
    mine.sort_unstable();
    if let Some(twice) = mine.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Rejection::FrontendTwice(twice[0]));
    }
    let protocol = frontends.first().map(|frontend| frontend.protocol);
    for frontend in frontends {
        is_address(*frontend)?;
        if Some(frontend.protocol) != protocol {
            return Err(Rejection::Protocol(*frontend));
        }
    }
    let mut sorted: Vec<BackendRef> = Vec::with_capacity(backends.len());
    for backend in backends {
        let key = backend.backend;
        is_address(key)?;
        if protocol.is_some_and(|protocol| key.protocol != protocol) {
            return Err(Rejection::Protocol(key));
        }
        if backend.weight == 0 {
            return Err(Rejection::Weight(backend.backend));
        }
        if mine.binary_search(&key).is_ok() {
            return Err(Rejection::BackendIsFrontend(backend.backend, name.clone()));
        }
        sorted.push(backend.backend);
    }
    sorted.sort_unstable();
    if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Rejection::BackendTwice(twice[0]));
    }
    if let Some(seconds) = affinity_seconds
        && !(1..=86_400).contains(seconds)
    {
        return Err(Rejection::Affinity(*seconds));
    }
    if policy.probe.as_ref().is_some_and(|probe| probe.unhealthy == 0 || probe.healthy == 0) {
        return Err(Rejection::Probe);
    }
    loads(policy)
}

/// What is wrong with how a policy spreads connections over tiers.
fn loads(policy: &Policy) -> Result<(), Rejection> {
    let Policy { tiers, overprovisioning_percent, min_healthy_percent, .. } = policy;
    if tiers.len() > MAX_TIERS {
        return Err(Rejection::Tiers(tiers.len()));
    }
    for (number, tier) in tiers.iter().enumerate() {
        if tiers[..number].iter().any(|other| other.name == tier.name) {
            return Err(Rejection::TierTwice(Arc::clone(&tier.name)));
        }
    }
    if !(100..=1_000).contains(overprovisioning_percent) {
        return Err(Rejection::Overprovisioning(*overprovisioning_percent));
    }
    if !(1..=100).contains(min_healthy_percent) {
        return Err(Rejection::Threshold(*min_healthy_percent));
    }
    Ok(())
}

/// What is wrong with a service among those in force, but for those that give way to it.
pub(super) fn conflicts_with(
    service: &Service,
    services: &Services,
    backends: &Backends,
    gives_way: impl Fn(&ServiceRef) -> bool,
) -> Result<(), Rejection> {
    let holder = |frontend: &Frontend| services.holder(frontend).filter(|by| !gives_way(by));
    for frontend in &service.frontends {
        if let Some(by) = holder(frontend) {
            return Err(Rejection::Taken(*frontend, by.clone()));
        }
        let users = backends.users(frontend);
        if let Some(by) = users.into_iter().find(|by| !gives_way(by)) {
            return Err(Rejection::FrontendIsBackend(*frontend, by.clone()));
        }
    }
    for backend in &service.backends {
        if let Some(by) = holder(&backend.backend) {
            return Err(Rejection::BackendIsFrontend(backend.backend, by.clone()));
        }
    }
    Ok(())
}

/// Loopback addresses are the source's business: it may allow them for tries on one host.
fn is_address(frontend: Frontend) -> Result<(), Rejection> {
    if frontend.port == 0 || frontend.address.to_canonical() != frontend.address {
        return Err(Rejection::Form(frontend));
    }
    match usable(frontend.address) {
        Err(why) if !frontend.address.is_loopback() => Err(Rejection::Address(frontend, why)),
        _ => Ok(()),
    }
}
