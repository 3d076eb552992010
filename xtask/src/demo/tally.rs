//! Judges an act by its dials: who served, what failed, how long it took. Pure.

use std::{collections::BTreeMap, time::Duration};

use redirector_tests::dialer::{ConnectPhase, Dialled};

use super::{
    cast::{self, MEMBERS, State, TIERS},
    ramp,
    script::{Act, CONNECT_TIMEOUT, Course, Fault, SETTLED, SLACK},
};

/// With fewer dials in the settled part there is nothing to judge.
const FEWEST_DIALS: usize = 20;

/// What one dial came to, as far as the demo cares.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dial {
    /// When its outcome was there: the monotonic clock. A dial under way during an event, and
    /// ended by it, belongs to what comes after.
    pub(super) ended_us: u64,
    /// How long `connect` took, successful or not.
    pub(super) connect_us: u64,
    /// The replica that served, or why none did.
    pub(super) outcome: Result<usize, Failure>,
}

/// Why a dial failed. Those without a connection come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Failure {
    /// There was a connection, and no answer.
    pub(super) is_late: bool,
    /// 0 is an answer that was cut short.
    pub(super) errno: i32,
}

/// What came of an act.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) act: &'static Act,
    pub(super) dials: usize,
    pub(super) failed: usize,
    pub(super) failures: BTreeMap<Failure, usize>,
    /// When the last dial failed, since the act's begin.
    pub(super) last_failed: Option<Duration>,
    /// The longest `connect`, successful or not.
    pub(super) longest: Duration,
    /// When the replicas that return got their first dial, and the others their last.
    pub(super) returned: Option<(Duration, Duration)>,
    /// Share in percent by replica, at the end of the act.
    pub(super) shares: [usize; MEMBERS.len()],
    /// Where the story came out otherwise than told. Empty is good.
    pub(super) faults: Vec<String>,
}

impl From<&Dialled> for Dial {
    fn from(dialled: &Dialled) -> Self {
        let Dialled { at_us, connect_us, total_us, outcome, peer: _, source: _ } = dialled;
        let outcome = match outcome {
            Ok(answer) => cast::member(answer).ok_or(Failure { is_late: true, errno: 0 }),
            Err(failure) => Err(Failure {
                is_late: failure.phase == ConnectPhase::Answer,
                errno: failure.errno.unwrap_or(0),
            }),
        };
        Self { ended_us: at_us + total_us, connect_us: *connect_us, outcome }
    }
}

impl Outcome {
    /// How many failures are to be blamed on the kernel's choice of the replica: not those of
    /// connections that it had when it was killed, many if the machine has stalled before.
    fn blamed(&self) -> usize {
        let is_killed = matches!(self.act.course, Course::Loss(Fault::Refused(_)));
        let failures = self.failures.iter().filter(|(failure, _)| !(is_killed && failure.is_late));
        failures.map(|(_, count)| count).sum()
    }
}

impl Dial {
    fn is_by_tier(&self, tier: usize) -> bool {
        self.outcome.is_ok_and(|who| MEMBERS[who].tier == tier)
    }
}

/// Judges `act`, which began at `start_us` and ended at `end_us`; `states` are the replicas' at its
/// end. Of `dials` only those of the act count.
pub(super) fn judge(
    act: &'static Act,
    (start_us, end_us): (u64, u64),
    states: &[State; MEMBERS.len()],
    dials: &[Dial],
) -> Outcome {
    // From here on a dial's time is that since the act's begin.
    let dials: Vec<Dial> = dials
        .iter()
        .filter(|dial| (start_us..end_us).contains(&dial.ended_us))
        .map(|dial| Dial { ended_us: dial.ended_us - start_us, ..*dial })
        .collect();
    let mut failures = BTreeMap::new();
    for failure in dials.iter().filter_map(|dial| dial.outcome.err()) {
        *failures.entry(failure).or_default() += 1;
    }
    let failed = dials.iter().filter(|dial| dial.outcome.is_err());
    let settled_us = (end_us - start_us).saturating_sub(micros(SETTLED));
    let settled: Vec<&Dial> = dials.iter().filter(|dial| dial.ended_us >= settled_us).collect();
    let mut counts = [0; MEMBERS.len()];
    for who in settled.iter().filter_map(|dial| dial.outcome.ok()) {
        counts[who] += 1;
    }
    let mut outcome = Outcome {
        act,
        dials: dials.len(),
        failed: failures.values().sum(),
        failures,
        last_failed: failed.map(since).max(),
        longest: Duration::from_micros(dials.iter().map(|dial| dial.connect_us).max().unwrap_or(0)),
        returned: returned(act, &dials),
        shares: counts.map(|count| 100 * count / settled.len().max(1)),
        faults: Vec::new(),
    };
    if settled.len() < FEWEST_DIALS {
        outcome.faults.push(format!("only {} dials at the end", settled.len()));
        return outcome;
    }
    outcome.faults.extend(wrong_at_the_end(act, states, &counts));
    outcome.faults.extend(wrong_failures(&outcome));
    outcome.faults.extend(wrong_course(act, &dials));
    outcome
}

/// When the replicas that the act brings back got their first dial, and the others their last.
fn returned(act: &Act, dials: &[Dial]) -> Option<(Duration, Duration)> {
    let is_back: &dyn Fn(&Dial) -> bool = match act.course {
        Course::Steady | Course::Loss(_) => return None,
        Course::Return(names) => {
            &move |dial| dial.outcome.is_ok_and(|who| names.contains(&MEMBERS[who].name))
        }
        Course::Ramp => &|dial| dial.is_by_tier(act.served_by),
    };
    let first = dials.iter().filter(|dial| is_back(dial)).map(since).min()?;
    let others = dials.iter().filter(|dial| dial.outcome.is_ok() && !is_back(dial));
    Some((first, others.map(since).max().unwrap_or_default()))
}

/// Checks that exactly the replicas of the right tier that are well serve.
fn wrong_at_the_end(
    act: &Act,
    states: &[State; MEMBERS.len()],
    counts: &[usize; MEMBERS.len()],
) -> Vec<String> {
    let mut faults = Vec::new();
    for ((member, &count), state) in MEMBERS.iter().zip(counts).zip(states) {
        let should_serve = member.tier == act.served_by && *state == State::Well;
        if should_serve && count == 0 {
            faults.push(format!("{} does not serve at the end", member.name));
        }
        if !should_serve && count > 0 {
            faults.push(format!("{} still serves at the end", member.name));
        }
    }
    faults
}

/// Checks that connects fail only where they may, and none takes long.
fn wrong_failures(outcome: &Outcome) -> Vec<String> {
    let mut faults = Vec::new();
    let (within, at_most) = outcome.act.course.may_fail();
    match outcome.last_failed {
        Some(last) if at_most == 0 => {
            let last = last.as_millis();
            let failed = outcome.failed;
            faults.push(format!("connects failed, and none may: {failed}, the last at {last} ms"));
        }
        Some(last) if last > within => faults.push(format!(
            "a connect failed {} ms after the event; at most {} ms are allowed",
            last.as_millis(),
            within.as_millis()
        )),
        _ => {}
    }
    let failed = outcome.blamed();
    if at_most > 0 && failed > at_most {
        faults.push(format!("{failed} connects failed; at most {at_most} are allowed"));
    }
    let longest = CONNECT_TIMEOUT + SLACK;
    if outcome.longest > longest {
        faults.push(format!(
            "a connect took {} ms; at most {} ms are allowed",
            outcome.longest.as_millis(),
            longest.as_millis()
        ));
    }
    faults
}

/// Checks that on the way to the end no replica serves that must not.
fn wrong_course(act: &Act, dials: &[Dial]) -> Vec<String> {
    match act.course {
        Course::Steady => {
            let is_other = |dial: &&Dial| dial.outcome.is_ok() && !dial.is_by_tier(act.served_by);
            let others = dials.iter().filter(is_other).count();
            let name = TIERS[act.served_by].name;
            let fault = (others > 0).then(|| format!("{others} connects went beside {name}"));
            fault.into_iter().collect()
        }
        Course::Loss(_) | Course::Return(_) => Vec::new(),
        Course::Ramp => {
            let served = dials.iter().filter(|dial| dial.outcome.is_ok());
            let served = served.map(|dial| (since(dial), dial.is_by_tier(act.served_by)));
            ramp::faults(&served.collect::<Vec<_>>(), act.lasts)
        }
    }
}

/// Names of the tiers that serve at the end, or a word for none.
pub(super) fn serving(shares: &[usize; MEMBERS.len()]) -> String {
    let serves = |tier: usize| MEMBERS.iter().zip(shares).any(|(m, &s)| m.tier == tier && s > 0);
    let names: Vec<&str> = (0..TIERS.len()).filter(|&t| serves(t)).map(|t| TIERS[t].name).collect();
    if names.is_empty() { "nobody".to_owned() } else { names.join(" + ") }
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// When a dial ended, since the act's begin.
fn since(dial: &Dial) -> Duration {
    Duration::from_micros(dial.ended_us)
}

#[cfg(test)]
mod tests;
