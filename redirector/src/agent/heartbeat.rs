//! Tells the kernel that the agent lives, from a thread of its own: a question that takes long, a large
//! plan or a flood of news must not make the programs believe that no agent probes what they eject.
//!
//! It says so only while the agent's task comes round: of one that hangs the kernel hears nothing, as
//! /livez answers nothing good.

use std::{
    sync::{
        Arc,
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use tracing::warn;

use crate::{datapath::Heart, outputs::Outputs};

/// How often the agent beats. The programs take it for dead after ten times as long.
const EVERY: Duration = Duration::from_millis(500);

/// Beats until it is dropped.
#[derive(Debug)]
pub(super) struct Heartbeat {
    _stops: Sender<()>,
}

impl Heartbeat {
    /// # Errors
    ///
    /// There is no thread to be had.
    pub(super) fn start(heart: Heart, outputs: Arc<Outputs>) -> Result<Self> {
        let (stops, stopped) = channel();
        let beat = move || {
            loop {
                if outputs.is_alive()
                    && let Err(error) = heart.beat()
                {
                    warn!(error = format!("{error:#}"), "cannot write the heartbeat");
                }
                if stopped.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("heartbeat".to_owned());
        thread.spawn(beat).context("cannot start the thread of the heartbeat")?;
        Ok(Self { _stops: stops })
    }
}
