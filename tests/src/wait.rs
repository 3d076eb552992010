//! Waits for what happens at once, on a machine that may be busy.

use std::{
    thread,
    time::{Duration, Instant},
};

const LONGEST: Duration = Duration::from_secs(20);

/// Polls until `is_so`; panics when that takes too long.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONGEST;
    while !is_so() {
        assert!(Instant::now() < deadline, "not within {LONGEST:?}: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
