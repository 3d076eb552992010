//! Weights as alias tables: one draw of a number and a fraction chooses in constant time.
//!
//! Integers throughout: the same weights give the same bytes on every machine.

use redirector_common::ALWAYS;

/// The share of an entry that neither yields nor is yielded to.
const FULL: u64 = 1 << 16;

/// Alias and probability of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Alias {
    pub(super) alias: u16,
    pub(super) probability: u16,
}

const KEEP: Alias = Alias { alias: 0, probability: ALWAYS };

/// One [`Alias`] per weight; at most 65,535 weights, none of them 0.
///
/// Each entry's share is exact to 1/65,536 of an equal one. Equal weights yield nothing, and only
/// as much is yielded as must be: a light entry keeps its whole share in its own slot. This is the
/// sweep of Hübschle-Schneider and Sanders (Parallel Weighted Random Sampling, section 4).
pub(super) fn aliases(weights: impl Iterator<Item = u16> + Clone) -> Vec<Alias> {
    let length = weights.clone().count();
    let mut others = weights.clone();
    let first = others.next();
    if others.all(|weight| Some(weight) == first) {
        return vec![KEEP; length];
    }
    let shares = shares(weights, length as u64);
    let mut aliases = vec![KEEP; length];
    let next = |from: usize, is: fn(&u64) -> bool| {
        (from..length).find(|number| is(&shares[*number])).unwrap_or(length)
    };
    let is_light = |share: &u64| *share < FULL;
    let is_heavy = |share: &u64| *share > FULL;
    let (mut light, mut heavy) = (next(0, is_light), next(0, is_heavy));
    let mut rest = shares.get(heavy).copied().unwrap_or(FULL);
    while heavy < length {
        // Shares add up to a full one per entry, so whatever lacks something finds a giver.
        let (taker, kept, giver) = if rest > FULL && light < length {
            let taker = light;
            light = next(light + 1, is_light);
            rest -= FULL - shares[taker];
            (taker, shares[taker], heavy)
        } else {
            let (taker, kept) = (heavy, rest);
            heavy = next(heavy + 1, is_heavy);
            if heavy < length {
                rest = shares[heavy] - (FULL - rest);
            }
            (taker, kept, heavy)
        };
        if kept < FULL && giver < length {
            aliases[taker] = Alias { alias: giver as u16, probability: (kept - 1) as u16 };
        }
    }
    aliases
}

/// What each entry should get, in 1/65,536 of an equal share. They add up exactly; what rounding
/// leaves over goes to the largest remainders. Never 0: no weight is 65,536 times another.
fn shares(weights: impl Iterator<Item = u16> + Clone, length: u64) -> Vec<u64> {
    let total: u64 = weights.clone().map(u64::from).sum();
    let exact = |weight: u16| u64::from(weight) * length * FULL;
    let mut shares: Vec<u64> = weights.clone().map(|weight| exact(weight) / total).collect();
    let left = length * FULL - shares.iter().sum::<u64>();
    let mut remainders: Vec<(u64, usize)> =
        weights.map(|weight| total - exact(weight) % total).zip(0..).collect();
    remainders.sort_unstable();
    for (_, number) in &remainders[..left as usize] {
        shares[*number] += 1;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_weights_yield_nothing() {
        assert_eq!(aliases([7; 5].into_iter()), [KEEP; 5]);
        assert_eq!(aliases([9].into_iter()), [KEEP]);
        assert_eq!(aliases([].into_iter()), []);
    }

    #[test]
    fn a_light_entry_keeps_all_it_has() {
        let aliases = aliases([1, 3].into_iter());
        assert_eq!(aliases, [Alias { alias: 1, probability: 32_767 }, KEEP]);
    }

    #[test]
    fn every_share_is_exact_to_a_65536th() {
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        for round in 0..2_000 {
            let mut draw = |bound: u64| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                random % bound
            };
            let length = 1 + draw(if round % 50 == 0 { 65_535 } else { 40 });
            let most = [2, 10, 65_535][draw(3) as usize];
            let weights: Vec<u16> = (0..length).map(|_| 1 + draw(most) as u16).collect();
            let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
            let mut got = vec![0; weights.len()];
            for (number, Alias { alias, probability }) in
                aliases(weights.iter().copied()).into_iter().enumerate()
            {
                got[number] += u64::from(probability) + 1;
                got[usize::from(alias)] += FULL - 1 - u64::from(probability);
            }
            for (weight, got) in weights.iter().zip(got) {
                let wanted = u64::from(*weight) * length * FULL;
                assert!(
                    (got * total).abs_diff(wanted) < total,
                    "{got} for {weight} of {weights:?}"
                );
            }
        }
    }

    #[test]
    fn the_extremes_of_weights_work() {
        for weights in [vec![1, 65_535], vec![65_535, 1], {
            let mut weights = vec![65_535; 65_535];
            weights[40_000] = 1;
            weights
        }] {
            assert_eq!(aliases(weights.iter().copied()).len(), weights.len());
        }
    }
}
