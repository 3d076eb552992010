//! Keeps the core up to date with the file: when it changes, what it says is sent.
//!
//! A file that cannot be used changes nothing: it is a warning, a count, and the last good state.
//! Writers should rename a finished file into place; one that is written where it stands is read
//! when the writer closes it.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use redirector_core::{Input, remote_cluster::RemoteCluster};
use tokio::{
    sync::mpsc,
    task::spawn_blocking,
    time::{Instant, MissedTickBehavior, interval_at},
};
use tracing::{info, warn};

use super::{Config, Invalid, Position, Problem, read::Contents, signs::Signs};
use crate::sources::Left;

/// How often the file is looked at without a sign of change: some file systems give none.
const POLL: Duration = Duration::from_secs(2);

/// Sends a `Node` and a `Replace` at once, and again whenever the file's contents change. Counts
/// in `failures` each time that the file was found changed and could not be used, and tells in `left`
/// while that is so. Ends when the receiver is gone.
pub async fn watch(
    path: PathBuf,
    sender: mpsc::Sender<Input>,
    failures: Arc<AtomicU64>,
    left: Left,
) {
    let mut signs = Signs::of(&path);
    let mut poll = interval_at(Instant::now() + POLL, POLL);
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut state = State {
        path,
        sender,
        failures,
        left,
        stamp: None,
        seen: None,
        good: None,
        why: None,
        clusters: Vec::new(),
    };
    while state.load().await.is_ok() {
        loop {
            tokio::select! {
                () = state.sender.closed() => return,
                () = signs.burst_end() => break,
                _ = poll.tick() => {}
            }
            if state.is_touched() && !signs.in_burst() {
                // The watch gave no sign: its directory is another one now, or cannot be watched.
                signs = Signs::of(&state.path);
                break;
            }
        }
    }
}

/// What was last found, and what was made of it.
struct State {
    path: PathBuf,
    sender: mpsc::Sender<Input>,
    failures: Arc<AtomicU64>,
    left: Left,
    stamp: Option<Stamp>,
    /// Found at the last load.
    seen: Option<Contents>,
    /// Last sent.
    good: Option<Contents>,
    /// What the last warning said, while the file is bad.
    why: Option<Invalid>,
    /// The other clusters that were last sent.
    clusters: Vec<RemoteCluster>,
}

/// The receiver is gone.
struct Gone;

/// What changes when a file is written or another one takes its place; `None` is no file.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

impl State {
    fn is_touched(&self) -> bool {
        self.stamp != Some(stamp(&self.path))
    }

    async fn load(&mut self) -> Result<(), Gone> {
        self.stamp = Some(stamp(&self.path));
        let path = self.path.clone();
        let Ok(contents) = spawn_blocking(move || Contents::read(&path)).await else {
            return Ok(());
        };
        if self.seen.as_ref() == Some(&contents) {
            return Ok(());
        }
        self.seen = Some(contents.clone());
        if self.good.as_ref() == Some(&contents) {
            if self.why.take().is_some() {
                self.tell(None);
                info!(file = %self.path.display(), "the file is again what is in force");
            }
            return Ok(());
        }
        match self.parse(contents.clone()).await {
            Ok(config) => self.accept(contents, config).await,
            Err(invalid) => {
                self.refuse(invalid);
                Ok(())
            }
        }
    }

    /// A large file takes seconds, which the runtime's own threads have not.
    async fn parse(&self, contents: Contents) -> Result<Config, Invalid> {
        let path = self.path.display().to_string();
        let name = path.clone();
        spawn_blocking(move || contents.parse(&name))
            .await
            .unwrap_or_else(|error| Err(Invalid::whole(&path, format_args!("not read: {error}"))))
    }

    async fn accept(&mut self, contents: Contents, config: Config) -> Result<(), Gone> {
        let Config { node, clusters, services, warnings, unlisted_warnings } = config;
        for Problem { position, message } in &warnings {
            let Position { line, column } = *position;
            warn!(file = %self.path.display(), line, column, "{message}");
        }
        if unlisted_warnings > 0 {
            warn!(file = %self.path.display(), "and {unlisted_warnings} more like these");
        }
        info!(file = %self.path.display(), services = services.len(), "read the file");
        self.sender.send(Input::Node(node)).await.map_err(|_| Gone)?;
        if self.clusters != clusters {
            self.clusters.clone_from(&clusters);
            self.sender.send(Input::RemoteClusters(clusters)).await.map_err(|_| Gone)?;
        }
        self.sender.send(Input::Replace(services)).await.map_err(|_| Gone)?;
        self.good = Some(contents);
        self.why = None;
        self.tell(None);
        Ok(())
    }

    fn refuse(&mut self, invalid: Invalid) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        if self.why.as_ref() != Some(&invalid) {
            warn!(problems = %invalid, "the file cannot be used; the last good state stays");
        }
        self.tell(Some(invalid.to_string()));
        self.why = Some(invalid);
    }

    /// What operators are told of the file, if it is refused.
    fn tell(&self, why: Option<String>) {
        let file = why.map(|why| (self.path.display().to_string(), why));
        self.left.write().unwrap_or_else(PoisonError::into_inner).file = file;
    }
}

fn stamp(path: &Path) -> Stamp {
    let metadata = fs::metadata(path).ok()?;
    let (dev, ino, size) = (metadata.dev(), metadata.ino(), metadata.size());
    Some((dev, ino, size, metadata.mtime(), metadata.mtime_nsec()))
}
