//! The machine's own stalls: a thread that sleeps for a millisecond, again and again, and notes by
//! how much it overslept. What a contender lost then, it lost to the machine.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

const NAP: Duration = Duration::from_millis(1);
/// What an idle machine oversleeps at times is no stall.
const WORTH_NOTING: Duration = Duration::from_millis(20);

/// What was overslept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Stalls {
    /// Those above 20 ms.
    pub(super) count: u32,
    /// All of them together.
    pub(super) total: Duration,
    pub(super) longest: Duration,
}

/// Watches until it is asked. Dropping it ends the watch.
#[derive(Debug)]
pub(super) struct Watch {
    stop: Arc<AtomicBool>,
    stalls: Arc<Mutex<Stalls>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    pub(super) fn begin() -> Self {
        let (stop, stalls) = (Arc::new(AtomicBool::new(false)), Arc::<Mutex<Stalls>>::default());
        let (is_over, noted) = (Arc::clone(&stop), Arc::clone(&stalls));
        let thread = thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                let begin = Instant::now();
                thread::sleep(NAP);
                let overslept = begin.elapsed().saturating_sub(NAP);
                noted.lock().unwrap_or_else(PoisonError::into_inner).note(overslept);
            }
        });
        Self { stop, stalls, thread: Some(thread) }
    }

    pub(super) fn end(self) -> Stalls {
        *self.stalls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It cannot panic.
            let _ = thread.join();
        }
    }
}

impl Stalls {
    fn note(&mut self, overslept: Duration) {
        if overslept >= WORTH_NOTING {
            self.count += 1;
            self.total += overslept;
            self.longest = self.longest.max(overslept);
        }
    }

    /// The two together.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            total: self.total + other.total,
            longest: self.longest.max(other.longest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_idle_machine_oversleeps_is_no_stall() {
        let mut stalls = Stalls::default();
        for ms in [1, 19, 20, 60] {
            stalls.note(Duration::from_millis(ms));
        }

        let expected = Stalls {
            count: 2,
            total: Duration::from_millis(80),
            longest: Duration::from_millis(60),
        };
        assert_eq!(stalls, expected);
    }
}
