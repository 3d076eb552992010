//! Whose established connections are destroyed: of backends that were lost without a word.
//!
//! Never after a refusal or a listener's death, because a replica that shuts down gracefully closes
//! its listener first and finishes its requests; never because an operator drains it; and never
//! while it is this node's own network that is suspected.
//!
//! Connected UDP sockets to a backend that has left its service are another matter:
//! [`stale_flows`](super::stale_flows) ends them whatever the policy says.

use std::collections::{BTreeMap, BTreeSet};

use redirector_common::HealthByte;

use super::State;
use crate::{
    input::Command,
    service::{BackendRef, OnBackendLost, Protocol, Service, ServiceRef},
};

impl State {
    /// Resets the connections to a backend that is lost, once per loss, where a policy wants it.
    pub(super) fn reset(&mut self, backend: &BackendRef) {
        if self.nodes.is_suspect() {
            return;
        }
        if !self.users(backend).any(|service| self.wants_reset(service, backend)) {
            return;
        }
        let is_first = self
            .backends
            .change(backend, |trouble| !std::mem::replace(&mut trouble.is_reset, true));
        if is_first == Some(true) {
            self.commands.push(Command::Reset(*backend));
        }
    }

    /// Which backends of a service are reset if no service lists them from now on; this one will
    /// list `still`. To be asked before they are forgotten.
    pub(super) fn resets_if_gone(
        &mut self,
        service: &ServiceRef,
        still: &BTreeSet<BackendRef>,
    ) -> Vec<BackendRef> {
        let Some(service) = self.services.get(service) else { return Vec::new() };
        self.stale_flows.relist(service, still);
        if service.policy.on_backend_lost == OnBackendLost::Keep || self.nodes.is_suspect() {
            return Vec::new();
        }
        let listed = service.backends.iter().map(|backend| backend.backend);
        let is_lost = |backend: &BackendRef| {
            let trouble = self.backends.get(backend).and_then(|known| known.trouble.as_ref());
            backend.protocol == Protocol::Tcp
                && !still.contains(backend)
                && !self.has_objection(backend, HealthByte::Operator)
                && !trouble.is_some_and(|trouble| trouble.is_announced() || trouble.is_reset)
        };
        listed.filter(is_lost).collect()
    }

    /// Which backends are reset if no service of a new list lists them.
    pub(super) fn resets_in(&mut self, list: &BTreeMap<ServiceRef, Service>) -> Vec<BackendRef> {
        let mut lost = BTreeSet::new();
        let is_changed = |service: &&Service| list.get(&service.name) != Some(service);
        let changed = self.services.values().filter(is_changed).map(|service| service.name.clone());
        for name in changed.collect::<Vec<_>>() {
            let backends = list.get(&name).into_iter().flat_map(|new| &new.backends);
            let still = backends.map(|backend| backend.backend).collect();
            lost.extend(self.resets_if_gone(&name, &still));
        }
        lost.into_iter().collect()
    }

    /// Resets those backends of `lost` that no service lists after the change.
    pub(super) fn reset_gone(&mut self, lost: Vec<BackendRef>) {
        for backend in lost {
            if self.backends.get(&backend).is_none() {
                self.commands.push(Command::Reset(backend));
            }
        }
    }

    fn wants_reset(&self, service: &Service, backend: &BackendRef) -> bool {
        let mut others = service.backends.iter().filter(|other| other.backend != *backend);
        service.policy.on_backend_lost == OnBackendLost::Reset
            && (backend.protocol == Protocol::Tcp
                || others.any(|other| self.word_of(&other.backend).is_usable()))
    }
}
