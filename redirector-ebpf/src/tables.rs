//! What the decision reads, and the way from a frontend to its header.

use redirector_common::{
    Entry, Header, HealthWord, MAX_TIERS, NodeWord, RANGES, Reason, ServiceWord, TierRange,
};

/// The maps as the decision sees them. Two implementations: BPF maps in the kernel, memory in
/// the tests. `None` is an index outside the map.
pub trait Tables {
    /// The word of a frontend: one volatile 64-bit load.
    fn word(&self, frontend: u32) -> Option<ServiceWord>;
    /// The slot as a header.
    fn header(&self, slot: u32) -> Option<&Header>;
    /// The slot as a tier's range.
    fn range(&self, slot: u32) -> Option<&TierRange>;
    /// The slot as an entry.
    fn entry(&self, slot: u32) -> Option<&Entry>;
    /// The word of a backend: one volatile 64-bit load.
    fn health(&self, backend: u32) -> Option<HealthWord>;
    /// The word of a node: one volatile 64-bit load.
    fn node(&self, node: u16) -> Option<NodeWord>;
}

/// A service's table in one family, as published when it was looked up.
#[derive(Clone, Copy, Debug)]
pub struct Service<'t> {
    /// Tiers, loads and policy.
    pub header: &'t Header,
    /// The header's slot.
    pub slot: u32,
}

/// The table behind a frontend.
///
/// # Errors
///
/// [`Reason::Unpublished`] and [`Reason::Inconsistent`] leave the address alone,
/// [`Reason::NoBackends`] and [`Reason::Unreachable`] refuse.
#[inline(always)]
pub fn service<T: Tables>(tables: &T, frontend: u32) -> Result<Service<'_>, Reason> {
    let word = tables.word(frontend).ok_or(Reason::Inconsistent)?;
    let slot = word.slot();
    if slot == 0 {
        return Err(Reason::Unpublished);
    }
    let header = tables.header(slot).ok_or(Reason::Inconsistent)?;
    if header.epoch != word.epoch() {
        return Err(Reason::Inconsistent);
    }
    if header.tiers == 0 {
        let is_unreachable = header.flags & Header::UNREACHABLE != 0;
        return Err(if is_unreachable { Reason::Unreachable } else { Reason::NoBackends });
    }
    Ok(Service { header, slot })
}

impl Service<'_> {
    /// The first tier whose cumulative load exceeds `percent`, 0 to 99.
    #[inline(always)]
    pub(crate) fn tier_at(&self, percent: u32) -> u32 {
        // All eight loads at once: a byte's upper bit survives if its load is above `percent`.
        // Eight comparisons would be eight branches, and 2^8 states for the verifier.
        const ONES: u64 = 0x0101_0101_0101_0101;
        let loads = u64::from_le_bytes(self.header.loads) | ONES << 7;
        let above = loads.wrapping_sub(ONES.wrapping_mul(u64::from(percent) + 1)) >> 7 & ONES;
        let count = above.wrapping_mul(ONES) >> 56;
        (MAX_TIERS as u32).wrapping_sub(count as u32)
    }

    /// The entries of `tier`.
    #[inline(always)]
    pub(crate) fn tier<T: Tables>(&self, tables: &T, tier: u32) -> Result<Tier, Reason> {
        let range = tables.range(self.slot + RANGES + tier).ok_or(Reason::Inconsistent)?;
        let shift = self.header.entry_shift();
        Ok(Tier { start: self.slot + range.start, length: range.length, shift })
    }

    /// How many entries this tier and all later ones have together.
    #[inline(always)]
    pub(crate) fn entries<T: Tables>(&self, tables: &T, from: Tier) -> Result<u32, Reason> {
        let last = self.tier(tables, u32::from(self.header.tiers) - 1)?;
        Ok(((last.start - from.start) >> from.shift) + last.length)
    }

    /// The tier of the entry at `slot`.
    #[inline(always)]
    pub(crate) fn tier_of<T: Tables>(&self, tables: &T, slot: u32) -> Result<u32, Reason> {
        let mut tier = 0;
        for later in 1..MAX_TIERS as u32 {
            if later >= u32::from(self.header.tiers) {
                break;
            }
            tier += is_below(slot, self.tier(tables, later)?.start).wrapping_add(1);
        }
        Ok(tier)
    }
}

/// The entries of one tier.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tier {
    start: u32,
    pub(crate) length: u32,
    shift: u32,
}

impl Tier {
    /// The slot of an entry.
    #[inline(always)]
    pub(crate) fn slot(&self, entry: u32) -> u32 {
        self.start + (entry << self.shift)
    }

    /// The entry, counted from this tier's first, that a walk meets at `step` if it begins at
    /// `start` in this tier, and goes round in it before it goes on.
    #[inline(always)]
    pub(crate) fn rotated(&self, step: u32, start: u32) -> u32 {
        let here = is_below(step, self.length);
        let wrapped = start + step;
        let wrapped = wrapped.wrapping_sub(self.length & !is_below(wrapped, self.length));
        (wrapped & here) | (step & !here)
    }
}

/// All ones if `a` is below `b`, else 0; both below 2^31. By arithmetic: branches would double
/// what the verifier explores at each step.
#[inline(always)]
fn is_below(a: u32, b: u32) -> u32 {
    crate::opaque(((a.wrapping_sub(b) as i32) >> 31) as u32)
}
