//! How far a tier is on its way back, by how long it has been well.

use std::time::Duration;

use crate::service::{Failback, FailbackMode};

/// Percentage points of one step, at most.
const STEP: u64 = 5;

/// Where a tier stands that lost its traffic and is well again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RampStep {
    /// It gets nothing until it has been well for so long; `None` until an operator says so.
    Waiting(Option<Duration>),
    /// It gets `percent` of what it is due, and more when it has been well for `next`.
    Ramping { percent: u8, next: Duration },
    /// It gets what it is due.
    Back,
}

/// The step after being well for that long. A ramp is linear from 0 in steps of 5 points, or of
/// what a second brings (but at least 1 point) where that is less.
pub(crate) fn ramp_step(failback: &Failback, well_for: Duration) -> RampStep {
    if failback.mode == FailbackMode::Manual {
        return RampStep::Waiting(None);
    }
    let hold_down = Duration::from_millis(failback.hold_down_ms.into());
    let Some(ramping_for) = well_for.checked_sub(hold_down) else {
        return RampStep::Waiting(Some(hold_down));
    };
    let ramp = u64::from(failback.ramp_ms);
    let elapsed = u64::try_from(ramping_for.as_micros()).unwrap_or(u64::MAX);
    if elapsed >= ramp * 1_000 {
        return RampStep::Back;
    }
    let step = (100_000 / ramp).clamp(1, STEP);
    // Below 100 because `elapsed` is less than all of the ramp, an hour at most.
    let percent = elapsed / (ramp * 10) / step * step;
    let next = (percent + step).min(100);
    RampStep::Ramping {
        percent: percent as u8,
        next: hold_down + Duration::from_micros(next * ramp * 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_returns_during_the_hold_down_and_all_of_it_after_the_ramp() {
        let failback = Failback::default();
        let at = |seconds: f64| ramp_step(&failback, Duration::from_secs_f64(seconds));
        let hold_down = Duration::from_secs(30);
        assert_eq!(at(0.0), RampStep::Waiting(Some(hold_down)));
        assert_eq!(at(29.999), RampStep::Waiting(Some(hold_down)));
        assert_eq!(at(30.0), ramping(0, 31.0));
        assert_eq!(at(30.999), ramping(0, 31.0));
        assert_eq!(at(31.0), ramping(5, 32.0));
        assert_eq!(at(49.5), ramping(95, 50.0));
        assert_eq!(at(50.0), RampStep::Back);
        assert_eq!(at(1e9), RampStep::Back);
    }

    #[test]
    fn without_a_ramp_everything_returns_at_once() {
        let failback = Failback { hold_down_ms: 0, ramp_ms: 0, ..Failback::default() };
        assert_eq!(ramp_step(&failback, Duration::ZERO), RampStep::Back);
        let failback = Failback { hold_down_ms: 5_000, ..failback };
        assert_eq!(ramp_step(&failback, Duration::from_secs(5)), RampStep::Back);
    }

    #[test]
    fn a_manual_fail_back_never_comes_by_itself() {
        let failback = Failback { mode: FailbackMode::Manual, ..Failback::default() };
        assert_eq!(ramp_step(&failback, Duration::from_secs(1 << 40)), RampStep::Waiting(None));
    }

    #[test]
    fn following_the_deadlines_gives_steps_of_a_second_or_five_points() {
        for ramp_ms in [1, 7, 100, 999, 1_000, 20_000, 33_000, 60_000, 100_001, 3_600_000] {
            let failback = Failback { hold_down_ms: 100, ramp_ms, ..Failback::default() };
            let (mut now, mut before, mut steps) = (Duration::from_millis(100), 0, 0);
            while let RampStep::Ramping { percent, next } = ramp_step(&failback, now) {
                assert!(percent >= before && percent - before <= 5, "{ramp_ms} ms");
                assert!(next > now, "time must pass");
                let is_short = next - now <= Duration::from_secs(1);
                assert!(is_short || ramp_ms > 100_000, "{ramp_ms} ms: {:?}", next - now);
                let exact = (now.as_micros() as u64 - 100_000) / (u64::from(ramp_ms) * 10);
                assert_eq!(u64::from(percent), exact, "a deadline is where it changes");
                (now, before, steps) = (next, percent, steps + 1);
            }
            assert!((20..=100).contains(&steps), "{steps} steps of {ramp_ms} ms");
            let all = Duration::from_millis(100 + u64::from(ramp_ms));
            assert_eq!(now, all);
        }
    }

    fn ramping(percent: u8, next: f64) -> RampStep {
        RampStep::Ramping { percent, next: Duration::from_secs_f64(next) }
    }
}
