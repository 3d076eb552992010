//! Judges a fail-back: nothing during the hold-down, then more and more. Pure.

use std::time::Duration;

use super::script::HOLD_DOWN;

const WINDOW: Duration = Duration::from_secs(1);
/// Percentage points by which a share may seem to shrink from one window to the next: each dial is
/// drawn, and 200 of them have a standard deviation of 3.5 points, twice as rare in a difference.
const NOISE: usize = 15;
/// Shares that are neither nothing nor all are those of a ramp, which takes 4 windows.
const BETWEEN: std::ops::RangeInclusive<usize> = 10..=90;
const FEWEST_BETWEEN: usize = 2;

/// What is wrong with the way back of a tier, by dials: when each ended, and whether the tier
/// served it.
pub(super) fn faults(dials: &[(Duration, bool)], lasts: Duration) -> Vec<String> {
    let mut faults = Vec::new();
    let first = dials.iter().filter(|(_, is_back)| *is_back).map(|(at, _)| *at).min();
    if let Some(first) = first
        && first < HOLD_DOWN
    {
        let (first, hold_down) = (first.as_millis(), HOLD_DOWN.as_millis());
        faults.push(format!("traffic returned after {first} ms, within {hold_down} ms"));
    }
    let shares = shares(dials, lasts);
    if shares.windows(2).any(|pair| pair[1] + NOISE < pair[0]) {
        faults.push(format!("the share shrank on its way: {shares:?} % by the second"));
    }
    if shares.iter().filter(|share| BETWEEN.contains(share)).count() < FEWEST_BETWEEN {
        faults.push(format!("the share jumped instead of growing: {shares:?} % by the second"));
    }
    faults
}

/// Percent of the dials that the tier served, by the second. Seconds without any are left out.
fn shares(dials: &[(Duration, bool)], lasts: Duration) -> Vec<usize> {
    let mut windows = vec![(0, 0); lasts.as_secs() as usize + 1];
    for (at, is_back) in dials {
        let number = (at.as_micros() / WINDOW.as_micros()) as usize;
        if let Some((all, back)) = windows.get_mut(number) {
            *all += 1;
            *back += usize::from(*is_back);
        }
    }
    windows.iter().filter(|(all, _)| *all > 0).map(|(all, back)| 100 * back / all).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_return_after_the_hold_down_is_right() {
        assert_eq!(judged(|ms| ms.saturating_sub(2_300) / 40), Vec::<String>::new());
    }

    #[test]
    fn an_early_return_a_jump_and_a_step_back_are_faults() {
        assert_eq!(
            judged(|ms| ms.saturating_sub(1_500) / 40),
            ["traffic returned after 1715 ms, within 2000 ms"]
        );
        let [jump] = &judged(|ms| if ms < 4_000 { 0 } else { 100 })[..] else { panic!("a jump") };
        assert!(
            jump.starts_with("the share jumped instead of growing: [0, 0, 0, 0, 100"),
            "{jump}"
        );
        let back = |ms: u64| if ms >= 5_000 { ms.saturating_sub(4_500) / 40 } else { ms / 50 - 40 };
        let [shrank] = &judged(|ms| if ms < 2_000 { 0 } else { back(ms) })[..] else {
            panic!("a step back")
        };
        assert!(
            shrank.starts_with("the share shrank on its way: [0, 0, 9, 29, 49, 24,"),
            "{shrank}"
        );
    }

    /// 200 dials a second for 8 s; `percent` of them go back.
    fn judged(percent: impl Fn(u64) -> u64) -> Vec<String> {
        let mut back = 0;
        let dials = (0..8_000).step_by(5).map(|ms| {
            let due = back + percent(ms).min(100);
            back = due % 100;
            (Duration::from_millis(ms), due >= 100)
        });
        faults(&dials.collect::<Vec<_>>(), Duration::from_secs(8))
    }
}
