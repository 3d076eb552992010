//! An hour: something happens, is seen from all sides for a while, and ends.

use std::time::Duration;

use redirector_core::{
    Input,
    input::{Drained, Network, Verb},
    remote_cluster::{ClusterPhase, OnSilence},
    service::{BackendRef, Service},
};

use super::{
    fleet::number_of,
    run::{HOSTILE, Run, client_of, lists},
    tally::Fault,
    truth::Condition,
};

const HOUR: Duration = Duration::from_secs(3_600);
/// Inputs of a world, at least.
const INPUTS: u64 = 500;
/// Probes of a round, at most.
const PROBES: usize = 12;

impl Run<'_> {
    /// Lives for at least an hour and 500 inputs; then all is well, and every backend is back.
    pub fn hour(mut self) {
        for _ in 0..2 {
            self.round();
        }
        while self.now < HOUR || self.inputs < INPUTS {
            let fault = Fault::ALL[self.random.below(Fault::ALL.len())];
            self.tally.met(fault);
            self.log_line(|| format!("=== {fault:?}"));
            self.episode(fault);
            let quiet = 60 + self.random.below(800) as u64;
            self.pass(Duration::from_secs(quiet));
        }
        self.recover();
        self.assert_bounded();
        self.tally.worlds += 1;
        self.tally.hours += self.now.as_secs_f64() / HOUR.as_secs_f64();
    }

    fn episode(&mut self, fault: Fault) {
        let struck = self.some();
        for round in 0..3 + self.random.below(6) {
            self.inject(fault, round, &struck);
            self.round();
        }
        self.end(fault, &struck);
        if self.random.chance(85) {
            self.truth.heal();
        }
        for _ in 0..1 + self.random.below(4) {
            self.round();
        }
    }

    /// Numbers of a few backends.
    fn some(&mut self) -> Vec<usize> {
        let count = self.fleet.len();
        (0..1 + self.random.below(3)).map(|_| self.random.below(count)).collect()
    }

    fn inject(&mut self, fault: Fault, round: usize, struck: &[usize]) {
        let is_first = round == 0;
        for number in struck.iter().copied() {
            let locality = self.fleet[number].locality.clone();
            let truth = &mut self.truth;
            match fault {
                Fault::Refused => truth.states[number] = Condition::Refusing,
                Fault::BlackHole => truth.states[number] = Condition::Silent,
                Fault::Flap if round.is_multiple_of(2) => truth.states[number] = Condition::Silent,
                Fault::Flap => truth.states[number] = Condition::Well,
                Fault::NodeLoss => truth.dead_nodes.extend(locality.node),
                Fault::ZoneLoss => truth.dead_zones.extend(locality.zone),
                Fault::ProbesFailConnectsWork => drop(truth.deaf_to_probes.insert(number)),
                Fault::ConnectsFailProbesWork => drop(truth.deaf_to_connects.insert(number)),
                Fault::ListenerDeath if is_first => self.listen(number, false),
                _ => {}
            }
        }
        match fault {
            Fault::OwnNetwork => self.truth.is_cut_off = true,
            Fault::AllProbesFail => self.truth.no_probe_succeeds = true,
            Fault::Denied => {
                for number in struck {
                    let liars = (1..4).map(|client| (client_of(client), *number));
                    self.truth.liars.extend(liars);
                }
            }
            Fault::HostileClient => (0..20).for_each(|_| self.connect(HOSTILE)),
            Fault::AgentStopped if is_first => {
                self.fail_some(struck);
                self.stopped = Some(self.now);
            }
            Fault::AgentRestarted if is_first => {
                self.fail_some(struck);
                self.round();
                self.restart();
            }
            Fault::EventsLost if is_first => {
                self.fail_some(struck);
                for client in 0..30 {
                    self.connect(client_of(1 + client % 4));
                }
                self.waiting.clear();
                self.restore();
                self.tell(Input::Tick);
            }
            Fault::ClockStep if round % 3 == 1 => self.step(),
            Fault::EqualMoments => {
                self.fail_some(struck);
                self.at_once();
                self.truth.heal();
                self.at_once();
            }
            Fault::Updated => {
                self.fail_some(struck);
                (0..30).for_each(|client| self.connect(client_of(1 + client % 4)));
                // What the kernel has said meanwhile may be about another generation of an index.
                for _ in 0..1 + self.random.below(3) {
                    self.update(struck);
                }
            }
            Fault::Drained if is_first => self.drain(struck, true),
            Fault::ClusterUnheard if is_first => {
                self.say_west(ClusterPhase::Silent, OnSilence::KeepReachable);
            }
            Fault::ClusterDropped => {
                let phase = [ClusterPhase::Silent, ClusterPhase::Lost][round % 2];
                self.say_west(phase, OnSilence::Drop);
            }
            Fault::ClusterDead | Fault::ClusterRestart => {
                self.truth.dead_clusters.insert("west".into());
                if is_first {
                    self.say_west(ClusterPhase::Silent, OnSilence::KeepReachable);
                } else if fault == Fault::ClusterRestart {
                    self.restart();
                }
            }
            Fault::ClusterCut => {
                self.truth.dead_clusters.insert("west".into());
            }
            _ => {}
        }
    }

    fn end(&mut self, fault: Fault, struck: &[usize]) {
        match fault {
            Fault::ListenerDeath => {
                for number in struck {
                    if self.random.chance(70) {
                        self.listen(*number, true);
                    }
                }
            }
            Fault::AgentStopped => {
                self.stopped = None;
                self.oracle.was_away(self.now);
                self.read_events();
                self.tell(Input::Tick);
            }
            Fault::Drained => self.drain(struck, false),
            Fault::ClusterUnheard
            | Fault::ClusterDropped
            | Fault::ClusterDead
            | Fault::ClusterRestart => {
                let phase =
                    if self.random.chance(80) { ClusterPhase::Live } else { ClusterPhase::Lost };
                self.say_west(phase, OnSilence::KeepReachable);
            }
            _ => {}
        }
    }

    fn fail_some(&mut self, struck: &[usize]) {
        for number in struck {
            let state =
                if self.random.chance(50) { Condition::Refusing } else { Condition::Silent };
            self.truth.states[*number] = state;
        }
    }

    /// Connects, news, probes, and time.
    fn round(&mut self) {
        for _ in 0..4 + self.random.below(12) {
            let client = 1 + self.random.below(4) as u64;
            self.connect(client_of(client));
        }
        if self.stopped.is_none() {
            self.at_once();
        }
        let pause = [100, 1_000, 3_000, 12_000][self.random.below(4)];
        self.pass(Duration::from_millis(pause));
    }

    /// What the agent hears and asks at one moment.
    fn at_once(&mut self) {
        let urgent: Vec<BackendRef> = self.waiting.iter().map(|(news, _)| news.backend).collect();
        self.read_events();
        self.assert_agreed();
        let orders = self.state.probes();
        let urgent = urgent.into_iter().filter(|backend| orders.contains_key(backend));
        let mut asked: Vec<BackendRef> = urgent.collect();
        let mut rest: Vec<BackendRef> = orders.into_keys().collect();
        self.random.shuffle(&mut rest);
        asked.extend(rest.into_iter().take(PROBES));
        for backend in asked {
            self.probe(backend);
        }
        if self.random.chance(10) {
            let some = self.some();
            let network =
                if self.random.chance(50) { Network::OfSystem } else { Network::OfProcess };
            let used = some.into_iter().map(|number| (self.fleet[number].backend, network));
            self.tell(Input::Used(used.collect()));
        }
    }

    /// The clock jumps, also while the agent was not looking; once in a while it would go back.
    fn step(&mut self) {
        let before = self.now;
        if self.random.chance(20) {
            self.now = self.now.saturating_sub(Duration::from_secs(5));
            self.whisper(Input::Tick);
            self.now = before;
            self.tell(Input::Tick);
        } else {
            let longest = [10, 600, 86_400][self.random.below(3)];
            self.now += Duration::from_secs(1 + self.random.below(longest) as u64);
            self.oracle.was_away(self.now);
            self.tell(Input::Tick);
        }
    }

    /// Some backends leave a service, or come back to it.
    fn update(&mut self, struck: &[usize]) {
        let number = self.random.below(self.services.len());
        let mut service: Service = self.services[number].clone();
        let before = self.listed();
        for struck in struck {
            let backend = &self.fleet[*struck];
            if lists(&service, &backend.backend) {
                service.backends.retain(|listed| listed.backend != backend.backend);
            } else {
                service.backends.push(backend.clone());
            }
        }
        self.services[number] = service.clone();
        for backend in before.difference(&self.listed()) {
            self.oracle.relisted(number_of(backend));
        }
        if self.random.chance(50) {
            self.tell(Input::Put(service));
        } else {
            self.tell(Input::Replace(self.services.clone()));
        }
        for number in 0..self.fleet.len() {
            if self.unhealthy(&self.fleet[number].backend).is_none() {
                self.oracle.unprobed(number);
            }
        }
    }

    fn listed(&self) -> std::collections::BTreeSet<BackendRef> {
        let listed = self.services.iter().flat_map(|service| &service.backends);
        listed.map(|backend| backend.backend).collect()
    }

    fn drain(&mut self, struck: &[usize], is_begun: bool) {
        for number in struck {
            let what = Drained::Backend(self.fleet[*number].backend);
            let verb = if is_begun { Verb::Drain(what) } else { Verb::Undrain(what) };
            self.tell(Input::Operator(verb));
        }
    }

    /// All is well and probed: in little more than the longest ejection every backend is back.
    fn recover(&mut self) {
        self.truth.heal();
        self.read_events();
        self.say_west(ClusterPhase::Live, OnSilence::KeepReachable);
        let begin = self.now;
        while !self.state.tables().objections.is_empty() || self.oracle.is_suspect {
            for backend in self.state.probes().into_keys().collect::<Vec<_>>() {
                self.probe(backend);
            }
            self.pass(Duration::from_secs(10));
            let objections = &self.state.tables().objections;
            let took = self.now - begin;
            let is_suspect = self.oracle.is_suspect;
            assert!(took < Duration::from_mins(6), "all is well; {is_suspect}, {objections:?}");
        }
        self.assert_agreed();
    }

    /// Each backend has changed at most twice for each time that something new was said of it or
    /// of another one on its node: once out and once back.
    fn assert_bounded(&self) {
        for (number, backend) in self.fleet.iter().enumerate() {
            let node = &backend.locality.node;
            let others = self.fleet.iter().enumerate().filter(|(_, it)| it.locality.node == *node);
            let told: u64 = others.map(|(other, _)| self.oracle.of(other).told).sum();
            let changes = self.oracle.of(number).transitions;
            assert!(changes <= 2 * told + 2, "{backend:?} changed {changes} times, told {told}");
        }
    }
}
