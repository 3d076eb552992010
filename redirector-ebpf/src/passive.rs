//! Counts how connects to a backend end, and ejects it when a limit is reached.
//!
//! Every store is one word that means the same whoever comes first. No atomic returns anything:
//! 5.10 refuses objects with such an instruction anywhere.

use aya_ebpf::helpers::generated::bpf_ringbuf_output;
use redirector_common::{
    Destination, EventKind, EventValue, HealthByte, HealthWord, MutedKey, PassiveValue, Reason,
    SEVERAL, SocketValue,
};

use crate::{
    alone::{agent_is_silent, now},
    maps::{EVENTS, HEALTH, MUTED, PASSIVE},
    programs::count,
};

/// How a connect failed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Hard: somebody said no.
    Refused,
    /// Hard: nobody answered in the time that it had, or nobody knew the way.
    TimedOut,
    /// Soft: the first SYN was not answered.
    Unanswered,
}

/// One more connect to the socket's backend failed.
#[inline(always)]
pub fn failed(socket: &SocketValue, failure: Failure) {
    let is_soft = failure == Failure::Unanswered;
    count(if is_soft { Reason::ConnectUnanswered } else { Reason::ConnectFailed });
    let limits = socket.limits;
    let limit = u32::from(if is_soft { limits.timeouts } else { limits.refused });
    let Destination { backend, generation, .. } = socket.destination;
    let Some(health) = health(backend) else {
        return;
    };
    // SAFETY: both pointers come from lookups that succeeded; each word is loaded or stored whole.
    unsafe {
        let word = HealthWord(health.read_volatile());
        if limit == 0 || word.generation() != generation {
            return;
        }
        let now = now();
        let client = socket.client;
        if is_muted(&MutedKey { client, backend, generation }, now) {
            count(Reason::Muted);
            return;
        }
        let Some(passive) = PASSIVE.get_ptr_mut(backend) else {
            return;
        };
        if word.byte(HealthByte::Passive) == 0 {
            note(&raw mut (*passive).client, client);
            if one_more(&raw mut (*passive).failures, is_soft) < limit {
                return;
            }
        } else if !agent_is_silent(now) || now < (&raw const (*passive).until).read_volatile() {
            // Whether it comes back its probes say; or this connect is older than the ejection.
            return;
        }
        eject(health, passive, socket, failure, now);
    }
}

/// Whether the last connect to that backend which succeeded took more than one SYN.
#[inline(always)]
pub fn is_slow(destination: &Destination) -> bool {
    // SAFETY: the pointer comes from a lookup that succeeded.
    PASSIVE
        .get_ptr(destination.backend)
        .is_some_and(|passive| unsafe { (&raw const (*passive).slow).read_volatile() } != 0)
}

/// A connect to that backend succeeded; `is_late` if not with its first SYN.
#[inline(always)]
pub fn succeeded(destination: &Destination, is_late: bool) {
    let Destination { backend, generation, .. } = *destination;
    let (Some(health), Some(passive)) = (health(backend), PASSIVE.get_ptr_mut(backend)) else {
        return;
    };
    // SAFETY: both pointers come from lookups that succeeded; each word is loaded or stored whole.
    unsafe {
        let word = HealthWord(health.read_volatile());
        if word.generation() != generation {
            return;
        }
        if (&raw const (*passive).used).read_volatile() != 1 {
            (&raw mut (*passive).used).write_volatile(1);
        }
        if (&raw const (*passive).slow).read_volatile() != u16::from(is_late) {
            (&raw mut (*passive).slow).write_volatile(u16::from(is_late));
        }
        if (&raw const (*passive).failures).read_volatile() != 0 {
            (&raw mut (*passive).failures).write_volatile(0);
            (&raw mut (*passive).client).write_volatile(0);
        }
        if word.byte(HealthByte::Passive) != 0 && agent_is_silent(now()) {
            passive_byte(health).write_volatile(0);
            count(Reason::Readmitted);
            send(&EventValue {
                kind: EventKind::Readmitted as u32,
                backend,
                generation,
                ejections: (&raw const (*passive).ejections).read_volatile(),
                client: none(),
                until: 0,
            });
        }
    }
}

/// 0, without the compiler's knowing: of two zeros side by side it makes a call of `memset`, whose
/// loop the verifier refuses a loader without `CAP_PERFMON` ("tried to add from different maps,
/// paths or scalars").
#[inline(always)]
fn none() -> u64 {
    let none = 0;
    // SAFETY: a volatile load of a local.
    unsafe { (&raw const none).read_volatile() }
}

#[inline(always)]
fn health(backend: u32) -> Option<*mut u64> {
    HEALTH.get_ptr_mut(backend)
}

/// The byte that the kernel writes.
#[inline(always)]
unsafe fn passive_byte(health: *mut u64) -> *mut u8 {
    // SAFETY: a word has eight bytes.
    unsafe { health.cast::<u8>().add(HealthByte::Passive as usize) }
}

#[inline(always)]
fn is_muted(key: &MutedKey, now: u64) -> bool {
    // SAFETY: the word is loaded whole. One of another key (an element may be recycled under its
    // reader) mutes or counts one failure too much.
    MUTED.get_ptr(key).is_some_and(|until| now < unsafe { until.read_volatile() })
}

/// Notes who failed.
#[inline(always)]
unsafe fn note(noted: *mut u64, client: u64) {
    // SAFETY: the caller's pointer is valid.
    unsafe {
        let before = noted.read_volatile();
        if before == 0 {
            noted.write_volatile(client);
        } else if before != client && before != SEVERAL {
            noted.write_volatile(SEVERAL);
        }
    }
}

/// Counts a failure; how many of its kind there are now.
#[inline(always)]
unsafe fn one_more(failures: *mut u64, is_soft: bool) -> u32 {
    let shift = 32 * u32::from(is_soft);
    // SAFETY: the caller's pointer is valid. An addition without a result, which every kernel has.
    unsafe {
        core::intrinsics::atomic_xadd::<u64, u64, { core::intrinsics::AtomicOrdering::Relaxed }>(
            failures,
            1 << shift,
        );
        (failures.read_volatile() >> shift) as u32
    }
}

/// Ejects the backend for twice as long as the last time. `until` stands before anybody can see
/// the objection.
#[inline(always)]
unsafe fn eject(
    health: *mut u64,
    passive: *mut PassiveValue,
    socket: &SocketValue,
    failure: Failure,
    now: u64,
) {
    // SAFETY: the caller's pointers are valid; each word is loaded or stored whole.
    unsafe {
        let before = (&raw const (*passive).ejections).read_volatile();
        let until = now + socket.limits.ejection(before);
        let client = (&raw const (*passive).client).read_volatile();
        (&raw mut (*passive).until).write_volatile(until);
        (&raw mut (*passive).ejections).write_volatile(before.saturating_add(1));
        (&raw mut (*passive).failures).write_volatile(0);
        passive_byte(health).write_volatile(1);
        count(Reason::Ejected);
        let is_refused = failure == Failure::Refused;
        send(&EventValue {
            kind: if is_refused { EventKind::Refused } else { EventKind::TimedOut } as u32,
            backend: socket.destination.backend,
            generation: socket.destination.generation,
            ejections: before.saturating_add(1),
            client,
            until,
        });
    }
}

/// Tells the agent. Nothing depends on it: the words say the same.
#[inline(always)]
fn send(event: &EventValue) {
    let (map, event) = ((&raw const EVENTS).cast_mut().cast(), (&raw const *event).cast_mut());
    // SAFETY: the helper takes this map and as many bytes as the event has.
    let sent = unsafe { bpf_ringbuf_output(map, event.cast(), size_of::<EventValue>() as u64, 0) };
    if sent != 0 {
        count(Reason::EventLost);
    }
}
