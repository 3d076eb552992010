//! Ctrl-C, SIGTERM and a closed terminal end the demo and the race in order: everything is removed
//! first.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From here on these signals are remembered, not fatal.
pub(crate) fn remember() -> Result<()> {
    let handler = SigHandler::Handler(note);
    // System calls go on: the guards' own clean-up must not fail because of a second Ctrl-C.
    let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the handler only stores to an atomic, which is async-signal-safe.
        unsafe { sigaction(signal, &action) }.context("cannot catch signals")?;
    }
    Ok(())
}

/// Fails once such a signal has come. Its message is printed after everything was dropped.
pub(crate) fn check() -> Result<()> {
    ensure!(!came(), "interrupted; everything is removed");
    Ok(())
}

/// Whether such a signal has come.
pub(crate) fn came() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

extern "C" fn note(_signal: i32) {
    INTERRUPTED.store(true, Ordering::Relaxed);
}
