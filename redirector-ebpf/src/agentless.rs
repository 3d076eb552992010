//! What the programs do by themselves while no agent lives: try what they have ejected, and leave
//! alone what kube-proxy serves too.

use aya_ebpf::helpers::generated::{bpf_ktime_get_coarse_ns, bpf_ktime_get_ns};
use redirector_common::{
    AGENT_SILENT, AvoidKey, ClientHash, HEARTBEAT, HealthWord, Reason, STALE_AFTER, ticks,
};
use redirector_ebpf::{Choice, Service, trial};

use crate::{
    avoid,
    maps::{CONFIG, Maps, PASSIVE},
    programs::count,
    slot::{Find as _, constant, word},
};

/// Whether this kernel has `bpf_ktime_get_coarse_ns` (5.11): set by the loader.
#[unsafe(no_mangle)]
static HAS_COARSE_CLOCK: u8 = 0;

/// A word of `CONFIG`; 0 before the agent has written it.
#[inline(always)]
pub fn config(index: u32) -> u64 {
    CONFIG.slot(index).map_or(0, |slot| slot.word().load())
}

/// Whether no agent is expected to probe what the kernel has ejected. `now` is in nanoseconds of
/// `CLOCK_MONOTONIC`.
#[inline(always)]
pub fn agent_is_silent(now: u64) -> bool {
    now.saturating_sub(config(HEARTBEAT)) > AGENT_SILENT
}

/// Whether a draw met a backend that the kernel has ejected, and no agent probes it.
#[inline(always)]
pub fn asks_for_trial(met: u64) -> bool {
    met & HealthWord::KERNEL != 0 && agent_is_silent(now())
}

/// An ejected backend whose time is over, for one connect of this client: without an agent nothing
/// else tells how it is. What comes of it moves other clients only if it succeeds; so each client
/// tries for itself, and after a failure it avoids the backend.
#[inline(always)]
pub fn try_ejected<'t>(service: &Service<'t>, seed: u32, client: ClientHash) -> Option<Choice<'t>> {
    let now = now();
    let may_try = |backend, generation| {
        let until = PASSIVE.slot(backend).map(|passive| word!(passive.until).load());
        until.is_some_and(|until| until <= now)
            && avoid::avoids(client, backend, generation, ticks(now)) == Some(0)
    };
    let choice = trial(&Maps, service, seed, may_try)?;
    let key = AvoidKey::new(client, choice.entry.backend, choice.generation);
    if !avoid::try_ejected(&key, now) {
        return None;
    }
    count(Reason::Tried);
    Some(choice)
}

/// Whether addresses that kube-proxy serves too are better left to it.
#[inline(always)]
pub fn agent_is_gone() -> bool {
    let after = config(STALE_AFTER);
    let now = || {
        let is_coarse = constant(&HAS_COARSE_CLOCK) != 0;
        // SAFETY: the helpers take nothing.
        unsafe { if is_coarse { bpf_ktime_get_coarse_ns() } else { bpf_ktime_get_ns() } }
    };
    after != 0 && now().saturating_sub(config(HEARTBEAT)) > after
}

/// Seconds of `CLOCK_MONOTONIC`.
#[inline(always)]
pub fn seconds() -> u32 {
    (now() / 1_000_000_000) as u32
}

/// Nanoseconds of `CLOCK_MONOTONIC`.
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: the helper takes nothing.
    unsafe { bpf_ktime_get_ns() }
}
