//! Watches over what is pinned and attached while the agent runs, and has it loaded again.
//!
//! An agent that may load does it itself. One that may not asks a loader that stands by, and lets go
//! of the lock meanwhile. Where the maps are others afterwards only a new beginning helps: in the same
//! process if it can reach them, else in the next one, whose mounts are those of the node by then.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use tokio::time::{Instant, interval, sleep};
use tracing::{info, warn};

use super::SWEEP;
use crate::{
    control::ask_loader,
    datapath::{self, Lock, Loss, Options, Pinned, Pins, cgroup::Cgroup, check},
    outputs::Outputs,
};

/// How long the lock may be another's after this agent has let go of it: a loader needs it briefly.
const LONGEST_LOAN: Duration = Duration::from_secs(5);

/// How many sweeps in a row may fail to have lost maps loaded, where this process may not load. Another
/// one, with other mounts, may find the loader, or what it has loaded.
const ATTEMPTS: u32 = 3;

/// What the guard needs to know of how this agent was started.
#[derive(Debug)]
pub struct Guard {
    /// Where everything is.
    pub pins: Pins,
    /// The pins as they were before the maps were opened.
    pub pinned: Pinned,
    /// Where the loss is told.
    pub outputs: Arc<Outputs>,
    /// How to load.
    pub options: Options,
    /// Where to attach; `None` is the root of the cgroup2 mount.
    pub cgroup: Option<PathBuf>,
    /// The socket of a loader that stands by.
    pub loader: PathBuf,
}

impl Guard {
    /// Looks once per sweep. Returns when the agent has to begin again from the start, with the maps
    /// that are pinned by then.
    ///
    /// # Errors
    ///
    /// This process cannot reach what is pinned, or another agent has taken over.
    pub async fn watch(&self, lock: &mut Option<Lock>) -> Result<()> {
        let mut sweep = interval(SWEEP);
        let (mut is_lost, mut failure, mut failures) = (false, String::new(), 0);
        loop {
            sweep.tick().await;
            let Some(loss) = self.pinned.lost() else {
                self.outputs.set_lost(0, None);
                if is_lost {
                    info!("pinned and attached again; connects are redirected");
                }
                (is_lost, failure, failures) = (false, String::new(), 0);
                continue;
            };
            let root = self.pins.root().display();
            if !is_lost {
                warn!(pins = %root, %loss, "pins or programs are gone; connects may pass untouched");
                self.publish(&loss, "being loaded again");
            }
            is_lost = true;
            if let Err(error) = self.mend(lock).await {
                let why = format!("{error:#}; `redirector load` as root loads again");
                self.publish(&loss, &why);
                if why != failure {
                    warn!(why, "cannot be loaded again yet");
                    failure = why;
                }
                failures += 1;
                if failures >= ATTEMPTS && loss.is_of_maps() && !check::may_load() {
                    return Err(error).with_context(|| format!("{loss} (below {root})"));
                }
            } else {
                match self.pinned.lost() {
                    Some(loss) if loss.is_of_maps() => return self.begin_again(),
                    Some(_) => {}
                    None => sweep.reset_immediately(),
                }
            }
            retake(&self.pins, lock).await?;
        }
    }

    fn publish(&self, loss: &Loss, what_is_done: &str) {
        let said = format!("{loss} (below {}); {what_is_done}", self.pins.root().display());
        self.outputs.set_lost(loss.count(), Some(said.into()));
    }

    /// Loads, or has it done.
    async fn mend(&self, lock: &mut Option<Lock>) -> Result<()> {
        if check::may_load() {
            tokio::task::block_in_place(|| self.load(lock))
        } else {
            *lock = None;
            ask_loader(&self.loader).await
        }
    }

    fn load(&self, lock: &mut Option<Lock>) -> Result<()> {
        self.pins.create()?;
        // Of the directory that is there now, if the one that was locked is gone.
        let lock = match lock {
            Some(held) if held.is_of(&self.pins) => held,
            lock => lock.insert(self.pins.try_lock()?.context("another process is loading")?),
        };
        let cgroup = Cgroup::open(self.cgroup.as_deref())?;
        datapath::load(&self.pins, lock, &cgroup, &self.options)
    }

    fn begin_again(&self) -> Result<()> {
        if Pinned::look(&self.pins).lost().is_some_and(|loss| loss.is_of_maps()) {
            bail!(
                "{} was removed or unmounted and is not seen from here any more; ended, so that \
                 the next start sees what has been loaded since",
                self.pins.root().display()
            );
        }
        warn!("the maps were lost; beginning again with the new ones");
        Ok(())
    }
}

/// Has the lock back, if it was lent.
async fn retake(pins: &Pins, lock: &mut Option<Lock>) -> Result<()> {
    let deadline = Instant::now() + LONGEST_LOAN;
    while lock.is_none() {
        match pins.try_lock() {
            Ok(Some(free)) => *lock = Some(free),
            Ok(None) if Instant::now() < deadline => sleep(Duration::from_millis(20)).await,
            Ok(None) => bail!("another agent has taken over {}", pins.root().display()),
            // There is nothing to be locked.
            Err(_) => break,
        }
    }
    Ok(())
}
