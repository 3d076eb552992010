//! What the tiers get while some of them are not allowed all that they are due.

use redirector_common::MAX_TIERS;

use super::loads::{Count, Formula, TierLoads};

/// Shares when each tier is allowed that much percent of what health says.
///
/// A tier at `p` percent is in for `p` of 100 connections and out for the others, as if all its
/// backends were ejected. So what it gets grows linearly with `p`, to exactly what it is due, and
/// the rest falls to whom it would fall if the tier were down.
pub(crate) fn shares(formula: &Formula, tiers: &[Count], allowed: &[u8]) -> TierLoads {
    let mut levels: Vec<u8> = allowed.iter().copied().filter(|percent| *percent < 100).collect();
    if levels.is_empty() {
        return formula.shares(tiers);
    }
    levels.sort_unstable();
    levels.dedup();
    levels.push(100);
    let mut mixed = [0_u32; MAX_TIERS];
    let mut below = 0;
    for level in levels {
        let width = u32::from(level - below);
        below = level;
        if width == 0 {
            continue;
        }
        let out = |(count, allowed): (&Count, &u8)| {
            if *allowed < level { Count { healthy: 0, ..*count } } else { *count }
        };
        let counts: Vec<Count> = tiers.iter().zip(allowed).map(out).collect();
        let is_anybody_left = counts.iter().any(|count| count.healthy > 0);
        let shares = formula.shares(if is_anybody_left { &counts } else { tiers });
        for (mixed, share) in mixed.iter_mut().zip(shares) {
            *mixed += width * u32::from(share);
        }
    }
    // Rounding the sums, not the shares, keeps the total and the direction of every change.
    let (mut sum, mut given) = (0, 0);
    mixed.map(|share| {
        sum += share;
        let share = sum / 100 - given;
        given += share;
        share as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::{Mode, Policy};

    const WELL: Count = Count { total: 2, healthy: 2 };
    const HALF: Count = Count { total: 2, healthy: 1 };
    const DOWN: Count = Count { total: 2, healthy: 0 };

    #[test]
    fn a_tier_on_its_way_back_takes_from_whoever_carried_its_load() {
        let tiers = [WELL, WELL];
        for (allowed, wanted) in [(0, [0, 100]), (5, [5, 95]), (99, [99, 1]), (100, [100, 0])] {
            assert_eq!(first(&LAST_RESORT, &tiers, &[allowed, 100]), wanted);
        }
        // Envoy: 70 and 30 for two half tiers; 0 and 100 while the first is out.
        for (allowed, wanted) in [(0, [0, 100]), (50, [35, 65]), (100, [70, 30])] {
            assert_eq!(first(&SPILL, &[HALF, HALF], &[allowed, 100]), wanted);
        }
    }

    #[test]
    fn two_tiers_on_their_way_back_each_go_their_own() {
        let tiers = [WELL, WELL, WELL];
        for (allowed, wanted) in [
            ([0, 0, 100], [0, 0, 100]),
            ([10, 40, 100], [10, 30, 60]),
            ([40, 10, 100], [40, 0, 60]),
            ([100, 10, 100], [100, 0, 0]),
        ] {
            assert_eq!(first(&LAST_RESORT, &tiers, &allowed), wanted);
        }
    }

    #[test]
    fn nobody_waits_when_nobody_else_is_there() {
        assert_eq!(first(&LAST_RESORT, &[WELL, DOWN], &[0, 100]), [100, 0]);
        assert_eq!(first(&LAST_RESORT, &[DOWN, WELL], &[100, 0]), [0, 100]);
        assert_eq!(first(&LAST_RESORT, &[DOWN, DOWN], &[0, 0]), [100, 0]);
    }

    #[test]
    fn what_a_tier_gets_only_grows_with_what_it_is_allowed() {
        for mode in [Mode::LastResort, Mode::Spill, Mode::Threshold] {
            let formula = Formula { mode, ..SPILL };
            for healthy in 0..=7_u32.pow(3) {
                let tiers = [healthy % 7, healthy / 7 % 7, healthy / 49 % 7];
                let tiers = tiers.map(|healthy| Count { total: 6, healthy });
                for returning in 0..3 {
                    let mut before = None;
                    for percent in 0..=100 {
                        let mut allowed = [100; 3];
                        allowed[returning] = percent;
                        let shares = shares(&formula, &tiers, &allowed);
                        assert_eq!(shares.iter().sum::<u8>(), 100);
                        assert!(before <= Some(shares[returning]), "{tiers:?} {returning}");
                        before = Some(shares[returning]);
                    }
                    assert_eq!(before, Some(formula.shares(&tiers)[returning]));
                }
            }
        }
    }

    const SPILL: Formula =
        Formula { mode: Mode::Spill, overprovisioning_percent: 140, min_healthy_percent: 50 };
    const LAST_RESORT: Formula = Formula { mode: Mode::LastResort, ..SPILL };

    #[test]
    fn the_defaults_are_those_of_the_policy() {
        assert_eq!(Formula::from(&Policy::default()), LAST_RESORT);
    }

    fn first<const N: usize>(formula: &Formula, tiers: &[Count; N], allowed: &[u8; N]) -> [u8; N] {
        let shares = shares(formula, tiers, allowed);
        std::array::from_fn(|tier| shares[tier])
    }
}
