//! Puts the steps of a pass in an order in which each of them is safe to be the last one.

use redirector_common::ServiceWord;

use super::{installed::Installed, step::Step, vetoes::VetoSteps};

/// Steps by kind.
#[derive(Debug, Default)]
pub(super) struct Phases {
    pub(super) puts: Vec<Step>,
    pub(super) writes: Vec<Step>,
    pub(super) publishes: Vec<Step>,
    pub(super) inserts: Vec<Step>,
    pub(super) removals: Vec<Step>,
    pub(super) unpublish: Vec<Step>,
    pub(super) discovery: Vec<Step>,
}

/// In order: vetoes that are cleared, so that there is always a usable backend; vetoes that leave every
/// table one; a barrier, if a reader may still hold what is to be used again; words that the start found
/// without a frontend; what nothing points to yet; the words that point to it; frontends to insert, if
/// none is to be removed; frontends to remove; a barrier, if anything was freed or waits for one; the
/// bytes of discovery, the words of removed frontends, and the frontends to insert after all.
pub(super) fn order(
    installed: &mut Installed,
    phases: Phases,
    vetoes: &mut VetoSteps,
    has_freed: bool,
    steps: &mut Vec<Step>,
) {
    let Phases { puts, writes, publishes, inserts, removals, unpublish, discovery } = phases;
    steps.append(&mut vetoes.lifted);
    steps.append(&mut vetoes.at_once);
    let stale = std::mem::take(&mut installed.stale);
    let takes_index = |step: &Step| !matches!(step, Step::PutName { .. });
    let is_still = writes.is_empty() && inserts.is_empty() && stale.is_empty();
    let needs_room = !is_still || puts.iter().any(takes_index);
    if needs_room && !installed.is_settled {
        steps.push(Step::Barrier);
        installed.is_settled = true;
    }
    for index in stale {
        steps.push(Step::Unpublish { index });
        installed.words[index as usize] = ServiceWord(0);
        installed.free_frontends.give_back(index);
    }
    if steps.is_empty() {
        // Into an empty kernel: a million steps that need not be copied.
        *steps = puts;
    } else {
        steps.extend(puts);
    }
    steps.extend(writes);
    steps.extend(publishes);
    // A removed element of a hash map must not be seen as another one: not before a barrier.
    let (early, late) =
        if removals.is_empty() { (inserts, Vec::new()) } else { (Vec::new(), inserts) };
    let needs_barrier = has_freed || !removals.is_empty() || vetoes.needs_barrier();
    steps.extend(early);
    steps.extend(removals);
    if needs_barrier {
        steps.push(Step::Barrier);
        installed.is_settled = true;
    }
    for mut phase in [discovery, unpublish, late] {
        steps.append(&mut phase);
    }
}
