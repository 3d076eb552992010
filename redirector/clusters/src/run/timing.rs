//! How long things take and may take.

use std::time::Duration;

use redirector_kube::report;

/// All intervals and deadlines of the Deployment; the default is what a cluster wants.
#[derive(Clone, Debug)]
pub(super) struct Timing {
    /// Of the election: a leader that is killed is followed after some 7 s, one that ends at once.
    pub(super) election: report::Timing,
    /// The leader renews the heartbeat that often: 1 s. Others take a cluster for silent after 3 s.
    pub(super) beat: Duration,
    /// The other replica does after so long without: 1.5 s.
    pub(super) stand_in: Duration,
    /// Changes are collected for at most that long: 20 ms.
    pub(super) collect: Duration,
    /// While what was collected before is still being written, for at most that long: 500 ms.
    pub(super) hold: Duration,
    /// Deadline of each write: less than what lies between the end of one term and the next.
    pub(super) request: Duration,
    /// Between two writes of one RemoteCluster's status at least: 2 s. All agents watch them.
    pub(super) status: Duration,
    /// Between two looks at credentials: 30 s; after a refusal a thirtieth of it.
    pub(super) credentials: Duration,
    /// Between two questions whether a kind of another cluster's outbox may still be read: 5 s, so each of
    /// the three is asked for every 15 s. After a refusal as after a failure.
    pub(super) rights: Duration,
    /// The first wait after something that everything depends on has failed: 1 s, doubled up to 30 s.
    pub(super) retry: Duration,
    /// After a definition came back, how long its objects may take to be applied again: 5 min.
    pub(super) reapplied: Duration,
    /// How long the API server must not know a kind until there is nothing of it: 5 s.
    pub(super) missing: Duration,
    /// What all of these are divided by.
    pub(super) divisor: u32,
}

impl Timing {
    /// Every time divided by `divisor`, at least 1; those of the election and of requests by at most 4:
    /// what a request takes does not shrink with what is waited for.
    pub(super) fn divided_by(divisor: u32) -> Self {
        let by = divisor.max(1);
        let millis = |millis| Duration::from_millis(millis) / by;
        let of_election = |millis| Duration::from_millis(millis) / by.min(4);
        let election = report::Timing {
            lease: of_election(6_000),
            lead: of_election(4_000),
            renew: of_election(1_500),
            retry: of_election(500),
            look: of_election(1_000),
            request: of_election(1_500),
            ..report::Timing::default()
        };
        Self {
            request: election.request,
            election,
            beat: millis(1_000),
            stand_in: millis(1_500),
            collect: millis(20),
            hold: millis(500),
            status: millis(2_000),
            credentials: millis(30_000),
            rights: millis(5_000),
            retry: millis(1_000),
            reapplied: millis(300_000),
            missing: millis(5_000),
            divisor: by,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_of_the_old_leader_has_ended_before_the_next_one_begins() {
        for divisor in [1, 10] {
            let Timing { election, request, beat, stand_in, .. } = Timing::divided_by(divisor);
            assert!(election.lead + request < election.lease);
            assert!(election.renew + election.request < election.lead);
            assert!(beat < stand_in && stand_in + election.request <= Duration::from_secs(3));
        }
    }
}
