//! Who objects to which backend, why and since when. The byte that the kernel reads follows.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use redirector_common::{HealthByte, HealthWord};

use crate::{health::Veto, input::Moment, service::BackendRef};

/// Every veto there is, also on backends that no service lists yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Vetoes(BTreeMap<(BackendRef, HealthByte), Veto>);

impl Vetoes {
    /// Sets a veto. Returns whether there was none by that byte; else only the reason changes.
    pub(super) fn set(
        &mut self,
        backend: BackendRef,
        by: HealthByte,
        why: Arc<str>,
        since: Moment,
    ) -> bool {
        let mut is_new = false;
        let veto = self.0.entry((backend, by)).or_insert_with(|| {
            is_new = true;
            Veto { since, why: Arc::clone(&why) }
        });
        veto.why = why;
        is_new
    }

    /// Sets a veto on each of these, which are sorted. Returns those on which there was none by that
    /// byte.
    pub(super) fn set_all(
        &mut self,
        backends: &[BackendRef],
        by: HealthByte,
        why: &Arc<str>,
        since: Moment,
    ) -> Vec<BackendRef> {
        let mut new = Vec::with_capacity(backends.len());
        for backend in backends {
            match self.0.get_mut(&(*backend, by)) {
                Some(veto) => veto.why = Arc::clone(why),
                None => new.push(*backend),
            }
        }
        let veto = |backend: &BackendRef| ((*backend, by), Veto { since, why: Arc::clone(why) });
        self.0.append(&mut new.iter().map(veto).collect());
        new
    }

    /// Clears a veto. Returns whether there was one.
    pub(super) fn clear(&mut self, backend: &BackendRef, by: HealthByte) -> bool {
        self.0.remove(&(*backend, by)).is_some()
    }

    /// Who objects to a backend, in the order of the bytes.
    pub(super) fn of(&self, backend: &BackendRef) -> impl Iterator<Item = (HealthByte, &Veto)> {
        let all = (*backend, HealthByte::ALL[0])..=(*backend, HealthByte::ALL[4]);
        self.0.range(all).map(|((_, by), veto)| (*by, veto))
    }

    /// Those on these backends.
    pub(super) fn excerpt(&self, backends: &BTreeSet<BackendRef>) -> Self {
        let vetoes = backends
            .iter()
            .flat_map(|on| self.of(on).map(move |(by, veto)| ((*on, by), veto.clone())));
        Self(vetoes.collect())
    }

    /// The bytes of a backend; the generation is 0.
    pub(super) fn word(&self, backend: &BackendRef) -> HealthWord {
        self.of(backend).fold(HealthWord::new(0), |word, (by, _)| word.with(by, value(by)))
    }
}

/// What a byte holds when the state objects by it.
pub(super) fn value(by: HealthByte) -> u8 {
    match by {
        HealthByte::Passive | HealthByte::Listener => HealthWord::CONFIRMED,
        HealthByte::Discovery | HealthByte::Prober | HealthByte::Operator => 1,
    }
}
