//! What others see of an attack: who answers the victim, and for how long backends are out.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use redirector::datapath::View;
use redirector_tests::dialer::{Dialled, Load, LoadRun, Second};

use crate::tenants::{
    services::Family,
    stage::{Stage, unusable},
};

/// How exactly the length of an ejection is known.
const STEP: Duration = Duration::from_millis(1);

/// A tenant who does nothing but dial a service, in both families.
pub(crate) struct Victim(Vec<LoadRun>);

/// Looks at the maps, again and again, for backends that are out.
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<(String, Duration)>>,
}

impl Victim {
    /// So many dials a second in each family.
    pub(crate) fn start(stage: &Stage, service: u16, rate: u32) -> Self {
        let load = |family: Family| {
            let dial = family.dial(service);
            let load = Load { dial, rate, threads: 8, duration_ms: None, every: false };
            stage.client("victim", "victim").load(load).expect("a load")
        };
        Self(Family::ALL.map(load).into())
    }

    /// Stops it; how its dials ended, both families together.
    pub(crate) fn end(self) -> Second {
        let sums = self.0.into_iter().map(|load| load.stop().expect("the end of a load").1);
        sum(sums)
    }
}

impl Watch {
    pub(crate) fn start(stage: &Stage) -> Self {
        let datapath = stage.datapath();
        let stop = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut since: BTreeMap<String, Instant> = BTreeMap::new();
            let mut ended = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                let view = View::read(&datapath).expect("a view");
                let now = Instant::now();
                let out: Vec<_> = unusable(&view).collect();
                since.retain(|backend, since| {
                    let is_out = out.contains(backend);
                    if !is_out {
                        ended.push((backend.clone(), now - *since));
                    }
                    is_out
                });
                for backend in out {
                    since.entry(backend).or_insert(now);
                }
                thread::sleep(STEP);
            }
            let lasting = since.into_iter().map(|(backend, since)| (backend, since.elapsed()));
            ended.extend(lasting);
            ended
        });
        Self { stop, thread }
    }

    /// Each backend that was out, and for how long.
    pub(crate) fn end(self) -> Vec<(String, Duration)> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("a watch")
    }
}

/// All of them answered by this replica alone.
pub(crate) fn assert_served_by(replica: &str, sums: &Second) {
    assert_eq!(sums.failed, 0, "{sums:?}");
    assert!(sums.dials > 0, "{sums:?}");
    assert!(sums.by.keys().eq([replica]), "{sums:?}");
}

/// As many dials in each family, by several clients at once.
pub(crate) fn dial_many(stage: &Stage, service: u16, each: u32) -> Second {
    let one = |family: Family| {
        let mut client = stage.client("victim", "victim");
        thread::spawn(move || {
            let dialled = client.dial(family.dial(service), each).expect("dials");
            count(&dialled)
        })
    };
    let threads = Family::ALL.map(one);
    sum(threads.map(|thread| thread.join().expect("a dialling thread")))
}

/// How many failed, and who answered.
pub(crate) fn count(dialled: &[Dialled]) -> Second {
    let mut sums = Second { dials: dialled.len() as u64, ..Second::default() };
    for one in dialled {
        match &one.outcome {
            Ok(name) => *sums.by.entry(name.clone()).or_default() += 1,
            Err(_) => sums.failed += 1,
        }
    }
    sums
}

fn sum(all: impl IntoIterator<Item = Second>) -> Second {
    let mut total = Second::default();
    for Second { dials, failed, by, slowest_us, .. } in all {
        total.dials += dials;
        total.failed += failed;
        total.slowest_us = total.slowest_us.max(slowest_us);
        for (name, times) in by {
            *total.by.entry(name).or_default() += times;
        }
    }
    total
}
