//! What has happened at one moment: the news of one instant may come in any order.

use std::collections::{BTreeMap, BTreeSet};

use super::failback::Before;
use crate::service::{BackendRef, ServiceRef};

/// What has happened since the clock last advanced.
#[derive(Clone, Debug, Default)]
pub(super) struct Instant {
    /// Backends that probes or the kernel objected to; perhaps they do not any more.
    pub(super) fresh: BTreeSet<BackendRef>,
    /// How services were when it began, of those that have been compiled since.
    pub(super) before: BTreeMap<ServiceRef, Before>,
    /// Whether a source had said what there is when it began.
    pub(super) was_synced: bool,
}

impl Instant {
    /// An instant in which nothing has happened yet.
    pub(super) fn new(was_synced: bool) -> Self {
        Self { was_synced, ..Self::default() }
    }
}
