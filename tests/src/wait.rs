//! Waits for what happens soon, on a machine that may be busy.

use std::{
    thread,
    time::{Duration, Instant},
};

const LONGEST: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(5);

/// Polls until `is_so` and returns how long that took; panics when it takes too long.
pub fn wait_until(what: &str, is_so: impl FnMut() -> bool) -> Duration {
    wait_within(LONGEST, what, is_so, String::new)
}

/// The same; `context` is shown when it takes too long, for example a log.
pub fn wait_until_or(
    what: &str,
    is_so: impl FnMut() -> bool,
    context: impl Fn() -> String,
) -> Duration {
    wait_within(LONGEST, what, is_so, context)
}

/// The same, no longer than that; when it takes longer, `context` is shown.
pub fn wait_within(
    longest: Duration,
    what: &str,
    mut is_so: impl FnMut() -> bool,
    context: impl Fn() -> String,
) -> Duration {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < longest, "not within {longest:?}: {what}\n{}", context());
        thread::sleep(POLL);
    }
    begun.elapsed()
}

/// Polls until `is_so`; whether it has become so in time.
pub fn is_soon(mut is_so: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < LONGEST {
        if is_so() {
            return true;
        }
        thread::sleep(POLL);
    }
    is_so()
}
