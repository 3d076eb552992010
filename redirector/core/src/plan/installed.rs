//! What is in the kernel's maps, as far as it was understood.
//!
//! It mirrors the maps exactly: a plan changes it together with the steps it emits.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use redirector_common::{
    BackendValue, HealthByte, HealthWord, NO_NODE, NodeWord, ServiceWord, Slot,
};

use super::{arena::Arena, pool::Pool, render};
use crate::{
    service::{BackendRef, Frontend, ServiceRef},
    tables::ServiceTables,
};

/// Sizes of the maps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capacities {
    /// Entries of `FRONTENDS4`, and of `FRONTENDS6`; `SERVICES` has twice as many.
    pub frontends: u32,
    /// Entries of `NAMES`.
    pub services: u32,
    /// Entries of `HEALTH` and `BACKENDS`; what is above 2^24 is not used.
    pub backends: u32,
    /// Entries of `NODES`; the first one, and what is above 65,536, is not used.
    pub nodes: u32,
    /// Entries of `TABLE`; the first line is not used.
    pub slots: u32,
}

/// How much of each map is in use. `frontends` counts both families.
pub type Usage = Capacities;

/// What is installed.
#[derive(Clone, Debug, Default)]
pub struct Installed {
    pub(super) capacities: Capacities,
    /// Whether a grace period has passed since adoption: no reader holds what was removed before.
    pub(super) is_settled: bool,
    /// Whether every frontend belongs to a service of `services`.
    pub(super) is_swept: bool,
    /// Services that the last plan had no room for.
    pub(super) pending: BTreeSet<ServiceRef>,
    /// Indices with a word but without a frontend.
    pub(super) stale: Vec<u32>,
    /// Frontends whose index cannot be used.
    pub(super) broken: Vec<Frontend>,
    pub(super) frontends: BTreeMap<Frontend, u32>,
    /// How many of the frontends are IPv4 and IPv6.
    pub(super) by_family: [u32; 2],
    pub(super) words: Vec<ServiceWord>,
    pub(super) regions: BTreeMap<u32, Region>,
    pub(super) services: BTreeMap<ServiceRef, Placed>,
    pub(super) ids: BTreeMap<u32, Id>,
    /// Ids that no desired service has claimed since adoption, by name.
    pub(super) unclaimed: BTreeMap<ServiceRef, u32>,
    pub(super) backends: BTreeMap<BackendRef, u32>,
    /// Regions' entries that point to each backend, and to each node.
    pub(super) backend_uses: Vec<u32>,
    pub(super) health: Vec<HealthWord>,
    pub(super) names: Vec<Option<BackendRef>>,
    /// Backends in use that have an objection, of their own or by their node.
    pub(super) objected: BTreeSet<u32>,
    /// The node in every entry of a backend, or [`DIFFERENT_NODES`].
    pub(super) backend_nodes: Vec<u16>,
    pub(super) nodes: BTreeMap<NodeWord, u16>,
    pub(super) node_uses: Vec<u32>,
    pub(super) node_words: Vec<NodeWord>,
    /// Nodes in use that have vetoes.
    pub(super) vetoed_nodes: BTreeSet<u16>,
    pub(super) free_frontends: Pool,
    pub(super) free_ids: Pool,
    pub(super) free_backends: Pool,
    pub(super) free_nodes: Pool,
    pub(super) arena: Arena,
}

/// Instead of a node: tables disagree on where a backend runs, so its node's word says nothing of
/// it. The last node of a map of 65,536 counts as this, too: it costs a store per backend.
pub(super) const DIFFERENT_NODES: u16 = u16::MAX;

/// A region that at least one frontend's word points to.
#[derive(Clone, Debug)]
pub(super) struct Region {
    pub(super) slots: Arc<[Slot]>,
    pub(super) frontends: u32,
}

/// A service whose tables are installed.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) id: u32,
    pub(super) tables: Arc<ServiceTables>,
}

/// A service id.
#[derive(Clone, Debug)]
pub(super) struct Id {
    /// The service's name as `NAMES` has it, or uncut.
    pub(super) name: ServiceRef,
    pub(super) regions: u32,
    pub(super) is_claimed: bool,
}

impl Installed {
    /// Empty maps, all zero.
    #[must_use]
    pub fn new(capacities: Capacities) -> Self {
        let Capacities { frontends, services, backends, nodes, slots } = capacities;
        let backends = backends.min(1 << 24);
        let nodes = nodes.clamp(1, 1 << 16);
        let words = frontends.saturating_mul(2);
        Self {
            capacities,
            is_settled: true,
            is_swept: true,
            words: vec![ServiceWord(0); words as usize],
            backend_uses: vec![0; backends as usize],
            health: vec![HealthWord(0); backends as usize],
            names: vec![None; backends as usize],
            backend_nodes: vec![NO_NODE; backends as usize],
            node_uses: vec![0; nodes as usize],
            node_words: vec![NodeWord(0); nodes as usize],
            free_frontends: Pool::new(0, words),
            free_ids: Pool::new(0, services),
            free_backends: Pool::new(0, backends),
            free_nodes: Pool::new(1, nodes),
            arena: Arena::new(slots),
            ..Self::default()
        }
    }

    /// Sizes of the maps.
    #[must_use]
    pub fn capacities(&self) -> Capacities {
        self.capacities
    }

    /// How much of each is in use.
    #[must_use]
    pub fn usage(&self) -> Usage {
        Usage {
            frontends: self.free_frontends.used(),
            services: self.free_ids.used(),
            backends: self.free_backends.used(),
            nodes: self.free_nodes.used(),
            slots: self.arena.used(),
        }
    }

    /// Objections found, for [`Input::Restore`](crate::Input::Restore): before the first plan, or
    /// the plan lifts them.
    #[must_use]
    pub fn objections(&self) -> Vec<(BackendRef, HealthByte, u8)> {
        let objections = self.objected.iter().flat_map(|index| {
            let (word, backend) = (self.vetoes(*index), self.names[*index as usize]);
            let bytes = HealthByte::ALL.into_iter().filter(move |byte| word.byte(*byte) != 0);
            bytes.filter_map(move |byte| Some((backend?, byte, word.byte(byte))))
        });
        objections.collect()
    }

    /// The word of the node that a backend's entries name; without vetoes if they differ.
    #[must_use]
    pub fn node_word(&self, backend: u32) -> NodeWord {
        let node = self.node_of(backend).unwrap_or(NO_NODE);
        self.node_words[usize::from(node)]
    }

    /// The word of a backend, with the vetoes of its node.
    pub(super) fn vetoes(&self, backend: u32) -> HealthWord {
        self.health[backend as usize].on(self.node_word(backend))
    }

    /// The node of a backend, if all its entries name the same one.
    pub(super) fn node_of(&self, backend: u32) -> Option<u16> {
        let node = self.backend_nodes[backend as usize];
        (node != NO_NODE && node != DIFFERENT_NODES).then_some(node)
    }

    /// Where each frontend leads, for [`Input::Adopted`](crate::Input::Adopted).
    #[must_use]
    pub fn leads(&self) -> Vec<(Frontend, BackendRef)> {
        let leads = self.frontends.iter().flat_map(|(frontend, index)| {
            let region = self.region(self.words[*index as usize]).into_iter();
            let entries = region.flat_map(|region| render::entries(&region.slots));
            let named = entries.filter_map(|(entry, _)| self.names[entry.backend as usize]);
            named.map(|backend| (*frontend, backend))
        });
        leads.collect()
    }

    /// Index and generation of a backend.
    #[must_use]
    pub fn backend(&self, backend: &BackendRef) -> Option<(u32, u32)> {
        let index = *self.backends.get(backend)?;
        Some((index, self.health[index as usize].generation()))
    }

    /// The backend of that index, if it is still of that generation.
    #[must_use]
    pub fn backend_at(&self, index: u32, generation: u32) -> Option<BackendRef> {
        let word = self.health.get(index as usize)?;
        self.names[index as usize].filter(|_| word.generation() == generation)
    }

    /// Every backend in use, with its index.
    pub fn backends(&self) -> impl Iterator<Item = (&BackendRef, u32)> {
        self.backends.iter().map(|(backend, index)| (backend, *index))
    }

    /// Id of a service.
    #[must_use]
    pub fn service(&self, service: &ServiceRef) -> Option<u32> {
        self.services.get(service).map(|placed| placed.id)
    }

    /// Index of a frontend, and the word there.
    #[must_use]
    pub fn frontend(&self, frontend: &Frontend) -> Option<(u32, ServiceWord)> {
        let index = *self.frontends.get(frontend)?;
        Some((index, self.words[index as usize]))
    }
}

/// Which table a frontend uses: 0 is IPv4, 1 is IPv6.
pub(super) fn family(frontend: &Frontend) -> usize {
    usize::from(frontend.address.is_ipv6())
}

/// What `BACKENDS` holds of a backend.
pub(super) fn value_of(backend: &BackendRef) -> BackendValue {
    let BackendRef { address, port, protocol } = *backend;
    match address {
        std::net::IpAddr::V4(four) => BackendValue::new4(four, port, protocol.number()),
        std::net::IpAddr::V6(six) => BackendValue::new6(six, port, protocol.number()),
    }
}
