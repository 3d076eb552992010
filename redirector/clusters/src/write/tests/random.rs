//! Random desires, failures and deaths: what was there before and should be there after never is not,
//! and in the end there is what is desired.

#![expect(clippy::print_stdout, reason = "the seed of a random test")]

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::*;

const SERVICES: [&str; 2] = ["api", "web"];
const SLICES: [&str; 3] = ["a", "b", "c"];

#[test]
fn a_writer_that_fails_and_dies_at_any_request_loses_nothing() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let first: u64 = seed.unwrap_or_else(rand::random);
    let runs = if seed.is_some() { 1 } else { 200 };
    let (mut deaths, mut failures, mut requests) = (0, 0, 0);
    for seed in (0..runs).map(|run| first.wrapping_add(run)) {
        println!("SEED={seed}");
        let mut run = Run::new(seed);
        for _ in 0..400 {
            run.step();
        }
        run.end();
        deaths += run.deaths;
        failures += run.failures;
        requests += run.requests;
    }
    println!("{requests} requests, {failures} failures, {deaths} deaths");
    assert!(seed.is_some() || (deaths > 100 && failures > 1_000));
}

struct Run {
    rng: StdRng,
    server: Server,
    writer: Writer,
    desired: BTreeMap<Key, Value>,
    /// Of each Service, what was there at some time since all that was desired was there, and has been
    /// desired ever since.
    safe: BTreeMap<&'static str, BTreeSet<IpAddr>>,
    under_way: Vec<(Job, Outcome)>,
    now: Moment,
    deaths: u32,
    failures: u32,
    requests: u32,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut writer = Writer::new(1);
        writer.set_may_remove(true);
        Self {
            rng: StdRng::seed_from_u64(seed),
            server: Server::default(),
            writer,
            desired: BTreeMap::new(),
            safe: SERVICES.map(|service| (service, BTreeSet::new())).into(),
            under_way: Vec::new(),
            now: Moment(Duration::from_secs(1)),
            deaths: 0,
            failures: 0,
            requests: 0,
        }
    }

    fn step(&mut self) {
        match self.rng.random_range(0..100) {
            0..8 => self.desire(),
            8..9 => self.die(),
            9..45 => self.server.say_one(&mut self.writer),
            45..75 => self.ask(),
            75..95 => self.answer(),
            _ => self.now = Moment(self.now.0 + Duration::from_millis(500)),
        }
        self.check();
    }

    /// Another state of one Service is desired: endpoints come, go and move between its slices.
    fn desire(&mut self) {
        let service = SERVICES[self.rng.random_range(0..SERVICES.len())];
        self.desired.retain(|_, slice| slice["metadata"]["labels"][EXPORTED_SERVICE] != service);
        let mut pods: Vec<u8> = (1..=8).filter(|_| self.rng.random_bool(0.6)).collect();
        let others = self.rng.random_range(0..=pods.len());
        let rest = pods.split_off(others);
        let pace = if self.rng.random_bool(0.5) { Pace::AtOnce } else { Pace::Paced };
        let name = |at: usize| format!("{service}-{}", SLICES[at]);
        let at = self.rng.random_range(0..SLICES.len());
        let mut slices = vec![slice(&name(at), service, &pods)];
        if self.rng.random_bool(0.5) {
            slices.push(slice(&name((at + 1) % SLICES.len()), service, &rest));
        }
        self.desired.extend(slices.into_iter().map(|slice| (key(&slice), slice)));
        let wanted: BTreeSet<IpAddr> = self
            .desired
            .values()
            .filter(|slice| slice["metadata"]["labels"][EXPORTED_SERVICE] == service)
            .flat_map(|slice| kept::addresses(slice).to_vec())
            .collect();
        self.safe.entry(service).or_default().retain(|address| wanted.contains(address));
        self.tell(pace);
    }

    fn tell(&mut self, pace: Pace) {
        for service in SERVICES {
            for at in SLICES {
                let name = format!("{service}-{at}");
                let key = key(&slice(&name, service, &[]));
                match self.desired.get(&key) {
                    Some(slice) => self.writer.want(key, slice, pace),
                    None => self.writer.unwant(key),
                }
            }
        }
    }

    /// It is killed, whatever is under way; the next life hears what there is and what is desired.
    fn die(&mut self) {
        self.deaths += 1;
        self.under_way.clear();
        self.writer = Writer::new(1);
        self.server.list(&mut self.writer);
        self.tell(Pace::Paced);
        self.writer.set_may_remove(true);
    }

    /// A request is carried out, or not; its answer comes later.
    fn ask(&mut self) {
        let Some(job) = self.writer.take(self.now) else { return };
        self.requests += 1;
        let outcome = match self.rng.random_range(0..10) {
            0 => Outcome::Failed { asked: None },
            1 => {
                self.server.apply(&job);
                Outcome::Failed { asked: None }
            }
            _ => self.server.apply(&job),
        };
        self.failures += u32::from(matches!(outcome, Outcome::Failed { .. }));
        self.under_way.push((job, outcome));
    }

    fn answer(&mut self) {
        if self.under_way.is_empty() {
            return;
        }
        let at = self.rng.random_range(0..self.under_way.len());
        let (job, outcome) = self.under_way.swap_remove(at);
        self.writer.done(&job.key, outcome, self.now);
    }

    fn check(&mut self) {
        for service in SERVICES {
            let there: BTreeSet<IpAddr> = self.server.addresses(service).into_iter().collect();
            let safe = self.safe.entry(service).or_default();
            let missing: Vec<_> = safe.difference(&there).collect();
            assert!(missing.is_empty(), "{service}: {missing:?} went though it stays");
            let of = |slice: &&Value| slice["metadata"]["labels"][EXPORTED_SERVICE] == service;
            let wanted = self.desired.values().filter(of);
            let wanted: BTreeSet<IpAddr> =
                wanted.flat_map(|slice| kept::addresses(slice).to_vec()).collect();
            safe.extend(there.intersection(&wanted));
        }
    }

    /// Everything is answered and nothing fails any more.
    fn end(&mut self) {
        while !self.under_way.is_empty() {
            self.answer();
        }
        self.server.settle(&mut self.writer);
        let content = |objects: &BTreeMap<Key, Value>| -> Vec<(Key, Content)> {
            objects
                .iter()
                .map(|(key, object)| (key.clone(), Content::of(object)))
                .collect::<Vec<_>>()
        };
        let (there, desired) = (content(&self.server.objects), content(&self.desired));
        assert_eq!(there, desired);
    }
}
