//! Who objects to which backend, why and since when: the one place that changes a byte of it.

use std::{collections::BTreeMap, sync::Arc};

use redirector_common::{HealthByte, HealthWord};

use super::State;
use crate::{health::Veto, service::BackendRef};

/// What is behind the bytes of [`Tables::objections`](crate::Tables::objections).
#[derive(Clone, Debug, Default)]
pub(super) struct Objections {
    told: BTreeMap<(BackendRef, HealthByte), Veto>,
}

impl State {
    /// Raises an objection. Returns whether there was none by that byte; else only the reason
    /// changes. The caller recompiles the users.
    pub(super) fn object(&mut self, backend: BackendRef, by: HealthByte, why: Arc<str>) -> bool {
        if matches!(by, HealthByte::Prober | HealthByte::Passive | HealthByte::Listener) {
            self.instant.fresh.insert(backend);
        }
        let word = self.tables.objections.entry(backend).or_default();
        let is_new = word.byte(by) == 0;
        *word = word.with(by, value(by));
        let since = self.now;
        self.objections
            .told
            .entry((backend, by))
            .and_modify(|told| told.why = Arc::clone(&why))
            .or_insert(Veto { since, why });
        is_new
    }

    /// Ends an objection. Returns whether there was one. The caller recompiles the users.
    pub(super) fn lift(&mut self, backend: &BackendRef, by: HealthByte) -> bool {
        self.objections.told.remove(&(*backend, by));
        let Some(word) = self.tables.objections.get_mut(backend) else { return false };
        let was = word.byte(by) != 0;
        *word = word.with(by, 0);
        if word.is_usable() {
            self.tables.objections.remove(backend);
        }
        was
    }

    /// Who objects to a backend, in the order of the bytes.
    pub fn objections_to(&self, backend: &BackendRef) -> impl Iterator<Item = (HealthByte, &Veto)> {
        let all = (*backend, HealthByte::ALL[0])..=(*backend, HealthByte::ALL[4]);
        self.objections.told.range(all).map(|((_, by), objection)| (*by, objection))
    }

    /// Whether that byte of a backend is not 0.
    pub(super) fn has_objection(&self, backend: &BackendRef, by: HealthByte) -> bool {
        self.word_of(backend).byte(by) != 0
    }

    /// All bytes of a backend; the generation is 0.
    pub(super) fn word_of(&self, backend: &BackendRef) -> HealthWord {
        self.tables.objections.get(backend).copied().unwrap_or_default()
    }
}

/// What a byte holds when the state objects by it.
pub(super) fn value(by: HealthByte) -> u8 {
    match by {
        HealthByte::Passive | HealthByte::Listener => HealthWord::CONFIRMED,
        HealthByte::Discovery | HealthByte::Prober | HealthByte::Operator => 1,
    }
}
