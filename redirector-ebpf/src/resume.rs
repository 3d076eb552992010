//! Whether an earlier choice, of a client with session affinity or of a UDP socket, still holds.

use redirector_common::Reason;

use crate::{
    select::Choice,
    tables::{Service, Tables},
};

/// What was chosen before.
#[derive(Clone, Copy, Debug)]
pub struct Earlier {
    /// Index into `HEALTH`.
    pub backend: u32,
    /// Generation of the index then.
    pub generation: u32,
    /// The tier it was in.
    pub tier: u32,
}

/// Steps of a binary search that finds one of 65,535 entries.
const STEPS: u32 = 16;

/// The earlier choice, if its tier still lists the backend and the backend is still the same and
/// usable. The entries of a tier are sorted by backend index.
///
/// # Errors
///
/// [`Reason::Inconsistent`] if the table points outside the arena.
#[inline(always)]
pub fn resume<'t, T: Tables>(
    tables: &'t T,
    service: &Service<'t>,
    earlier: Earlier,
) -> Result<Option<Choice<'t>>, Reason> {
    if earlier.tier >= u32::from(service.header.tiers) {
        return Ok(None);
    }
    let entries = service.tier(tables, earlier.tier)?;
    let mut low = 0;
    let mut high = entries.length;
    for _ in 0..=STEPS {
        if low >= high {
            break;
        }
        let middle = (low + high) >> 1;
        let slot = entries.slot(middle);
        let entry = tables.entry(slot).ok_or(Reason::Inconsistent)?;
        if entry.backend == earlier.backend {
            let health = tables.health(entry.backend).ok_or(Reason::Inconsistent)?;
            let node = tables.node(entry.node).ok_or(Reason::Inconsistent)?;
            let holds = health.on(node).is_usable() && health.generation() == earlier.generation;
            return Ok(holds.then(|| Choice::of(entry, slot, earlier.tier, health)));
        }
        if entry.backend < earlier.backend {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(None)
}
