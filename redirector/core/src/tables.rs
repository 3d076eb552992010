//! What the kernel should hold, in the words of people: names, addresses and weights.
//!
//! No index, slot or generation: those depend on what is installed, and the plan chooses them.

use std::{collections::BTreeMap, sync::Arc};

use redirector_common::{AllDown, HealthWord, MAX_TIERS, NodeWord};

use crate::{
    locality::Place,
    service::{BackendRef, Frontend, ServiceRef},
    world::World,
};

/// Desired state. Canonical: worlds that decide the same have equal tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    /// Whether a source has said what there is: before, nothing is removed.
    pub synced: bool,
    /// Behind `Arc`, so that a service that did not change is recognised by its pointer.
    pub services: BTreeMap<ServiceRef, Arc<ServiceTables>>,
    /// Backends that somebody objects to; the generation is always 0. A backend that is not
    /// listed has no objection.
    pub objections: BTreeMap<BackendRef, HealthWord>,
}

/// One service: a table for each address family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceTables {
    /// Sorted; a frontend uses the table of its own family.
    pub frontends: Vec<Frontend>,
    /// Seconds; 0 is none.
    pub affinity_seconds: u32,
    /// When no backend is usable.
    pub all_down: AllDown,
    /// IPv4 backends.
    pub v4: Table,
    /// IPv6 backends.
    pub v6: Table,
}

/// Backends of one service and family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// None of them empty; no tiers refuse.
    pub tiers: Vec<Tier>,
    /// Cumulative percent, as in [`Header::loads`](redirector_common::Header::loads).
    pub loads: [u8; MAX_TIERS],
    /// The first tier with a healthy backend.
    pub carrier: Option<u8>,
}

/// Backends of equal rank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tier {
    /// What they have in common.
    pub place: Place,
    /// Sorted by backend.
    pub entries: Vec<Entry>,
}

/// A backend in a tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which backend.
    pub backend: BackendRef,
    /// [`NodeWord::named`] of its node; 0 is unknown.
    pub node: NodeWord,
    /// Share within the tier.
    pub weight: u16,
}

impl Tier {
    /// `node`, `zone`, `region`, `cluster` or `remote`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.place.name()
    }
}

/// The tables of a world, from nothing. [`World::tables`] has the same at no cost.
#[must_use]
pub fn compile(_world: &World) -> Tables {
    todo!()
}
