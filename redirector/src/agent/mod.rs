//! The one task that owns `State` and `Installed`: news in, plans out.
//!
//! Whatever fails, the last good state stays in the kernel: nothing here detaches, and a plan that
//! could not be applied is made anew from what is really there.

mod asks;
mod guard;
mod heartbeat;
mod kernel;
mod local;
mod log;
mod orders;
mod probes;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use redirector_common::HealthByte;
use redirector_core::{
    Input, Moment, State, Transition,
    input::{ProbeOrder, Verb},
    plan::{Installed, Limit, Plan, Step, plan_scope},
    service::{BackendRef, ServiceRef},
    tables::Scope,
};
use tokio::{
    sync::{mpsc, watch},
    time::{interval, sleep_until},
};
use tracing::{debug, error, info, warn};

pub use self::guard::Guard;
use self::{
    heartbeat::Heartbeat,
    local::Local,
    log::Log,
    probes::{Looks, News},
};
use crate::{
    control::{Ask, LongNames, Orders},
    datapath::{Datapath, Events, Heart, Resets},
    outputs::{Outputs, room},
};

/// News waiting, at most: then the sources wait.
pub const QUEUE: usize = 4_096;
/// What arrives within this time is one plan; a flood is cut there, and what else is due is done.
const BURST: Duration = Duration::from_millis(20);
/// How long after a failure the plan is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How often the agent's task comes round though there is no news.
const ROUND: Duration = Duration::from_millis(500);
/// How often the kernel is asked what it has not said: which backends this node's sockets use, and
/// which it holds back though its word of that was lost. And how often the guard looks at the pins.
const SWEEP: Duration = Duration::from_secs(10);
/// After so long what an answer took at the longest counts for half.
const HALVE: Duration = Duration::from_mins(5);

/// Which backends the prober should ask, and how.
pub type Wanted = Arc<BTreeMap<BackendRef, ProbeOrder>>;

/// The agent's task: what is known, what is installed, and the maps.
#[derive(Debug)]
pub struct Agent {
    state: State,
    installed: Installed,
    datapath: Datapath,
    outputs: Arc<Outputs>,
    wanted: watch::Sender<Wanted>,
    /// Services for which there is no room, and since when.
    rejected: BTreeMap<ServiceRef, (Limit, Instant)>,
    /// Maps that a warning has said are nearly full.
    nearly_full: BTreeSet<&'static str>,
    /// Whether the next plan must look at every service.
    is_adopted_anew: bool,
    looks: Looks,
    /// What is probed because of the services as they were at the last look.
    regular_probes: BTreeMap<BackendRef, ProbeOrder>,
    /// Bytes of the kernel that the state did not know at the last sweep.
    unsaid: BTreeSet<(BackendRef, HealthByte, u8)>,
    /// Backends about which the kernel had asked at the last sweep, and the state knew nothing of it.
    unheard: BTreeSet<BackendRef>,
    /// Backends of this node.
    local: Local,
    /// Connects that had ended unseen when this agent began to look; and whether it has said that
    /// there are more.
    unseen: Option<u64>,
    is_unseen_told: bool,
    /// When what answers took is halved next.
    halve_at: Instant,
    log: Log,
    /// What has happened and is not in the kernel yet.
    unreported: Vec<Transition>,
    /// When to try again what failed.
    retry_at: Option<Instant>,
    /// Why the maps are not as the state wants them, and since when.
    unapplied: Option<(Arc<str>, Instant)>,
    /// What resets connections, or why nothing can.
    resets: Result<Arc<Resets>, String>,
    /// Where orders are kept.
    orders: Orders,
    /// Names that the map of names has no room for, as they are kept.
    long_names: BTreeSet<String>,
    /// The file with those names.
    names: LongNames,
    /// Orders of an earlier agent, until the services are known.
    orders_to_resume: Vec<Verb>,
    started: Instant,
    _heartbeat: Heartbeat,
}

impl Agent {
    /// Adopts what is in the maps.
    ///
    /// # Errors
    ///
    /// The maps cannot be read.
    pub fn adopt(
        mut datapath: Datapath,
        heart: Heart,
        outputs: Arc<Outputs>,
        wanted: watch::Sender<Wanted>,
        mut orders: Orders,
        names: LongNames,
        resets: Result<Resets>,
    ) -> Result<Self> {
        let heartbeat = Heartbeat::start(heart, Arc::clone(&outputs))?;
        let installed = datapath.adopt()?;
        let mut agent = Self {
            state: State::new(),
            installed,
            datapath,
            outputs,
            wanted,
            rejected: BTreeMap::new(),
            nearly_full: BTreeSet::new(),
            is_adopted_anew: true,
            looks: Looks::default(),
            regular_probes: BTreeMap::new(),
            unsaid: BTreeSet::new(),
            unheard: BTreeSet::new(),
            local: Local::default(),
            log: Log::default(),
            unseen: None,
            is_unseen_told: false,
            halve_at: Instant::now() + HALVE,
            unreported: Vec::new(),
            retry_at: None,
            unapplied: None,
            orders_to_resume: orders.take_over(),
            orders,
            long_names: names.take_over(),
            names,
            resets: resets.map(Arc::new).map_err(|error| format!("{error:#}")),
            started: Instant::now(),
            _heartbeat: heartbeat,
        };
        let objections = agent.installed.objections();
        let usage = agent.installed.usage();
        info!(
            frontends = usage.frontends,
            backends = usage.backends,
            objections = objections.len(),
            "adopted what is pinned"
        );
        agent.take(Input::Adopted(agent.installed.leads()));
        agent.take(Input::Restore(objections));
        Ok(agent)
    }

    /// Takes in news until `stop` says so, or every source has ended.
    pub async fn run(
        mut self,
        mut news: mpsc::Receiver<Input>,
        mut events: Events,
        mut asks: mpsc::Receiver<Ask>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut round = interval(ROUND);
        let mut sweep = interval(SWEEP);
        loop {
            let deadline = self.deadline();
            tokio::select! {
                _ = stop.changed() => break,
                input = news.recv() => {
                    let Some(input) = input else { break };
                    for input in burst(input, &mut news, Instant::now() + BURST) {
                        self.take(input);
                    }
                    self.retry_at = self.reconcile();
                }
                events = events.next() => {
                    for event in &events {
                        self.take_event(event);
                    }
                    self.retry_at = self.reconcile();
                }
                () = sleep_until(deadline.into()) => {
                    self.take(Input::Tick);
                    self.retry_at = self.reconcile();
                }
                Some(ask) = asks.recv() => self.answer(ask),
                // For the heartbeat below alone.
                _ = round.tick() => {}
                _ = sweep.tick() => {
                    self.sweep();
                    self.retry_at = self.reconcile();
                }
            }
            self.outputs.beat();
        }
        if let Err(error) = self.datapath.apply(&self.installed.spell_out()) {
            warn!(
                error = format!("{error:#}"),
                "cannot give the backends of nodes that are out a veto of their own: after a \
                 roll-back they are used until probes or connects fail"
            );
        }
        info!("stopped; what is in the kernel stays in force");
    }

    /// When something is due by time alone; in a day if nothing is.
    fn deadline(&self) -> Instant {
        let due = self.state.next_deadline().map(|Moment(at)| self.started + at);
        let never = Instant::now() + Duration::from_hours(24);
        let all = due.into_iter().chain(self.retry_at).chain(self.looks.due());
        all.min().unwrap_or(never)
    }

    fn now(&self) -> Moment {
        Moment(self.started.elapsed())
    }

    fn take(&mut self, input: Input) -> Vec<Transition> {
        let now = self.now();
        let news = News::of(&input);
        let transitions = self.state.apply(input, now);
        let news = news.and_of(&transitions, self.state.has_other_clusters());
        self.looks.note(news, !transitions.is_empty(), Instant::now());
        for transition in &transitions {
            self.log.transition(transition);
            self.outputs.metrics.count(transition);
        }
        if self.outputs.reports() {
            self.unreported.extend(transitions.iter().cloned());
        }
        transitions
    }

    /// Brings the kernel to what the state wants. Returns when to try again, if that failed.
    fn reconcile(&mut self) -> Option<Instant> {
        self.resume_orders();
        let result = tokio::task::block_in_place(|| self.try_reconcile());
        self.carry_out();
        self.want_probes();
        self.outputs.reconciled(&self.installed, &self.state, self.rejected.len());
        let Err(error) = result else {
            self.unapplied = None;
            self.outputs.set_unapplied(None);
            self.outputs.happened(&std::mem::take(&mut self.unreported));
            return None;
        };
        let why: Arc<str> = format!("the maps cannot be changed: {error:#}").into();
        let since = self.unapplied.as_ref().map_or_else(Instant::now, |(_, since)| *since);
        self.unapplied = Some((Arc::clone(&why), since));
        self.outputs.set_unapplied(Some(why));
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

    fn try_reconcile(&mut self) -> Result<()> {
        let changed = self.state.take_changes();
        let scope = if self.is_adopted_anew { Scope::All } else { changed };
        let plan = plan_scope(&mut self.installed, self.state.tables(), scope.clone());
        self.apply(&plan)?;
        self.tell_local(&scope)?;
        self.keep_long_names(&scope);
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
        self.outputs.metrics.applied(writes as u64, begun.elapsed());
        debug!(writes, took = ?begun.elapsed(), "applied");
        Ok(())
    }

    /// Keeps the names of services that are longer than the maps' for who reads the maps.
    fn keep_long_names(&mut self, scope: &Scope) {
        if !self.state.is_synced() {
            return;
        }
        let is_long = |service: &&ServiceRef| LongNames::is_long(&service.0);
        let mut names = self.long_names.clone();
        match scope {
            Scope::All => {
                let all = self.state.services().map(|service| &service.name);
                names = all.filter(is_long).map(ToString::to_string).collect();
            }
            Scope::Only(changed) => {
                for service in changed.iter().filter(is_long) {
                    if self.state.service(service).is_some() {
                        names.insert(service.to_string());
                    } else {
                        names.remove(&*service.0);
                    }
                }
            }
        }
        if names == self.long_names {
            return;
        }
        if let Err(error) = self.names.write(&names) {
            warn!(error = format!("{error:#}"), "long names of services are shown cut");
        }
        self.long_names = names;
    }

    /// Warns once when a service meets a limit, not once for each plan.
    fn note_rejected(&mut self, rejected: Vec<(ServiceRef, Limit)>) {
        let now = Instant::now();
        let rejected = rejected.into_iter().map(|(service, limit)| {
            let since = self.rejected.get(&service).map_or(now, |(_, at)| *at);
            (service, (limit, since))
        });
        let rejected: BTreeMap<_, _> = rejected.collect();
        for (service, (limit, _)) in &rejected {
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
        for (map, used, capacity) in room(&self.installed) {
            if u64::from(used) * 10 < u64::from(capacity) * 8 {
                self.nearly_full.remove(map);
            } else if self.nearly_full.insert(map) {
                warn!(
                    used,
                    capacity, "over 80 % of what --max-{map} allows; unload, then load with more"
                );
            }
        }
    }
}

/// The first piece of news, and what has arrived meanwhile until `end`.
fn burst(
    first: Input,
    news: &mut mpsc::Receiver<Input>,
    end: Instant,
) -> impl Iterator<Item = Input> {
    let in_time = move || Instant::now() < end;
    std::iter::once(first)
        .chain(std::iter::from_fn(move || in_time().then(|| news.try_recv().ok()).flatten()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_floods_does_not_keep_the_agent_from_what_else_is_due() {
        let (source, mut news) = mpsc::channel(QUEUE);
        let flood = std::thread::spawn(move || while source.blocking_send(Input::Tick).is_ok() {});
        for _ in 0..3 {
            while news.len() < QUEUE {
                std::thread::yield_now();
            }
            let taken = burst(Input::Tick, &mut news, Instant::now() + BURST).count();
            assert!(taken > 1, "what waits is taken in at once");
        }
        drop(news);
        flood.join().expect("the flood ends");
    }

    #[test]
    fn what_has_arrived_is_one_burst_in_its_order() {
        let (source, mut news) = mpsc::channel(QUEUE);
        for name in ["b", "c"] {
            source.try_send(Input::Remove(ServiceRef(name.into()))).expect("there is room");
        }
        let first = Input::Remove(ServiceRef("a".into()));
        let end = Instant::now() + Duration::from_mins(1);
        let taken: Vec<String> =
            burst(first, &mut news, end).map(|input| format!("{input:?}")).collect();
        assert_eq!(taken.len(), 3);
        assert!(taken.is_sorted(), "{taken:?}");
    }
}
