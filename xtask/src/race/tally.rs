//! Counts what the clients have seen: what failed, when the last one began, when the zone was back.
//! Nothing here reads a clock or a socket.

use super::{
    attempt::Attempt,
    cast::Member,
    client::{Held, Report},
    course::{Seen, Times},
};

/// Of what a zone had before the fault: then it is back.
const BACK: f64 = 0.95;
/// Microseconds of a window over which a share is taken.
const WINDOW: u64 = 1_000_000;

/// Attempts that failed.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Failed {
    pub(super) count: u32,
    /// When the last one began: seconds after the fault. None if none failed.
    pub(super) last: Option<f64>,
}

/// How a zone came back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Back {
    /// Seconds from the return to the first reply from there.
    pub(super) first: Option<f64>,
    /// Seconds until it had 95 % of the share that it had before.
    pub(super) most: Option<f64>,
}

/// How connections ended that were made before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ended {
    /// Those whose replica was lost.
    pub(super) count: usize,
    /// Those whose client was not told by the end.
    pub(super) alive: usize,
    /// Of those that ended: seconds after the fault.
    pub(super) median: Option<f64>,
    pub(super) last: Option<f64>,
}

/// What one fault came to for one contender.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Figures {
    /// Attempts of the open loop, from the fault to the end.
    pub(super) attempts: u32,
    /// How many there should have been.
    pub(super) planned: u32,
    /// Attempts that failed before anything had happened: these say that the lab is at fault.
    pub(super) before: u32,
    /// From the fault to the end, or to what happened second. Those under way are counted.
    pub(super) failed: Failed,
    /// The same of the serial client.
    pub(super) serial: Failed,
    /// From what happened second (the return, the death of a replica) to the end.
    pub(super) second: Option<Failed>,
    pub(super) back: Option<Back>,
    pub(super) ended: Option<Ended>,
    /// CPU time of the agent or proxy: seconds in a minute. None of one that was killed.
    pub(super) own_cpu: Option<f64>,
}

impl Figures {
    /// Of what the clients of one contender have seen at so many attempts a second; `has_return` if
    /// replicas returned second.
    pub(super) fn of(seen: &Seen, times: Times, rate: u32, has_return: bool) -> Self {
        let Seen { open: Report { attempts, .. }, serial, held, own_cpu } = seen;
        let Times { fault_us, took_us: _, second_us, end_us } = times;
        let until = second_us.unwrap_or(end_us);
        let counted = attempts.iter().filter(|one| (fault_us..end_us).contains(&one.at_us)).count();
        let before = attempts.iter().filter(|one| one.has_failed() && one.end_us() < fault_us);
        Self {
            attempts: u32::try_from(counted).unwrap_or(u32::MAX),
            planned: (seconds(end_us - fault_us) * f64::from(rate)) as u32,
            before: u32::try_from(before.count()).unwrap_or(u32::MAX),
            failed: failed(attempts, fault_us, until),
            serial: failed(&serial.attempts, fault_us, until),
            // What began before is counted as failed already.
            second: second_us.map(|second| failed_from(attempts, second, end_us)),
            back: second_us
                .filter(|_| has_return)
                .map(|second| back(attempts, fault_us, second, end_us)),
            ended: (!held.held.is_empty()).then(|| ended(&held.held, fault_us)),
            own_cpu: own_cpu.map(|used| 60.0 * used.as_secs_f64() / seconds(end_us - fault_us)),
        }
    }
}

/// Those that failed and were under way at `from`, or began later, before `to`.
fn failed(attempts: &[Attempt], from: u64, to: u64) -> Failed {
    count(attempts.iter().filter(|one| one.end_us() >= from && one.at_us < to), from)
}

/// Those that failed and began at `from` or later, before `to`.
fn failed_from(attempts: &[Attempt], from: u64, to: u64) -> Failed {
    count(attempts.iter().filter(|one| (from..to).contains(&one.at_us)), from)
}

fn count<'a>(attempts: impl Iterator<Item = &'a Attempt>, from: u64) -> Failed {
    let mut failed = Failed::default();
    for attempt in attempts.filter(|attempt| attempt.has_failed()) {
        let began = seconds(attempt.at_us.saturating_sub(from));
        failed.count += 1;
        failed.last = Some(failed.last.unwrap_or_default().max(began));
    }
    failed
}

fn back(attempts: &[Attempt], fault: u64, second: u64, end: u64) -> Back {
    let near = attempts.iter().filter(|one| one.is_near());
    let first = near.map(Attempt::end_us).filter(|ended| *ended >= second).min();
    let before = share(attempts, fault.saturating_sub(3 * WINDOW), fault);
    let mut windows = (second..end.saturating_sub(WINDOW)).step_by((WINDOW / 10) as usize);
    let is_back = |from: &u64| share(attempts, *from, from + WINDOW) >= BACK * before;
    let most = windows.find(is_back).map(|from| seconds(from + WINDOW - second));
    Back { first: first.map(|first| seconds(first - second)), most }
}

/// Of the attempts that began then and were answered: by the clients' zone.
fn share(attempts: &[Attempt], from: u64, to: u64) -> f64 {
    let answered =
        attempts.iter().filter(|one| (from..to).contains(&one.at_us) && !one.has_failed());
    let (mut all, mut near) = (0_u32, 0_u32);
    for attempt in answered {
        all += 1;
        near += u32::from(attempt.is_near());
    }
    f64::from(near) / f64::from(all.max(1))
}

fn ended(held: &[Held], fault: u64) -> Ended {
    let lost = held.iter().filter(|held| held.by.is_some_and(Member::is_near));
    let ends: Vec<Option<u64>> = lost.map(|held| held.ended_us).collect();
    let told: Vec<f64> =
        ends.iter().flatten().map(|at| seconds(at.saturating_sub(fault))).collect();
    Ended {
        count: ends.len(),
        alive: ends.len() - told.len(),
        median: median(&told),
        last: told.iter().copied().reduce(f64::max),
    }
}

/// The middle one, or the mean of the middle two. None of nothing.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (upper, lower) = (sorted.len() / 2, sorted.len().checked_sub(1)? / 2);
    Some(f64::midpoint(sorted[lower], sorted[upper]))
}

fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

#[cfg(test)]
mod tests;
