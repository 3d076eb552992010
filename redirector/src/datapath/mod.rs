//! The only code that knows BPF: loads, pins, attaches and exchanges the programs, applies plans
//! to the pinned maps, reads them back.
//!
//! Two halves. [`load()`] and [`unload()`] need privileges; [`Datapath`] works on what is pinned and
//! needs none from 6.1 on.

mod access;
mod btf;
pub mod cgroup;
pub mod check;
pub mod descriptors;
mod earlier;
mod frontends;
pub mod hooks;
mod ids;
mod listeners;
pub mod load;
mod mapped;
mod mounts;
mod object;
mod others;
mod passive;
mod pinned;
mod pins;
mod resets;
mod shapes;
mod sys;
pub mod unload;
pub mod verifier;
mod view;

use std::{collections::BTreeSet, os::fd::OwnedFd};

use self::{
    earlier::KeptFrontends,
    frontends::Frontends,
    ids::Ids,
    listeners::{Ports, Served},
    passive::Passive,
};
use anyhow::{Context as _, Result};
use aya::maps::{Map, MapData, PerCpuArray};
use aya_log::EbpfLogger;
use redirector_common::{
    BackendValue, COUNTERS, HOST_HAS_IT, HealthByte, HealthWord, MAX_TIERS, NodeWord, Reason,
    ServiceName, ServiceWord, Slot,
};
use redirector_core::{
    plan::{Capacities, Installed, Plan, Snapshot, Step},
    service::{Frontend, Protocol},
};

pub use access::Access;
pub use load::{Options, Programs, SEATS, load};
pub use mapped::Mapped;
pub use passive::{Events, Heart, Seen, monotonic};
pub use pinned::{Loss, Pinned};
pub use pins::{Lock, Pins};
pub use resets::{Destroyed, Kept, Resets};
pub use unload::unload;
pub use view::{BackendView, FrontendView, ServiceView, TierView, View};

/// What is pinned, opened.
#[derive(Debug)]
pub struct Datapath {
    frontends: Frontends,
    services: Mapped<ServiceWord>,
    table: Mapped<Slot>,
    health: Mapped<HealthWord>,
    nodes: Mapped<NodeWord>,
    backends: Mapped<BackendValue>,
    names: Mapped<ServiceName>,
    passive: Passive,
    ids: Ids,
    ports: Ports,
    served: Served,
    barrier: (OwnedFd, OwnedFd),
    counters: Counters,
    /// The frontends as the layout before this one has them.
    kept: Option<KeptFrontends>,
    capacities: Capacities,
}

/// Copies of the arrays, and the frontends, at one time.
#[derive(Debug)]
pub struct Contents {
    frontends: Vec<(Frontend, u32)>,
    words: Vec<ServiceWord>,
    arena: Vec<Slot>,
    health: Vec<HealthWord>,
    backends: Vec<BackendValue>,
    nodes: Vec<NodeWord>,
    names: Vec<ServiceName>,
}

impl Contents {
    /// The contents, as the core takes them.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot<'_> {
        let Self { frontends, words, arena, health, backends, nodes, names } = self;
        Snapshot { frontends: frontends.clone(), words, arena, health, backends, nodes, names }
    }
}

impl Datapath {
    /// Opens what `load` has pinned.
    ///
    /// # Errors
    ///
    /// A map is missing, of another shape, or may not be opened.
    pub fn open(pins: &Pins) -> Result<Self> {
        shapes::check(pins)?;
        let services = map_array(pins, "SERVICES")?;
        let table = map_array(pins, "TABLE")?;
        let health = map_array(pins, "HEALTH")?;
        let nodes = map_array(pins, "NODES")?;
        let names = map_array(pins, "NAMES")?;
        let capacities = capacities(pins)?;
        Ok(Self {
            frontends: Frontends::open(pins)?,
            services,
            table,
            health,
            nodes,
            backends: map_array(pins, "BACKENDS")?,
            names,
            passive: Passive::open(pins)?,
            ids: Ids::new(map_array(pins, "BACKEND_IDS")?),
            ports: Ports::open(pins)?,
            served: Served::open(pins)?,
            barrier: (open_fd(pins, "BARRIER")?, open_fd(pins, "BARRIER_INNER")?),
            counters: Counters::open(pins)?,
            kept: KeptFrontends::open(pins),
            capacities,
        })
    }

    /// How many connects have ended unseen: another program takes the callbacks away.
    ///
    /// # Errors
    ///
    /// The counter cannot be read.
    pub fn unseen(&self) -> Result<u64> {
        self.counters.count(Reason::Unseen)
    }

    /// Sizes of the maps.
    #[must_use]
    pub fn capacities(&self) -> Capacities {
        self.capacities
    }

    /// A copy of what the maps hold.
    ///
    /// # Errors
    ///
    /// The frontends cannot be listed.
    pub fn contents(&self) -> Result<Contents> {
        Ok(Contents {
            frontends: self.frontends()?,
            words: self.services.read_all(),
            arena: self.table.read_all(),
            health: self.health.read_all(),
            backends: self.backends.read_all(),
            nodes: self.nodes.read_all(),
            names: self.names.read_all(),
        })
    }

    /// What is installed.
    ///
    /// # Errors
    ///
    /// As [`contents`](Self::contents).
    pub fn adopt(&mut self) -> Result<Installed> {
        self.ids.reconcile(&self.backends, &self.health)?;
        let contents = self.contents()?;
        if let Some(kept) = &mut self.kept {
            kept.reconcile(&contents.frontends);
        }
        Ok(Installed::adopt(self.capacities, contents.snapshot()))
    }

    fn frontends(&self) -> Result<Vec<(Frontend, u32)>> {
        let frontends = self.frontends.list()?.into_iter();
        Ok(frontends.map(|(frontend, value)| (frontend, value & !HOST_HAS_IT)).collect())
    }

    /// Applies the steps in order. After each of them every dial finds a whole table.
    ///
    /// # Errors
    ///
    /// A step failed; those before it are in force. [Adopt](Self::adopt) again.
    pub fn apply(&mut self, plan: &Plan) -> Result<()> {
        for step in &plan.steps {
            self.apply_step(step).with_context(|| format!("cannot apply {step:?}"))?;
        }
        let is_removal = |step: &Step| {
            matches!(step, Step::SetHealth { byte: HealthByte::Discovery, value: 1, .. })
        };
        if plan.steps.iter().any(is_removal) {
            self.ports.sweep(&self.health);
        }
        Ok(())
    }

    fn apply_step(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::PutBackend { index, value, word } => {
                self.ids.forget(*index, &self.backends)?;
                self.backends.write(*index as usize, &[*value])?;
                self.passive.clear(*index)?;
                self.health.publish(*index as usize, word.0)
            }
            Step::PutNode { index, word } => self.nodes.publish(usize::from(*index), word.0),
            Step::SetNode { index, vetoes } => {
                self.nodes.store_byte(usize::from(*index), 0, *vetoes)
            }
            Step::PutName { service, name } => {
                self.names.write(*service as usize, &[ServiceName::new(&name.0)])
            }
            Step::SetHealth { backend, byte, value } => {
                self.health.store_byte(*backend as usize, *byte as usize, *value)
            }
            Step::WriteSlots { slot, slots } => self.table.write(*slot as usize, slots),
            Step::Publish { index, word } => self.services.publish(*index as usize, word.0),
            Step::Unpublish { index } => self.services.publish(*index as usize, 0),
            Step::InsertFrontend { frontend, index, is_virtual } => {
                self.insert(frontend, *index, *is_virtual)
            }
            Step::RemoveFrontend { frontend } => self.remove(frontend),
            Step::Barrier => {
                use std::os::fd::AsFd as _;
                let (outer, inner) = &self.barrier;
                sys::barrier(outer.as_fd(), inner.as_fd()).context("cannot wait for a grace period")
            }
        }
    }

    /// Clears a byte that the kernel writes, and what led to it. Clients that avoid the backend
    /// still do.
    ///
    /// # Errors
    ///
    /// There is no such index.
    pub fn readmit(&self, index: u32, byte: HealthByte) -> Result<()> {
        // First the failures that led to it: what fails from now on counts from the beginning.
        self.passive.clear_failures(index)?;
        self.store_veto(index, byte, 0)
    }

    /// Sets a byte that the kernel writes, as the agent's own verdict; `unresponsive`: that a connection is
    /// accepted ends nothing.
    ///
    /// # Errors
    ///
    /// There is no such index.
    pub fn eject(&self, index: u32, byte: HealthByte, unresponsive: bool) -> Result<()> {
        let how = if unresponsive { HealthWord::UNRESPONSIVE } else { 0 };
        self.store_veto(index, byte, HealthWord::CONFIRMED | how)
    }

    /// The mark that some client avoids it may be stale, but must not be lost.
    fn store_veto(&self, index: u32, byte: HealthByte, value: u8) -> Result<()> {
        let is_passive = byte == HealthByte::Passive;
        let mark = if is_passive { HealthWord::AVOIDED } else { 0 };
        self.health.store_byte(index as usize, byte as usize, value | mark)
    }

    /// Which backends are this node's: of these alone the programs believe a local listener.
    ///
    /// # Errors
    ///
    /// Never in practice.
    pub fn set_local(&self, indices: &BTreeSet<u32>) -> Result<()> {
        self.ids.hold(indices, &self.backends, &self.health)
    }

    /// Whether a namespace is known that serves this backend, so that the end of its last listener is
    /// seen at once.
    #[must_use]
    pub fn is_served(&self, index: u32) -> bool {
        self.served.is_known(index, &self.health)
    }

    /// Removes what clients have forgotten, and the marks of backends that no client avoids.
    ///
    /// # Errors
    ///
    /// Never in practice.
    pub fn sweep_avoided(&self, indices: impl Iterator<Item = u32>) -> Result<()> {
        let avoided = self.passive.sweep_avoided()?;
        for index in indices {
            let word = self.health.read(index as usize).unwrap_or_default();
            if word.is_avoided() && !avoided.contains(&(index as u16)) {
                // A mark of this very moment may be lost: the client's next failure sets it again.
                let value = word.byte(HealthByte::Passive);
                self.health.store_byte(index as usize, HealthByte::Passive as usize, value)?;
            }
        }
        Ok(())
    }

    /// Who objects to that backend at this moment; nothing beyond the end.
    #[must_use]
    pub fn health(&self, index: u32) -> Option<HealthWord> {
        self.health.read(index as usize)
    }

    fn insert(&mut self, frontend: &Frontend, index: u32, is_virtual: bool) -> Result<()> {
        let value = if is_virtual { index } else { index | HOST_HAS_IT };
        if !is_virtual && frontend.protocol == Protocol::Udp {
            // Before a datagram from there is to be told from an answer.
            self.passive.hosts_have_frontends()?;
        }
        self.frontends.insert(frontend, value)?;
        if let Some(kept) = &mut self.kept {
            kept.insert(frontend, index);
        }
        Ok(())
    }

    fn remove(&mut self, frontend: &Frontend) -> Result<()> {
        if let Some(kept) = &mut self.kept {
            kept.remove(frontend);
        }
        self.frontends.remove(frontend)
    }
}

/// The kernel's counters, to be read at any time.
pub struct Counters(PerCpuArray<MapData, u64>);

/// aya's per-CPU maps have no `Debug`.
impl std::fmt::Debug for Counters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Counters")
    }
}

impl Counters {
    /// Opens the pinned map.
    ///
    /// # Errors
    ///
    /// It is missing, of another shape, or may not be opened.
    pub fn open(pins: &Pins) -> Result<Self> {
        let map = Map::PerCpuArray(open(pins, "COUNTERS")?);
        Ok(Self(PerCpuArray::try_from(map).context("COUNTERS has another shape")?))
    }

    /// One counter, summed over the CPUs.
    ///
    /// # Errors
    ///
    /// The map cannot be read.
    pub fn count(&self, reason: Reason) -> Result<u64> {
        self.sum(reason as u32)
    }

    fn sum(&self, index: u32) -> Result<u64> {
        let values = self.0.get(&index, 0).context("cannot read COUNTERS")?;
        Ok(values.iter().fold(0, |sum: u64, value| sum.wrapping_add(*value)))
    }

    /// Summed over the CPUs, in the order of `redirector_common::Reason::ALL` and then of the
    /// tiers.
    ///
    /// # Errors
    ///
    /// The map cannot be read.
    pub fn read(&self) -> Result<[u64; COUNTERS]> {
        let mut sums = [0; COUNTERS];
        for (index, sum) in (0..).zip(&mut sums) {
            *sum = self.sum(index)?;
        }
        Ok(sums)
    }

    /// All counters, with the name of each.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn named(&self) -> Result<Vec<(String, u64)>> {
        let reasons = Reason::ALL.iter().map(|reason| reason.name().to_owned());
        let tiers = (0..MAX_TIERS).map(|tier| format!("tier_{tier}"));
        Ok(reasons.chain(tiers).zip(self.read()?).collect())
    }
}

/// The log of the programs that are attached, if they were built with one
/// (`cargo xtask build-ebpf --log`) and this process may open them (CAP_SYS_ADMIN).
#[must_use]
pub fn program_log(pins: &Pins) -> Option<EbpfLogger<&'static dyn log::Log>> {
    use std::os::fd::AsFd as _;
    let link = sys::obj_get(&pins.link("connect4")).ok()?;
    let program = sys::link_info(link.as_fd()).ok()?.program;
    EbpfLogger::init_from_id(program)
        .inspect_err(|why| tracing::debug!(%why, "the programs' log is not followed"))
        .ok()
}

fn open(pins: &Pins, name: &str) -> Result<MapData> {
    MapData::from_fd(open_fd(pins, name)?)
        .with_context(|| format!("cannot use the pinned map {}", pins.map(name).display()))
}

fn open_fd(pins: &Pins, name: &str) -> Result<OwnedFd> {
    use std::io::ErrorKind::{NotFound, PermissionDenied};
    let path = pins.map(name);
    sys::obj_get(&path).map_err(|error| {
        let what_to_do = match error.kind() {
            PermissionDenied => {
                "; run as its owner, or give it away with `redirector load --owner UID`"
            }
            NotFound => "; `redirector load` makes it",
            _ => "",
        };
        let path = path.display();
        anyhow::Error::new(error).context(format!("cannot open the pinned map {path}{what_to_do}"))
    })
}

/// What there is room for in every map that is concerned. After a load that ended before it had made
/// all of them, and then one with other capacities, they differ.
fn capacities(pins: &Pins) -> Result<Capacities> {
    use std::os::fd::AsFd as _;
    let smallest = |maps: &[&str]| -> Result<u32> {
        let mut smallest = u32::MAX;
        for name in maps {
            let shape = sys::map_shape(open_fd(pins, name)?.as_fd());
            smallest = smallest.min(shape.context("cannot ask for a map's capacity")?.max_entries);
        }
        Ok(smallest)
    };
    let words = smallest(&["SERVICES"])?;
    Ok(Capacities {
        frontends: smallest(&["FRONTENDS4", "FRONTENDS6"])?.min(words / 2),
        services: smallest(&["NAMES"])?,
        backends: smallest(&["HEALTH", "BACKENDS", "PASSIVE", "BACKEND_NETNS"])?,
        nodes: smallest(&["NODES"])?,
        slots: smallest(&["TABLE"])?,
    })
}

fn map_array<T: bytemuck::Pod>(pins: &Pins, name: &str) -> Result<Mapped<T>> {
    Mapped::new(name, open_fd(pins, name)?)
}
