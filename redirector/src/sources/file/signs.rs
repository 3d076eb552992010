//! Signs that the file may have changed, and when a burst of them is over.
//!
//! The directory is watched, not the file: editors and `ConfigMap` volumes put another file in its
//! place.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode, ModifyKind},
};
use tokio::{sync::watch, time::timeout};
use tracing::warn;

/// A burst is over when nothing happened for this long.
const QUIET: Duration = Duration::from_millis(50);
/// A burst is cut off after this long, unless the file is being written.
const LONGEST: Duration = Duration::from_secs(1);
/// A writer that neither writes nor closes the file for this long is taken to have finished.
const UNCLOSED: Duration = Duration::from_secs(2);

/// Signs of change of one file.
pub(super) struct Signs {
    /// What the last sign said: whether a process has written to the file and has not closed it.
    being_written: watch::Receiver<bool>,
    /// Begin of the burst that is going on.
    burst: Option<Instant>,
    /// Keeps the channel open where there is no watcher.
    _sender: watch::Sender<bool>,
    _watcher: Option<RecommendedWatcher>,
}

impl Signs {
    /// The signs of the file at `path`. Where its directory cannot be watched there are none.
    pub fn of(path: &Path) -> Self {
        let (sender, being_written) = watch::channel(false);
        let watcher = watch_directory(path, sender.clone());
        if let Err(error) = &watcher {
            warn!(file = %path.display(), %error, "cannot watch its directory; polling instead");
        }
        Self { being_written, burst: None, _sender: sender, _watcher: watcher.ok() }
    }

    /// Waits for a sign, then for the end of its burst. Cancel safe: a burst goes on.
    pub async fn burst_end(&mut self) {
        loop {
            let Some(begin) = self.burst else {
                // Cannot fail: the sender is ours.
                let _ = self.being_written.changed().await;
                self.burst = Some(Instant::now());
                continue;
            };
            let quiet = if *self.being_written.borrow_and_update() {
                UNCLOSED
            } else {
                QUIET.min(LONGEST.saturating_sub(begin.elapsed()))
            };
            if timeout(quiet, self.being_written.changed()).await.is_err() {
                self.burst = None;
                return;
            }
        }
    }

    /// Whether a burst is going on: the file should not be read now.
    pub fn in_burst(&self) -> bool {
        self.burst.is_some()
    }
}

fn watch_directory(path: &Path, sender: watch::Sender<bool>) -> notify::Result<RecommendedWatcher> {
    let own_name = path.file_name().map(OsString::from);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        let sign = event.map_or(Some(false), |event| {
            let own = event.paths.iter().any(|path| path.file_name() == own_name.as_deref());
            sign(event.kind, own)
        });
        if let Some(sign) = sign {
            sender.send_replace(sign);
        }
    })?;
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    watcher.watch(&directory, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

/// What an event in the directory says of the file, which is its subject if `own`. Of other names
/// only their coming and going matters: one may be a link on the way to the file.
fn sign(kind: EventKind, own: bool) -> Option<bool> {
    match kind {
        EventKind::Create(_) => Some(own),
        EventKind::Modify(ModifyKind::Data(_)) if own => Some(true),
        EventKind::Access(AccessKind::Close(AccessMode::Write))
        | EventKind::Modify(ModifyKind::Metadata(_)) => own.then_some(false),
        EventKind::Modify(ModifyKind::Name(_))
        | EventKind::Remove(_)
        | EventKind::Any
        | EventKind::Other => Some(false),
        _ => None,
    }
}
