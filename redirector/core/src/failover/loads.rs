//! How much of a service's connections each tier gets, by health alone.
//!
//! Sources: Envoy, "Priority levels" (`priority.rst`, the pseudo code at its end) and
//! `LoadBalancerBase` in `load_balancer_impl.cc` (`distributeLoad`, `recalculateLoadInTotalPanic`).
//! All arithmetic is in integers, as there.

use redirector_common::MAX_TIERS;

use crate::service::{Mode, Policy};

/// Percent of each tier; they sum to 100, or to 0 if there is no backend at all.
pub type TierLoads = [u8; MAX_TIERS];

/// How many backends a tier has. Weights do not count: a heavy backend is not more of a tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// How many there are.
    pub total: u32,
    /// How many of them have no objection.
    pub healthy: u32,
}

/// What of a policy decides about loads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Formula {
    /// When later tiers carry load.
    pub mode: Mode,
    /// Envoy's factor in percent; 100 to 1,000.
    pub overprovisioning_percent: u16,
    /// Percent of healthy backends that a tier needs in [`Mode::Threshold`]; 1 to 100.
    pub min_healthy_percent: u8,
}

impl From<&Policy> for Formula {
    fn from(policy: &Policy) -> Self {
        let Policy { mode, overprovisioning_percent, min_healthy_percent, .. } = *policy;
        Self { mode, overprovisioning_percent, min_healthy_percent }
    }
}

impl Formula {
    /// What each tier gets; at most [`MAX_TIERS`] are looked at.
    ///
    /// - `Spill`: Envoy's formula.
    /// - `Threshold`: everything to the first tier that is [well](Self::is_well).
    /// - `LastResort`: everything to the first tier with a healthy backend.
    ///
    /// Where the mode names no tier though a backend is healthy (all tiers below the threshold; 1
    /// of 200 is 0 % in Envoy's integers, which then uses the dead as well), the first tier with
    /// a healthy backend gets everything.
    ///
    /// When no backend is healthy the kernel's all-down policy decides whether there is anything
    /// to share. Then `Spill` does as Envoy does in total panic, each tier by its number of
    /// backends; otherwise the first tier that has any gets everything.
    #[must_use]
    pub fn shares(&self, tiers: &[Count]) -> TierLoads {
        let tiers = &tiers[..tiers.len().min(MAX_TIERS)];
        let first = |is: &dyn Fn(&Count) -> bool| tiers.iter().position(is);
        let Some(not_empty) = first(&|count| count.total > 0) else { return [0; MAX_TIERS] };
        let Some(alive) = first(&|count| count.healthy > 0) else {
            return match self.mode {
                Mode::Spill => by_size(tiers, not_empty),
                Mode::Threshold | Mode::LastResort => all_to(not_empty),
            };
        };
        match self.mode {
            Mode::LastResort => all_to(alive),
            Mode::Threshold => all_to(first(&|count| self.is_well(*count)).unwrap_or(alive)),
            Mode::Spill => self.spilled(tiers).unwrap_or_else(|| all_to(alive)),
        }
    }

    /// Whether a tier would carry load if no earlier one did.
    #[must_use]
    pub fn is_well(&self, count: Count) -> bool {
        match self.mode {
            Mode::LastResort => count.healthy > 0,
            Mode::Threshold => {
                let needed = u64::from(count.total) * u64::from(self.min_healthy_percent);
                count.healthy > 0 && u64::from(count.healthy) * 100 >= needed
            }
            Mode::Spill => self.health(count) > 0,
        }
    }

    /// Percent of a tier's own load that it can carry: healthy backends times the factor.
    fn health(&self, Count { total, healthy }: Count) -> u64 {
        let scaled = u64::from(self.overprovisioning_percent) * u64::from(healthy);
        scaled.checked_div(u64::from(total)).unwrap_or(0).min(100)
    }

    fn spilled(&self, tiers: &[Count]) -> Option<TierLoads> {
        let health = tiers.iter().map(|count| self.health(*count));
        let norm = health.clone().sum::<u64>().min(100);
        let first = health.clone().position(|health| health > 0)?;
        let mut shares = [0; MAX_TIERS];
        let mut remaining = 100;
        for (share, health) in shares.iter_mut().zip(health) {
            let load = remaining.min(health * 100 / norm);
            remaining -= load;
            *share = load as u8;
        }
        shares[first] += remaining as u8;
        Some(shares)
    }
}

/// The sums up to each tier, as [`Header::loads`](redirector_common::Header::loads) has them.
#[must_use]
pub fn cumulative(shares: &TierLoads) -> TierLoads {
    let mut sum = 0;
    shares.map(|share| {
        sum += share;
        sum
    })
}

fn all_to(tier: usize) -> TierLoads {
    let mut shares = [0; MAX_TIERS];
    shares[tier] = 100;
    shares
}

fn by_size(tiers: &[Count], not_empty: usize) -> TierLoads {
    let all: u64 = tiers.iter().map(|count| u64::from(count.total)).sum();
    let mut shares = [0; MAX_TIERS];
    let mut remaining = 100;
    for (share, count) in shares.iter_mut().zip(tiers) {
        *share = (100 * u64::from(count.total) / all) as u8;
        remaining -= *share;
    }
    shares[not_empty] += remaining;
    shares
}

#[cfg(test)]
mod tests;
