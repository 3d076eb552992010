//! How long things take and may take.

use std::time::Duration;

use super::wire::hash;

/// All intervals and deadlines; the default is what a cluster wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long others respect a Lease after its last renewal that they have seen: 15 s.
    pub lease: Duration,
    /// How long the leader believes in itself after it has sent a renewal that succeeded: 10 s.
    pub lead: Duration,
    /// The leader renews that long after the last renewal: 5 s.
    pub renew: Duration,
    /// The wait after a request for the Lease that failed, the holder's or another agent's: 2 s ± 20 %.
    pub retry: Duration,
    /// The others look at the Lease that often, ± 20 %: 10 s, but see [`Timing::poll`].
    pub look: Duration,
    /// Deadline of each request: 4 s, less than what lies between `lead` and `lease`, so that a
    /// write of the old leader has ended before a new one begins.
    pub request: Duration,
    /// How often is found out what the statuses should say: 2 s.
    pub statuses: Duration,
    /// Between two writes of one policy's status at least: 5 s.
    pub status: Duration,
    /// Repeats of an event within that time are counted in it: 5 min.
    pub series: Duration,
    /// The count of an event that repeats is written that long after its last write at least: 1 min, so
    /// that what flaps all day costs no more than five writes in `series`, and who looks sees a count
    /// that is no older.
    pub repeats: Duration,
    /// The first wait after an error of a status or an event, doubled up to 32 times that: 1 s.
    pub backoff: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(15),
            lead: Duration::from_secs(10),
            renew: Duration::from_secs(5),
            retry: Duration::from_secs(2),
            look: Duration::from_secs(10),
            request: Duration::from_secs(4),
            statuses: Duration::from_secs(2),
            status: Duration::from_secs(5),
            series: Duration::from_mins(5),
            repeats: Duration::from_mins(1),
            backoff: Duration::from_secs(1),
        }
    }
}

/// So many nodes are expected to look every [`Timing::look`]; all do while there are at most
/// twice as many.
const EARLY_NODES: u32 = 8;
/// What each node adds to the interval of the others: all of them together ask 20 times a second.
const PER_NODE: Duration = Duration::from_millis(50);

impl Timing {
    /// Everything that many times as fast, for tests.
    #[must_use]
    pub fn divided(mut self, by: u32) -> Self {
        let Self {
            lease,
            lead,
            renew,
            retry,
            look,
            request,
            statuses,
            status,
            series,
            repeats,
            backoff,
        } = &mut self;
        let of_lease = [lease, lead, renew, retry, look, request];
        for time in of_lease.into_iter().chain([statuses, status, series, repeats, backoff]) {
            *time /= by.max(1);
        }
        self
    }

    /// How often a node that does not lead looks at the Lease, in a cluster of so many nodes (0 is
    /// unknown).
    ///
    /// About eight nodes, chosen by a hash of their names, look every 10 s and take over within
    /// 30 s; the others look every `nodes * 50 ms`, at 5,000 nodes 250 s, and take over should all
    /// those eight be gone. That is `8 / 10 s + 4,992 / 250 s` = 21 reads a second at 5,000 nodes,
    /// answered from the API server's cache (`resourceVersion=0`), and the leader's 0.2 writes a
    /// second. If all looked every 10 s it would be 500 reads a second; if all watched, each
    /// renewal would be sent 5,000 times, 1,000 events a second, and 5,000 streams be held.
    #[must_use]
    pub fn poll(&self, node: &str, nodes: u32) -> Duration {
        let is_early =
            nodes <= 2 * EARLY_NODES || hash(&[node]) % u64::from(nodes) < u64::from(EARLY_NODES);
        if is_early { self.look } else { self.look.max(PER_NODE * nodes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_thousand_nodes_ask_21_times_a_second() {
        let timing = Timing::default();
        let intervals = (0..5_000).map(|node| timing.poll(&format!("ip-10-0-{node}"), 5_000));
        let (mut load, mut early) = (0.0, 0);
        for interval in intervals {
            load += 1.0 / interval.as_secs_f64();
            early += u32::from(interval == timing.look);
        }
        assert!((20.0..22.5).contains(&load), "{load} requests a second");
        assert!((2..=20).contains(&early), "{early} nodes look every 10 s");
    }

    #[test]
    fn in_a_small_or_unknown_cluster_everybody_looks_every_10_s() {
        let timing = Timing::default();
        for nodes in [0, 1, 16] {
            assert_eq!(timing.poll("n1", nodes), Duration::from_secs(10));
        }
    }

    #[test]
    fn a_request_of_the_old_leader_has_ended_before_the_lease_has() {
        for timing in [Timing::default(), Timing::default().divided(10)] {
            assert!(timing.lead + timing.request < timing.lease);
            assert!(timing.renew + timing.request < timing.lead);
        }
    }
}
