//! Chooses one usable backend: by sampling, else by a bounded walk, else in any tier. When none is
//! usable, in order: one that only an operator keeps away (policy `Panic` alone), one that clients
//! suspect and no probe has found dead, then what the all-down policy says.
//!
//! Sampling again, not "the next entry": a dead backend's share must spread over all the healthy,
//! not land on its neighbour. So does the share of one that the client avoids, of that client.

use redirector_common::{AllDown, Entry, Header, HealthWord, MAX_TIERS, Reason};

use crate::tables::{Service, Tables, Tier};

/// Samples of one decision, at most.
pub const SAMPLES: u32 = 16;
/// Samples in each tier after the walk, which may not have got there.
const SAMPLES_PER_TIER: u32 = 2;
/// Entries that one walk looks at, at most.
pub const SCANNED: u32 = 64;
/// The same of a walk past those that the client avoids, of which a step takes twice as much.
const SCANNED_PAST: u32 = SCANNED / 2;
/// Entries of the first tier that so many of those look at, one after the other; and as many of the later
/// tiers together.
const PASSED: u64 = 4 * SCANNED_PAST as u64;

/// No index of a backend.
const NONE: u64 = 1 << 32;

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
    /// Whether some client avoids it: perhaps this one.
    pub is_avoided: bool,
}

/// How a walk goes, from where the draws have ended. One dial's programs hand it on, in a map: of a
/// word from there the verifier knows nothing, so that it explores the walk once and not for each
/// of these.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walk {
    /// Vetoes that it disregards: operators', then those of clients that no probe has confirmed.
    ignored: u64,
    /// All ones if it begins in the tier that was drawn, 0 if in the first.
    drawn: u64,
    /// Not 0 if it does not ask whom the client avoids, because it avoids all.
    unasked: u64,
    /// Entries that the one before has looked at, past those that the client avoids.
    passed: u64,
    /// The index of a backend that is passed by, whatever its health; [`NONE`] is none.
    but: u64,
}

impl Walk {
    /// The first one.
    pub const BEGIN: Self = Self { ignored: 0, drawn: u64::MAX, unasked: 0, passed: 0, but: NONE };
    /// One after which only the all-down policy is left.
    pub const WIDEST: Self = Self {
        ignored: HealthWord::OPERATOR | HealthWord::SUSPECTED_BITS,
        drawn: 0,
        unasked: 0,
        passed: 0,
        but: NONE,
    };

    /// The first one of a socket that must not be led to that backend.
    #[inline(always)]
    #[must_use]
    pub const fn past(backend: u32) -> Self {
        Self { but: backend as u64, ..Self::BEGIN }
    }

    /// Whether a backend that some client avoids is taken without asking.
    #[inline(always)]
    #[must_use]
    pub const fn is_unasked(self) -> bool {
        self.unasked != 0
    }

    /// The next one, when this one from the first tier on has met none; `None` is the end.
    #[inline(always)]
    fn wider(self, header: &Header) -> Option<Self> {
        let is_panic = header.flags & Header::ALL_DOWN == AllDown::Panic.number();
        if is_panic && self.ignored == 0 {
            Some(Self { ignored: HealthWord::OPERATOR, drawn: 0, ..self })
        } else if self.ignored & HealthWord::SUSPECTED_BITS == 0 {
            Some(Self { ignored: self.ignored | HealthWord::SUSPECTED_BITS, drawn: 0, ..self })
        } else {
            None
        }
    }
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
    let mut walk = Walk::BEGIN;
    loop {
        match scan(tables, service, seed, &mut walk) {
            Err(Reason::Scanned) => {}
            Err(Reason::Beyond) => break,
            decided => return decided,
        }
    }
    loop {
        match later(tables, service, seed, &mut walk) {
            Err(Reason::Beyond) => {}
            decided => return decided,
        }
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
        if health.on(node).is_usable() {
            return Ok(Choice::of(entry, slot, tier, health));
        }
    }
    Err(Reason::Scanned)
}

/// The same draws again, of a client that may avoid some of those that they meet: `avoids` is 1 for a
/// backend of that generation which it avoids, else 0; `None` without the map.
///
/// # Errors
///
/// [`Reason::Avoided`] if every draw met one that is unusable or avoided: ask [`scan_but`].
#[inline(always)]
pub fn sample_but<'t, T: Tables>(
    tables: &'t T,
    service: &Service<'t>,
    seed: u32,
    avoids: impl Fn(u32, u32) -> Option<u64>,
) -> Result<Choice<'t>, Reason> {
    let mut draws = Draws::new(seed);
    let tier = service.tier_at(draws.below(100).0);
    let entries = service.tier(tables, tier)?;
    for _ in 0..SAMPLES {
        let (entry, slot) = draw(tables, entries, &mut draws)?;
        let health = tables.health(entry.backend).ok_or(Reason::Inconsistent)?;
        let node = tables.node(entry.node).ok_or(Reason::Inconsistent)?;
        if health.on(node).is_usable()
            && avoids(entry.backend, health.generation()).ok_or(Reason::Inconsistent)? == 0
        {
            return Ok(Choice::of(entry, slot, tier, health));
        }
    }
    Err(Reason::Avoided)
}

/// A backend that only the kernel has ejected, and that `may_try` lets have this connect (a backend of
/// that generation): looks at up to 16 entries of one tier, chosen as for any connect, from a random
/// start.
#[inline(always)]
pub fn trial<'t, T: Tables>(
    tables: &'t T,
    service: &Service<'t>,
    seed: u32,
    may_try: impl Fn(u32, u32) -> bool,
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
        if health.is_only_ejected()
            && node.vetoes() == 0
            && may_try(entry.backend, health.generation())
        {
            return Some(Choice::of(entry, slot, tier, health));
        }
    }
    None
}

/// Looks at up to 64 entries: those of the tier that [`select`] has drawn from with the same seed
/// (or of the first, as `walk` says), from a random start, then those of the later tiers. Always
/// from the first tier on, later ones that are mostly ejected would lose their share to it. When
/// there are no more, `walk` becomes the next one, or the all-down policy decides.
///
/// # Errors
///
/// [`Reason::Scanned`] if it met none: ask once more. [`Reason::Beyond`] if there are more entries:
/// ask [`later`]. [`Reason::AllDownRefused`] or [`Reason::AllDownPassed`] if none is usable and the
/// policy says so.
#[inline(always)]
pub fn scan<'t, T: Tables>(
    tables: &'t T,
    service: &Service<'t>,
    seed: u32,
    walk: &mut Walk,
) -> Result<Choice<'t>, Reason> {
    let but = walk.but;
    match walked::<SCANNED, T>(tables, service, seed, *walk, |backend, _| {
        Some((u64::from(backend) ^ but).wrapping_sub(1) >> 63)
    })? {
        Walked::Met(choice) => Ok(choice),
        Walked::More => Err(Reason::Beyond),
        Walked::NoneLater => {
            walk.drawn = 0;
            Err(Reason::Scanned)
        }
        Walked::None => {
            let Some(wider) = walk.wider(service.header) else {
                return all_down(tables, service, seed);
            };
            *walk = wider;
            Err(Reason::Scanned)
        }
    }
}

/// The same walk past those that the client avoids: `avoids` as in [`sample_but`].
///
/// # Errors
///
/// [`Reason::Avoided`] if it met none yet: ask once more. [`Reason::AvoidsAll`] if it met none at
/// all: ask [`scan`].
#[inline(always)]
pub fn scan_but<'t, T: Tables>(
    tables: &'t T,
    service: &Service<'t>,
    seed: u32,
    walk: &mut Walk,
    avoids: impl Fn(u32, u32) -> Option<u64>,
) -> Result<Choice<'t>, Reason> {
    match walked::<SCANNED_PAST, T>(tables, service, seed, *walk, avoids)? {
        Walked::Met(choice) => Ok(choice),
        Walked::NoneLater => {
            *walk = Walk { drawn: 0, passed: 0, ..*walk };
            Err(Reason::Avoided)
        }
        Walked::More => {
            let drawn = service.tier_at(Draws::new(seed).below(100).0) & walk.drawn as u32;
            let first = u64::from(service.tier(tables, drawn)?.length);
            let passed = walk.passed + u64::from(SCANNED_PAST);
            // The rest of a large tier is left out: the next one may be served.
            let passed = if passed >= PASSED { passed.max(first) } else { passed };
            if passed.saturating_sub(first) >= PASSED {
                return Err(avoids_all(walk));
            }
            walk.passed = passed;
            Err(Reason::Avoided)
        }
        Walked::None => Err(avoids_all(walk)),
    }
}

#[inline(always)]
fn avoids_all(walk: &mut Walk) -> Reason {
    *walk = Walk { unasked: 1, ..Walk::BEGIN };
    Reason::AvoidsAll
}

/// What a walk has met.
enum Walked<'t> {
    Met(Choice<'t>),
    /// None from the drawn tier on; there are tiers before.
    NoneLater,
    /// None at all.
    None,
    /// None among the first ones.
    More,
}

#[inline(always)]
fn walked<'t, const LIMIT: u32, T: Tables>(
    tables: &'t T,
    service: &Service<'t>,
    seed: u32,
    walk: Walk,
    avoids: impl Fn(u32, u32) -> Option<u64>,
) -> Result<Walked<'t>, Reason> {
    // The tiers' entries follow each other, so one counter walks through all of them. Whatever
    // else the loop carries the verifier would combine with it (294,301 instructions).
    let mut draws = Draws::new(seed);
    // A mask and not a `bool`, which becomes a branch: the verifier would explore the walk once for
    // each of its ways (13,354 instructions).
    let drawn = service.tier_at(draws.below(100).0) & walk.drawn as u32;
    let begin = service.tier(tables, drawn)?;
    let start = draws.below(begin.length).0;
    let entries = u64::from(service.entries(tables, begin)?);
    // As many as are left of them, and where the walk goes on.
    let passed = if LIMIT == SCANNED { 0 } else { walk.passed };
    let entries = entries.saturating_sub(passed);
    // 64 bits wide: narrower ones are cut to size again at each step, in four instructions.
    for step in 0..u64::from(LIMIT) {
        if step >= entries {
            break;
        }
        let number = begin.rotated(step as u32 + passed as u32, start);
        let slot = begin.slot(number);
        let entry = tables.entry(slot).ok_or(Reason::Inconsistent)?;
        let health = tables.health(entry.backend).ok_or(Reason::Inconsistent)?;
        let node = tables.node(entry.node).ok_or(Reason::Inconsistent)?;
        let is_avoided = avoids(entry.backend, health.generation()).ok_or(Reason::Inconsistent)?;
        // One condition: a second way to the next step is one more state to explore at each of them.
        let vetoes = health.vetoes_despite(walk.ignored) | node.vetoes_despite(walk.ignored);
        if vetoes | is_avoided == 0 {
            let tier = service.tier_of(tables, slot)?;
            return Ok(Walked::Met(Choice::of(entry, slot, tier, health)));
        }
    }
    Ok(if entries > u64::from(LIMIT) {
        Walked::More
    } else if drawn > 0 {
        Walked::NoneLater
    } else {
        Walked::None
    })
}

/// Draws from each tier, in order. When they met none, `walk` becomes the next one, or the
/// all-down policy decides.
///
/// # Errors
///
/// [`Reason::Beyond`] if they met none: ask once more. [`Reason::AllDownRefused`] or
/// [`Reason::AllDownPassed`] if the draws met no usable backend and the policy says so.
#[inline(always)]
pub fn later<'t, T: Tables>(
    tables: &'t T,
    service: &Service<'t>,
    seed: u32,
    walk: &mut Walk,
) -> Result<Choice<'t>, Reason> {
    let mut draws = Draws::new(seed);
    for number in 0..MAX_TIERS as u32 * SAMPLES_PER_TIER {
        let tier = number / SAMPLES_PER_TIER;
        if tier >= u32::from(service.header.tiers) {
            break;
        }
        let (entry, slot) = draw(tables, service.tier(tables, tier)?, &mut draws)?;
        let health = tables.health(entry.backend).ok_or(Reason::Inconsistent)?;
        let node = tables.node(entry.node).ok_or(Reason::Inconsistent)?;
        if health.on(node).is_usable_despite(walk.ignored) {
            return Ok(Choice::of(entry, slot, tier, health));
        }
    }
    let Some(wider) = walk.wider(service.header) else {
        return all_down(tables, service, seed);
    };
    *walk = wider;
    Err(Reason::Beyond)
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
    Ok(Choice::of(entry, slot, tier, health))
}

impl<'t> Choice<'t> {
    #[inline(always)]
    pub(crate) fn of(entry: &'t Entry, slot: u32, tier: u32, health: HealthWord) -> Self {
        let (generation, is_avoided) = (health.generation(), health.is_avoided());
        Self { entry, slot, tier, generation, is_avoided }
    }
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
