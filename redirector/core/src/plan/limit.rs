//! What does not fit into the maps.

use thiserror::Error;

/// Why a service stays as it was: what is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Limit {
    /// `FRONTENDS4` or `FRONTENDS6`.
    #[error("needs {needed} more frontends, {free} of {capacity} are free")]
    Frontends { needed: u32, free: u32, capacity: u32 },
    /// `NAMES`.
    #[error("needs one more service, {free} of {capacity} are free")]
    Services { free: u32, capacity: u32 },
    /// `HEALTH` and `BACKENDS`.
    #[error("needs {needed} more backends, {free} of {capacity} are free")]
    Backends { needed: u32, free: u32, capacity: u32 },
    /// `NODES`.
    #[error("needs {needed} more nodes, {free} of {capacity} are free")]
    Nodes { needed: u32, free: u32, capacity: u32 },
    /// `TABLE`: the slots must be in one piece.
    #[error("needs {needed} table slots in one piece, {free} of {capacity} are free")]
    Slots { needed: u32, free: u32, capacity: u32 },
    /// One tier of the service.
    #[error(
        "has {entries} backends in one tier, at most {} are possible",
        redirector_common::MAX_TIER_ENTRIES
    )]
    TierEntries { entries: usize },
}
