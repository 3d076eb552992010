//! The story: what happens to whom, and what clients may notice of it.

use std::time::Duration;

use super::cluster::RATE;

/// Probes of the demo's file, as quick as they may be on a machine that is busy otherwise.
pub(super) const PROBE_INTERVAL: Duration = Duration::from_millis(200);
pub(super) const PROBE_TIMEOUT: Duration = Duration::from_millis(200);
/// Failures that eject, and successes that re-admit.
pub(super) const PROBE_COUNT: u32 = 2;
/// Refused connects in a row after which a client goes elsewhere.
pub(super) const REFUSED: usize = 3;
/// Connects without an answer in a row after which a client goes elsewhere.
pub(super) const TIMEOUTS: usize = 5;
/// How long the kernel lets a connect to the Service take at most.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_millis(300);
/// How long a tier that lost its traffic must be well before it gets any back.
pub(super) const HOLD_DOWN: Duration = Duration::from_secs(2);
/// In how long its share then grows to all of it.
pub(super) const RAMP: Duration = Duration::from_secs(4);
/// How long the client waits for a connection, and then for an answer, before it gives up.
pub(super) const DIAL_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a client avoids at first what has failed.
const RETRY: Duration = Duration::from_secs(1);
/// The last part of an act: by then its outcome must be stable.
pub(super) const SETTLED: Duration = Duration::from_millis(500);
/// Characters of an event's name, at most.
pub(super) const LONGEST_EVENT: usize = 24;
/// Connects that are under way at any moment, on a busy machine.
const UNDER_WAY: usize = 12;
/// What a busy machine may add to any time.
pub(super) const SLACK: Duration = Duration::from_millis(500);

/// What happens, and the time to watch what comes of it.
#[derive(Debug)]
pub(super) struct Act {
    /// The event's name, at most [`LONGEST_EVENT`] characters.
    pub(super) event: &'static str,
    /// Each with the milliseconds since the act's begin, in order.
    pub(super) changes: &'static [(u64, Change)],
    pub(super) course: Course,
    /// Index of the tier that must serve at the end.
    pub(super) served_by: usize,
    pub(super) lasts: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// SIGKILL to these replicas.
    Kill(&'static [&'static str]),
    /// These replicas start again on their addresses.
    Start(&'static [&'static str]),
    /// This replica's node drops every packet that it gets.
    DropPackets(&'static str),
    TakePackets(&'static str),
    /// SIGSTOP to this replica.
    Freeze(&'static str),
    Thaw(&'static str),
    /// SIGKILL to the agent.
    KillAgent,
    StartAgent,
    /// Nothing gets through to this cluster's API server any more.
    CutApi(&'static str),
    HealApi(&'static str),
    /// Nothing gets through to this cluster's pods any more.
    CutPods(&'static str),
    HealPods(&'static str),
    /// SIGKILL to the importer of the client's cluster.
    KillImporter,
    StartImporter,
    /// This command of a shell, as a user, an operator or a controller would. Only with `--kube` and
    /// `--clusters`.
    Run(&'static str),
}

/// What clients may notice of an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Course {
    /// Nothing: no connect fails, and the tier that serves does so all the time.
    Steady,
    /// So many replicas refuse, and some connects fail until others serve.
    Refused(usize),
    /// So many replicas refuse, and the tier after them that says nothing is passed over: it was known
    /// to be out, although it was not dialled.
    PassedOver(usize),
    /// So many replicas say nothing at all.
    Silent(usize),
    /// The same of one replica that accepts, and says nothing.
    Hung,
    /// No connect fails, and these serve at last.
    Return(&'static [&'static str]),
    /// No connect fails. Nothing returns during the hold-down, then more and more.
    Ramp,
}

const A: &[&str] = &["a1", "a2"];
const B: &[&str] = &["b1", "b2"];
const A1: &[&str] = &["a1"];
const A2: &[&str] = &["a2"];

pub(super) static STORY: [Act; 17] = [
    act("all replicas are up", &[], Course::Steady, 0, 1_500),
    act("a1's pod is replaced", ROLLING_UPDATE, Course::Steady, 0, 5_000),
    act("node n3 is drained", DRAIN, Course::Steady, 0, 3_500),
    act("a1 is killed: it refuses", &[(0, Change::Kill(A1))], Course::Refused(1), 0, 2_000),
    act("a1 is back", &[(0, Change::Start(A1))], Course::Return(A1), 0, 2_000),
    act("a2 is a black hole", &[(0, Change::DropPackets("a2"))], Course::Silent(1), 0, 3_000),
    act("a2 is back", &[(0, Change::TakePackets("a2"))], Course::Return(A2), 0, 2_500),
    act("a1 hangs, but accepts", &[(0, Change::Freeze("a1"))], Course::Hung, 0, 3_500),
    act("a1 goes on", &[(0, Change::Thaw("a1"))], Course::Return(A1), 0, 2_500),
    act("zone a is down", &[(0, Change::Kill(A))], Course::Refused(2), 1, 2_000),
    act("zone a flaps", FLAPS, Course::Steady, 1, 6_000),
    act("the cluster is down", &[(0, Change::Kill(B))], Course::Refused(2), 2, 2_000),
    act("the API tells of it", TOLD, Course::Steady, 2, 2_500),
    act(
        "all are back: a ramp",
        &[(0, Change::Start(A)), (0, Change::Start(B))],
        Course::Ramp,
        0,
        8_500,
    ),
    act("the agent is killed", &[(0, Change::KillAgent)], Course::Steady, 0, 1_000),
    act("a1 is killed, no agent", &[(0, Change::Kill(A1))], Course::Refused(1), 0, 2_000),
    act(
        "agent and a1 are back",
        &[(0, Change::Start(A1)), (0, Change::StartAgent)],
        Course::Return(A1),
        0,
        3_000,
    ),
];

/// Replicas are up for a second, less than the hold-down, and down for another; down at the end.
const FLAPS: &[(u64, Change)] = &[
    (0, Change::Start(A)),
    (1_000, Change::Kill(A)),
    (2_000, Change::Start(A)),
    (3_000, Change::Kill(A)),
    (4_000, Change::Start(A)),
    (5_000, Change::Kill(A)),
];
/// What the endpoint slice controller and kubelet do: the only act that changes endpoints.
const ROLLING_UPDATE: &[(u64, Change)] = &[
    (0, Change::Run("kubectl replace -f a1-terminating.json")),
    (1_000, Change::Kill(A1)),
    (1_200, Change::Run("kubectl replace -f a1-gone.json")),
    (2_000, Change::Start(A1)),
    (2_200, Change::Run("kubectl replace -f a1-ready.json")),
];
const DRAIN: &[(u64, Change)] = &[
    (0, Change::Run("redirector drain node=n3 --run-dir run")),
    (1_500, Change::Run("redirector undrain node=n3 --run-dir run")),
];
const TOLD: &[(u64, Change)] =
    &[(0, Change::Run("kubectl get failoverpolicies")), (500, Change::Run("kubectl get events"))];

pub(super) const fn act(
    event: &'static str,
    changes: &'static [(u64, Change)],
    course: Course,
    served_by: usize,
    lasts_ms: u64,
) -> Act {
    Act { event, changes, course, served_by, lasts: Duration::from_millis(lasts_ms) }
}

/// The acts that are played: those with commands only with an API server.
pub(super) fn story(is_kube: bool) -> impl Iterator<Item = &'static Act> {
    let is_command = |(_, change): &(u64, Change)| matches!(change, Change::Run(_));
    STORY.iter().filter(move |act| is_kube || !act.changes.iter().any(is_command))
}

/// A policy's times and counts, as lines of its spec with this indent.
pub(super) fn policy_lines(indent: &str) -> String {
    let (interval, timeout) = (PROBE_INTERVAL.as_millis(), PROBE_TIMEOUT.as_millis());
    let (hold_down, ramp) = (HOLD_DOWN.as_secs(), RAMP.as_secs());
    let (connect_timeout, count) = (CONNECT_TIMEOUT.as_millis(), PROBE_COUNT);
    format!(
        "{indent}failback: {{holdDown: {hold_down}s, ramp: {ramp}s}}
{indent}connectTimeout: {connect_timeout}ms
{indent}passive: {{refused: {REFUSED}, timeouts: {TIMEOUTS}, baseEjection: 1s, maxEjection: 2s}}
{indent}probe: {{http: {{path: /}}, interval: {interval}ms, timeout: {timeout}ms, \
         unhealthy: {count}, healthy: {count}}}
"
    )
}

impl Course {
    /// How long after the begin connects may fail, and how many. Nothing but a loss may cost a
    /// connect.
    pub(super) fn may_fail(self) -> (Duration, usize) {
        let by_probes = PROBE_INTERVAL * PROBE_COUNT + PROBE_TIMEOUT;
        let (within, at_most) = match self {
            Self::Steady | Self::Return(_) | Self::Ramp => return (Duration::ZERO, 0),
            // So many failures the kernel lets through; until the probes saw it, there would be 50
            // each. Without an agent the client tries again after a second.
            Self::Refused(replicas) | Self::PassedOver(replicas) => {
                (RETRY + SLACK / 2, REFUSED * replicas)
            }
            // So many dials are under way when the first of them is not answered in time; and some
            // had a connection, and wait for the answer.
            Self::Silent(replicas) => {
                let each = TIMEOUTS + dials(CONNECT_TIMEOUT + SLACK / 2);
                (DIAL_TIMEOUT + SLACK, each * replicas)
            }
            // A connection is no failure to the kernel: here the probes decide.
            Self::Hung => (by_probes + DIAL_TIMEOUT + SLACK, dials(by_probes + SLACK)),
        };
        (within, at_most + UNDER_WAY)
    }
}

/// Dials at one of two replicas within `time`.
fn dials(time: Duration) -> usize {
    let dials = time.as_millis() * u128::from(RATE) / 2 / 1_000;
    usize::try_from(dials).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_story_ends_in_time_and_every_act_outlasts_its_window() {
        let total = |is_kube| story(is_kube).map(|act| act.lasts).sum::<Duration>();

        assert!(total(false) <= Duration::from_secs(50), "{:?}", total(false));
        assert!(total(true) <= Duration::from_secs(60), "{:?}", total(true));
        for act in &STORY {
            let (within, _) = act.course.may_fail();
            assert!(within + SETTLED <= act.lasts, "{}", act.event);
            assert!(act.event.len() <= LONGEST_EVENT, "{}", act.event);
        }
    }

    #[test]
    fn the_ramp_has_time_and_a_flap_has_none() {
        for act in STORY.iter().filter(|act| act.course == Course::Ramp) {
            let back = PROBE_INTERVAL * PROBE_COUNT + HOLD_DOWN + RAMP;
            assert!(back + SLACK + SETTLED <= act.lasts);
        }
        for flap in FLAPS.windows(2) {
            let [(from, _), (to, _)] = flap else { unreachable!("windows of two") };
            assert!(Duration::from_millis(to - from) + SLACK < HOLD_DOWN);
        }
    }
}
