//! Clients that cannot reach, or say that they cannot reach, what answers every probe: no other
//! client is moved by that.

use std::time::Duration;

use redirector_core::{Command, Transition, input::ClientId, service::BackendRef};

use super::{
    fleet::number_of,
    run::{HOSTILE, Run, client_of},
};

/// Milliseconds of a probe at most, and how often in a minute a backend may be out for so long.
const ROUND_TRIP: u64 = 400;
const MINUTE: Duration = Duration::from_mins(1);
const A_MINUTE: usize = 3;

impl Run<'_> {
    /// Twenty minutes in which up to six clients fail with whatever they please, while all is well.
    pub fn lies(mut self) {
        for backend in self.fleet.clone() {
            self.probe(backend.backend);
        }
        self.log = Some(Default::default());
        let tables = self.state.tables().clone();
        let mut liars: Vec<ClientId> = (1..=self.random.below(6) as u64).map(client_of).collect();
        liars.push(HOSTILE);
        while self.now < 20 * MINUTE {
            if self.random.chance(20) {
                self.redraw_lies(&liars);
            }
            for _ in 0..self.random.below(60) {
                let client = *self.random.pick(&liars);
                self.connect(client);
                if self.random.chance(30) {
                    self.connect(client_of(50));
                }
                self.answer_after_a_round_trip();
            }
            if self.random.chance(10) {
                let number = self.random.below(self.fleet.len());
                self.say_listener(self.fleet[number].backend, false);
                self.answer_after_a_round_trip();
            }
            let pause = [10, 300, 2_000, 15_000][self.random.below(4)];
            self.pass(Duration::from_millis(pause));
            assert_eq!(*self.state.tables(), tables, "nobody's tables have changed");
        }
        self.assert_their_own_affair();
    }

    /// Draws which client cannot reach which backend from now on.
    fn redraw_lies(&mut self, liars: &[ClientId]) {
        self.truth.liars.clear();
        for number in 0..self.fleet.len() {
            for liar in liars {
                if self.random.chance(30) {
                    self.truth.liars.insert((*liar, number));
                }
            }
        }
    }

    /// The agent hears the kernel's news at once, and the probes that it asks for take their time;
    /// then the kernel holds nothing back.
    fn answer_after_a_round_trip(&mut self) {
        let heard: Vec<BackendRef> = self.waiting.iter().map(|(news, _)| news.backend).collect();
        self.read_events();
        if heard.is_empty() {
            return;
        }
        let took = 1 + self.random.below(ROUND_TRIP as usize) as u64;
        self.pass(Duration::from_millis(took));
        for backend in heard {
            assert!(self.state.probes().contains_key(&backend), "{backend} is to be asked");
            self.probe(backend);
            assert!(self.word(&backend).is_usable(), "{backend} answered after {took} ms");
        }
    }

    fn assert_their_own_affair(&mut self) {
        let (happened, done) = self.log.take().expect("it was kept");
        let said =
            |transition: &&Transition| !matches!(transition, Transition::Contradicted { .. });
        assert_eq!(happened.iter().find(said), None);
        let is_verdict =
            |command: &&Command| matches!(command, Command::Eject { .. } | Command::Reset(_));
        assert_eq!(done.iter().find(is_verdict), None);
        for (backend, times) in &self.suspected {
            for (number, time) in times.iter().enumerate() {
                let in_a_minute = times[number..].iter().filter(|it| **it < *time + MINUTE).count();
                assert!(in_a_minute <= A_MINUTE, "{backend}: {in_a_minute} times from {time:?} on");
            }
        }
        self.tally.worlds += 1;
    }

    /// A replica dies while clients lie about it and others: a probe that is not answered finds it, or
    /// the one that is made at once because that may have been lost.
    pub fn death_among_lies(mut self) {
        for backend in self.fleet.clone() {
            self.probe(backend.backend);
        }
        let dead = self.fleet[0].backend;
        self.redraw_lies(&[1, 2, 3].map(client_of));
        for _ in 0..self.random.below(300) {
            let client = client_of(1 + self.random.below(4) as u64);
            self.connect(client);
            self.answer_after_a_round_trip();
        }
        self.truth.states[number_of(&dead)] = super::truth::Condition::Silent;
        let died = self.now;
        while !self.state.is_ejected(&dead) {
            let client = client_of(1 + self.random.below(4) as u64);
            self.connect(client);
            let heard: Vec<BackendRef> = self.waiting.iter().map(|(it, _)| it.backend).collect();
            self.read_events();
            for backend in heard {
                self.probe(backend);
                let is_dead = backend == dead;
                if is_dead && self.word(&backend).is_usable() {
                    self.probe(backend);
                }
                assert_eq!(self.word(&backend).is_usable(), !is_dead, "asked, and answered");
            }
            self.pass(Duration::from_millis(20));
            assert!(self.now < died + MINUTE, "{dead} is dead, and nobody has noticed");
        }
    }
}
