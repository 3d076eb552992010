//! A prober and its backends, without sockets and without waiting.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    time::Duration,
};

use redirector_core::{
    input::ProbeOrder,
    service::{BackendRef, Probe, Protocol},
};
use tokio::time::Instant;

use super::super::{Begun, Schedule, places::Kind};

/// What comes of a probe.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    pub after: Duration,
    pub is_well: bool,
}

/// A time that passes as fast as events come.
pub struct Simulation {
    pub schedule: Schedule,
    pub wanted: BTreeMap<BackendRef, ProbeOrder>,
    pub start: Instant,
    pub now: Instant,
    /// By backend, when its probes began.
    pub begins: BTreeMap<BackendRef, Vec<Instant>>,
    pub under_way: BTreeMap<u64, Begun>,
    pub answers: BTreeMap<BackendRef, Answer>,
    ends: BTreeSet<(Instant, u64)>,
    random: Random,
}

/// Xorshift: the same numbers from the same seed.
pub struct Random(u64);

impl Simulation {
    pub fn new(at_once: usize, seed: u64) -> Self {
        let start = Instant::now();
        Self {
            schedule: Schedule::new(at_once),
            wanted: BTreeMap::new(),
            start,
            now: start,
            begins: BTreeMap::new(),
            under_way: BTreeMap::new(),
            answers: BTreeMap::new(),
            ends: BTreeSet::new(),
            random: Random::new(seed),
        }
    }

    /// Wants one more; said to the schedule by [`adapt`](Self::adapt).
    pub fn want(&mut self, backend: BackendRef, order: ProbeOrder, answer: Answer) {
        self.wanted.insert(backend, order);
        self.answers.insert(backend, answer);
    }

    /// Stops what the schedule says, at once.
    pub fn adapt(&mut self) {
        let stopped = self.schedule.adapt(&self.wanted, self.now, || self.random.unit());
        for ticket in stopped {
            self.end(ticket, false);
        }
    }

    /// Runs for that long; after each step `check` looks.
    pub fn run(&mut self, time: Duration, mut check: impl FnMut(&Self)) {
        let until = self.now + time;
        loop {
            while let Some(begun) = self.schedule.begin(self.now) {
                let Begun { backend, ticket, .. } = begun;
                self.begins.entry(backend).or_default().push(self.now);
                self.ends.insert((self.now + self.answers[&backend].after, ticket));
                self.under_way.insert(ticket, begun);
            }
            check(self);
            let end = self.ends.first().map(|(at, _)| *at);
            let next = end.into_iter().chain(self.schedule.deadline()).min();
            let Some(next) = next.filter(|at| *at <= until) else { break };
            assert!(next >= self.now, "time moves on");
            self.now = next;
            while let Some((at, ticket)) = self.ends.first().copied()
                && at <= self.now
            {
                self.end(ticket, true);
            }
        }
        self.now = until;
    }

    fn end(&mut self, ticket: u64, has_answered: bool) {
        let begun = self.under_way.remove(&ticket).expect("it is under way");
        self.ends.retain(|(_, other)| *other != ticket);
        let answered = has_answered.then(|| self.answers[&begun.backend].is_well);
        self.schedule.ended(begun, answered, self.now, || self.random.unit());
    }

    pub fn held(&self, kind: Kind) -> usize {
        self.under_way.values().filter(|begun| begun.place.kind == kind).count()
    }

    /// The longest time between two probes of a backend that began after `from`, and until now.
    pub fn longest_gap(&self, backend: &BackendRef, from: Instant) -> Duration {
        let begins = self.begins[backend].iter().copied().filter(|at| *at >= from);
        let times: Vec<Instant> = std::iter::once(from).chain(begins).chain([self.now]).collect();
        times.windows(2).map(|pair| pair[1] - pair[0]).max().expect("at least one")
    }
}

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }

    /// A number from 0 up to 1.
    pub fn unit(&mut self) -> f64 {
        f64::from(u32::try_from(self.below(1 << 32)).expect("32 bits")) / f64::from(u32::MAX)
    }
}

pub fn backend(owner: u8, number: u16) -> BackendRef {
    let [high, low] = number.to_be_bytes();
    BackendRef {
        address: Ipv4Addr::new(10, owner, high, low).into(),
        port: 80,
        protocol: Protocol::Tcp,
    }
}

pub fn order(owners: &[&str], probe: &Probe, urgency: u32) -> ProbeOrder {
    let owners = owners.iter().map(|owner| (*owner).into()).collect();
    ProbeOrder { probe: probe.clone(), owners, is_out: false, urgency, rest: None }
}
