//! What the programs do by themselves while no agent lives: try what they have ejected, and leave
//! alone what kube-proxy serves too.

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    helpers::generated::{bpf_ktime_get_coarse_ns, bpf_ktime_get_ns},
};
use redirector_common::{AGENT_SILENT, HEARTBEAT, HealthWord, Reason, STALE_AFTER, TrialKey};
use redirector_ebpf::{Choice, Service, trial};

use crate::{
    maps::{CONFIG, Maps, PASSIVE, TRIALS},
    programs::count,
};

/// Whether this kernel has `bpf_ktime_get_coarse_ns` (5.11): set by the loader.
#[unsafe(no_mangle)]
static HAS_COARSE_CLOCK: u8 = 0;

/// A word of `CONFIG`; 0 before the agent has written it.
#[inline(always)]
fn config(index: u32) -> u64 {
    // SAFETY: the pointer comes from a lookup that succeeded; the word is loaded whole.
    CONFIG.get_ptr(index).map_or(0, |word| unsafe { word.read_volatile() })
}

/// Whether nobody is expected to probe what the kernel has ejected. `now` is in nanoseconds of
/// `CLOCK_MONOTONIC`.
#[inline(always)]
pub fn agent_is_silent(now: u64) -> bool {
    now.saturating_sub(config(HEARTBEAT)) > AGENT_SILENT
}

/// Whether a draw met a backend that the kernel has ejected, and nobody probes it.
#[inline(always)]
pub fn asks_for_trial(met: u64) -> bool {
    met & HealthWord::PASSIVE != 0 && agent_is_silent(now())
}

/// An ejected backend whose time is over, for this connect alone: without an agent nobody else
/// tells how it is.
#[inline(always)]
pub fn try_ejected<'t>(service: &Service<'t>, seed: u32) -> Option<Choice<'t>> {
    let now = now();
    let until = |backend| {
        // SAFETY: the pointer comes from a lookup that succeeded; a word that changes meanwhile
        // is read once.
        PASSIVE
            .get_ptr(backend)
            .map(|passive| unsafe { (&raw const (*passive).until).read_volatile() })
    };
    let choice =
        trial(&Maps, service, seed, |backend| until(backend).is_some_and(|until| until <= now))?;
    let backend = choice.entry.backend;
    let key = TrialKey::new(backend, choice.generation, until(backend)?, now);
    // An atomic claim on every kernel: 5.10 refuses a compare-and-swap.
    TRIALS.insert(&key, &0, BPF_NOEXIST.into()).ok()?;
    count(Reason::Tried);
    Some(choice)
}

/// Whether addresses that kube-proxy serves too are better left to it.
#[inline(always)]
pub fn agent_is_gone() -> bool {
    let after = config(STALE_AFTER);
    // SAFETY: a plain load of a constant that the loader may replace; the helpers take nothing.
    let now = || unsafe {
        if (&raw const HAS_COARSE_CLOCK).read_volatile() != 0 {
            bpf_ktime_get_coarse_ns()
        } else {
            bpf_ktime_get_ns()
        }
    };
    after != 0 && now().saturating_sub(config(HEARTBEAT)) > after
}

/// Nanoseconds of `CLOCK_MONOTONIC`.
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: the helper takes nothing.
    unsafe { bpf_ktime_get_ns() }
}
