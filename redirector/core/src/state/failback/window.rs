//! What has happened at one moment: the news of one moment may come in any order.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    failover::holds::Held,
    service::{BackendRef, ServiceRef},
    tables::ServiceTables,
};

/// What has happened since the clock last advanced.
#[derive(Clone, Debug, Default)]
pub(super) struct EventWindow {
    /// Backends that probes or the kernel objected to; perhaps they do not any more.
    pub(super) ejected: BTreeSet<BackendRef>,
    /// How services were when it began, of those that have been compiled since.
    before: BTreeMap<ServiceRef, Before>,
    /// Whether a source had said what there is when it began.
    pub(super) was_synced: bool,
}

/// How a service was when a window began.
#[derive(Clone, Debug)]
pub(super) struct Before {
    /// Tiers that carried load, per family; `None` is any, because the agent has just started and
    /// what it finds ejected may have carried load before.
    pub(super) carried: Option<[BTreeSet<Arc<str>>; 2]>,
    pub(super) held: [Held; 2],
}

impl EventWindow {
    /// A window in which nothing has happened yet.
    pub(super) fn new(was_synced: bool) -> Self {
        Self { was_synced, ..Self::default() }
    }

    /// There is no such service any more.
    pub(super) fn forget(&mut self, service: &ServiceRef) {
        self.before.remove(service);
    }

    /// How a service was when the window began, from what it is until now; and what is ejected since.
    pub(super) fn before(
        &mut self,
        service: &ServiceRef,
        installed: Option<&ServiceTables>,
        held: Option<&[Held; 2]>,
    ) -> (&mut Before, &BTreeSet<BackendRef>) {
        let Self { ejected, before, was_synced } = self;
        let before = before.entry(service.clone());
        (before.or_insert_with(|| Before::of(installed, held, *was_synced)), ejected)
    }

    /// The tiers are others now, and none of them has lost anything.
    pub(super) fn forget_tiers(&mut self, service: &ServiceRef) {
        let before = self.before.entry(service.clone()).or_insert_with(Before::nothing);
        if before.carried.is_some() {
            *before = Before::nothing();
        }
    }
}

impl Before {
    fn nothing() -> Self {
        Self { carried: Some(Default::default()), held: Default::default() }
    }

    fn of(installed: Option<&ServiceTables>, held: Option<&[Held; 2]>, was_synced: bool) -> Self {
        let held = held.cloned().unwrap_or_default();
        let Some(installed) = installed else {
            // A service that appears later has not lost anything.
            return Self { carried: was_synced.then(Default::default), held };
        };
        let carried = [&installed.v4, &installed.v6].map(|table| {
            let tiers = table.tiers.iter().enumerate().filter(|_| table.carrier.is_some());
            let carrying = tiers.filter(|(position, _)| table.share(*position) > 0);
            carrying.map(|(_, tier)| Arc::clone(&tier.name)).collect()
        });
        Self { carried: Some(carried), held }
    }
}
