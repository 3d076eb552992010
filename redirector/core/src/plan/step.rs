//! What a plan consists of.

use std::sync::Arc;

use redirector_common::{BackendValue, HealthByte, HealthWord, NodeWord, ServiceWord, Slot};

use super::limit::Limit;
use crate::service::{Frontend, ServiceRef};

/// Steps to apply in order, each of them safe to be the last one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Empty if the desired is installed.
    pub steps: Vec<Step>,
    /// Services that stay as they are, because a map is full. The next plan tries again.
    pub rejected: Vec<(ServiceRef, Limit)>,
}

/// One change of the maps. Stores go through the mapped arrays; only the frontends and the
/// barrier are system calls, and only they can fail: then adopt again what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// `BACKENDS[index] = value`, then `HEALTH[index] = word`, whole. No table points to it yet.
    PutBackend {
        /// Index of both maps.
        index: u32,
        /// Which backend.
        value: BackendValue,
        /// Its objections, with a generation that the index has not had before.
        word: HealthWord,
    },
    /// `NODES[index] = word`. No table points to it yet.
    PutNode {
        /// Never [`NO_NODE`](redirector_common::NO_NODE).
        index: u16,
        /// Which node.
        word: NodeWord,
    },
    /// The low byte of `NODES[index]`, by a store of one byte: for every backend there at once.
    SetNode {
        /// Index of the node.
        index: u16,
        /// [`NodeWord::veto`] of each byte that all its backends have.
        vetoes: u8,
    },
    /// `NAMES[service] =` [`ServiceName::new`](redirector_common::ServiceName::new)`(name)`.
    PutName {
        /// Service id.
        service: u32,
        /// Its name, uncut.
        name: ServiceRef,
    },
    /// One byte of `HEALTH[backend]`, by a store of one byte.
    SetHealth {
        /// Index of the backend.
        backend: u32,
        /// Who objects.
        byte: HealthByte,
        /// 0 is no objection.
        value: u8,
    },
    /// `TABLE[slot..] = slots`: a whole region, where nothing points to.
    WriteSlots {
        /// A multiple of [`SLOTS_PER_LINE`](redirector_common::SLOTS_PER_LINE).
        slot: u32,
        /// Header, settings, ranges, entries.
        slots: Arc<[Slot]>,
    },
    /// `SERVICES[index] = word`, by a release store of 8 bytes.
    Publish {
        /// Index of the frontend.
        index: u32,
        /// Where its table is.
        word: ServiceWord,
    },
    /// Insert into `FRONTENDS4` or `FRONTENDS6`; its word is published.
    InsertFrontend {
        /// What is dialled.
        frontend: Frontend,
        /// Its index in `SERVICES`.
        index: u32,
        /// Whether no host has the address.
        is_virtual: bool,
    },
    /// Delete from `FRONTENDS4` or `FRONTENDS6`. One that is not there is no error.
    RemoveFrontend {
        /// What is dialled no longer.
        frontend: Frontend,
    },
    /// `SERVICES[index] = 0`. No frontend has led there since the last barrier.
    Unpublish {
        /// Index that a frontend had.
        index: u32,
    },
    /// Wait for a grace period: no reader holds anything it read before.
    Barrier,
}
