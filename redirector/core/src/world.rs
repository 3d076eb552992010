//! Everything the sources have said, and what follows from it.
//!
//! No timers yet: nothing here happens by the passing of time alone.

use std::collections::BTreeMap;

use crate::{
    input::{Input, Moment, Transition},
    service::{BackendRef, Probe, Service},
    tables::Tables,
};

/// Owned by one task.
#[derive(Clone, Debug, Default)]
pub struct World {
    tables: Tables,
}

impl World {
    /// Nothing is known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in one piece of news and says what happened because of it.
    pub fn apply(&mut self, _input: Input, _now: Moment) -> Vec<Transition> {
        todo!()
    }

    /// Whether a source has said what there is ([`Input::Replace`]).
    #[must_use]
    pub fn is_synced(&self) -> bool {
        self.tables.synced
    }

    /// What the kernel should hold; kept up to date by [`apply`](Self::apply).
    #[must_use]
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Services in force, by name.
    pub fn services(&self) -> impl Iterator<Item = &Service> {
        std::iter::empty()
    }

    /// Which backends should be probed, and how: strictest where services share one.
    #[must_use]
    pub fn probes(&self) -> BTreeMap<BackendRef, Probe> {
        todo!()
    }

    /// Whether the prober objects to that backend.
    #[must_use]
    pub fn is_ejected(&self, backend: &BackendRef) -> bool {
        self.tables.objections.contains_key(backend)
    }
}
