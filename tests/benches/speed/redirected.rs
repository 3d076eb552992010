//! A redirector at work in this process: the product's own core and datapath on a cgroup of ours.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use redirector::datapath::{self, Datapath, Lock, Options, Pins, SEATS, load, unload};
use redirector_common::HealthByte;
use redirector_core::{
    Input, Moment, State, Transition,
    plan::{Capacities, Installed, plan_scope},
};
use redirector_tests::{bpffs::Bpffs, cgroup::Cgroup};

use crate::{bpf, services, services::Services};

/// Programs attached to `cgroup`, maps pinned and filled. Dropping it detaches and unpins.
#[derive(Debug)]
pub struct Redirected {
    state: State,
    installed: Installed,
    datapath: Datapath,
    pins: Pins,
    lock: Option<Lock>,
    pub cgroup: Cgroup,
}

/// Where sockets remember whom they dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// Nowhere, but for the time of a watched connect: `--peer-name none`.
    None,
    /// Each in storage of its own, as before there were seats.
    Storage,
    /// In their seats.
    Seats,
}

/// How long something took, by its stages.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stages {
    /// `State::apply`: judge what the source says and compile the tables.
    pub compile: Duration,
    /// `plan`.
    pub plan: Duration,
    /// `Datapath::apply`.
    pub apply: Duration,
}

impl Redirected {
    /// Loads and attaches, with empty maps.
    pub fn new(bpffs: &Bpffs, name: &str, capacities: Capacities, memory: Memory) -> Result<Self> {
        let cgroup = Cgroup::new(name)?;
        let pins = Pins::new(bpffs.path().join(name));
        pins.create()?;
        let lock = pins.lock()?;
        let remembers = memory != Memory::None;
        let options = Options {
            capacities,
            remember_tcp: remembers,
            remember_udp: remembers,
            client_level: 0,
            seats: if memory == Memory::Storage { 0 } else { SEATS },
            owner: None,
        };
        load(&pins, &lock, &datapath::cgroup::Cgroup::open(Some(cgroup.path()))?, &options)?;
        let mut datapath = Datapath::open(&pins)?;
        let mut state = State::new();
        state.apply(Input::Node(services::here()), Moment::default());
        let installed = datapath.adopt()?;
        Ok(Self { state, installed, datapath, pins, lock: Some(lock), cgroup })
    }

    /// Takes away what watches connections after their connect: passive health, bounded connects,
    /// local listeners.
    pub fn blindfold(&self) -> Result<()> {
        for hook in ["sock_ops", "sock_release"] {
            let link = self.pins.link(hook);
            std::fs::remove_file(&link)
                .with_context(|| format!("cannot detach {}", link.display()))?;
        }
        Ok(())
    }

    /// Puts so many services into the maps.
    pub fn populate(&mut self, services: Services) -> Result<Stages> {
        let news = services.all();
        let (stages, happened) = self.tell([Input::Replace(news)])?;
        ensure!(happened.is_empty(), "the core refuses a made-up service: {:?}", happened[0]);
        let used = self.installed.usage();
        ensure!(used.frontends == services.count, "{} of {services:?}", used.frontends);
        Ok(stages)
    }

    /// Tells the core news and brings the maps there, as the agent does.
    pub fn tell(
        &mut self,
        news: impl IntoIterator<Item = Input>,
    ) -> Result<(Stages, Vec<Transition>)> {
        let mut stages = Stages::default();
        let mut happened = Vec::new();
        for input in news {
            stages.compile += timed(|| happened.extend(self.state.apply(input, Moment::default())));
        }
        let scope = self.state.take_changes();
        let mut plan = None;
        stages.plan += timed(|| {
            plan = Some(plan_scope(&mut self.installed, self.state.tables(), scope));
        });
        let plan = plan.context("no plan")?;
        ensure!(plan.rejected.is_empty(), "no room for {:?}", plan.rejected[0]);
        let mut applied = Ok(());
        stages.apply += timed(|| applied = self.datapath.apply(&plan));
        applied?;
        Ok((stages, happened))
    }

    /// Sets the mark that some client avoids it at the first backend of each service, as the failure of
    /// a client would; none of those that are measured here avoids it.
    pub fn mark_one_of_each(&mut self, services: Services) -> Result<()> {
        for number in 0..services.count {
            let backend = services.backend(number * services::BACKENDS);
            let (index, _) = self.installed.backend(&backend).context("a backend has no index")?;
            self.datapath.readmit(index, HealthByte::Passive)?;
        }
        Ok(())
    }

    /// What is installed, and the way to the maps.
    pub fn parts(&mut self) -> (&Installed, &mut Datapath) {
        (&self.installed, &mut self.datapath)
    }

    /// Bytes of each pinned map, largest first.
    pub fn memory(&self) -> Result<Vec<(String, u64)>> {
        let mut maps = Vec::new();
        for entry in std::fs::read_dir(self.pins.maps()).context("cannot list the pins")? {
            let pin = entry.context("cannot list the pins")?;
            let name = pin.file_name().to_string_lossy().into_owned();
            maps.push((name, bpf::map_memory(&pin.path())?));
        }
        maps.sort_by_key(|(name, bytes)| (u64::MAX - bytes, name.clone()));
        Ok(maps)
    }
}

impl Drop for Redirected {
    fn drop(&mut self) {
        // What stays pinned is detached when the bpffs and the cgroup go.
        if let Some(lock) = self.lock.take() {
            let _ = unload(&self.pins, lock);
        }
    }
}

impl Stages {
    pub fn total(self) -> Duration {
        self.compile + self.plan + self.apply
    }
}

fn timed(job: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    job();
    begin.elapsed()
}
