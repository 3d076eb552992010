//! What is in the kernel's maps, as far as it was understood.

use redirector_common::HealthByte;

use crate::service::BackendRef;

/// Sizes of the maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacities {
    /// Entries of `FRONTENDS4`, and of `FRONTENDS6`; `SERVICES` has twice as many.
    pub frontends: u32,
    /// Entries of `NAMES`.
    pub services: u32,
    /// Entries of `HEALTH` and `BACKENDS`.
    pub backends: u32,
    /// Entries of `NODES`, at most 65,536; the first one is never used.
    pub nodes: u32,
    /// Entries of `TABLE`; the first line is never used.
    pub slots: u32,
}

/// How much of each is in use.
pub type Usage = Capacities;

/// What is installed.
#[derive(Clone, Debug)]
pub struct Installed {
    capacities: Capacities,
}

impl Installed {
    /// Empty maps, all zero.
    #[must_use]
    pub fn new(capacities: Capacities) -> Self {
        Self { capacities }
    }

    /// Sizes of the maps.
    #[must_use]
    pub fn capacities(&self) -> Capacities {
        self.capacities
    }

    /// How much of each is in use.
    #[must_use]
    pub fn usage(&self) -> Usage {
        todo!()
    }

    /// Objections found, for [`Input::Restore`](crate::Input::Restore): before the first plan, or
    /// the plan lifts them.
    #[must_use]
    pub fn objections(&self) -> Vec<(BackendRef, HealthByte)> {
        todo!()
    }

    /// Index and generation of a backend.
    #[must_use]
    pub fn backend(&self, _backend: &BackendRef) -> Option<(u32, u32)> {
        todo!()
    }
}
