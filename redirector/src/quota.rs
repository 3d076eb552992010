//! How many lines each object may have: what happens to it is often what its tenant does.
//!
//! Metrics count everything; of what is left out of the log one line says how much it was.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

use redirector_core::service::{BackendRef, ServiceRef};
use tracing::info;

/// Lines are counted for so long from the first one on.
const WINDOW: Duration = Duration::from_mins(1);
/// Lines of one object in that time: an outage and its end, a few times over.
const MAX_LINES: u32 = 10;
/// Lines about backends in that time, of all together: of those one tenant may have thousands.
const MAX_BACKEND_LINES: u32 = 10_000;
/// Objects that are counted at once. Of others nothing is said.
const COUNTED: usize = 20_000;

/// Objects with lines left out that are named; of more there is a sum.
const NAMED: usize = 20;

/// What a line is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    /// Whether a backend may receive connections.
    Backend(BackendRef),
    /// Whether clients can reach it.
    Clients(BackendRef),
    /// Whether connections to it are reset.
    Resets(BackendRef),
    /// Where a service's traffic goes, or why a version of it is rejected.
    Service(ServiceRef),
    /// What is not as the owner of a Kubernetes object may think.
    Object(String),
}

impl Subject {
    fn max_lines(&self) -> u32 {
        match self {
            // Each of them says the same.
            Self::Clients(_) => 1,
            Self::Backend(_) | Self::Resets(_) | Self::Service(_) | Self::Object(_) => MAX_LINES,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backend(backend) => write!(f, "backend {backend}"),
            Self::Clients(backend) => write!(f, "clients of {backend}"),
            Self::Resets(backend) => write!(f, "resets of {backend}"),
            Self::Service(service) => write!(f, "service {service}"),
            Self::Object(object) => write!(f, "object {object}"),
        }
    }
}

/// What was said, and what was not.
#[derive(Debug, Default)]
pub(crate) struct Quota {
    counts: BTreeMap<Subject, Count>,
    /// Lines about backends, all together.
    of_backends: Option<Count>,
    /// Lines about objects that are not counted.
    uncounted: u64,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    since: Instant,
    said: u32,
    left_out: u64,
}

impl Count {
    fn new(since: Instant) -> Self {
        Self { since, said: 0, left_out: 0 }
    }
}

impl Quota {
    /// Whether one more line may be said.
    pub(crate) fn allows(&mut self, subject: Subject, now: Instant) -> bool {
        let max_lines = subject.max_lines();
        let is_service = matches!(subject, Subject::Service(_) | Subject::Object(_));
        if self.counts.len() >= COUNTED && !self.counts.contains_key(&subject) {
            self.uncounted += 1;
            return false;
        }
        let all = self.of_backends.get_or_insert_with(|| Count::new(now));
        let count = self.counts.entry(subject).or_insert_with(|| Count::new(now));
        let is_allowed = count.said < max_lines && (is_service || all.said < MAX_BACKEND_LINES);
        if is_allowed {
            count.said += 1;
            all.said += u32::from(!is_service);
        } else {
            count.left_out += 1;
        }
        is_allowed
    }

    /// Says how much has been left out, once a minute for each object.
    pub(crate) fn say_left_out(&mut self, now: Instant) {
        let (mut of, mut uncounted) = self.sweep(now);
        of.sort_by_key(|(_, lines)| std::cmp::Reverse(*lines));
        for (subject, lines) in of.iter().take(NAMED) {
            info!(%subject, lines, "left out of the log in the last minute");
        }
        uncounted += of.iter().skip(NAMED).map(|(_, lines)| lines).sum::<u64>();
        if uncounted > 0 {
            info!(lines = uncounted, "left out of the log in the last minute, about other objects");
        }
    }

    /// Begins to count anew where the time is over. Returns how many lines had been left out by then,
    /// about each subject and about objects that are not counted.
    fn sweep(&mut self, now: Instant) -> (Vec<(Subject, u64)>, u64) {
        let is_over = |count: &Count| now.duration_since(count.since) >= WINDOW;
        self.of_backends.take_if(|all| is_over(all));
        let over = self.counts.extract_if(.., |_, count| is_over(count));
        let of = over.filter(|(_, count)| count.left_out > 0);
        let of = of.map(|(subject, count)| (subject, count.left_out)).collect();
        (of, std::mem::take(&mut self.uncounted))
    }
}

#[cfg(test)]
mod tests {
    use redirector_core::service::Protocol;

    use super::*;

    fn backend(port: u16) -> BackendRef {
        let address = std::net::IpAddr::from([10, 1, 0, 1]);
        BackendRef { address, port, protocol: Protocol::Tcp }
    }

    #[test]
    fn an_object_has_its_lines_and_the_rest_is_one_number() {
        let begin = Instant::now();
        let mut quota = Quota::default();
        let flapping = Subject::Backend(backend(1));
        let said = (0..3_000).filter(|_| quota.allows(flapping.clone(), begin)).count();
        assert_eq!(said, MAX_LINES as usize);
        assert!(quota.allows(Subject::Backend(backend(2)), begin), "another one has its own");
        assert_eq!(quota.sweep(begin + WINDOW / 2), (vec![], 0));
        assert!(!quota.allows(flapping.clone(), begin + WINDOW / 2));
        let left_out = quota.sweep(begin + WINDOW);
        let of = vec![(flapping.clone(), 3_001 - u64::from(MAX_LINES))];
        assert_eq!(left_out, (of, 0));
        assert!(quota.allows(flapping, begin + WINDOW));
        assert_eq!(quota.sweep(begin + 3 * WINDOW), (vec![], 0), "it is said once");
    }

    #[test]
    fn that_clients_cannot_reach_a_backend_is_said_once_a_minute() {
        let begin = Instant::now();
        let mut quota = Quota::default();
        let mut said = |second: u64| {
            let now = begin + Duration::from_secs(second);
            quota.sweep(now);
            quota.allows(Subject::Clients(backend(1)), now)
        };
        assert_eq!([0, 1, 59, 60, 61].map(&mut said), [true, false, false, true, false]);
    }

    #[test]
    fn however_many_backends_there_are_services_are_heard_and_what_is_kept_is_bounded() {
        let begin = Instant::now();
        let mut quota = Quota::default();
        let mut said = 0;
        for port in 0..=u16::MAX {
            said += u32::from(quota.allows(Subject::Backend(backend(port)), begin));
            if port == 15_000 {
                let service = Subject::Service(ServiceRef("shop/web".into()));
                assert!(quota.allows(service, begin));
            }
        }
        assert_eq!(said, MAX_BACKEND_LINES);
        assert_eq!(quota.counts.len(), COUNTED);
        let (of, uncounted) = quota.sweep(begin + WINDOW);
        let left_out = uncounted + of.iter().map(|(_, lines)| lines).sum::<u64>();
        assert_eq!(left_out, u64::from(u16::MAX) + 1 - u64::from(said));
        assert!(quota.counts.is_empty());
    }
}
