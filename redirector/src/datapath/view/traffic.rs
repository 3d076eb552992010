//! Who receives which share of a service's new connections: what the programs' draws come to.

use redirector_common::{AllDown, Entry, HealthWord};

use super::TierView;

/// All new connections.
const ALL: f64 = 10_000.0;

/// What the alias table gives each entry while all are usable, in 1/10,000.
pub(super) fn of_entries(entries: &[Entry]) -> Vec<u32> {
    const WHOLE: u64 = 1 << 16;
    let mut parts = vec![0_u64; entries.len()];
    for (number, entry) in entries.iter().enumerate() {
        let kept = u64::from(entry.probability) + 1;
        parts[number] += kept;
        if let Some(part) = parts.get_mut(usize::from(entry.alias)) {
            *part += WHOLE - kept;
        }
    }
    let whole = WHOLE * entries.len().max(1) as u64;
    parts.into_iter().map(|part| ((part * 10_000 + whole / 2) / whole) as u32).collect()
}

/// Gives each backend its share of the new connections. In order: to usable ones; in a panic, to
/// those that are only drained; to those that are only suspected; as the all-down policy says. What
/// a tier carries that has none of them goes to the first one that has.
pub(super) fn spread(tiers: &mut [TierView], words: &[Vec<HealthWord>], all_down: Option<AllDown>) {
    let is_panic = all_down == Some(AllDown::Panic);
    let (drained, suspected) = (HealthWord::OPERATOR, HealthWord::SUSPECTED_BITS);
    let ignored: &[u64] =
        if is_panic { &[0, drained, drained | suspected] } else { &[0, suspected] };
    let has_any =
        |ignored: &&u64| words.iter().flatten().any(|word| word.is_usable_despite(**ignored));
    match ignored.iter().find(has_any) {
        Some(ignored) => spread_over(tiers, words, |word| word.is_usable_despite(*ignored)),
        None if is_panic => spread_over(tiers, words, |_| true),
        None => {}
    }
}

fn spread_over(
    tiers: &mut [TierView],
    words: &[Vec<HealthWord>],
    is_used: impl Fn(HealthWord) -> bool,
) {
    let has_any = |words: &Vec<HealthWord>| words.iter().any(|word| is_used(*word));
    let mut loads: Vec<f64> = tiers.iter().map(|tier| f64::from(tier.load) / 100.0).collect();
    let Some(first) = words.iter().position(has_any) else { return };
    for (tier, words) in words.iter().enumerate() {
        if !has_any(words) {
            let moved = std::mem::take(&mut loads[tier]);
            loads[first] += moved;
        }
    }
    for ((tier, words), load) in tiers.iter_mut().zip(words).zip(loads) {
        let used = |(_, word): &(_, &HealthWord)| is_used(**word);
        let shares = tier.backends.iter().zip(words).filter(used);
        let sum: f64 = shares.map(|(backend, _)| f64::from(backend.share)).sum();
        for (backend, _) in tier.backends.iter_mut().zip(words).filter(|(_, word)| is_used(**word))
        {
            let share = f64::from(backend.share) / sum.max(1.0);
            backend.connections = (load * share * ALL).round() as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use redirector_common::HealthByte;

    use super::{super::BackendView, *};

    const WELL: u64 = 0;
    const EJECTED: u64 = 1 << 8;

    #[test]
    fn an_ejected_backend_receives_nothing_and_the_others_of_its_tier_its_share() {
        let words = [vec![WELL, EJECTED, WELL], vec![WELL]];
        assert_eq!(
            connections(&[100, 0], &words, AllDown::Panic),
            [[5_000, 0, 5_000].to_vec(), [0].to_vec()]
        );
    }

    #[test]
    fn what_a_tier_without_usable_backends_carries_goes_to_the_first_that_has_one() {
        let words = [vec![EJECTED], vec![WELL, WELL], vec![WELL]];
        let found = connections(&[60, 0, 40], &words, AllDown::Refuse);
        assert_eq!(found, [vec![0], vec![3_000, 3_000], vec![4_000]]);
    }

    #[test]
    fn when_no_backend_is_usable_the_policy_decides() {
        let drained = HealthWord::new(0).with(HealthByte::Operator, 1).0;
        let suspected = HealthWord::new(0).with(HealthByte::Passive, HealthWord::SUSPECTED).0;
        for (words, all_down, expected) in [
            (vec![EJECTED, EJECTED], AllDown::Panic, vec![5_000, 5_000]),
            (vec![EJECTED, EJECTED], AllDown::Refuse, vec![0, 0]),
            (vec![EJECTED, EJECTED], AllDown::PassThrough, vec![0, 0]),
            (vec![EJECTED, drained], AllDown::Panic, vec![0, 10_000]),
            (vec![EJECTED, drained], AllDown::Refuse, vec![0, 0]),
            (vec![EJECTED, suspected], AllDown::Refuse, vec![0, 10_000]),
        ] {
            assert_eq!(connections(&[100], &[words], all_down), [expected], "{all_down:?}");
        }
    }

    fn connections(loads: &[u8], words: &[Vec<u64>], all_down: AllDown) -> Vec<Vec<u32>> {
        let mut tiers: Vec<TierView> = loads
            .iter()
            .zip(words)
            .map(|(load, words)| {
                let share = 10_000 / words.len() as u32;
                let backend = |_: &u64| BackendView {
                    address: [10, 1, 0, 1].into(),
                    port: 80,
                    index: 0,
                    node: 0,
                    share,
                    connections: 0,
                    usable: true,
                    objections: Vec::new(),
                };
                TierView { load: *load, backends: words.iter().map(backend).collect() }
            })
            .collect();
        let words: Vec<Vec<HealthWord>> = words
            .iter()
            .map(|words| words.iter().map(|word| HealthWord(*word)).collect())
            .collect();
        spread(&mut tiers, &words, Some(all_down));
        tiers.iter().map(|tier| tier.backends.iter().map(|it| it.connections).collect()).collect()
    }
}
