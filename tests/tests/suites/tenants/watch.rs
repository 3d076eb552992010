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
use redirector_tests::dialer::{Load, LoadRun, Second};

use super::{
    fixture::{Fixture, unusable},
    services::Family,
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
    pub(crate) fn start(site: &Fixture, service: u16, rate: u32) -> Self {
        let load = |family: Family| {
            let load = Load { threads: 8, ..Load::new(family.dial(service), rate) };
            site.client("victim", "victim").load(load).expect("a load")
        };
        Self(Family::ALL.map(load).into())
    }

    /// Stops it; how its dials ended, both families together.
    pub(crate) fn end(self) -> Second {
        Second::sum(self.0.into_iter().map(|load| load.stop().expect("the end of a load").1))
    }
}

impl Watch {
    pub(crate) fn start(site: &Fixture) -> Self {
        let datapath = site.datapath();
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
pub(crate) fn dial_many(site: &Fixture, service: u16, each: u32) -> Second {
    let one = |family: Family| {
        let mut client = site.client("victim", "victim");
        thread::spawn(move || client.dial(family.dial(service), each).expect("dials"))
    };
    let threads = Family::ALL.map(one);
    Second::of(&threads.map(|thread| thread.join().expect("a dialling thread")).concat())
}
