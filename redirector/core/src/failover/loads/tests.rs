//! Vectors from Envoy's documentation and tests, and what must hold for every other one.

use super::*;

/// Factor, {backends, healthy} per tier, percent per tier.
type Vector = (u16, &'static [(u32, u32)], &'static [u8]);

/// Envoy's "Priority levels": healthy percent per tier of 100 backends, and the traffic it gets.
const DOCUMENTED: &[(&[u32], &[u8])] = &[
    // Two levels, P=1 all healthy.
    (&[100, 100], &[100, 0]),
    (&[72, 100], &[100, 0]),
    (&[71, 100], &[99, 1]),
    (&[50, 100], &[70, 30]),
    (&[25, 100], &[35, 65]),
    (&[0, 100], &[0, 100]),
    // Two levels of equal health.
    (&[72, 72], &[100, 0]),
    (&[71, 71], &[99, 1]),
    (&[50, 50], &[70, 30]),
    (&[25, 25], &[50, 50]),
    // Three levels.
    (&[100, 100, 100], &[100, 0, 0]),
    (&[72, 72, 100], &[100, 0, 0]),
    (&[71, 71, 100], &[99, 1, 0]),
    (&[50, 50, 100], &[70, 30, 0]),
    (&[25, 100, 100], &[35, 65, 0]),
    (&[25, 25, 100], &[35, 35, 30]),
    // The table says 36, 36, 28, which its own pseudo code cannot give: 35 * 100 / 98 is 35, twice,
    // 28 * 100 / 98 is 28, and `recalculatePerPriorityState` adds the missing 2 to the first.
    (&[25, 25, 20], &[37, 35, 28]),
];

/// Envoy's `load_balancer_impl_test.cc`, `GentleFailover`, `GentleFailoverWithExtraLevels` and
/// `OverProvisioningFactor`: {backends, healthy} per tier, without those about its panic
/// threshold, which is a thing of its own. Its degraded hosts are not healthy here.
const TESTED: &[Vector] = &[
    (140, &[(1, 1), (1, 1)], &[100, 0]),
    (140, &[(2, 1), (2, 1)], &[70, 30]),
    (140, &[(4, 1), (2, 2)], &[35, 65]),
    (140, &[(4, 1), (4, 1)], &[50, 50]),
    (140, &[(4, 2), (4, 2)], &[70, 30]),
    (100, &[(4, 2), (4, 2)], &[50, 50]),
    (140, &[(1, 1), (1, 1), (1, 1)], &[100, 0, 0]),
    (140, &[(2, 1), (2, 1), (2, 1)], &[70, 30, 0]),
    (140, &[(4, 1), (2, 2), (2, 1)], &[35, 65, 0]),
    (140, &[(4, 1), (4, 1), (4, 1)], &[35, 35, 30]),
    (140, &[(5, 1), (5, 1), (5, 1)], &[34, 33, 33]),
    (140, &[(5, 0), (5, 0), (5, 5)], &[0, 0, 100]),
    (140, &[(5, 0), (5, 0), (5, 4)], &[0, 0, 100]),
    (140, &[(5, 0), (5, 0), (5, 2)], &[0, 0, 100]),
    (140, &[(5, 0), (5, 2), (5, 2)], &[0, 56, 44]),
    (140, &[(5, 0), (5, 2), (5, 1)], &[0, 67, 33]),
    // `PrioritySelection`.
    (140, &[(1, 0), (1, 0), (1, 1)], &[0, 0, 100]),
    (140, &[(1, 1), (1, 0), (1, 1)], &[100, 0, 0]),
];

/// By hand from the pseudo code: health_i = min(100, F * healthy_i / total_i) in integers, then
/// as much of health_i * 100 / min(100, sum) as remains; the rest to the first with health.
const DERIVED: &[Vector] = &[
    // Envoy's formula, worked out by hand.
    (140, &[(10, 7), (10, 10)], &[98, 2]),
    (140, &[(3, 2), (3, 3)], &[93, 7]),
    (140, &[(2, 1), (2, 1)], &[70, 30]),
    (140, &[(4, 1), (4, 1), (5, 1)], &[37, 35, 28]),
    // 46: floor of 140 / 3; 93: floor of 280 / 3.
    (140, &[(3, 1), (3, 2)], &[46, 54]),
    (140, &[(3, 1), (3, 1), (3, 1)], &[46, 46, 8]),
    (140, &[(7, 5), (1, 1)], &[100, 0]),
    (140, &[(7, 4), (1, 1)], &[80, 20]),
    // Below 100 in all: 20 and 30 are 40 and 60 of 50, as the documentation's text says.
    (100, &[(10, 2), (10, 3)], &[40, 60]),
    (100, &[(3, 1), (3, 1)], &[50, 50]),
    (100, &[(7, 1), (7, 1), (7, 1)], &[34, 33, 33]),
    (100, &[(10, 9), (10, 10)], &[90, 10]),
    (200, &[(10, 5), (10, 10)], &[100, 0]),
    (200, &[(10, 4), (10, 1)], &[80, 20]),
    (1_000, &[(10, 1), (10, 10)], &[100, 0]),
    // An empty tier has health 0 and changes nothing.
    (140, &[(0, 0), (2, 1), (0, 0), (2, 2)], &[0, 70, 0, 30]),
    // One of ten in each of eight tiers: 14 each are 112, more than there is; 10 each are 80, and
    // 12 of 100 each.
    (140, &[(10, 1); 8], &[14, 14, 14, 14, 14, 14, 14, 2]),
    (100, &[(10, 1); 8], &[16, 12, 12, 12, 12, 12, 12, 12]),
    // Envoy's integers call 1 of 200 dead and would use the dead too: here it is the last resort.
    (140, &[(2, 0), (200, 1)], &[0, 100]),
    (100, &[(101, 1), (101, 1)], &[100, 0]),
    // No backend is healthy: by size, as `recalculateLoadInTotalPanic`.
    (140, &[(5, 0), (5, 0), (5, 0)], &[34, 33, 33]),
    (140, &[(1, 0), (3, 0)], &[25, 75]),
    (140, &[(0, 0), (1, 0), (2, 0)], &[0, 34, 66]),
];

#[test]
fn spill_is_envoys_priority_load_as_documented() {
    for (healthy, wanted) in DOCUMENTED {
        let tiers: Vec<(u32, u32)> = healthy.iter().map(|healthy| (100, *healthy)).collect();
        assert_spread(Mode::Spill, 140, &tiers, wanted);
    }
}

#[test]
fn spill_is_envoys_priority_load_as_tested() {
    for (factor, tiers, wanted) in TESTED {
        assert_spread(Mode::Spill, *factor, tiers, wanted);
    }
}

#[test]
fn spill_is_envoys_priority_load_as_derived() {
    for (factor, tiers, wanted) in DERIVED {
        assert_spread(Mode::Spill, *factor, tiers, wanted);
    }
    assert!(DOCUMENTED.len() + TESTED.len() + DERIVED.len() >= 40, "enough vectors");
}

#[test]
fn the_first_tier_above_the_threshold_carries_everything() {
    for (min_healthy_percent, tiers, wanted) in [
        (50, &[(2, 1), (2, 2)][..], &[100, 0][..]),
        (51, &[(2, 1), (2, 2)], &[0, 100]),
        (50, &[(3, 1), (2, 1)], &[0, 100]),
        (34, &[(3, 1), (1, 1)], &[0, 100]),
        (33, &[(3, 1), (1, 1)], &[100, 0]),
        (100, &[(200, 199), (1, 1)], &[0, 100]),
        (1, &[(200, 1), (1, 1)], &[0, 100]),
        (1, &[(100, 1), (1, 1)], &[100, 0]),
        (50, &[(0, 0), (4, 2)], &[0, 100]),
        (50, &[(4, 1), (4, 2)], &[0, 100]),
        // No tier is above: the first one with a healthy backend.
        (50, &[(4, 1), (4, 1)], &[100, 0]),
        (50, &[(4, 0), (4, 1)], &[0, 100]),
        (50, &[(0, 0), (4, 0), (4, 0)], &[0, 100, 0]),
    ] {
        let formula = Formula { min_healthy_percent, mode: Mode::Threshold, ..SPILL };
        assert_shares(&formula, tiers, wanted);
    }
}

#[test]
fn the_first_tier_with_a_healthy_backend_is_the_last_resort() {
    for (tiers, wanted) in [
        (&[(9, 9), (9, 9)][..], &[100, 0][..]),
        (&[(9, 1), (9, 9)], &[100, 0]),
        (&[(9, 0), (9, 1), (9, 9)], &[0, 100, 0]),
        (&[(0, 0), (9, 1)], &[0, 100]),
        (&[(0, 0), (9, 0), (9, 0)], &[0, 100, 0]),
        (&[(0, 0)], &[0]),
        (&[], &[]),
    ] {
        assert_spread(Mode::LastResort, 140, tiers, wanted);
    }
}

#[test]
fn a_tier_is_well_if_it_would_carry_load_as_the_first_one() {
    for_every_world(|formula, tiers| {
        let mut alone = [Count::default(); 2];
        for count in tiers {
            alone[0] = *count;
            // Another tier, which is surely well.
            alone[1] = Count { total: 1, healthy: 1 };
            assert_eq!(formula.is_well(*count), formula.shares(&alone)[0] > 0, "{count:?}");
        }
    });
}

#[test]
fn shares_sum_to_a_hundred_and_go_to_the_healthy() {
    for_every_world(|formula, tiers| {
        let shares = formula.shares(tiers);
        let is_empty = tiers.iter().all(|count| count.total == 0);
        let sum: u32 = shares.iter().map(|share| u32::from(*share)).sum();
        assert_eq!(sum, if is_empty { 0 } else { 100 }, "{formula:?} {tiers:?}");
        let loads = cumulative(&shares);
        assert!(loads.is_sorted(), "{loads:?}");
        let has_healthy = tiers.iter().any(|count| count.healthy > 0);
        for (share, count) in shares.iter().zip(tiers) {
            let is_used = if has_healthy { count.healthy > 0 } else { count.total > 0 };
            assert!(*share == 0 || is_used, "{formula:?} {tiers:?} {shares:?}");
        }
        assert!(shares[tiers.len()..].iter().all(|share| *share == 0));
    });
}

#[test]
fn more_health_never_means_less_for_a_tier_but_for_rounding() {
    for_every_world(|formula, tiers| {
        if tiers.iter().all(|count| count.healthy == 0) {
            return;
        }
        for number in 0..tiers.len() {
            let mut better = tiers.to_vec();
            if better[number].healthy == better[number].total {
                continue;
            }
            better[number].healthy += 1;
            let [before, after] = [tiers, &better].map(|tiers| formula.shares(tiers)[number]);
            let rounding = tiers.len() as u8;
            assert!(after + rounding >= before, "{formula:?} {tiers:?}: tier {number}");
        }
    });
}

const SPILL: Formula =
    Formula { mode: Mode::Spill, overprovisioning_percent: 140, min_healthy_percent: 50 };

/// Every combination of three tiers of up to four backends, in every mode.
fn for_every_world(mut check: impl FnMut(&Formula, &[Count])) {
    let all: Vec<Count> = (0..=4)
        .flat_map(|total| (0..=total).map(move |healthy| Count { total, healthy }))
        .collect();
    let mut seen = 0_u32;
    for mode in [Mode::Spill, Mode::Threshold, Mode::LastResort] {
        for overprovisioning_percent in [100, 140, 1_000] {
            let formula = Formula { mode, overprovisioning_percent, ..SPILL };
            for one in &all {
                for other in &all {
                    for third in &all {
                        check(&formula, &[*one, *other, *third]);
                        seen += 1;
                    }
                }
            }
        }
    }
    assert_eq!(seen, 9 * 15 * 15 * 15);
}

fn assert_spread(mode: Mode, factor: u16, tiers: &[(u32, u32)], wanted: &[u8]) {
    let formula = Formula { mode, overprovisioning_percent: factor, ..SPILL };
    assert_shares(&formula, tiers, wanted);
}

fn assert_shares(formula: &Formula, tiers: &[(u32, u32)], wanted: &[u8]) {
    let counts: Vec<Count> =
        tiers.iter().map(|(total, healthy)| Count { total: *total, healthy: *healthy }).collect();
    let shares = formula.shares(&counts);
    assert_eq!(&shares[..wanted.len()], wanted, "{formula:?} of {tiers:?}");
}
