//! How long the agent is silent at most: its heartbeat, as the programs read it, and its task, as
//! operators ask it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use redirector::{
    control::{Client, RunDirectory},
    datapath::{Datapath, Pins},
};
use redirector_tests::cluster::Cluster;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(5);

/// Looks again and again from a thread of its own, and keeps the longest time.
#[derive(Debug)]
pub struct Longest {
    is_over: Arc<AtomicBool>,
    watcher: JoinHandle<Duration>,
}

impl Longest {
    /// Since the last heartbeat.
    pub fn silence(cluster: &Cluster) -> Self {
        let pins = Pins::new(&cluster.agent.options().pin_path);
        let datapath = Datapath::open(&pins).expect("the pinned maps");
        Self::of(move || datapath.silence().expect("a look").expect("an agent"))
    }

    /// Until an operator is answered by the agent's own task.
    pub fn answer(cluster: &Cluster) -> Self {
        let client = Client::new(&RunDirectory::new(&cluster.agent.run_directory()).socket());
        Self::of(move || {
            let asked = Instant::now();
            client.orders().expect("the orders in force");
            asked.elapsed()
        })
    }

    fn of(mut look: impl FnMut() -> Duration + Send + 'static) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let watcher = thread::spawn(move || {
            let mut longest = Duration::ZERO;
            while !over.load(Ordering::Relaxed) {
                longest = longest.max(look());
                thread::sleep(LOOK);
            }
            longest
        });
        Self { is_over, watcher }
    }

    /// Since the watch began.
    pub fn so_far(self) -> Duration {
        self.is_over.store(true, Ordering::Relaxed);
        self.watcher.join().expect("the watcher ends")
    }
}
