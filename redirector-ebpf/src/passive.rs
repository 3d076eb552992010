//! What follows from how a redirected connect, or its connection, ended: its client avoids the backend, the agent is
//! asked, and what several clients saw takes the backend from all for a while.
//!
//! Every store is one word or byte that means the same in any order. No atomic returns
//! anything: 5.10 refuses objects with such an instruction anywhere.

use aya_ebpf::{helpers::generated::bpf_ringbuf_output, programs::SockOpsContext};
use redirector_common::{
    AvoidKey, Client, ClientHash, EventKind, EventValue, HealthByte, HealthWord, Limits,
    PassiveValue, Reason, SocketValue, WitnessWord,
};

use crate::{
    agentless::{agent_is_silent, now},
    avoid, client, listen,
    maps::{EVENTS, HEALTH, PASSIVE},
    programs::count,
    slot::{Find as _, Slot, word},
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
    /// It connected, and its requests were not answered.
    Unresponsive = 4,
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
pub fn failed(client: Client, socket: Slot<SocketValue>, failure: Failure) {
    let is_soft = failure == Failure::Unanswered;
    count(if is_soft { Reason::ConnectUnanswered } else { Reason::ConnectFailed });
    let limits = word!(socket.limits).load_parts();
    let limit = u32::from(if is_soft { limits.timeouts } else { limits.refused });
    let (backend, generation) = backend_of(socket);
    let (Some(health), Some(passive)) = (HEALTH.slot(backend), PASSIVE.slot(backend)) else {
        return;
    };
    let word = HealthWord(health.word().load());
    if limit == 0 || word.generation() != generation {
        return;
    }
    let now = now();
    let key = AvoidKey::new(ClientHash::new(client), backend, generation);
    let avoids_now = avoid::failed(&key, !is_soft, limit, now);
    if !word.is_avoided() {
        let byte = health.word().byte(HealthByte::Passive);
        // An ejection of this very moment may be lost: then the next failure repeats it.
        byte.store(byte.load() | HealthWord::AVOIDED);
    }
    if avoids_now {
        avoided(health, passive, &Seen { backend, generation, client, failure }, &limits, now);
    }
}

/// One more connection of this client was accepted by the socket's backend, and not answered: as
/// [`failed`], by counts of their own. That connects succeed ends none of it, only an answer.
#[inline(always)]
pub fn unanswered(client: Client, socket: Slot<SocketValue>) {
    count(Reason::RequestUnanswered);
    let limit = u32::from(word!(socket.unresponsive).load());
    let (backend, generation) = backend_of(socket);
    let (Some(health), Some(passive)) = (HEALTH.slot(backend), PASSIVE.slot(backend)) else {
        return;
    };
    let now = now();
    let hash = ClientHash::new(client);
    let key = AvoidKey::new(hash, backend, generation);
    let row = AvoidKey::of_answers(hash, backend, generation);
    let avoids_now = avoid::unanswered(&key, &row, limit, now);
    if !HealthWord(health.word().load()).is_avoided() {
        let byte = health.word().byte(HealthByte::Passive);
        // As above.
        byte.store(byte.load() | HealthWord::AVOIDED);
    }
    if avoids_now {
        let limits = word!(socket.limits).load_parts();
        let failure = Failure::Unresponsive;
        avoided(health, passive, &Seen { backend, generation, client, failure }, &limits, now);
    }
}

/// A client avoids a backend from now on.
#[inline(always)]
fn avoided(health: Slot<u64>, passive: Slot<PassiveValue>, seen: &Seen, limits: &Limits, now: u64) {
    count(Reason::AvoidBegun);
    let client = seen.client;
    let for_answers = seen.failure == Failure::Unresponsive;
    let is_several = client.netns != 0
        && is_second_witness(passive, WitnessWord::new(client.netns, for_answers, now));
    // An ejection is the agent's business already; or this connect is older than it.
    if HealthWord(health.word().load()).byte(HealthByte::Passive) != 0 {
        return;
    }
    let vouched = word!(passive.vouched).load();
    let is_vouched = now < vouched
        && (!for_answers || vouched & PassiveValue::ANSWERS != 0)
        && !agent_is_silent(now);
    if is_several && !is_vouched {
        eject(health, passive, seen, limits, now);
    } else if word!(passive.asked).load() == 0 {
        word!(passive.asked).store(1);
        let kind = match seen.failure {
            Failure::Refused => EventKind::AvoidedRefused,
            Failure::Unresponsive => EventKind::AvoidedUnresponsive,
            _ => EventKind::AvoidedTimedOut,
        };
        send(&seen.event(kind, passive));
    }
}

/// The socket's backend has answered this client, and later than it left any other without an answer.
/// The client does not avoid it any more; where its silence would have counted for others, so does this.
#[inline(always)]
pub fn answered(client: Client, socket: Slot<SocketValue>) {
    let (backend, generation) = backend_of(socket);
    let (Some(health), Some(passive)) = (HEALTH.slot(backend), PASSIVE.slot(backend)) else {
        return;
    };
    let hash = ClientHash::new(client);
    let key = AvoidKey::new(hash, backend, generation);
    avoid::answered(&key, &AvoidKey::of_answers(hash, backend, generation));
    if client.netns == 0 {
        return;
    }
    if word!(passive.witness).load() != 0 {
        word!(passive.witness).store(0);
    }
    let byte = HealthWord(health.word().load()).byte(HealthByte::Passive);
    let now = now();
    // As after a connect that succeeded.
    if byte & HealthWord::UNRESPONSIVE != 0
        && agent_is_silent(now)
        && word!(passive.until).load() <= now
    {
        health.word().byte(HealthByte::Passive).store(HealthWord::AVOIDED);
        count(Reason::Readmitted);
        let seen = Seen { backend, generation, client, failure: Failure::Unresponsive };
        send(&seen.event(EventKind::Readmitted, passive));
    }
}

/// Whether the last connect to a socket's backend which succeeded took more than one SYN.
#[inline(always)]
pub fn is_slow(socket: Slot<SocketValue>) -> bool {
    let passive = PASSIVE.slot(word!(socket.destination.backend).load());
    passive.is_some_and(|passive| word!(passive.slow).load() != 0)
}

/// A connect to the socket's backend succeeded; `is_late` if not with its first SYN. The client does
/// not avoid the backend any more. Where a failure would have counted for others, so does this.
#[inline(always)]
pub fn succeeded(context: &SockOpsContext, socket: Slot<SocketValue>, is_late: bool) {
    let (backend, generation) = backend_of(socket);
    let (Some(health), Some(passive)) = (HEALTH.slot(backend), PASSIVE.slot(backend)) else {
        return;
    };
    let word = HealthWord(health.word().load());
    if word.generation() != generation {
        return;
    }
    let used = word!(passive.used).load();
    let is_slow_news = word!(passive.slow).load() != u8::from(is_late);
    let is_doubted = word.0 & (HealthWord::AVOIDED_BIT | HealthWord::KERNEL) != 0;
    if used == PassiveValue::USED_BY_SYSTEM && !is_slow_news && !is_doubted {
        return;
    }
    let client = client::connected(context, word!(socket.cgroup).load());
    // What answers in a network that a process made may be that process.
    let is_of_system = client.netns != 0 || !listen::is_watching();
    let use_seen = if is_of_system { PassiveValue::USED_BY_SYSTEM } else { PassiveValue::USED };
    if used < use_seen {
        word!(passive.used).store(use_seen);
    }
    if is_doubted {
        avoid::succeeded(&AvoidKey::new(ClientHash::new(client), backend, generation));
    }
    if is_slow_news && is_of_system {
        word!(passive.slow).store(u8::from(is_late));
    }
    if !is_doubted || client.netns == 0 {
        return;
    }
    let witness = word!(passive.witness);
    if witness.load() != 0 && !WitnessWord(witness.load()).is_for_answers() {
        witness.store(0);
    }
    let is_unresponsive = word.byte(HealthByte::Passive) & HealthWord::UNRESPONSIVE != 0;
    if word.0 & HealthWord::KERNEL == 0 || is_unresponsive {
        return;
    }
    // Until then only what was under way when the veto came can succeed: the backend of before it.
    let now = now();
    if agent_is_silent(now) && word!(passive.until).load() <= now {
        health.word().byte(HealthByte::Passive).store(HealthWord::AVOIDED);
        health.word().byte(HealthByte::Listener).store(0);
        count(Reason::Readmitted);
        let seen = Seen { backend, generation, client, failure: Failure::Refused };
        send(&seen.event(EventKind::Readmitted, passive));
    }
}

/// A socket's backend, by index and generation.
#[inline(always)]
pub fn backend_of(socket: Slot<SocketValue>) -> (u32, u32) {
    (word!(socket.destination.backend).load(), word!(socket.destination.generation).load())
}

/// What a client saw of a backend.
struct Seen {
    backend: u32,
    generation: u32,
    client: Client,
    failure: Failure,
}

impl Seen {
    #[inline(always)]
    fn event(&self, kind: EventKind, passive: Slot<PassiveValue>) -> EventValue {
        EventValue {
            kind: kind as u32,
            backend: self.backend,
            generation: self.generation,
            ejections: word!(passive.ejections).load(),
            client: self.client,
            until: word!(passive.until).load(),
        }
    }
}

/// Notes that this namespace saw it fail. Whether another one did not long ago.
#[inline(always)]
fn is_second_witness(passive: Slot<PassiveValue>, this: WitnessWord) -> bool {
    let witness = word!(passive.witness);
    let earlier = WitnessWord(witness.load());
    witness.store(this.0);
    this.is_second(earlier)
}

/// Ejects the backend, always for the shortest time: only the agent knows whether it deserves more.
/// `until` stands before any dial can see the veto.
#[inline(always)]
fn eject(health: Slot<u64>, passive: Slot<PassiveValue>, seen: &Seen, limits: &Limits, now: u64) {
    let before = word!(passive.ejections).load();
    word!(passive.until).store(now + limits.ejection(0));
    word!(passive.ejections).store(before.saturating_add(1));
    let (kind, how) = match seen.failure {
        Failure::Refused => (EventKind::SuspectedRefused, 0),
        Failure::Unresponsive => (EventKind::SuspectedUnresponsive, HealthWord::UNRESPONSIVE),
        _ => (EventKind::SuspectedTimedOut, 0),
    };
    let veto = HealthWord::SUSPECTED | HealthWord::AVOIDED | how;
    health.word().byte(HealthByte::Passive).store(veto);
    count(Reason::Ejected);
    send(&seen.event(kind, passive));
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
