//! How many connects show a share to one percentage point.

/// The fewest that are worth the name.
const FEWEST: u32 = 20_000;
/// One percentage point is at least so many standard deviations: a share that is right is judged
/// wrong once in 380,000 times. A run judges eleven; those of nothing and everything are exact.
const DEVIATIONS: f64 = 4.7;

/// Connects that show each of these shares, in percent.
pub(crate) fn draws(shares: &[u64]) -> u32 {
    let variance = |share: &u64| share * (100 - share);
    let most = shares.iter().map(variance).max().unwrap_or_default();
    ((DEVIATIONS.powi(2) * most as f64).ceil() as u32).max(FEWEST)
}

/// Whether so many of all are that many percent, or at most one point more or less; nothing and
/// everything are exact.
pub(crate) fn is_within(count: u32, all: u32, share: u64) -> bool {
    let (count, all) = (u64::from(count), u64::from(all));
    match share {
        0 => count == 0,
        100 => count == all,
        _ => (count * 100).abs_diff(share * all) <= all,
    }
}

#[test]
fn a_share_of_half_needs_more_connects_than_one_of_a_fiftieth() {
    assert_eq!(draws(&[98, 2]), 20_000);
    assert_eq!(draws(&[100, 0]), 20_000);
    assert_eq!(draws(&[50, 50]), 55_226);
}

#[test]
fn a_point_is_a_point() {
    assert!(is_within(490, 1_000, 50) && is_within(510, 1_000, 50));
    assert!(!is_within(489, 1_000, 50) && !is_within(511, 1_000, 50));
    assert!(!is_within(1, 1_000, 0) && !is_within(999, 1_000, 100));
}
