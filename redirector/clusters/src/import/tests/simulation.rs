//! Random bad days: two exporters with outboxes that are cut, restored and late, an importer that dies.
//!
//! The oracle of "never empty": a backend that is here and that its exporter has wanted ready ever since
//! is here at every instant. In the end, what is here is what the exporters want.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IteratorRandom as _};
use redirector_kube::api::{Batch, Phase};
use serde_json::json;

use super::{
    super::{Failure, OutboxNews},
    exporter::{Contents, Export, Exporter, changes, endpoint, spec},
    here::{Backend, Here},
};

const STEP: Duration = Duration::from_millis(100);

/// An exporter, and what happens to it.
struct Remote {
    exporter: Exporter,
    network: u8,
    /// Older states of its etcd.
    backups: Vec<(Contents, u64)>,
    /// Steps for which nothing is heard, the exporter is dead, or the digest is wrong.
    cut: u32,
    dead: u32,
    wrong: u32,
    /// The importer's wish to list again has not been fulfilled yet.
    relist: bool,
    /// No list is cut any more.
    is_honest: bool,
}

/// Runs one seed. Returns how many faults there were, and how often a backend was looked for.
fn run(seed: u64, steps: u32) -> (usize, usize) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut here = Here::new(random.random());
    let mut remotes: Vec<Remote> = ["west", "north"]
        .into_iter()
        .zip([2, 3])
        .map(|(name, network)| {
            here.join(name, |object| {
                object["spec"]["cidrs"] = json!([format!("10.{network}.0.0/16")]);
                object["spec"]["keepFor"] = json!("24h");
            });
            let exporter = Exporter::new(name);
            Remote {
                exporter,
                network,
                backups: Vec::new(),
                cut: 0,
                dead: 0,
                wrong: 0,
                relist: true,
                is_honest: false,
            }
        })
        .collect();
    let mut safe: BTreeSet<Backend> = BTreeSet::new();
    let (mut faults, mut looked) = (0, 0);
    for step in 0..steps {
        let relists = here.importer.take_relists();
        for remote in &mut remotes {
            remote.relist |= relists.contains(&remote.exporter.name);
            remote.change(&mut random);
            faults += usize::from(remote.fault(&mut random));
            remote.hear(&mut here, &mut random, step);
        }
        for _ in 0..random.random_range(0..4) {
            let Some((of, body)) = here.due().into_iter().next() else { break };
            here.write(&of, body);
            check(seed, step, &mut safe, &here, &remotes);
            if random.random_ratio(1, 200) {
                faults += 1;
                here.begin();
                for remote in &mut remotes {
                    remote.relist = true;
                }
            }
        }
        here.pass(STEP);
        check(seed, step, &mut safe, &here, &remotes);
        looked += safe.len();
    }
    for remote in &mut remotes {
        (remote.cut, remote.dead, remote.wrong) = (0, 0, 0);
        (remote.is_honest, remote.relist) = (true, !remote.exporter.told_is_whole());
        remote.exporter.wrong_digest = None;
        remote.exporter.write_all();
    }
    let mut converged = None;
    for step in 0..300 {
        let relists = here.importer.take_relists();
        for remote in &mut remotes {
            remote.relist |= relists.contains(&remote.exporter.name);
            remote.hear(&mut here, &mut random, step);
        }
        here.settle();
        here.pass(STEP);
        check(seed, steps + step, &mut safe, &here, &remotes);
        let is_same = here.backends() == truth(&remotes);
        converged = converged.filter(|_| is_same).or(is_same.then_some(step));
    }
    let converged = converged.unwrap_or_else(|| {
        let wanted = truth(&remotes);
        let found = here.backends();
        panic!(
            "seed {seed}: not converged 30 s after the last fault: missing {:?}, too many {:?}",
            wanted.difference(&found).collect::<Vec<_>>(),
            found.difference(&wanted).collect::<Vec<_>>()
        )
    });
    assert!(remotes.iter().all(|remote| here.phase(&remote.exporter.name) == Some(Phase::Live)));
    assert!(converged < 300, "seed {seed}");
    (faults, looked)
}

/// What the exporters want to be ready.
fn truth(remotes: &[Remote]) -> BTreeSet<Backend> {
    let of = |remote: &Remote| {
        let name = remote.exporter.name.to_string();
        let exports = remote.exporter.exports.clone();
        exports.into_iter().flat_map(move |(service, export)| {
            let name = name.clone();
            let ready = export.endpoints.into_values().filter(|endpoint| endpoint.is_ready);
            ready.map(move |endpoint| (name.clone(), service.clone(), endpoint.address, 8_080))
        })
    };
    remotes.iter().flat_map(of).collect()
}

/// What is safe is here; what is here and wanted, and heard of, is safe from now on.
fn check(seed: u64, step: u32, safe: &mut BTreeSet<Backend>, here: &Here, remotes: &[Remote]) {
    let (wanted, found) = (truth(remotes), here.backends());
    safe.retain(|backend| wanted.contains(backend));
    for backend in &*safe {
        assert!(found.contains(backend), "seed {seed}, step {step}: {backend:?} is missing");
    }
    let told: BTreeSet<_> = remotes
        .iter()
        .flat_map(|remote| {
            let of = |slice: &crate::api::OutboxSlice| {
                let service = slice.service.replacen('.', "/", 1);
                let ready = slice.endpoints.iter().filter(|endpoint| endpoint.is_ready);
                ready.map(|e| (service.clone(), e.address)).collect::<Vec<_>>()
            };
            remote.exporter.told.slices.values().flat_map(of).collect::<Vec<_>>()
        })
        .collect();
    if here.due().is_empty() {
        let is_known =
            |(_, service, address, _): &&Backend| told.contains(&(service.clone(), *address));
        let both = wanted.intersection(&found).filter(is_known);
        safe.extend(both.cloned());
    }
}

impl Remote {
    /// What the exporter wants changes.
    fn change(&mut self, random: &mut StdRng) {
        if !random.random_ratio(1, 6) {
            return;
        }
        let exports = &mut self.exporter.exports;
        match random.random_range(0..10) {
            0 | 1 => {
                let name = format!("shop/web-{}", random.random_range(0..6));
                let at = format!("2026-11-0{}T00:00:00Z", random.random_range(1..9));
                let new = || Export::new(spec(&name, &at), &[]);
                exports.entry(name.clone()).or_insert_with(new);
            }
            2 if exports.len() > 2 => {
                let name = exports.keys().choose(random).expect("some").clone();
                exports.remove(&name);
            }
            _ => {
                let Some(export) = exports.values_mut().choose(random) else { return };
                let last = random.random_range(1..30);
                let service =
                    export.spec.name.trim_start_matches("web-").parse().expect("a number");
                let address = [10, self.network, service, last].into();
                match random.random_range(0..3) {
                    0 => drop(export.endpoints.remove(&address)),
                    1 => {
                        let endpoint = export.endpoints.entry(address).or_insert(endpoint(address));
                        endpoint.is_ready = !endpoint.is_ready;
                    }
                    _ => drop(export.endpoints.insert(address, endpoint(address))),
                }
            }
        }
    }

    fn fault(&mut self, random: &mut StdRng) -> bool {
        for left in [&mut self.cut, &mut self.dead, &mut self.wrong] {
            *left = left.saturating_sub(1);
        }
        if self.wrong == 0 {
            self.exporter.wrong_digest = None;
        }
        if random.random_ratio(1, 20) {
            self.backups.push((self.exporter.outbox.clone(), self.exporter.version));
        }
        if !random.random_ratio(1, 40) {
            return false;
        }
        match random.random_range(0..6) {
            0 => self.cut = random.random_range(1..80),
            1 => {
                self.dead = random.random_range(10..40);
                self.exporter.epoch += 1;
            }
            2 => {
                self.wrong = random.random_range(1..150);
                self.exporter.wrong_digest = Some("0".repeat(64));
            }
            3 => {
                let Some((outbox, version)) = self.backups.iter().choose(random) else {
                    return false;
                };
                (self.exporter.outbox, self.exporter.version) = (outbox.clone(), *version);
                self.backups.clear();
                // The watches list again, as after 410 Gone.
                self.relist = true;
            }
            // The next list is cut, or empty.
            _ => self.relist = true,
        }
        true
    }

    /// What the exporter writes, and what the importer hears of it.
    fn hear(&mut self, here: &mut Here, random: &mut StdRng, step: u32) {
        let is_calm = self.dead == 0;
        if is_calm {
            self.write(random);
        }
        let failure = (self.cut > 0).then(|| Failure::Unreachable("timed out".into()));
        here.take(self.exporter.fails(failure));
        if self.cut > 0 {
            return;
        }
        if std::mem::take(&mut self.relist) {
            let mut without = BTreeSet::new();
            let is_cut = !self.is_honest && here.phase(&self.exporter.name) != Some(Phase::Joining);
            if is_cut && random.random_ratio(1, 3) {
                let names = self.exporter.outbox.services.keys().cloned();
                let slices = self.exporter.outbox.slices.keys().map(ToString::to_string);
                let keep = random.random_range(0..3);
                without.extend(names.chain(slices).filter(|_| random.random_range(0..3) >= keep));
            }
            let news = self.exporter.list(&without);
            here.take_all(news);
            // What a list has left out is not told by a watch; the next list tells it.
            if !without.is_empty() {
                return;
            }
        } else if self.exporter.told_is_whole() {
            self.deliver(here, random);
        }
        if step.is_multiple_of(10) && is_calm {
            let beat = self.exporter.beat();
            here.take(beat);
        }
    }

    /// The exporter writes some of what is to be written, in any order.
    fn write(&mut self, random: &mut StdRng) {
        let wanted = self.exporter.wanted();
        let outbox = &mut self.exporter.outbox;
        let before = outbox.clone();
        let share = random.random_range(1..5);
        merge(&mut outbox.services, &wanted.services, || random.random_range(0..4) < share);
        merge(&mut outbox.slices, &wanted.slices, || random.random_range(0..4) < share);
        if *outbox != before {
            self.exporter.version += 1;
        }
    }

    /// The watches say some of what has changed: one kind before the other.
    fn deliver(&mut self, here: &mut Here, random: &mut StdRng) {
        let exporter = &mut self.exporter;
        if random.random_ratio(3, 4) {
            let of = changes(&exporter.told.services, &exporter.outbox.services, |s| &s.name);
            exporter.told.services = exporter.outbox.services.clone();
            here.take(exporter.news(OutboxNews::Services(Batch { changes: of, is_synced: true })));
        }
        if random.random_ratio(3, 4) {
            let of = changes(&exporter.told.slices, &exporter.outbox.slices, |s| &s.name);
            exporter.told.slices = exporter.outbox.slices.clone();
            here.take(exporter.news(OutboxNews::Slices(Batch { changes: of, is_synced: true })));
        }
    }
}

fn merge<K: Ord + Clone, V: Clone + PartialEq>(
    held: &mut BTreeMap<K, V>,
    wanted: &BTreeMap<K, V>,
    mut is_now: impl FnMut() -> bool,
) {
    held.retain(|key, _| wanted.contains_key(key) || !is_now());
    for (key, value) in wanted {
        if held.get(key) != Some(value) && is_now() {
            held.insert(key.clone(), value.clone());
        }
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "the seeds of a random test")]
fn no_backend_is_missing_that_was_eligible_before_and_after() {
    let seeds = match std::env::var("REDIRECTOR_SEED") {
        Ok(seed) => {
            let seed = seed.parse().expect("a number");
            seed..seed + 1
        }
        Err(_) => 0..10,
    };
    let (mut faults, mut looked) = (0, 0);
    for seed in seeds.clone() {
        let (more_faults, more_looked) = run(seed, 600);
        faults += more_faults;
        looked += more_looked;
    }
    let count = seeds.end - seeds.start;
    println!(
        "{count} seeds from {}, a minute each: {faults} faults, {looked} times a backend was there",
        seeds.start
    );
    assert!(looked > 1_000, "backends that are looked for: {looked}");
}
