//! Whose established connections are destroyed: of backends that were lost without a word.
//!
//! Never after a refusal or a listener's death, because a replica that shuts down gracefully closes
//! its listener first and finishes its requests; never because an operator drains it; and never
//! while it is this node's own network that is suspected.
//!
//! Connected UDP sockets to a backend that has left its service are another matter:
//! [`stale_flows`](super::stale_flows) ends them whatever the policy says.

use std::collections::BTreeSet;

use redirector_common::HealthByte;

use super::faults::BackendState;
use crate::{
    input::Command,
    service::{BackendRef, OnBackendLost, Protocol, Service, ServiceRef},
    state::State,
};

impl State {
    /// Resets the connections to a backend that is lost, once per loss, where a policy wants it.
    pub(in crate::state) fn reset(&mut self, backend: &BackendRef) {
        if self.nodes.is_suspect() {
            return;
        }
        if !self.users(backend).any(|service| self.wants_reset(service, backend)) {
            return;
        }
        let is_first =
            self.backends.change(backend, |faults| !std::mem::replace(&mut faults.is_reset, true));
        if is_first == Some(true) {
            self.commands.push(Command::Reset(*backend));
        }
    }

    /// Which backends of a service are reset if no service lists them from now on; this one will
    /// list `still`. To be asked before they are forgotten.
    pub(in crate::state) fn resets_if_gone(
        &mut self,
        service: &ServiceRef,
        still: &BTreeSet<BackendRef>,
    ) -> Vec<BackendRef> {
        let Some(service) = self.services.get(service) else { return Vec::new() };
        self.stale_flows.relist(service, still);
        if service.policy.on_backend_lost == OnBackendLost::Keep || self.nodes.is_suspect() {
            return Vec::new();
        }
        let is_lost = |backend: &BackendRef| {
            let is_reset = || self.backends.faults(backend).is_some_and(|faults| faults.is_reset);
            backend.protocol == Protocol::Tcp
                && !still.contains(backend)
                && !self.has_veto(backend, HealthByte::Operator)
                && !self.backends.get(backend).is_some_and(BackendState::is_announced)
                && !is_reset()
        };
        service.backend_refs().filter(is_lost).collect()
    }

    /// Resets those backends of `lost` that no service lists after the change.
    pub(in crate::state) fn reset_gone(&mut self, lost: BTreeSet<BackendRef>) {
        for backend in lost {
            if !self.backends.is_listed(&backend) {
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
