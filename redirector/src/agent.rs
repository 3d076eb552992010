//! The one task that owns the world and the tables: news in, differences out.
//!
//! Whatever fails, the last good state stays in the kernel: nothing here detaches, and a plan that
//! could not be applied is made anew from what is really there.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use redirector_common::HealthByte;
use redirector_core::{
    Input, Moment, Transition, World,
    input::ProbeOrder,
    plan::{Installed, Limit, Plan, Scope, Step, plan_scope},
    service::{BackendRef, ServiceRef},
};
use tokio::sync::{mpsc, watch};
use tracing::{debug, error, info, warn};

use crate::{datapath::Datapath, outputs::Outputs};

/// News waiting, at most: then the sources wait.
pub const QUEUE: usize = 4_096;
/// How long after a failure the plan is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Which backends the prober should ask, and how.
pub type Wanted = Arc<BTreeMap<BackendRef, ProbeOrder>>;

/// Everything that decides.
#[derive(Debug)]
pub struct Agent {
    world: World,
    installed: Installed,
    datapath: Datapath,
    outputs: Arc<Outputs>,
    wanted: watch::Sender<Wanted>,
    rejected: BTreeMap<ServiceRef, Limit>,
    /// Maps that a warning has said are nearly full.
    nearly_full: BTreeSet<&'static str>,
    /// Whether the next plan must look at every service.
    is_adopted_anew: bool,
    started: Instant,
}

impl Agent {
    /// Adopts what is in the maps.
    ///
    /// # Errors
    ///
    /// The maps cannot be read.
    pub fn adopt(
        datapath: Datapath,
        outputs: Arc<Outputs>,
        wanted: watch::Sender<Wanted>,
    ) -> Result<Self> {
        let installed = datapath.adopt()?;
        let mut agent = Self {
            world: World::new(),
            installed,
            datapath,
            outputs,
            wanted,
            rejected: BTreeMap::new(),
            nearly_full: BTreeSet::new(),
            is_adopted_anew: true,
            started: Instant::now(),
        };
        let objections = agent.installed.objections();
        let usage = agent.installed.usage();
        info!(
            frontends = usage.frontends,
            backends = usage.backends,
            objections = objections.len(),
            "adopted what is pinned"
        );
        agent.take(Input::Restore(objections));
        Ok(agent)
    }

    /// Takes in news until `stop` says so, or every source has ended.
    pub async fn run(mut self, mut news: mpsc::Receiver<Input>, mut stop: watch::Receiver<bool>) {
        let mut beat = tokio::time::interval(Duration::from_millis(500));
        let mut retry_at: Option<Instant> = None;
        loop {
            tokio::select! {
                _ = stop.changed() => break,
                input = news.recv() => {
                    let Some(input) = input else { break };
                    self.take(input);
                    // Bursts are one difference.
                    while let Ok(input) = news.try_recv() {
                        self.take(input);
                    }
                    retry_at = self.settle();
                }
                _ = beat.tick() => {
                    if retry_at.is_some_and(|at| at <= Instant::now()) {
                        retry_at = self.settle();
                    }
                }
            }
            self.outputs.beat();
        }
        info!("stopped; what is in the kernel stays in force");
    }

    fn take(&mut self, input: Input) {
        let changes_services = !matches!(input, Input::Probed { .. });
        let now = Moment(self.started.elapsed());
        for transition in self.world.apply(input, now) {
            log(&transition);
            self.outputs.count(&transition);
        }
        if changes_services {
            let wanted = self.world.probes();
            self.wanted.send_if_modified(|current| {
                let is_new = **current != wanted;
                if is_new {
                    *current = Arc::new(wanted);
                }
                is_new
            });
        }
    }

    /// Brings the kernel to what the world wants. When to try again, if that failed.
    fn settle(&mut self) -> Option<Instant> {
        let result = tokio::task::block_in_place(|| self.try_settle());
        self.outputs.settled(&self.installed, &self.world, self.rejected.len());
        let Err(error) = result else {
            return None;
        };
        error!(error = format!("{error:#}"), "cannot change the maps; they stay as they are");
        match self.datapath.adopt() {
            Ok(installed) => {
                self.installed = installed;
                self.is_adopted_anew = true;
            }
            Err(error) => error!(error = format!("{error:#}"), "cannot read the maps"),
        }
        Some(Instant::now() + RETRY)
    }

    fn try_settle(&mut self) -> Result<()> {
        let changed = self.world.take_changes();
        let scope = if self.is_adopted_anew { Scope::All } else { changed };
        let plan = plan_scope(&mut self.installed, self.world.tables(), scope);
        self.apply(&plan)?;
        self.is_adopted_anew = false;
        self.note_rejected(plan.rejected);
        self.note_nearly_full();
        Ok(())
    }

    fn apply(&mut self, plan: &Plan) -> Result<()> {
        if plan.steps.is_empty() {
            return Ok(());
        }
        let begun = Instant::now();
        self.datapath.apply(plan).context("applying a plan")?;
        let writes = plan.steps.iter().filter(|step| **step != Step::Barrier).count();
        self.outputs.applied(writes as u64, begun.elapsed());
        debug!(writes, took = ?begun.elapsed(), "applied");
        Ok(())
    }

    /// One warning when a service meets a limit, not one for each plan.
    fn note_rejected(&mut self, rejected: Vec<(ServiceRef, Limit)>) {
        let rejected: BTreeMap<_, _> = rejected.into_iter().collect();
        for (service, limit) in &rejected {
            if !self.rejected.contains_key(service) {
                warn!(%service, %limit, "the service stays as it was: a limit is reached");
            }
        }
        for service in self.rejected.keys().filter(|service| !rejected.contains_key(service)) {
            info!(%service, "the service is within the limits again");
        }
        self.rejected = rejected;
    }

    /// One warning when a map is full to 80 %, while there is time to do something about it.
    fn note_nearly_full(&mut self) {
        let (used, capacity) = (self.installed.usage(), self.installed.capacities());
        for (flag, used, capacity) in [
            // Those of both families, against the room for one: early rather than late.
            ("--max-frontends", used.frontends, capacity.frontends),
            ("--max-services", used.services, capacity.services),
            ("--max-backends", used.backends, capacity.backends),
            ("--max-nodes", used.nodes, capacity.nodes),
            ("--max-slots", used.slots, capacity.slots),
        ] {
            if u64::from(used) * 10 < u64::from(capacity) * 8 {
                self.nearly_full.remove(flag);
            } else if self.nearly_full.insert(flag) {
                warn!(
                    used,
                    capacity, "over 80 % of what {flag} allows; unload, then load with more"
                );
            }
        }
    }
}

fn log(transition: &Transition) {
    match transition {
        Transition::Ejected { backend, by, why } => {
            info!(%backend, by = by.name(), %why, "ejected");
        }
        Transition::Readmitted { backend, by } => {
            let by: HealthByte = *by;
            info!(%backend, by = by.name(), "re-admitted");
        }
        Transition::FailedOver { service, from, to } => {
            let name = |tier: &Option<(u8, Arc<str>)>| {
                tier.as_ref().map_or_else(|| "none".into(), |(_, name)| Arc::clone(name))
            };
            let is_back = matches!((from, to), (Some((from, _)), Some((to, _))) if to < from);
            let (from, to) = (name(from), name(to));
            if is_back {
                info!(%service, %from, %to, "failed back");
            } else {
                warn!(%service, %from, %to, "failed over");
            }
        }
        Transition::NodeSuspect(true) => {
            warn!("nothing answers this node; its own network is suspected");
        }
        Transition::NodeSuspect(false) => info!("this node's network answers again"),
        Transition::Ramped { service, tier, percent } => {
            info!(%service, %tier, percent, "the tier gets its traffic back");
        }
        Transition::Ordered(verb) => info!(?verb, "an operator's wish is in force"),
        Transition::Rejected { object, why } => {
            warn!(%object, %why, "rejected; its last good version stays in force");
        }
    }
}
