//! The production maps and programs in a place of their own, and who reads and writes them.

use redirector::datapath::{self, Datapath, Pins, cgroup};
use redirector_core::plan::Capacities;
use redirector_tests::{bpffs::Bpffs, cgroup::Cgroup};

use super::{
    reader::Reader,
    stamp::{FRONTENDS, NODES, SERVICES},
    writer::{Barriers, Writer},
};
use crate::common::load_options;

/// Small, so that everything is soon used again.
const CAPACITIES: Capacities = Capacities {
    frontends: 2 * FRONTENDS,
    services: 2 * SERVICES,
    backends: 4_096,
    nodes: 2 * NODES + 1,
    slots: 16_384,
};

/// What `redirector load` makes.
#[derive(Debug)]
pub(crate) struct Bench {
    _cgroup: Cgroup,
    pins: Pins,
    _bpffs: Bpffs,
}

impl Bench {
    /// Loads, into a cgroup without processes.
    pub(crate) fn new() -> Self {
        let bpffs = Bpffs::mount().expect("a bpffs");
        let cgroup = Cgroup::new("torn").expect("a cgroup");
        let pins = Pins::new(bpffs.pin_path());
        pins.create().expect("pins");
        let lock = pins.lock().expect("the lock");
        let attach = cgroup::Cgroup::open(Some(cgroup.path())).expect("the cgroup");
        datapath::load(&pins, &lock, &attach, &load_options(CAPACITIES)).expect("the programs");
        Self { _cgroup: cgroup, pins, _bpffs: bpffs }
    }

    /// A writer of the production datapath that has written once.
    pub(crate) fn writer(&self, barriers: Barriers) -> Writer {
        Writer::new(Datapath::open(&self.pins).expect("the datapath"), barriers)
    }

    /// A reader of the pinned maps.
    pub(crate) fn reader(&self, lingers: u32) -> Reader {
        Reader::load("tables", lingers, Some(&self.pins))
    }
}
