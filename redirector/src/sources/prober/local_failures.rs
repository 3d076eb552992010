//! Probes that this machine could not make: how many, and what the system said.
//!
//! They count against no backend and no cluster. But a node that may not probe judges by its clients'
//! connects alone, so an operator is told: by a counter for each error, and by a line a minute at most.

use std::{
    collections::BTreeMap,
    io,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use nix::errno::Errno;
use redirector_core::service::BackendRef;
use tokio::time::Instant;
use tracing::warn;

/// How long no other line is written.
const PAUSE: Duration = Duration::from_mins(1);

/// Counts by error; shared by the prober, its probes and the metrics.
#[derive(Debug, Default)]
pub struct LocalFailures(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// By the name of the error, such as `EACCES`; `other` is one that the system has no number for.
    all: BTreeMap<String, u64>,
    /// What of them the lines so far have told.
    told: BTreeMap<String, u64>,
    last_line: Option<Instant>,
}

impl LocalFailures {
    /// How many there were.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.by_error().into_values().sum()
    }

    /// How many there were of each error, by its name.
    #[must_use]
    pub fn by_error(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).all.clone()
    }

    /// The system would not let this backend be asked.
    pub(super) fn count(&self, backend: &BackendRef, error: &io::Error) {
        let news =
            self.0.lock().unwrap_or_else(PoisonError::into_inner).count(error, Instant::now());
        if let Some(failures) = news {
            warn!(
                %failures,
                %backend,
                %error,
                "cannot probe: what cannot be asked is judged by clients' connects alone"
            );
        }
    }
}

impl Counts {
    /// Counts one. Returns those since the last line if there may be another one.
    fn count(&mut self, error: &io::Error, now: Instant) -> Option<String> {
        let name = error.raw_os_error().map(|number| format!("{:?}", Errno::from_raw(number)));
        *self.all.entry(name.unwrap_or_else(|| "other".to_owned())).or_default() += 1;
        if self.last_line.is_some_and(|last| now < last + PAUSE) {
            return None;
        }
        self.last_line = Some(now);
        let told = std::mem::replace(&mut self.told, self.all.clone());
        let new = self.all.iter().map(|(name, count)| (name, count - told.get(name).unwrap_or(&0)));
        let new =
            new.filter(|(_, count)| *count > 0).map(|(name, count)| format!("{name} {count}"));
        Some(new.collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_is_counted_and_told_once_a_minute_at_most() {
        let [forbidden, no_route] =
            [libc::EACCES, libc::ENETUNREACH].map(io::Error::from_raw_os_error);
        let mut counts = Counts::default();
        let begin = Instant::now();
        assert_eq!(counts.count(&forbidden, begin).as_deref(), Some("EACCES 1"));
        for second in 0..60 {
            let now = begin + Duration::from_secs(second);
            assert_eq!(counts.count(&forbidden, now), None);
            assert_eq!(counts.count(&no_route, now), None);
        }
        let later = counts.count(&no_route, begin + PAUSE);
        assert_eq!(later.as_deref(), Some("EACCES 60, ENETUNREACH 61"));
        let other = counts.count(&io::Error::other("no such"), begin + 2 * PAUSE);
        assert_eq!(other.as_deref(), Some("other 1"), "what was told is not told again");
        assert_eq!(counts.all.into_values().collect::<Vec<_>>(), [61, 61, 1]);
    }
}
