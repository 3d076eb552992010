//! What a state makes of clusters that are silent, or seem to be: with a prober in virtual time.

mod asked;
mod explained;
mod owners;
mod restart;
mod seen;
mod told;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use redirector_common::HealthByte;

use crate::{
    by_name::{self, backend},
    input::{ClusterEvent, Input, Moment, Network, ProbeFailure, Transition},
    remote_cluster::{
        ClusterPhase::{self, Live, Lost, Silent},
        OnSilence::{self, Drop, KeepReachable},
        RemoteCluster,
    },
    service::{
        Backend, BackendRef, Failback, Locality, Members, OnBackendLost, Probe, Protocol, Service,
        ServiceRef, TierRule,
    },
    state::{State, compile},
};

const STEP: Duration = Duration::from_millis(20);
const ANSWERS: Duration = Duration::from_millis(20);

/// The agent's node n0 in zone a of cluster home; a prober; and what answers it.
struct World {
    state: State,
    now: Duration,
    /// What addresses begin with that do not answer, and those that do all the same.
    dead: Vec<(String, bool)>,
    /// When each is asked next, and its urgency.
    next: BTreeMap<BackendRef, (Duration, u32)>,
    ends: BTreeSet<(Duration, BackendRef)>,
    /// When the next one at rest is asked, and after which.
    turn: (Duration, u64),
    happened: Vec<Transition>,
    asked: usize,
    resets: usize,
    /// Whether those that do not answer refuse instead of being silent.
    refuses: bool,
}

impl World {
    /// Two replicas here, and so many in west, four on a node; west's nodes and zones are called like
    /// those here.
    fn new(count: usize) -> Self {
        Self::with(count, |_| {})
    }

    fn with(count: usize, change: impl Fn(&mut Service)) -> Self {
        let mut world = Self {
            state: State::new(),
            now: Duration::ZERO,
            dead: Vec::new(),
            next: BTreeMap::new(),
            ends: BTreeSet::new(),
            turn: (Duration::ZERO, 0),
            happened: Vec::new(),
            asked: 0,
            resets: 0,
            refuses: false,
        };
        let mut service = Self::service(count, "a/web", 0);
        change(&mut service);
        world.apply(Input::Node(here()));
        world.apply(Input::Replace(vec![service]));
        world
    }

    fn service(count: usize, name: &str, third: u8) -> Service {
        let own = [1, 2].map(|last| format!("10.1.{third}.{last}"));
        let mut service = by_name::service(name, &[format!("10.96.{third}.1").as_str()], &own);
        for (listed, node) in service.backends.iter_mut().zip(["n1", "n2"]) {
            listed.locality = Locality { node: Some(node.into()), ..here() };
        }
        let there = (0..count).map(|number| {
            let mut listed = service.backends[0].clone();
            listed.backend = west(third, 1 + number);
            let node = format!("n{}", number / 4);
            let cluster = Some("west".into());
            listed.locality = Locality { node: Some(node.into()), cluster, ..here() };
            listed
        });
        let there: Vec<_> = there.collect();
        service.backends.extend(there);
        service.policy.probe = Some(Probe { healthy: 1, ..Probe::default() });
        let named = |cluster: &str| Members::Named {
            zones: Vec::new(),
            regions: Vec::new(),
            clusters: vec![cluster.into()],
        };
        let tier = |(name, members): (&str, Members)| TierRule { name: name.into(), members };
        service.policy.tiers = [("here", named("home")), ("far", named("west"))].map(tier).into();
        service
    }

    fn tell(&mut self, clusters: &[(&str, ClusterPhase, OnSilence)]) {
        self.apply(told(clusters));
    }

    fn kill(&mut self, prefix: &str) {
        self.dead.push((prefix.to_owned(), false));
    }

    fn heal(&mut self, prefix: &str) {
        self.dead.push((prefix.to_owned(), true));
    }

    fn answers(&self, backend: &BackendRef) -> bool {
        let last = self.dead.iter().rev().find(|(prefix, _)| is_of(backend, prefix));
        last.is_none_or(|(_, answers)| *answers)
    }

    fn apply(&mut self, input: Input) {
        let happened = self.state.apply(input, Moment(self.now));
        self.happened.extend(happened);
        let commands = self.state.take_commands();
        let is_reset = |it: &&crate::Command| matches!(it, crate::Command::Reset(_));
        self.resets += commands.iter().filter(is_reset).count();
    }

    fn pass(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        while self.now < end {
            self.step();
        }
        assert_eq!(*self.state.tables(), compile(&self.state), "as if from nothing");
    }

    fn step(&mut self) {
        self.now += STEP;
        while let Some((at, backend)) = self.ends.first().copied().filter(|it| it.0 <= self.now) {
            self.ends.remove(&(at, backend));
            let failure = match self.refuses {
                true => ProbeFailure::Failed("connection refused".into()),
                false => ProbeFailure::TimedOut,
            };
            let outcome = if self.answers(&backend) { Ok(()) } else { Err(failure) };
            self.apply(Input::Probed { backend, outcome });
        }
        if self.state.next_deadline().is_some_and(|due| due <= Moment(self.now)) {
            self.apply(Input::Tick);
        }
        self.begin();
    }

    /// Asks what is due: urgent ones at once, others every interval, and of those at rest one a second.
    fn begin(&mut self) {
        let orders = self.state.probes();
        let mut at_rest = BTreeMap::new();
        for (backend, order) in &orders {
            let is_new = !self.next.contains_key(backend);
            let (next, urgency) = self.next.entry(*backend).or_insert((self.now, 0));
            let is_urgent = order.urgency != *urgency && order.urgency != 0;
            *urgency = order.urgency;
            if let Some(rest) = order.rest.as_ref().filter(|_| !is_urgent) {
                at_rest.insert(rest.rank, *backend);
            } else if is_urgent || !is_new && *next <= self.now {
                let interval = Duration::from_millis(order.probe.interval_ms.into());
                *next = self.now + interval;
                let timeout = Duration::from_millis(order.probe.timeout_ms.into());
                self.ask(*backend, timeout);
            }
        }
        self.next.retain(|backend, _| orders.contains_key(backend));
        if self.turn.0 <= self.now {
            let rest = at_rest.range(self.turn.1 + 1..).chain(&at_rest);
            let rest: Vec<(u64, BackendRef)> = rest.map(|(rank, it)| (*rank, *it)).collect();
            let due = |it: &&(u64, BackendRef)| {
                let next = self.next[&it.1].0;
                next <= self.now
            };
            if let Some((rank, backend)) = rest.iter().find(due).copied() {
                self.turn = (self.now + Duration::from_secs(1), rank);
                self.next.insert(backend, (self.now + Duration::from_secs(5), 0));
                self.ask(backend, Duration::from_millis(500));
            }
        }
    }

    fn ask(&mut self, backend: BackendRef, timeout: Duration) {
        self.asked += usize::from(is_west(&backend));
        let after = if self.answers(&backend) { ANSWERS } else { timeout };
        self.ends.insert((self.now + after, backend));
    }

    fn out(&self) -> BTreeSet<BackendRef> {
        self.state.tables().objections.keys().copied().collect()
    }

    fn load(&self, tier: &str) -> u8 {
        let table = &self.state.tables().services[&ServiceRef("a/web".into())].v4;
        let position = table.tiers.iter().position(|it| &*it.name == tier).expect("there is one");
        table.share(position)
    }

    fn events(&self) -> Vec<(&str, ClusterEvent)> {
        let events = self.happened.iter().filter_map(|it| match it {
            Transition::Cluster { cluster, event } => Some((&**cluster, *event)),
            _ => None,
        });
        events.collect()
    }

    fn count(&self, which: impl Fn(&Transition) -> bool) -> usize {
        self.happened.iter().filter(|it| which(it)).count()
    }

    fn is_suspect(&self) -> bool {
        self.state.nodes.is_suspect()
    }
}

fn here() -> Locality {
    let [node, zone, region, cluster] = ["n0", "a", "eu", "home"].map(|name| Some(Arc::from(name)));
    Locality { node, zone, region, cluster }
}

fn told(clusters: &[(&str, ClusterPhase, OnSilence)]) -> Input {
    let cluster = |(name, phase, on_silence): &(&str, ClusterPhase, OnSilence)| RemoteCluster {
        name: (*name).into(),
        phase: *phase,
        on_silence: *on_silence,
    };
    Input::RemoteClusters(clusters.iter().map(cluster).collect())
}

fn west(third: u8, last: usize) -> BackendRef {
    backend(&format!("10.2.{third}.{last}"))
}

fn is_of(backend: &BackendRef, prefix: &str) -> bool {
    let address = backend.address.to_string();
    if prefix.ends_with('.') { address.starts_with(prefix) } else { address == prefix }
}

fn is_west(backend: &BackendRef) -> bool {
    is_of(backend, "10.2.")
}
