//! Chooses one usable backend: by sampling, else by a bounded walk, else in any tier, else by the
//! all-down policy.
//!
//! Sampling again, not "the next entry": a dead backend's share must spread over all the healthy,
//! not land on its neighbour.

use redirector_common::{AllDown, Entry, Header, MAX_TIERS, Reason};

use crate::tables::{Service, Tables, Tier};

/// Samples of one decision, at most.
pub const SAMPLES: u32 = 16;
/// Samples in each tier after the walk, which may not have got there.
const SAMPLES_PER_TIER: u32 = 2;
/// Entries that one scan looks at, at most.
pub const SCANNED: u32 = 64;

/// The entry chosen, and where it is.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'t> {
    /// Backend, node, port and (IPv4) address.
    pub entry: &'t Entry,
    /// Its slot in the arena; an IPv6 address is in the next one.
    pub slot: u32,
    /// Its tier.
    pub tier: u32,
    /// Generation of the backend's index when its health was read.
    pub generation: u32,
}

/// A stream of draws from one seed: Knuth's linear congruential generator, upper half.
struct Draws(u64);

impl Draws {
    #[inline(always)]
    fn new(seed: u32) -> Self {
        let mut draws = Self(u64::from(seed));
        draws.next();
        draws
    }

    #[inline(always)]
    fn next(&mut self) -> u32 {
        const MULTIPLIER: u64 = 6_364_136_223_846_793_005;
        const INCREMENT: u64 = 1_442_695_040_888_963_407;
        self.0 = self.0.wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT);
        (self.0 >> 32) as u32
    }

    /// A number below `bound`, and 16 bits of fraction that are independent of it while `bound`
    /// is at most 65,536.
    #[inline(always)]
    fn below(&mut self, bound: u32) -> (u32, u16) {
        let product = u64::from(self.next()) * u64::from(bound);
        ((product >> 32) as u32, (product >> 16) as u16)
    }
}

/// The whole decision, as the programs make it one after the other.
///
/// # Errors
///
/// Why the address is left alone, or refused.
pub fn decide<'t, T: Tables>(
    tables: &'t T,
    service: &Service<'t>,
    seed: u32,
) -> Result<Choice<'t>, Reason> {
    match select(tables, service, seed) {
        Err(Reason::Scanned) => {}
        decided => return decided,
    }
    let scanned = match scan(tables, service, seed, 0) {
        Err(Reason::Scanned) => scan(tables, service, seed, 1),
        scanned => scanned,
    };
    match scanned {
        Err(Reason::Beyond) => later(tables, service, seed),
        decided => decided,
    }
}

/// Draws entries of one tier until one is usable, at most 16: the first tier whose cumulative load
/// exceeds a random percentage.
///
/// # Errors
///
/// [`Reason::Scanned`] if every draw met an unusable backend: ask [`scan`].
#[inline(always)]
pub fn select<'t, T: Tables>(
    tables: &'t T,
    service: &Service<'t>,
    seed: u32,
) -> Result<Choice<'t>, Reason> {
    sample(tables, service, seed, &mut 0)
}

/// The same; `met` becomes the union of the health words of those drawn.
///
/// # Errors
///
/// As [`select`].
#[inline(always)]
pub fn sample<'t, T: Tables>(
    tables: &'t T,
    service: &Service<'t>,
    seed: u32,
    met: &mut u64,
) -> Result<Choice<'t>, Reason> {
    let mut draws = Draws::new(seed);
    let tier = service.tier_at(draws.below(100).0);
    let entries = service.tier(tables, tier)?;
    for _ in 0..SAMPLES {
        let (entry, slot) = draw(tables, entries, &mut draws)?;
        let health = tables.health(entry.backend).ok_or(Reason::Inconsistent)?;
        let node = tables.node(entry.node).ok_or(Reason::Inconsistent)?;
        *met |= health.0;
        if health.is_usable() && node.is_usable() {
            return Ok(Choice { entry, slot, tier, generation: health.generation() });
        }
    }
    Err(Reason::Scanned)
}

/// A backend that only the kernel has ejected, and that `may_try` lets have this connect: looks at
/// up to 16 entries of one tier, chosen as for any connect, from a random start.
#[inline(always)]
pub fn trial<'t, T: Tables>(
    tables: &'t T,
    service: &Service<'t>,
    seed: u32,
    may_try: impl Fn(u32) -> bool,
) -> Option<Choice<'t>> {
    let mut draws = Draws::new(seed);
    let tier = service.tier_at(draws.below(100).0);
    let entries = service.tier(tables, tier).ok()?;
    let start = draws.below(entries.length).0;
    for step in 0..SAMPLES {
        if step >= entries.length {
            break;
        }
        let slot = entries.slot(entries.rotated(step, start));
        let entry = tables.entry(slot)?;
        let health = tables.health(entry.backend)?;
        let node = tables.node(entry.node)?;
        if health.is_only_ejected() && node.is_usable() && may_try(entry.backend) {
            return Some(Choice { entry, slot, tier, generation: health.generation() });
        }
    }
    None
}

/// Looks at up to 64 entries: those of the tier that [`select`] has drawn from with the same seed
/// (or of the first, if `from_first` is 1 and not 0), from a random start, then those of the later
/// tiers; if there are no more, the all-down policy. Always from the first tier on, later ones that
/// are mostly ejected would lose their share to it.
///
/// # Errors
///
/// [`Reason::Scanned`] if nobody is usable from the drawn tier on: ask once more, from the first.
/// [`Reason::Beyond`] if there are more entries: ask [`later`]. [`Reason::AllDownRefused`] or
/// [`Reason::AllDownPassed`] if none is usable and the policy says so.
#[inline(always)]
pub fn scan<'t, T: Tables>(
    tables: &'t T,
    service: &Service<'t>,
    seed: u32,
    from_first: u32,
) -> Result<Choice<'t>, Reason> {
    // The tiers' entries follow each other, so one counter walks through all of them. Whatever
    // else the loop carries the verifier would combine with it (294,301 instructions).
    let mut draws = Draws::new(seed);
    // A number and not a `bool`, which becomes a branch: the verifiers of 5.10 and 6.1 would explore
    // the walk once for each of its ways (13,354 instructions).
    let drawn = service.tier_at(draws.below(100).0) & from_first.wrapping_sub(1);
    let begin = service.tier(tables, drawn)?;
    let start = draws.below(begin.length).0;
    let entries = u64::from(service.entries(tables, begin)?);
    // 64 bits wide: narrower ones are cut to size again at each step, in four instructions.
    for step in 0..u64::from(SCANNED) {
        if step >= entries {
            break;
        }
        let number = begin.rotated(step as u32, start);
        let slot = begin.slot(number);
        let entry = tables.entry(slot).ok_or(Reason::Inconsistent)?;
        if let Some(generation) = usable(tables, entry.backend, entry.node)? {
            return Ok(Choice { entry, slot, tier: service.tier_of(tables, slot)?, generation });
        }
    }
    if entries > u64::from(SCANNED) {
        Err(Reason::Beyond)
    } else if drawn > 0 {
        Err(Reason::Scanned)
    } else {
        all_down(tables, service, seed)
    }
}

/// Draws from each tier, in order; then the all-down policy.
///
/// # Errors
///
/// [`Reason::AllDownRefused`] or [`Reason::AllDownPassed`] if the draws met no usable backend and
/// the policy says so.
#[inline(always)]
pub fn later<'t, T: Tables>(
    tables: &'t T,
    service: &Service<'t>,
    seed: u32,
) -> Result<Choice<'t>, Reason> {
    let mut draws = Draws::new(seed);
    for number in 0..MAX_TIERS as u32 * SAMPLES_PER_TIER {
        let tier = number / SAMPLES_PER_TIER;
        if tier >= u32::from(service.header.tiers) {
            break;
        }
        let (entry, slot) = draw(tables, service.tier(tables, tier)?, &mut draws)?;
        if let Some(generation) = usable(tables, entry.backend, entry.node)? {
            return Ok(Choice { entry, slot, tier, generation });
        }
    }
    all_down(tables, service, seed)
}

/// No backend is usable: one of all (`Panic`), or what else the policy says.
#[inline(always)]
fn all_down<'t, T: Tables>(
    tables: &'t T,
    service: &Service<'t>,
    seed: u32,
) -> Result<Choice<'t>, Reason> {
    match AllDown::try_from(service.header.flags & Header::ALL_DOWN) {
        Ok(AllDown::Panic) => {}
        Ok(AllDown::Refuse) => return Err(Reason::AllDownRefused),
        Ok(AllDown::PassThrough) => return Err(Reason::AllDownPassed),
        Err(_) => return Err(Reason::Inconsistent),
    }
    let mut draws = Draws::new(seed);
    let tier = service.tier_at(draws.below(100).0);
    let (entry, slot) = draw(tables, service.tier(tables, tier)?, &mut draws)?;
    let health = tables.health(entry.backend).ok_or(Reason::Inconsistent)?;
    Ok(Choice { entry, slot, tier, generation: health.generation() })
}

/// The generation of a backend that may receive new connections.
#[inline(always)]
pub(crate) fn usable<T: Tables>(
    tables: &T,
    backend: u32,
    node: u16,
) -> Result<Option<u32>, Reason> {
    let health = tables.health(backend).ok_or(Reason::Inconsistent)?;
    let node = tables.node(node).ok_or(Reason::Inconsistent)?;
    Ok((health.is_usable() && node.is_usable()).then_some(health.generation()))
}

/// One draw by the alias method: an entry at random, or the one it yields to.
#[inline(always)]
fn draw<'t, T: Tables>(
    tables: &'t T,
    entries: Tier,
    draws: &mut Draws,
) -> Result<(&'t Entry, u32), Reason> {
    let (number, fraction) = draws.below(entries.length);
    let slot = entries.slot(number);
    let entry = tables.entry(slot).ok_or(Reason::Inconsistent)?;
    if fraction <= entry.probability {
        return Ok((entry, slot));
    }
    let slot = entries.slot(u32::from(entry.alias));
    Ok((tables.entry(slot).ok_or(Reason::Inconsistent)?, slot))
}
