//! What the statuses of policies need to know of Services.

use std::{collections::BTreeMap, sync::Arc};

use redirector_core::{failover::vacancies::Vacancy, service::ServiceRef};
use redirector_policy::{TierInClusters, TierServiceSpec};

use super::{Index, ports::PublishedPort, troubles};
use crate::{
    api::ObjectRef,
    policies::{ClusterTrouble, Facts, PolicyStatus, PortHealth, ServiceState, TierState},
};

/// What has become of a Service port in the core and in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortState {
    /// The kernel has what the core wants of it.
    pub is_programmed: bool,
    /// Why the kernel has not, and will not before something changes.
    pub not_installed: Option<Arc<str>>,
    /// The same as in [`PortHealth`].
    pub away: Vec<(Arc<str>, Arc<str>)>,
    /// Tiers without a backend.
    pub vacancies: Vec<Vacancy>,
    /// Backends of all its tiers.
    pub backends: usize,
    /// Those of them without an objection.
    pub healthy: usize,
}

impl Index {
    /// The Service ports for which a policy holds.
    #[must_use]
    pub fn with_policy(&self) -> Vec<ServiceRef> {
        let published = self.published.iter().flat_map(|(_, published)| published);
        let governed = published.filter(|(object, _)| self.has_policy(object));
        governed.flat_map(|(_, ports)| ports).map(|port| port.service.name.clone()).collect()
    }

    /// What is to be said about each policy. `states` are those of [`Index::with_policy`]; one that
    /// is missing has not reached the core yet.
    #[must_use]
    pub fn statuses(
        &self,
        states: &BTreeMap<ServiceRef, PortState>,
    ) -> BTreeMap<ObjectRef, PolicyStatus> {
        self.policies.statuses(&PublishedFacts { index: self, states })
    }
}

/// The index, and what the core and the kernel have made of what it said.
struct PublishedFacts<'a> {
    index: &'a Index,
    states: &'a BTreeMap<ServiceRef, PortState>,
}

impl Facts for PublishedFacts<'_> {
    fn is_synced(&self) -> bool {
        self.index.is_synced()
    }

    fn service(&self, service: &ObjectRef) -> ServiceState {
        if self.index.service(service).is_none() {
            return ServiceState::Missing;
        }
        if !self.index.is_ours(service) {
            let notice = self.index.notices.get(service).and_then(|notices| notices.first());
            let why = notice.map_or("it has no address", |notice| &notice.message);
            return ServiceState::LeftToKubeProxy(why.into());
        }
        let why = |port: &PublishedPort| self.states.get(&port.service.name)?.not_installed.clone();
        if let Some(why) = self.index.ports(service).iter().find_map(why) {
            return ServiceState::NotInstalled(why);
        }
        let is_programmed = |port: &PublishedPort| {
            self.states.get(&port.service.name).is_some_and(|state| state.is_programmed)
        };
        if self.index.ports(service).iter().all(is_programmed) {
            ServiceState::Programmed
        } else {
            ServiceState::Pending
        }
    }

    fn health(&self, service: &ObjectRef) -> Vec<PortHealth> {
        let health = |PublishedPort { name, service }: &PublishedPort| {
            let state = self.states.get(&service.name)?;
            let PortState { backends, healthy, away, vacancies, .. } = state.clone();
            let name = (!name.is_empty()).then(|| Arc::clone(name));
            let number = || Some(service.frontends.first()?.port.to_string().into());
            Some(PortHealth { port: name.or_else(number)?, backends, healthy, away, vacancies })
        };
        self.index.ports(service).iter().filter_map(health).collect()
    }

    fn tier(&self, namespace: &str, tier: &TierServiceSpec) -> TierState {
        let object = ObjectRef { namespace: namespace.into(), name: tier.name.as_str().into() };
        let Some(service) = self.index.service(&object) else { return TierState::NoService };
        let is_found = match &tier.port {
            None => service.ports.len() == 1,
            Some(port) => {
                service.ports.iter().any(|of| *of.name == **port || of.port.to_string() == *port)
            }
        };
        if is_found { TierState::Found } else { TierState::NoPort }
    }

    fn troubles(
        &self,
        service: &ObjectRef,
        tier: &TierInClusters<'_>,
    ) -> Vec<(ClusterTrouble, String)> {
        troubles::of(self.index, service, tier)
    }
}
