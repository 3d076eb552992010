//! Judges an act by its dials: who served, what failed, how long it took. Pure.

use std::{
    collections::BTreeMap,
    ops::{Range, RangeInclusive},
    time::Duration,
};

use nix::errno::Errno;
use redirector_tests::dialer::{ConnectPhase, Dialled};

use super::{
    cluster::{Cast, ReplicaState},
    script::{Act, CONNECT_TIMEOUT, Course, HOLD_DOWN, SETTLED, SLACK},
};

/// With fewer dials in the settled part there is nothing to judge.
const FEWEST_DIALS: usize = 20;
/// Percentage points by which a share may seem to shrink from one second to the next: each dial is
/// drawn. The share of 200 has a standard deviation of up to 3.5 points, the difference of two such
/// shares of 5: a ramp that does not shrink is taken for one that does in 1 of 700 seconds at most.
const NOISE: usize = 15;
/// Shares that are neither nothing nor all are those of a ramp, which takes 4 seconds.
const BETWEEN: RangeInclusive<usize> = 10..=90;
const FEWEST_BETWEEN: usize = 2;

/// What one dial came to, as far as the demo cares.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dial {
    /// When its outcome was there: the monotonic clock. A dial under way during an event, and
    /// ended by it, belongs to what comes after.
    pub(super) ended: Duration,
    /// How long `connect` took, successful or not.
    pub(super) connect: Duration,
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
    pub(super) cast: &'static Cast,
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
    pub(super) shares: Vec<usize>,
    /// Where the story came out otherwise than told. Empty is good.
    pub(super) faults: Vec<String>,
}

impl Dial {
    /// What a client has reported of a dial.
    pub(super) fn read(cast: &Cast, dialled: &Dialled) -> Self {
        let Dialled { at_us, connect_us, total_us, outcome, peer: _, source: _ } = dialled;
        let outcome = match outcome {
            Ok(answer) => cast.member(answer).ok_or(Failure { is_late: true, errno: 0 }),
            Err(failure) => Err(Failure {
                is_late: failure.phase == ConnectPhase::Answer,
                errno: failure.errno.unwrap_or(0),
            }),
        };
        let ended = Duration::from_micros(at_us + total_us);
        Self { ended, connect: Duration::from_micros(*connect_us), outcome }
    }

    fn is_by_tier(&self, cast: &Cast, tier: usize) -> bool {
        self.outcome.is_ok_and(|who| cast.members[who].tier == tier)
    }
}

impl Failure {
    /// A connect that got no answer: ETIMEDOUT, or EHOSTUNREACH once the neighbour is given up.
    fn is_silence(self) -> bool {
        !self.is_late && [Errno::ETIMEDOUT as i32, Errno::EHOSTUNREACH as i32].contains(&self.errno)
    }
}

impl Outcome {
    /// How many failures are to be blamed on the kernel's choice of the replica: not those of
    /// connections that it had when it was killed, many if the machine has stalled before.
    fn blamed(&self) -> usize {
        let is_killed = matches!(self.act.course, Course::Refused(_) | Course::PassedOver(_));
        let failures = self.failures.iter().filter(|(failure, _)| !(is_killed && failure.is_late));
        failures.map(|(_, count)| count).sum()
    }
}

/// Judges `act`, which lasted for `span`; `states` are the replicas' at its end. Of `dials` only
/// those of the act count.
pub(super) fn judge(
    cast: &'static Cast,
    act: &'static Act,
    span: &Range<Duration>,
    states: &[ReplicaState],
    dials: &[Dial],
) -> Outcome {
    // From here on a dial's time is that since the act's begin.
    let dials: Vec<Dial> = dials
        .iter()
        .filter(|dial| span.contains(&dial.ended))
        .map(|dial| Dial { ended: dial.ended - span.start, ..*dial })
        .collect();
    let mut failures = BTreeMap::new();
    for failure in dials.iter().filter_map(|dial| dial.outcome.err()) {
        *failures.entry(failure).or_default() += 1;
    }
    let failed = dials.iter().filter(|dial| dial.outcome.is_err());
    let from = (span.end - span.start).saturating_sub(SETTLED);
    let settled: Vec<&Dial> = dials.iter().filter(|dial| dial.ended >= from).collect();
    let mut counts = vec![0; cast.members.len()];
    for who in settled.iter().filter_map(|dial| dial.outcome.ok()) {
        counts[who] += 1;
    }
    let mut outcome = Outcome {
        cast,
        act,
        dials: dials.len(),
        failed: failures.values().sum(),
        failures,
        last_failed: failed.map(|dial| dial.ended).max(),
        longest: dials.iter().map(|dial| dial.connect).max().unwrap_or_default(),
        returned: returned(cast, act, &dials),
        shares: counts.iter().map(|count| 100 * count / settled.len().max(1)).collect(),
        faults: Vec::new(),
    };
    if settled.len() < FEWEST_DIALS {
        outcome.faults.push(format!("only {} dials at the end", settled.len()));
        return outcome;
    }
    outcome.faults.extend(wrong_at_the_end(cast, act, states, &counts));
    outcome.faults.extend(wrong_failures(&outcome));
    outcome.faults.extend(wrong_course(&outcome, &dials));
    outcome
}

/// When the replicas that the act brings back got their first dial, and the others their last.
fn returned(cast: &Cast, act: &Act, dials: &[Dial]) -> Option<(Duration, Duration)> {
    let is_back: &dyn Fn(&Dial) -> bool = match act.course {
        Course::Return(names) => {
            &move |dial| dial.outcome.is_ok_and(|who| names.contains(&cast.members[who].name))
        }
        Course::Ramp => &|dial| dial.is_by_tier(cast, act.served_by),
        _ => return None,
    };
    let first = dials.iter().filter(|dial| is_back(dial)).map(|dial| dial.ended).min()?;
    let others = dials.iter().filter(|dial| dial.outcome.is_ok() && !is_back(dial));
    Some((first, others.map(|dial| dial.ended).max().unwrap_or_default()))
}

/// Checks that exactly the replicas of the right tier that are well serve.
fn wrong_at_the_end(
    cast: &Cast,
    act: &Act,
    states: &[ReplicaState],
    counts: &[usize],
) -> Vec<String> {
    let mut faults = Vec::new();
    for ((member, &count), state) in cast.members.iter().zip(counts).zip(states) {
        let should_serve = member.tier == act.served_by && *state == ReplicaState::Well;
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
    let (within_ms, failed) = (ms(within), outcome.blamed());
    match outcome.last_failed {
        Some(last) if at_most == 0 => {
            let (all, last) = (outcome.failed, ms(last));
            faults.push(format!("connects failed, and none may: {all}, the last at {last}"));
        }
        Some(last) if last > within => faults.push(format!(
            "a connect failed {} after the event; at most {within_ms} are allowed",
            ms(last)
        )),
        _ => {}
    }
    if at_most > 0 && failed > at_most {
        faults.push(format!("{failed} connects failed; at most {at_most} are allowed"));
    }
    let (longest, at_most) = (outcome.longest, CONNECT_TIMEOUT + SLACK);
    if longest > at_most {
        let (longest, at_most) = (ms(longest), ms(at_most));
        faults.push(format!("a connect took {longest}; at most {at_most} are allowed"));
    }
    faults
}

/// Checks that on the way to the end no replica serves that must not.
fn wrong_course(outcome: &Outcome, dials: &[Dial]) -> Vec<String> {
    let Outcome { cast, act, returned, .. } = outcome;
    let mut faults = Vec::new();
    match act.course {
        Course::Steady => {
            let is_other =
                |dial: &&Dial| dial.outcome.is_ok() && !dial.is_by_tier(cast, act.served_by);
            let others = dials.iter().filter(is_other).count();
            if others > 0 {
                faults.push(format!(
                    "{others} connects went beside {}",
                    cast.tiers[act.served_by].name
                ));
            }
        }
        Course::Ramp => {
            if let Some((first, _)) = returned
                && *first < HOLD_DOWN
            {
                let (first, hold_down) = (ms(*first), ms(HOLD_DOWN));
                faults.push(format!("traffic returned after {first}, within {hold_down}"));
            }
            let shares = shares_by_second(cast, act, dials);
            if shares.windows(2).any(|pair| pair[1] + NOISE < pair[0]) {
                faults.push(format!("the share shrank on its way: {shares:?} % by the second"));
            }
            if shares.iter().filter(|share| BETWEEN.contains(share)).count() < FEWEST_BETWEEN {
                let how = "the share jumped instead of growing";
                faults.push(format!("{how}: {shares:?} % by the second"));
            }
        }
        Course::PassedOver(_) => {
            let is_unanswered = |failure: &&Failure| failure.is_silence();
            let silent: Vec<_> = outcome.failures.keys().filter(is_unanswered).collect();
            if let [first, ..] = silent[..] {
                let count: usize = silent.iter().map(|failure| outcome.failures[failure]).sum();
                let errno = first.errno;
                faults.push(format!("{count} connects went where nothing answers (errno {errno})"));
            }
        }
        Course::Refused(_) | Course::Silent(_) | Course::Hung | Course::Return(_) => {}
    }
    faults
}

/// Percent of the dials that the act's tier served. Seconds without any are left out.
fn shares_by_second(cast: &Cast, act: &Act, dials: &[Dial]) -> Vec<usize> {
    let mut seconds = BTreeMap::<u64, (usize, usize)>::new();
    for dial in dials.iter().filter(|dial| dial.outcome.is_ok()) {
        let (all, back) = seconds.entry(dial.ended.as_secs()).or_default();
        *all += 1;
        *back += usize::from(dial.is_by_tier(cast, act.served_by));
    }
    seconds.values().map(|(all, back)| 100 * back / all).collect()
}

/// Names of the tiers that serve at the end, or a word for none.
pub(super) fn serving(cast: &Cast, shares: &[usize]) -> String {
    let serves =
        |tier: usize| cast.members.iter().zip(shares).any(|(m, &s)| m.tier == tier && s > 0);
    let tiers = cast.tiers.iter().enumerate().filter(|(tier, _)| serves(*tier));
    let names: Vec<&str> = tiers.map(|(_, tier)| tier.name).collect();
    if names.is_empty() { "nobody".to_owned() } else { names.join(" + ") }
}

pub(super) fn ms(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}

#[cfg(test)]
mod tests;
