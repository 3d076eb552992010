//! Judges an act by its dials: who served, what failed, how long it took. Pure.

use std::{collections::BTreeMap, time::Duration};

use redirector_tests::dialer::Dialled;

use super::{
    cast::{self, MEMBERS, TIERS},
    script::{Act, Change, SETTLED},
};

/// With fewer dials in the settled part there is nothing to judge.
const FEWEST_DIALS: usize = 20;

/// What one dial came to, as far as the demo cares.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dial {
    /// When its outcome was there: the monotonic clock. A dial under way during an event, and
    /// ended by it, belongs to what comes after.
    pub(super) ended_us: u64,
    /// The replica that served, or the number of the error.
    pub(super) outcome: Result<usize, i32>,
}

/// What came of an event.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) act: &'static Act,
    pub(super) dials: usize,
    pub(super) failed: usize,
    /// Failed dials by the number of the error.
    pub(super) errors: BTreeMap<i32, usize>,
    /// After a death: until the right tier served and no dial failed any more. After a return:
    /// until the first dial that the near tier served. `None` if nothing had to change, or never.
    pub(super) recovered: Option<Duration>,
    /// Share in percent by replica, at the end of the act.
    pub(super) shares: [usize; MEMBERS.len()],
    /// Where the story came out otherwise than told. Empty is good.
    pub(super) faults: Vec<String>,
}

impl From<&Dialled> for Dial {
    fn from(dialled: &Dialled) -> Self {
        let outcome = match &dialled.outcome {
            Ok(answer) => cast::member(answer).ok_or(0),
            Err(failure) => Err(failure.errno.unwrap_or(0)),
        };
        Self { ended_us: dialled.at_us + dialled.total_us, outcome }
    }
}

/// Judges `act`, which began at `start_us` and ended at `end_us`; `alive` are the replicas that
/// live in it. Of `dials` only those of the act count.
pub(super) fn judge(
    act: &'static Act,
    (start_us, end_us): (u64, u64),
    alive: &[bool; MEMBERS.len()],
    dials: &[Dial],
) -> Outcome {
    let dials: Vec<Dial> =
        dials.iter().copied().filter(|dial| (start_us..end_us).contains(&dial.ended_us)).collect();
    let since = |dial: &Dial| Duration::from_micros(dial.ended_us - start_us);
    let is_right = |dial: &Dial| dial.outcome.is_ok_and(|who| MEMBERS[who].tier == act.served_by);
    let last_wrong = dials.iter().filter(|dial| dial.outcome.is_err()).map(since).max();
    let first_right = dials.iter().filter(|dial| is_right(dial)).map(since).min();

    let mut errors = BTreeMap::new();
    for errno in dials.iter().filter_map(|dial| dial.outcome.err()) {
        *errors.entry(errno).or_default() += 1;
    }
    let settled_us = end_us.saturating_sub(micros(SETTLED));
    let settled: Vec<&Dial> = dials.iter().filter(|dial| dial.ended_us >= settled_us).collect();
    let mut counts = [0; MEMBERS.len()];
    for who in settled.iter().filter_map(|dial| dial.outcome.ok()) {
        counts[who] += 1;
    }
    let mut outcome = Outcome {
        act,
        dials: dials.len(),
        failed: errors.values().sum(),
        errors,
        recovered: match act.change {
            Change::Kill(_) => first_right.map(|first| first.max(last_wrong.unwrap_or_default())),
            Change::Start(_) => first_right,
            Change::Nothing | Change::KillAgent | Change::StartAgent => None,
        },
        shares: counts.map(|count| 100 * count / settled.len().max(1)),
        faults: Vec::new(),
    };
    outcome.faults = faults(&outcome, last_wrong, &settled, alive, &counts);
    outcome
}

fn faults(
    outcome: &Outcome,
    last_wrong: Option<Duration>,
    settled: &[&Dial],
    alive: &[bool; MEMBERS.len()],
    counts: &[usize; MEMBERS.len()],
) -> Vec<String> {
    let act = outcome.act;
    let mut faults = Vec::new();
    if settled.len() < FEWEST_DIALS {
        faults.push(format!("only {} dials at the end", settled.len()));
        return faults;
    }
    for (who, (member, &count)) in MEMBERS.iter().zip(counts).enumerate() {
        let should_serve = member.tier == act.served_by && alive[who];
        if should_serve && count == 0 {
            faults.push(format!("{} does not serve at the end", member.name));
        }
        if !should_serve && count > 0 {
            faults.push(format!("{} still serves at the end", member.name));
        }
    }
    let limit = act.may_fail_for();
    if let Some(last) = last_wrong
        && last > limit
    {
        let allowed = if limit.is_zero() {
            "none may".to_owned()
        } else {
            format!("at most {} ms are allowed", limit.as_millis())
        };
        faults.push(format!("a connect failed {} ms after the event; {allowed}", last.as_millis()));
    }
    faults
}

/// Names of the tiers that serve at the end, or "nobody".
pub(super) fn serving(shares: &[usize; MEMBERS.len()]) -> String {
    let serves = |tier: usize| MEMBERS.iter().zip(shares).any(|(m, &s)| m.tier == tier && s > 0);
    let names: Vec<&str> = (0..TIERS.len()).filter(|&t| serves(t)).map(|t| TIERS[t].name).collect();
    if names.is_empty() { "nobody".to_owned() } else { names.join(" + ") }
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{super::script::STORY, *};

    const ALL: [bool; 6] = [true; 6];
    const NO_B: [bool; 6] = [true, true, false, false, true, true];

    /// One dial every 5 ms, each as `outcome` says for the milliseconds since the event.
    fn dials(act: &Act, outcome: impl Fn(u64) -> Result<usize, i32>) -> Vec<Dial> {
        let end = micros(act.lasts) / 1000;
        (0..end).step_by(5).map(|ms| Dial { ended_us: ms * 1000, outcome: outcome(ms) }).collect()
    }

    /// Serves by the two replicas of a tier in turn.
    fn by(tier: usize, ms: u64) -> Result<usize, i32> {
        Ok(2 * tier + usize::from(ms % 10 == 5))
    }

    fn judged(act: &'static Act, alive: &[bool; 6], dials: &[Dial]) -> Outcome {
        judge(act, (0, micros(act.lasts)), alive, dials)
    }

    #[test]
    fn a_failover_within_the_probe_window_is_right_and_timed_by_its_last_failure() {
        let act = &STORY[3];
        let dials = dials(act, |ms| if ms < 400 { Err(111) } else { by(2, ms) });

        let outcome = judged(act, &NO_B, &dials);

        assert_eq!(outcome.faults, Vec::<String>::new());
        assert_eq!((outcome.dials, outcome.failed), (600, 80));
        assert_eq!(outcome.errors, BTreeMap::from([(111, 80)]));
        assert_eq!(outcome.recovered, Some(Duration::from_millis(400)));
        assert_eq!(serving(&outcome.shares), "cluster west");
    }

    #[test]
    fn a_return_is_timed_by_the_first_connect_that_the_near_tier_serves() {
        let act = &STORY[4];
        let dials = dials(act, |ms| by(if ms < 600 { 2 } else { 1 }, ms));

        let outcome = judged(act, &ALL, &dials);

        assert_eq!(outcome.faults, Vec::<String>::new());
        assert_eq!(outcome.recovered, Some(Duration::from_millis(600)));
    }

    #[test]
    fn a_failure_where_nothing_has_died_is_a_fault() {
        let act = &STORY[5];
        let dials = dials(act, |ms| if ms == 700 { Err(111) } else { by(0, ms) });

        let faults = judged(act, &ALL, &dials).faults;

        assert_eq!(faults, ["a connect failed 700 ms after the event; none may"]);
    }

    #[test]
    fn a_failure_after_the_probe_window_is_a_fault() {
        let act = &STORY[3];
        let dials = dials(act, |ms| if ms == 1_500 { Err(110) } else { by(2, ms) });

        let faults = judged(act, &NO_B, &dials).faults;

        assert_eq!(
            faults,
            ["a connect failed 1500 ms after the event; at most 1000 ms are allowed"]
        );
    }

    #[test]
    fn the_wrong_tier_and_an_idle_replica_are_faults() {
        let act = &STORY[3];

        let faults = judged(act, &NO_B, &dials(act, |ms| by(0, ms))).faults;
        assert_eq!(
            faults,
            [
                "a1 still serves at the end",
                "a2 still serves at the end",
                "w1 does not serve at the end",
                "w2 does not serve at the end"
            ]
        );
        let faults = judged(act, &NO_B, &dials(act, |_| Ok(4))).faults;
        assert_eq!(faults, ["w2 does not serve at the end"]);
    }

    #[test]
    fn silence_is_a_fault() {
        let outcome = judged(&STORY[0], &ALL, &[]);

        assert_eq!(outcome.faults, ["only 0 dials at the end"]);
        assert_eq!(outcome.recovered, None);
        assert_eq!(serving(&outcome.shares), "nobody");
    }
}
