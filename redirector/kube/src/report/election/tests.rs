//! Five candidates, one Lease, and a network that delays, loses and parts.

use std::collections::BTreeMap;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::*;

const RUNS: u64 = 60;
const STEP_MS: u64 = 20;
/// Chaos and calm alternate that often in each run.
const ROUNDS: u64 = 6;
const CHAOS_MS: u64 = 90_000;
const CALM_MS: u64 = 45_000;
const DELETION_AFTER_MS: u64 = 50_000;
/// The promise: some leader within 30 s of connectivity.
const LEADER_WITHIN_MS: u64 = 30_000;

#[test]
fn never_do_two_lead_and_in_calm_somebody_does() {
    let seed = match std::env::var("REDIRECTOR_SEED") {
        Ok(seed) => seed.parse().expect("REDIRECTOR_SEED is a number"),
        Err(_) => rand::random::<u64>(),
    };
    let mut terms = 0;
    for run in 0..RUNS {
        let seed = seed.wrapping_add(run);
        println!("REDIRECTOR_SEED={seed}");
        terms += Network::new(seed).play();
    }
    assert!(
        terms > 3 * u32::try_from(RUNS).expect("few"),
        "chaos changed the leader only {terms} times"
    );
}

/// What the API server holds: the version, and since when, to answer with old ones too.
#[derive(Default)]
struct Server {
    lease: Option<Held>,
    version: u64,
    created: u64,
    /// What the Lease was, by true time.
    history: Vec<(u64, Option<Held>)>,
}

struct Candidate {
    election: Election,
    /// Own clock: true milliseconds times rate, plus offset; the wall clock is another skew.
    rate: f64,
    offset: Duration,
    wall_skew: i64,
    is_parted: bool,
    /// What it waits for, and when it gives up by its own clock.
    pending: Option<(u64, Asked, Moment)>,
}

#[derive(Clone)]
enum Asked {
    Read,
    Write(Claim),
}

enum Event {
    /// The request reaches the server.
    Arrives { candidate: usize, number: u64, action: Action },
    /// The answer reaches the candidate.
    Answered { candidate: usize, number: u64, answer: Answer },
}

enum Answer {
    Read(Option<Held>),
    Written(Written),
}

struct Network {
    random: StdRng,
    now: u64,
    number: u64,
    is_calm: bool,
    server: Server,
    candidates: Vec<Candidate>,
    events: BTreeMap<(u64, u64), Event>,
}

impl Network {
    fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        // Two of one name: the old and the new agent of a node during an update.
        let candidates = ["n0", "n0", "n1", "n2", "n3"].map(|name| Candidate {
            election: Election::new(name.into(), Timing::default()),
            rate: random.random_range(0.97..1.03),
            offset: Duration::from_millis(random.random_range(0..1_000_000)),
            wall_skew: random.random_range(-3_600_000..3_600_000),
            is_parted: false,
            pending: None,
        });
        Self {
            random,
            now: 0,
            number: 0,
            is_calm: false,
            server: Server::default(),
            candidates: candidates.into(),
            events: BTreeMap::new(),
        }
    }

    /// Plays one run; returns how many terms there were.
    fn play(&mut self) -> u32 {
        let (mut terms, mut leader) = (0, None);
        for round in 0..ROUNDS {
            let begin = round * (CHAOS_MS + CALM_MS);
            self.is_calm = false;
            while self.now < begin + CHAOS_MS {
                self.step(&mut leader, &mut terms);
            }
            self.is_calm = true;
            self.candidates.iter_mut().for_each(|candidate| candidate.is_parted = false);
            while self.now < begin + CHAOS_MS + LEADER_WITHIN_MS {
                self.step(&mut leader, &mut terms);
            }
            assert!(self.leader().is_some(), "nobody leads after 30 s of calm, at {} ms", self.now);
            while self.now < begin + CHAOS_MS + CALM_MS {
                self.step(&mut leader, &mut terms);
                assert!(self.leader().is_some(), "nobody leads in calm, at {} ms", self.now);
            }
        }
        terms
    }

    fn step(&mut self, leader: &mut Option<usize>, terms: &mut u32) {
        self.now += STEP_MS;
        if !self.is_calm {
            self.disturb();
        }
        while let Some(entry) = self.events.first_entry() {
            if entry.key().0 > self.now {
                break;
            }
            match entry.remove() {
                Event::Arrives { candidate, number, action } => {
                    self.arrives(candidate, number, action);
                }
                Event::Answered { candidate, number, answer } => {
                    self.answered(candidate, number, answer);
                }
            }
            self.leader();
        }
        for index in 0..self.candidates.len() {
            self.act(index);
        }
        let now = self.leader();
        if now.is_some() && now != *leader {
            *terms += 1;
            *leader = now;
        }
    }

    /// Who leads by true time; panics if it is more than one.
    fn leader(&self) -> Option<usize> {
        let now = self.now;
        let mut leading =
            (0..self.candidates.len()).filter(|index| self.candidates[*index].leads(now));
        let first = leading.next();
        assert_eq!(leading.next(), None, "beside {first:?}, at {now} ms");
        first
    }

    fn disturb(&mut self) {
        if self.random.random_bool(0.004) {
            let index = self.random.random_range(0..self.candidates.len());
            self.candidates[index].is_parted ^= true;
        }
        // A second deletion while the first is being healed is not covered, nor is one that a
        // creation on its way overtakes.
        if self.random.random_bool(0.001) && self.now > self.server.created + DELETION_AFTER_MS {
            self.server.put(self.now, None);
        }
        if self.random.random_bool(0.000_4)
            && let Some(mut held) = self.server.lease.clone()
        {
            // A user labels the Lease: another version, no renewal.
            self.server.version += 1;
            held.version = self.server.version.to_string();
            self.server.put(self.now, Some(held));
        }
    }

    fn act(&mut self, index: usize) {
        let (now, true_now) = (self.candidates[index].clock(self.now), self.now);
        let candidate = &mut self.candidates[index];
        if let Some((_, asked, until)) = &candidate.pending {
            if now < *until {
                return;
            }
            let random = self.random.random();
            match asked.clone() {
                Asked::Read => candidate.election.read(Err(()), now, random),
                Asked::Write(claim) => {
                    candidate.election.written(claim, Written::Unknown, now, random);
                }
            }
            candidate.pending = None;
        }
        let wall = i64::try_from(true_now).expect("short") + 10_000_000 + candidate.wall_skew;
        let wall = Timestamp::from_millisecond(wall).expect("in range");
        let action = candidate.election.next(now, wall);
        let asked = match &action {
            Action::Wait(_) => return,
            Action::Read { .. } => Asked::Read,
            Action::Write(claim) => Asked::Write(claim.clone()),
        };
        self.number += 1;
        let number = self.number;
        candidate.pending = Some((number, asked, Moment(now.0 + Timing::default().request)));
        if let Some(delay) = self.delay(index) {
            let event = Event::Arrives { candidate: index, number, action };
            self.events.insert((self.now + delay, number), event);
        }
    }

    fn arrives(&mut self, candidate: usize, number: u64, action: Action) {
        let answer = match action {
            Action::Wait(_) => panic!("waiting is no request"),
            Action::Read { exact: true } => Answer::Read(self.server.lease.clone()),
            Action::Read { exact: false } => {
                let age = if self.is_calm { 100 } else { self.random.random_range(0..5_000) };
                Answer::Read(self.server.at(self.now.saturating_sub(age)))
            }
            Action::Write(claim) => {
                let name = &self.candidates[candidate].election.me;
                Answer::Written(self.server.write(self.now, name, &claim))
            }
        };
        if let Some(delay) = self.delay(candidate) {
            let event = Event::Answered { candidate, number, answer };
            self.number += 1;
            self.events.insert((self.now + delay, self.number), event);
        }
    }

    fn answered(&mut self, index: usize, number: u64, answer: Answer) {
        let random = self.random.random();
        let candidate = &mut self.candidates[index];
        let now = candidate.clock(self.now);
        let Some((_, asked, _)) = candidate.pending.take_if(|(asked, ..)| *asked == number) else {
            return;
        };
        match (asked, answer) {
            (Asked::Read, Answer::Read(held)) => candidate.election.read(Ok(held), now, random),
            (Asked::Write(claim), Answer::Written(written)) => {
                candidate.election.written(claim, written, now, random);
            }
            _ => panic!("an answer to another question"),
        }
    }

    /// One way through the network; `None` is lost. A write may arrive long after its sender gave
    /// up.
    fn delay(&mut self, candidate: usize) -> Option<u64> {
        if self.is_calm {
            return Some(self.random.random_range(1..100));
        }
        if self.candidates[candidate].is_parted || self.random.random_bool(0.1) {
            return None;
        }
        let longest = if self.random.random_bool(0.2) { 30_000 } else { 500 };
        Some(self.random.random_range(1..longest))
    }
}

impl Candidate {
    fn clock(&self, now: u64) -> Moment {
        Moment(self.offset + Duration::from_millis(now).mul_f64(self.rate))
    }

    fn leads(&self, now: u64) -> bool {
        self.clock(now) < self.election.leads_until()
    }
}

impl Server {
    fn put(&mut self, now: u64, lease: Option<Held>) {
        self.lease.clone_from(&lease);
        self.history.push((now, lease));
    }

    fn at(&self, then: u64) -> Option<Held> {
        let first_later = self.history.partition_point(|(since, _)| *since <= then);
        first_later.checked_sub(1).and_then(|index| self.history[index].1.clone())
    }

    fn write(&mut self, now: u64, name: &str, claim: &Claim) -> Written {
        let current = self.lease.as_ref().map(|held| held.version.clone());
        if current != claim.over {
            return Written::Refused;
        }
        self.version += 1;
        if claim.over.is_none() {
            self.created = now;
        }
        self.put(
            now,
            Some(Held {
                version: self.version.to_string(),
                holder: name.to_owned(),
                renewed: Some(claim.stamp),
                transitions: claim.transitions,
            }),
        );
        Written::Done(self.version.to_string())
    }
}
