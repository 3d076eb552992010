//! The programs that decide one dial, and which of them goes on from which.
//!
//! A hook's dials are a chain of tail calls: in one program the verifier would combine everything
//! (766,956 instructions), now each takes less than 10,000. Each looks the service up again.
//!
//! ```text
//! FIRST ──Undecided──▶ RESUME ──Unheld──▶ CHOOSE ──Scanned──▶ SCAN ──Beyond──▶ LATER
//!
//! FIRST            ──Scanned──────────▶ SCAN          most dials: no earlier choice is asked for
//! FIRST            ──Unheld───────────▶ CHOOSE        a UDP socket that has a port
//! RESUME           ──Undecided────────▶ RESUME        the earlier backend may be in the next tier
//! RESUME, CHOOSE   ──Itself───────────▶ SCAN          past the backend that is this very socket
//! FIRST            ──Trial────────────▶ TRIAL         connects while no agent lives: one for what
//! FIRST, RESUME    ──Scanned, Unheld──▶ TRIAL           the kernel has ejected
//! TRIAL            ──Untried──────────▶ CHOOSE
//! FIRST, CHOOSE    ──AvoidAsked───────▶ AVOID         some client avoids what was drawn
//! AVOID            ──Avoided──────────▶ AVOID_SCAN    this one avoids all that was drawn
//! SCAN             ──AvoidAsked───────▶ AVOID_SCAN
//! AVOID_SCAN       ──Avoided──────────▶ AVOID_SCAN    32 entries at a time
//! AVOID_SCAN       ──AvoidsAll────────▶ SCAN          it avoids all there are, and so none
//! SCAN             ──Scanned──────────▶ SCAN          again, and less choosy
//! LATER            ──Beyond───────────▶ LATER         the same
//! ```
//!
//! `connect6` has some of them twice, for a v4-mapped address (`…_MAPPED`): verifiers before 7.0 would
//! explore the walk once per family, in 12,615 instructions.

use redirector_common::{PROTOCOL_TCP, Reason};

use crate::{
    agentless::{agent_is_silent, now},
    context::Hook,
};

/// What most dials need, and nothing else.
pub const FIRST: u32 = u32::MAX;
/// An earlier choice, of the client (session affinity) or of the socket (UDP), that [`FIRST`] could not
/// simply repeat. The numbers are the indices in the `NEXT_…` arrays.
pub const RESUME: u32 = 0;
/// There is no such choice, or it does not hold any more.
pub const CHOOSE: u32 = 1;
/// Draws have found nothing usable: a walk.
pub const SCAN: u32 = 2;
/// Neither did the walk, and there are more entries.
pub const LATER: u32 = 3;
/// For connects while the agent is silent: draws met a backend that only the kernel has ejected, and
/// that may be tried again.
pub const TRIAL: u32 = 4;
/// For connects that drew a backend which some client avoids: the same draws, past those that this
/// client avoids.
pub const AVOID: u32 = 5;
/// The same of the walk.
pub const AVOID_SCAN: u32 = 6;
pub const SCAN_MAPPED: u32 = 7;
pub const TRIAL_MAPPED: u32 = 8;
pub const AVOID_MAPPED: u32 = 9;
pub const AVOID_SCAN_MAPPED: u32 = 10;
pub const LATER_MAPPED: u32 = 11;

/// The program that a reason asks for; `None` where it is the end.
#[inline(always)]
pub fn next<const V6: bool, const SEND: bool, const STEP: u32>(
    hook: &Hook<V6>,
    reason: Reason,
) -> Option<u32> {
    let or_mapped = |step, mapped| {
        let is_mapped = V6 && !SEND && hook.address().is_v4();
        Some(if is_mapped { mapped } else { step })
    };
    match reason {
        // One may be due for a trial, which only the first program would have seen by itself.
        Reason::Scanned | Reason::Unheld
            if !SEND
                && (STEP == FIRST || STEP == RESUME)
                && hook.protocol() == PROTOCOL_TCP
                && agent_is_silent(now()) =>
        {
            or_mapped(TRIAL, TRIAL_MAPPED)
        }
        Reason::Undecided => Some(RESUME),
        Reason::Unheld | Reason::Untried => Some(CHOOSE),
        Reason::AvoidAsked if STEP == FIRST || STEP == CHOOSE => or_mapped(AVOID, AVOID_MAPPED),
        Reason::AvoidAsked | Reason::Avoided => or_mapped(AVOID_SCAN, AVOID_SCAN_MAPPED),
        Reason::Scanned | Reason::AvoidsAll => or_mapped(SCAN, SCAN_MAPPED),
        Reason::Itself if !is_walk(STEP) => or_mapped(SCAN, SCAN_MAPPED),
        Reason::Beyond => or_mapped(LATER, LATER_MAPPED),
        Reason::Trial => or_mapped(TRIAL, TRIAL_MAPPED),
        _ => None,
    }
}

/// Whether a program goes on with what another one of the same dial has drawn.
pub const fn goes_on(step: u32) -> bool {
    is_walk(step) || passes(step)
}

/// Whether a program passes by what this client avoids.
pub const fn passes(step: u32) -> bool {
    matches!(step, AVOID | AVOID_SCAN | AVOID_MAPPED | AVOID_SCAN_MAPPED)
}

pub const fn is_trial(step: u32) -> bool {
    matches!(step, TRIAL | TRIAL_MAPPED)
}

/// Whether a program is for v4-mapped addresses alone.
pub const fn is_mapped(step: u32) -> bool {
    matches!(step, SCAN_MAPPED | TRIAL_MAPPED | AVOID_MAPPED | AVOID_SCAN_MAPPED | LATER_MAPPED)
}

/// Whether a program may choose an unusable backend at last.
pub const fn is_walk(step: u32) -> bool {
    matches!(step, SCAN | SCAN_MAPPED | LATER | LATER_MAPPED)
}
