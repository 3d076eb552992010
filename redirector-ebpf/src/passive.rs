//! What follows from how a redirected connect ended: its client avoids the backend, the agent is
//! asked, and what several clients saw takes the backend from all for a while.
//!
//! Every store is one word or byte that means the same in any order. No atomic returns
//! anything: 5.10 refuses objects with such an instruction anywhere.

use aya_ebpf::{helpers::generated::bpf_ringbuf_output, programs::SockOpsContext};
use redirector_common::{
    AvoidKey, Client, ClientHash, Destination, EventKind, EventValue, HealthByte, HealthWord,
    Limits, PassiveValue, Reason, SocketValue, WitnessWord,
};

use crate::{
    alone::{agent_is_silent, now},
    avoid, client, listen,
    maps::{EVENTS, HEALTH, PASSIVE},
    programs::count,
};

/// How a connect failed; the numbers are noted in [`SocketValue::FAILED`].
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Failure {
    /// Hard: the peer or a router said no.
    Refused = 1,
    /// Hard: no answer in the time that it had, or no way there.
    TimedOut = 2,
    /// Soft: the first SYN was not answered.
    Unanswered = 3,
}

const EACCES: u32 = 13;
const ENONET: u32 = 64;
const EPROTO: u32 = 71;
const ENOPROTOOPT: u32 = 92;
const ENETUNREACH: u32 = 101;
const ETIMEDOUT: u32 = 110;
const ECONNREFUSED: u32 = 111;
const EHOSTDOWN: u32 = 112;
const EHOSTUNREACH: u32 = 113;

impl Failure {
    /// The one behind an error of a socket; `None` if the error says nothing about its peer (the
    /// kernel's `icmp_err_convert` and `icmpv6_err_convert` make most of these).
    #[inline(always)]
    pub fn of_error(errno: u32) -> Option<Self> {
        match errno {
            ECONNREFUSED | EACCES | ENOPROTOOPT | EPROTO => Some(Self::Refused),
            ENETUNREACH | ETIMEDOUT | EHOSTDOWN | EHOSTUNREACH | ENONET => Some(Self::TimedOut),
            _ => None,
        }
    }

    /// The one with that number.
    #[inline(always)]
    pub fn of(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::Refused),
            2 => Some(Self::TimedOut),
            3 => Some(Self::Unanswered),
            _ => None,
        }
    }
}

/// One more connect of this client, to the socket's backend, failed. In order:
///
/// 1. The client counts it. At the limit of the service it avoids the backend, and no other client does.
/// 2. Another namespace of the system that came to its limit within the last minute makes it the
///    word of several: out for all, until the agent answers or the time is over. Not while a living
///    agent vouches for the backend.
/// 3. Else the agent is asked, once until it answers.
#[inline(always)]
pub fn failed(client: Client, socket: &SocketValue, failure: Failure) {
    let is_soft = failure == Failure::Unanswered;
    count(if is_soft { Reason::ConnectUnanswered } else { Reason::ConnectFailed });
    let limits = socket.limits;
    let limit = u32::from(if is_soft { limits.timeouts } else { limits.refused });
    let Destination { backend, generation, .. } = socket.destination;
    let (Some(health), Some(passive)) = (health(backend), PASSIVE.get_ptr_mut(backend)) else {
        return;
    };
    // SAFETY: both pointers come from lookups that succeeded; each member is loaded or stored whole.
    unsafe {
        let word = HealthWord(health.read_volatile());
        if limit == 0 || word.generation() != generation {
            return;
        }
        let now = now();
        let key = AvoidKey::new(ClientHash::new(client), backend, generation);
        let avoids_now = avoid::failed(&key, !is_soft, limit, now);
        if !word.is_avoided() {
            let byte = passive_byte(health);
            // An ejection of this very moment may be lost: then the next failure repeats it.
            byte.write_volatile(byte.read_volatile() | HealthWord::AVOIDED);
        }
        if !avoids_now {
            return;
        }
        count(Reason::AvoidBegun);
        let is_several = client.netns != 0 && is_second_witness(passive, client.netns, now);
        // An ejection is the agent's business already; or this connect is older than it.
        if word.byte(HealthByte::Passive) != 0 {
            return;
        }
        let seen = Seen { backend, generation, client, is_refused: failure == Failure::Refused };
        let is_vouched =
            now < (&raw const (*passive).vouched).read_volatile() && !agent_is_silent(now);
        if is_several && !is_vouched {
            eject(health, passive, &seen, &limits, now);
        } else if (&raw const (*passive).asked).read_volatile() == 0 {
            (&raw mut (*passive).asked).write_volatile(1);
            send(&seen.event(EventKind::AvoidedRefused, EventKind::AvoidedTimedOut, passive));
        }
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

/// A connect to the socket's backend succeeded; `is_late` if not with its first SYN. The client does
/// not avoid the backend any more. Where a failure would have counted for others, so does this.
#[inline(always)]
pub fn succeeded(context: &SockOpsContext, socket: &SocketValue, is_late: bool) {
    let Destination { backend, generation, .. } = socket.destination;
    let (Some(health), Some(passive)) = (health(backend), PASSIVE.get_ptr_mut(backend)) else {
        return;
    };
    // SAFETY: both pointers come from lookups that succeeded; each member is loaded or stored whole.
    unsafe {
        let word = HealthWord(health.read_volatile());
        if word.generation() != generation {
            return;
        }
        let used = (&raw const (*passive).used).read_volatile();
        let is_slow_news = (&raw const (*passive).slow).read_volatile() != u8::from(is_late);
        let is_doubted = word.0 & (HealthWord::AVOIDED_BIT | HealthWord::KERNEL) != 0;
        if used == PassiveValue::USED_BY_SYSTEM && !is_slow_news && !is_doubted {
            return;
        }
        let client = client::connected(context, socket.cgroup);
        // What answers in a network that a process made may be that process.
        let is_of_system = client.netns != 0 || !listen::is_watching();
        let use_seen = if is_of_system { PassiveValue::USED_BY_SYSTEM } else { PassiveValue::USED };
        if used < use_seen {
            (&raw mut (*passive).used).write_volatile(use_seen);
        }
        if is_doubted {
            avoid::succeeded(&AvoidKey::new(ClientHash::new(client), backend, generation));
        }
        if is_slow_news && is_of_system {
            (&raw mut (*passive).slow).write_volatile(u8::from(is_late));
        }
        if !is_doubted || client.netns == 0 {
            return;
        }
        if (&raw const (*passive).witness).read_volatile() != 0 {
            (&raw mut (*passive).witness).write_volatile(0);
        }
        if word.0 & HealthWord::KERNEL != 0 && agent_is_silent(now()) {
            passive_byte(health).write_volatile(HealthWord::AVOIDED);
            health.cast::<u8>().add(HealthByte::Listener as usize).write_volatile(0);
            count(Reason::Readmitted);
            let seen = Seen { backend, generation, client, is_refused: true };
            send(&seen.event(EventKind::Readmitted, EventKind::Readmitted, passive));
        }
    }
}

/// What a client saw of a backend.
struct Seen {
    backend: u32,
    generation: u32,
    client: Client,
    is_refused: bool,
}

impl Seen {
    #[inline(always)]
    fn event(
        &self,
        refused: EventKind,
        timed_out: EventKind,
        passive: *mut PassiveValue,
    ) -> EventValue {
        // SAFETY: the caller's pointer is valid; each member is loaded whole.
        let (ejections, until) = unsafe {
            (
                (&raw const (*passive).ejections).read_volatile(),
                (&raw const (*passive).until).read_volatile(),
            )
        };
        EventValue {
            kind: if self.is_refused { refused } else { timed_out } as u32,
            backend: self.backend,
            generation: self.generation,
            ejections,
            client: self.client,
            until,
        }
    }
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

/// Notes that this namespace saw it fail. Whether another one did not long ago.
#[inline(always)]
unsafe fn is_second_witness(passive: *mut PassiveValue, netns: u64, now: u64) -> bool {
    // SAFETY: the caller's pointer is valid; the word is loaded and stored whole.
    unsafe {
        let witness = &raw mut (*passive).witness;
        let (earlier, this) = (WitnessWord(witness.read_volatile()), WitnessWord::new(netns, now));
        witness.write_volatile(this.0);
        this.is_second(earlier)
    }
}

/// Ejects the backend, always for the shortest time: only the agent knows whether it deserves more.
/// `until` stands before any dial can see the veto.
#[inline(always)]
unsafe fn eject(
    health: *mut u64,
    passive: *mut PassiveValue,
    seen: &Seen,
    limits: &Limits,
    now: u64,
) {
    // SAFETY: the caller's pointers are valid; each member is loaded or stored whole.
    unsafe {
        let before = (&raw const (*passive).ejections).read_volatile();
        (&raw mut (*passive).until).write_volatile(now + limits.ejection(0));
        (&raw mut (*passive).ejections).write_volatile(before.saturating_add(1));
        passive_byte(health).write_volatile(HealthWord::SUSPECTED | HealthWord::AVOIDED);
        count(Reason::Ejected);
        send(&seen.event(EventKind::SuspectedRefused, EventKind::SuspectedTimedOut, passive));
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
