//! Whose the backends are.

use std::{collections::BTreeSet, sync::Arc};

use redirector_core::service::BackendRef;
use tokio::time::Instant;

use super::{ProbePhase, Schedule, places::Owner};

/// Backends of an owner.
#[derive(Debug, Default)]
pub(super) struct Owned {
    pub backends: usize,
    /// Backends that have failed for [long](super::backoff).
    pub long: BTreeSet<BackendRef>,
    /// How many are [in doubt](super::doubt).
    pub in_doubt: usize,
}

impl Schedule {
    pub(super) fn change_hands(
        &mut self,
        backend: &BackendRef,
        owners: &Arc<[Owner]>,
        now: Instant,
    ) {
        let phase = self.dequeue(backend);
        self.disown(backend);
        let Some(state) = self.backends.get_mut(backend) else { return };
        state.owners = Arc::clone(owners);
        let is_long = state.has_failed_for_long(now);
        self.own(backend);
        self.note_long(backend, is_long);
        match phase {
            Some(ProbePhase::Waiting(due)) => self.wait(backend, due),
            Some(ProbePhase::Resting) => {
                let next = self.backends.get(backend).map_or(now, |state| state.next);
                self.rest(backend, next);
            }
            Some(ProbePhase::Asked { .. }) | None => {}
        }
    }

    pub(super) fn own(&mut self, backend: &BackendRef) {
        let Some(state) = self.backends.get(backend) else { return };
        for owner in &*state.owners {
            self.owners.entry(Arc::clone(owner)).or_default().backends += 1;
        }
        self.count_doubt(backend, true);
    }

    pub(super) fn disown(&mut self, backend: &BackendRef) {
        self.count_doubt(backend, false);
        let Some(state) = self.backends.get(backend) else { return };
        for owner in &*state.owners {
            let Some(owned) = self.owners.get_mut(owner) else { continue };
            owned.long.remove(backend);
            owned.backends -= 1;
            if owned.backends == 0 {
                self.owners.remove(owner);
            }
        }
    }

    pub(super) fn note_long(&mut self, backend: &BackendRef, is_long: bool) {
        let Some(state) = self.backends.get(backend) else { return };
        for owner in &*state.owners {
            let Some(owned) = self.owners.get_mut(owner) else { continue };
            if is_long {
                owned.long.insert(*backend);
            } else {
                owned.long.remove(backend);
            }
        }
    }
}
