//! One world: truth, kernel, agent and oracle, and what must hold after each step.

use std::{collections::BTreeMap, time::Duration};

use redirector_common::{BackendValue, HealthByte, HealthWord};
use redirector_core::{
    Command, Input, Moment, State, Transition,
    input::{ClientId, ClusterEvent, KernelEvent, ProbeFailure},
    plan::{Capacities, Installed, Step, plan_scope},
    remote_cluster::{ClusterPhase, OnSilence, RemoteCluster},
    service::{Backend, BackendRef, Frontend, Locality, OnBackendLost, Service},
    state::compile,
};
use redirector_ebpf::{Tables, service, trial};

use super::{
    fleet::{self, fleet, here, number_of, services},
    kernel::{Ended, Kernel, News, is_silent},
    oracle::Oracle,
    say,
    support::{memory::Memory, random::Random, reader::Verdict},
    tally::Tally,
    truth::{Condition, Truth},
};

const ROOM: Capacities =
    Capacities { frontends: 4, services: 4, backends: 512, nodes: 512, slots: 8_192 };

pub struct Run<'t> {
    pub random: Random,
    pub now: Duration,
    pub fleet: Vec<Backend>,
    pub services: Vec<Service>,
    pub node: Locality,
    /// What was said of other clusters.
    pub clusters: Vec<RemoteCluster>,
    pub state: State,
    pub truth: Truth,
    pub tally: &'t mut Tally,
    pub oracle: Oracle,
    /// Since when the agent has been stopped.
    pub stopped: Option<Duration>,
    /// What the kernel has said and the agent not heard, with the backend's index and generation.
    pub waiting: Vec<(News, Option<(u32, u32)>)>,
    pub inputs: u64,
    /// Whether to print what happens: a world is replayed.
    pub is_loud: bool,
    installed: Installed,
    memory: Memory,
    kernel: Kernel,
    reached: BTreeMap<BackendRef, u64>,
    /// When the kernel has taken each backend from everybody.
    pub suspected: BTreeMap<BackendRef, Vec<Duration>>,
    /// Transitions and commands so far, where a test asks for them.
    pub log: Option<(Vec<Transition>, Vec<Command>)>,
}

impl<'t> Run<'t> {
    pub fn new(seed: u64, tally: &'t mut Tally) -> Self {
        let mut random = Random::new(seed);
        let fleet = fleet(&mut random);
        let services = services(&mut random, &fleet);
        Self::of(random, fleet, services, tally)
    }

    /// Two to nine replicas of one service that is probed, and has no other tier.
    pub fn small(seed: u64, tally: &'t mut Tally) -> Self {
        let mut random = Random::new(seed);
        let mut fleet = fleet(&mut random);
        fleet.truncate(2 + seed as usize % 8);
        for backend in &mut fleet {
            backend.locality = Locality::default();
        }
        let mut services = services(&mut random, &fleet);
        services.truncate(1);
        services[0].policy.probe.get_or_insert_default();
        Self::of(random, fleet, services, tally)
    }

    fn of(
        random: Random,
        fleet: Vec<Backend>,
        services: Vec<Service>,
        tally: &'t mut Tally,
    ) -> Self {
        let (count, oracle) = (fleet.len(), Oracle::new(&fleet));
        let mut run = Self {
            oracle,
            clusters: Vec::new(),
            random,
            now: Duration::ZERO,
            fleet,
            services,
            node: here(),
            state: State::new(),
            truth: Truth::new(count),
            tally,
            stopped: None,
            waiting: Vec::new(),
            inputs: 0,
            is_loud: false,
            installed: Installed::new(ROOM),
            memory: Memory::new(ROOM),
            kernel: Kernel::default(),
            reached: BTreeMap::new(),
            suspected: BTreeMap::new(),
            log: None,
        };
        run.tell(Input::Node(run.node.clone()));
        run.tell(Input::Replace(run.services.clone()));
        run
    }

    /// Tells the core something, and does what it wants.
    pub fn tell(&mut self, input: Input) {
        assert_eq!(self.stopped, None, "a stopped agent hears nothing");
        self.inputs += 1;
        self.tally.inputs += 1;
        self.log_line(|| match &input {
            Input::Put(service) => format!("Put {}", service.name),
            Input::Replace(list) => format!("Replace by {}", list.len()),
            other => format!("{other:?}"),
        });
        let was_suspect = self.oracle.is_suspect;
        self.oracle.told(&input, self.now);
        let failed = match &input {
            Input::Probed { backend, outcome: Err(_) } if !was_suspect => Some(*backend),
            _ => None,
        };
        let answered = match &input {
            Input::Probed { backend, outcome: Ok(()) } => Some(*backend),
            _ => None,
        };
        let moment = Moment(self.now);
        let happened = self.state.apply(input, moment);
        for transition in &happened {
            self.note(transition);
        }
        let due = self.state.next_deadline();
        assert!(due.is_none_or(|due| due > moment), "due at {due:?}, and it is {moment:?}");
        self.apply_plan();
        self.carry_out();
        if let Some(backend) = failed.filter(|_| !self.oracle.is_suspect) {
            self.assert_blamed(&backend);
        }
        if let Some(backend) = answered.filter(|it| self.oracle.is_well(number_of(it))) {
            let word = self.word(&backend);
            assert_eq!(word.byte(HealthByte::Prober), 0, "{backend} has answered, and is out");
        }
        self.assert_holds();
    }

    fn note(&mut self, transition: &Transition) {
        self.log_line(|| format!("  {transition:?}"));
        if let Some((happened, _)) = &mut self.log {
            happened.push(transition.clone());
        }
        self.oracle.heard(transition, self.now);
        match transition {
            Transition::Ejected { why, .. } => {
                self.tally.ejections += 1;
                self.tally.silent_nodes += u64::from(why.starts_with("its node"));
            }
            Transition::Readmitted { .. } => self.tally.readmissions += 1,
            Transition::FailedOver { .. } => self.tally.failovers += 1,
            Transition::Contradicted { .. } => self.tally.contradictions += 1,
            Transition::NodeSuspect(true) => self.tally.suspicions += 1,
            Transition::Cluster { event, .. } => match event {
                ClusterEvent::Unreachable { is_told, .. } => {
                    self.tally.unreachable[usize::from(*is_told)] += 1;
                }
                ClusterEvent::Reachable => self.tally.reachable += 1,
                _ => {}
            },
            _ => {}
        }
    }

    /// Brings the maps to what the state wants.
    fn apply_plan(&mut self) {
        let scope = self.state.take_changes();
        let plan = plan_scope(&mut self.installed, self.state.tables(), scope);
        assert_eq!(plan.rejected, [], "there is room");
        for step in &plan.steps {
            if let Step::PutBackend { value, .. } = step {
                self.kernel.forget(&named(value));
            }
            self.memory.store(step);
        }
    }

    /// What the agent does to the kernel's own words.
    fn carry_out(&mut self) {
        for command in self.state.take_commands() {
            self.log_line(|| format!("  {command:?}"));
            if let Some((_, done)) = &mut self.log {
                done.push(command.clone());
            }
            match command {
                Command::Readmit { backend, byte } => {
                    self.set(&backend, byte, 0);
                    self.kernel.readmit(&backend);
                }
                Command::Eject { backend, byte, .. } => {
                    self.set(&backend, byte, HealthWord::CONFIRMED);
                }
                Command::Vouch { backend, lasts, .. } => {
                    self.kernel.vouch(backend, self.now + lasts);
                }
                Command::Answered(backend) => self.kernel.answered(&backend),
                Command::Forgive(backend) => self.kernel.forgive(&backend),
                Command::EndFlows(backend) => panic!("{backend} is no UDP backend"),
                Command::Reset(backend) => {
                    self.tally.resets += 1;
                    let wanted =
                        |service: &Service| service.policy.on_backend_lost == OnBackendLost::Reset;
                    assert!(self.services.iter().any(wanted), "nobody wants {backend} reset");
                }
            }
        }
    }

    /// Lets time pass; what is due is done, if the agent runs.
    pub fn pass(&mut self, by: Duration) {
        let end = self.now + by;
        while let Some(Moment(due)) = self.state.next_deadline().filter(|_| self.stopped.is_none())
            && due <= end
        {
            self.now = due.max(self.now);
            self.tell(Input::Tick);
        }
        self.now = end;
    }

    /// A socket of `client` connects to some service.
    pub fn connect(&mut self, client: ClientId) {
        self.tally.connects += 1;
        let number = self.random.below(self.services.len());
        let frontend = fleet::frontend(number);
        let seed = self.random.next() as u32;
        let tried = self.try_out(number, client, seed);
        let is_trial = tried.is_some();
        self.tally.trials += u64::from(is_trial);
        let Some(backend) = tried.or_else(|| self.draw(&frontend, client, seed)) else { return };
        let number_of_it = number_of(&backend);
        if !is_trial && self.oracle.is_dead(number_of_it) {
            let others = self.services[number].backends.iter().map(|other| &other.backend);
            let usable: Vec<&BackendRef> = others.filter(|other| self.is_usable(other)).collect();
            assert!(usable.is_empty(), "{backend} is dead, and there are {usable:?}");
        }
        *self.reached.entry(backend).or_default() += 1;
        let node = self.node.node.as_deref().unwrap_or_default();
        let state = match client {
            HOSTILE => Condition::Silent,
            liar if self.truth.liars.contains(&(liar, number_of_it)) => Condition::Refusing,
            _ => self.truth.connect(number_of_it, &self.fleet[number_of_it], node),
        };
        let word = self.word(&backend);
        let is_ejected = word.byte(HealthByte::Passive) != 0;
        let is_vetoed = is_ejected || word.byte(HealthByte::Listener) != 0;
        let (now, stopped) = (self.now, self.stopped);
        let limits = self.services[number].policy.limits;
        let ended = Ended { backend, client, state, is_ejected, is_vetoed, limits, now, stopped };
        if let Some(news) = self.kernel.ended(ended) {
            self.log_line(|| format!("kernel: {news:?}"));
            let byte = HealthByte::Passive;
            match news.event {
                KernelEvent::Suspected { .. } => {
                    self.set(&backend, byte, HealthWord::SUSPECTED);
                    self.tally.suspected += 1;
                    self.suspected.entry(backend).or_default().push(self.now);
                }
                KernelEvent::Readmitted => {
                    self.set(&backend, byte, 0);
                    self.set(&backend, HealthByte::Listener, 0);
                }
                _ => {}
            }
            self.oracle.done(number_of_it, news.event);
            self.waiting.push((news, self.installed.backend(&backend)));
        }
    }

    /// Draws again, up to 16 times, while it meets what that client avoids.
    fn draw(&self, frontend: &Frontend, client: ClientId, seed: u32) -> Option<BackendRef> {
        let mut drawn = None;
        for again in 0..16_u32 {
            let seed = seed.wrapping_add(again.wrapping_mul(0x9e37_79b9));
            let Verdict::To(backend) = self.memory.connect(frontend, None, seed) else { break };
            drawn.get_or_insert(backend);
            if !self.kernel.avoids(client, &backend, self.now) {
                return Some(backend);
            }
        }
        drawn
    }

    /// The kernel's own trial of a backend that it has ejected, when no agent lives to probe it.
    fn try_out(&mut self, number: usize, client: ClientId, seed: u32) -> Option<BackendRef> {
        if !is_silent(self.stopped, self.now) {
            return None;
        }
        let frontend = fleet::frontend(number);
        let service = service(&self.memory, *self.memory.frontends.get(&frontend)?).ok()?;
        let named = |index: u32| named(&self.memory.backends[index as usize]);
        let kernel = std::cell::RefCell::new(&mut self.kernel);
        let may_try = |index: u32, _| kernel.borrow_mut().claim(client, &named(index), self.now);
        let choice = trial(&self.memory, &service, seed, may_try)?;
        Some(named(choice.entry.backend))
    }

    /// A local listener dies or comes back.
    pub fn listen(&mut self, number: usize, is_back: bool) {
        let backend = self.fleet[number].backend;
        if self.installed.backend(&backend).is_none() {
            return;
        }
        self.truth.states[number] = if is_back { Condition::Well } else { Condition::Refusing };
        self.say_listener(backend, is_back);
    }

    /// The kernel says that a backend's listener is gone, or back.
    pub fn say_listener(&mut self, backend: BackendRef, is_back: bool) {
        let byte = HealthByte::Listener;
        self.set(&backend, byte, if is_back { 0 } else { HealthWord::SUSPECTED });
        let event = if is_back { KernelEvent::ListenerBack } else { KernelEvent::ListenerGone };
        let news = News { backend, event, until: self.now };
        self.waiting.push((news, self.installed.backend(&backend)));
    }

    /// The agent hears what the kernel has said.
    pub fn read_events(&mut self) {
        while !self.waiting.is_empty() {
            let (News { mut event, until, .. }, index) = self.waiting.remove(0);
            let named =
                index.and_then(|(index, generation)| self.installed.backend_at(index, generation));
            // Else no backend has the index now, or it is of another generation.
            let Some(backend) = named else { continue };
            if let KernelEvent::Suspected { lasts, .. } = &mut event {
                *lasts = until.saturating_sub(self.now);
            }
            self.tell(Input::Kernel { backend, event });
        }
    }

    /// Starts another agent, which has nothing but the maps.
    pub fn restart(&mut self) {
        self.stopped = None;
        self.waiting.clear();
        self.state = State::new();
        self.installed = self.memory.adopt();
        self.oracle.restarted();
        self.restore();
        // What it finds is not judged before it is known who lists it.
        self.whisper(Input::Node(self.node.clone()));
        let told = Input::RemoteClusters(self.clusters.clone());
        if self.random.chance(50) {
            self.oracle.told(&told, self.now);
            self.whisper(told.clone());
        }
        self.tell(Input::Replace(self.services.clone()));
        self.tell(told);
    }

    /// Another phase of west is said.
    pub fn say_west(&mut self, phase: ClusterPhase, on_silence: OnSilence) {
        self.clusters = vec![RemoteCluster { name: "west".into(), phase, on_silence }];
        if self.stopped.is_none() {
            self.tell(Input::RemoteClusters(self.clusters.clone()));
        }
    }

    /// News was lost: takes from the maps what it was.
    pub fn restore(&mut self) {
        self.kernel.answer_but(|backend| self.state.is_asked(backend));
        self.oracle.restored();
        self.whisper(Input::Restore(self.objections()));
    }

    /// Tells the core something; what it wants is done with the next thing that it is told.
    pub fn whisper(&mut self, input: Input) {
        for transition in self.state.apply(input, Moment(self.now)) {
            self.note(&transition);
        }
    }

    /// Every objection, as the maps have it.
    fn objections(&self) -> Vec<(BackendRef, HealthByte, u8)> {
        let words = self.installed.backends().flat_map(|(backend, index)| {
            let word = self.memory.health[index as usize].on(self.installed.node_word(index));
            let bytes = HealthByte::ALL.into_iter().map(move |byte| (byte, word.byte(byte)));
            bytes.filter(|(_, value)| *value != 0).map(|(byte, value)| (*backend, byte, value))
        });
        words.collect()
    }

    /// A probe of a backend ends.
    pub fn probe(&mut self, backend: BackendRef) {
        let number = number_of(&backend);
        let node = self.node.node.as_deref().unwrap_or_default();
        let outcome = match self.truth.probe(number, &self.fleet[number], node) {
            Condition::Well => Ok(()),
            Condition::Refusing => Err(ProbeFailure::Failed("connection refused".into())),
            Condition::Silent => Err(ProbeFailure::TimedOut),
        };
        self.tell(Input::Probed { backend, outcome });
    }

    /// Ten connects and a probe of everything that is to be probed, in a second.
    pub fn second(&mut self) {
        for client in 0..10 {
            self.connect(client_of(1 + client % 3));
            self.read_events();
            self.pass(Duration::from_millis(100));
        }
        for backend in self.state.probes().into_keys().collect::<Vec<_>>() {
            self.probe(backend);
        }
    }

    /// How many connects have reached a backend.
    pub fn reached(&self, backend: BackendRef) -> u64 {
        self.reached.get(&backend).copied().unwrap_or(0)
    }

    pub fn forget_reached(&mut self) {
        self.reached.clear();
    }

    pub fn log_line(&self, what: impl FnOnce() -> String) {
        if self.is_loud {
            say(&format!("{:>12?} {}", self.now, what()));
        }
    }

    fn assert_blamed(&self, backend: &BackendRef) {
        let seen = self.oracle.of(number_of(backend));
        let unhealthy = self.unhealthy(backend);
        if seen.has_answered && unhealthy.is_some_and(|most| seen.failures >= u32::from(most)) {
            let word = self.word(backend);
            assert_ne!(word.byte(HealthByte::Prober), 0, "{backend} failed {seen:?}");
        }
    }

    /// After how many failures its probes object, if a service configures one.
    pub fn unhealthy(&self, backend: &BackendRef) -> Option<u8> {
        let users = self.services.iter().filter(|service| lists(service, backend));
        users.filter_map(|user| Some(user.policy.probe.as_ref()?.unhealthy)).min()
    }

    /// Checks what holds after each step.
    fn assert_holds(&mut self) {
        for number in self.oracle.dead() {
            let backend = &self.fleet[number].backend;
            let seen = self.oracle.of(number);
            assert!(!self.is_usable(backend), "{backend} is back without proof: {seen:?}");
        }
        if self.oracle.is_west_out(self.now) {
            for (number, backend) in self.fleet.iter().enumerate() {
                let is_out = !self.oracle.is_in_west(number) || !self.is_usable(&backend.backend);
                assert!(is_out, "{} is in, and west is not", backend.backend);
            }
        }
        if self.random.chance(25) {
            let number = self.random.below(self.services.len());
            self.peek(number);
        }
        if self.random.chance(4) {
            assert_eq!(*self.state.tables(), compile(&self.state), "what it keeps up to date");
            self.assert_agreed();
        }
    }

    /// Asks the kernel's decision where a connect would go.
    fn peek(&mut self, number: usize) {
        let seed = self.random.next() as u32;
        let Verdict::To(backend) = self.memory.connect(&fleet::frontend(number), None, seed) else {
            return;
        };
        let mut others = self.services[number].backends.iter();
        let is_alternative = others.any(|other| self.is_usable(&other.backend));
        assert!(
            !is_alternative || self.is_usable(&backend),
            "a connect would go to {backend}, which {:?} objects to",
            self.word(&backend)
        );
    }

    /// Checks that the maps say what the state believes, once it has heard everything.
    pub fn assert_agreed(&self) {
        if !self.waiting.is_empty() {
            return;
        }
        for backend in self.fleet.iter().map(|backend| backend.backend) {
            if self.installed.backend(&backend).is_none() {
                continue;
            }
            let believed = self.state.tables().objections.get(&backend).copied();
            let (believed, word) = (believed.unwrap_or_default(), self.word(&backend));
            for byte in HealthByte::ALL {
                let (is, says) = (word.byte(byte) != 0, believed.byte(byte) != 0);
                let says = says || self.state.is_told(&backend, byte);
                let is_unlisted = !self.services.iter().any(|service| lists(service, &backend));
                assert!(
                    is == says || is_unlisted,
                    "{backend}: {byte:?} is {is}, and it says {says}"
                );
            }
        }
    }

    fn is_usable(&self, backend: &BackendRef) -> bool {
        self.installed.backend(backend).is_some() && self.word(backend).is_usable()
    }

    pub fn word(&self, backend: &BackendRef) -> HealthWord {
        let index = self.installed.backend(backend).map(|(index, _)| index);
        let word = |index| Some(self.memory.health(index)?.on(self.installed.node_word(index)));
        index.and_then(word).unwrap_or_default()
    }

    fn set(&mut self, backend: &BackendRef, byte: HealthByte, value: u8) {
        if let Some((index, _)) = self.installed.backend(backend) {
            let word = &mut self.memory.health[index as usize];
            *word = word.with(byte, value);
        }
    }
}

/// A client whose own network swallows everything.
pub const HOSTILE: ClientId = ClientId { cgroup: 666, netns: 0 };

/// Clients by number: the first two are one pod.
pub fn client_of(number: u64) -> ClientId {
    ClientId { cgroup: number, netns: number.max(2) }
}

pub fn lists(service: &Service, backend: &BackendRef) -> bool {
    service.backends.iter().any(|listed| listed.backend == *backend)
}

fn named(value: &BackendValue) -> BackendRef {
    let address = std::net::Ipv6Addr::from(value.address).to_canonical();
    let protocol = redirector_core::service::Protocol::from_number(value.protocol);
    BackendRef { address, port: value.port, protocol: protocol.expect("one of ours") }
}
