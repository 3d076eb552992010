//! Dials a Service by its client, again and again, and notes what each dial came to.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::pod::Pod;

/// From one dial to the next, unless the one takes longer.
const PACE: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub struct Dial {
    pub begin: Instant,
    pub end: Instant,
    /// Which replica has answered, 0 if that is not known; or what the client has said.
    pub outcome: Result<u8, String>,
}

/// Until it is over.
pub fn make(pod: &Pod<'_>, is_over: &AtomicBool) -> Vec<Dial> {
    let mut dials = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let begin = Instant::now();
        let outcome = pod.dial();
        dials.push(Dial { begin, end: Instant::now(), outcome });
        thread::sleep(PACE.saturating_sub(begin.elapsed()));
    }
    dials
}
