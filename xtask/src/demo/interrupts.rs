//! Ctrl-C, SIGTERM and a closed terminal end the demo in order: everything is removed first.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From here on these signals are remembered, not fatal.
pub(super) fn remember() -> Result<()> {
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
pub(super) fn check() -> Result<()> {
    ensure!(!came(), "interrupted; everything is removed");
    Ok(())
}

/// Whether the demo shall end.
pub(super) fn came() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

extern "C" fn note(_signal: i32) {
    INTERRUPTED.store(true, Ordering::Relaxed);
}
