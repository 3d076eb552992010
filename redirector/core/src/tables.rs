//! What the kernel should hold, in the words of people: names, addresses and weights.
//!
//! No index, slot or generation: those depend on what is installed, and the plan chooses them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use redirector_common::{AllDown, HealthWord, Limits, MAX_TIERS, NodeWord};

use crate::service::{BackendRef, Frontend, ServiceRef};

/// Desired state. Canonical: states that decide the same have equal tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    /// Whether a source has said what there is: before, nothing is removed.
    pub synced: bool,
    /// Behind `Arc`, so that a service that did not change is recognised by its pointer.
    pub services: BTreeMap<ServiceRef, Arc<ServiceTables>>,
    /// Backends that have an objection; the generation is always 0. A plan writes the bytes of
    /// [`HealthByte::AGENT`], and the kernel's own only with a new index: else these are what the
    /// kernel has said.
    ///
    /// [`HealthByte::AGENT`]: redirector_common::HealthByte::AGENT
    pub objections: BTreeMap<BackendRef, HealthWord>,
}

/// One service: a table for each address family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceTables {
    /// Sorted; a frontend uses the table of its own family.
    pub frontends: Vec<Frontend>,
    /// As [`Service::virtual_addresses`](crate::service::Service::virtual_addresses).
    pub virtual_addresses: Vec<IpAddr>,
    /// Seconds; 0 is none.
    pub affinity_seconds: u32,
    /// kube-proxy serves the frontends too: without an agent they are left to it.
    pub also_served: bool,
    /// Whether a connect that finds no tier fails for want of a host, instead of a listener.
    pub unreachable: bool,
    /// What happens when no backend is usable.
    pub all_down: AllDown,
    /// What the kernel ejects for, and how long a connect may take.
    pub limits: Limits,
    /// As [`Policy::unresponsive`](crate::service::Policy::unresponsive).
    pub unresponsive: u8,
    /// IPv4 backends.
    pub v4: Table,
    /// IPv6 backends.
    pub v6: Table,
}

/// Backends of one service and family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// No tier is empty; a table without tiers refuses.
    pub tiers: Vec<Tier>,
    /// Cumulative percent, as in [`Header::loads`](redirector_common::Header::loads).
    pub loads: [u8; MAX_TIERS],
    /// Position in `tiers` of the first one that carries load; `None` if no backend is healthy.
    pub carrier: Option<u8>,
}

/// Backends of equal rank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tier {
    /// The number that people see: that of its rule, counted from 0, whether the tiers before it
    /// are empty or not. Without rules, its position.
    pub number: u8,
    /// The policy's name for it, or what its backends have in common: `endpoints`, `node`, `zone`,
    /// `region`, `cluster`, `remote` or `terminating`.
    pub name: Arc<str>,
    /// Sorted by backend.
    pub entries: Vec<Entry>,
}

/// A backend in a tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which backend.
    pub backend: BackendRef,
    /// [`NodeWord::named`] of its node, or [`NodeWord::in_cluster`] if that is in another cluster;
    /// 0 is unknown.
    pub node: NodeWord,
    /// Share within the tier.
    pub weight: u16,
}

impl Table {
    /// Number and name of the first tier that carries load because some of its backends are
    /// healthy.
    #[must_use]
    pub fn carrying(&self) -> Option<(u8, &str)> {
        let tier = self.tiers.get(usize::from(self.carrier?))?;
        Some((tier.number, &*tier.name))
    }

    /// Percent of the connections that go to the tier at a position in `tiers`.
    #[must_use]
    pub fn share(&self, position: usize) -> u8 {
        let before = position.checked_sub(1).map_or(0, |before| self.loads[before]);
        self.loads[position].saturating_sub(before)
    }
}

/// Which services may have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Any service: unchanged ones are recognised by their pointer.
    All,
    /// These services alone: then a plan costs as much as they do, however many others there are.
    Only(BTreeSet<ServiceRef>),
}
