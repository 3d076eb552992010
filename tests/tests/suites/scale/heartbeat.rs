//! The agent's heartbeat, as the programs read it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use redirector::datapath::{Datapath, Pins};
use redirector_tests::cluster::Cluster;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(5);

/// Watches it from a thread of its own.
#[derive(Debug)]
pub struct Heartbeats {
    is_over: Arc<AtomicBool>,
    watcher: JoinHandle<Duration>,
}

impl Heartbeats {
    pub fn watch(cluster: &Cluster) -> Self {
        let pins = Pins::new(&cluster.agent.options().pin_path);
        let datapath = Datapath::open(&pins).expect("the pinned maps");
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let watcher = thread::spawn(move || {
            let mut longest = Duration::ZERO;
            while !over.load(Ordering::Relaxed) {
                let silence = datapath.silence().expect("a look").expect("an agent");
                longest = longest.max(silence);
                thread::sleep(LOOK);
            }
            longest
        });
        Self { is_over, watcher }
    }

    /// Since the watch began.
    pub fn longest_silence(self) -> Duration {
        self.is_over.store(true, Ordering::Relaxed);
        self.watcher.join().expect("the watcher ends")
    }
}
