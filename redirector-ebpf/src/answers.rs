//! Whether backends answer: what a redirected connection shows of that at the moment in which its last
//! owner closes it. Nothing is armed or held for it before.
//!
//! Only sockets with a slot are judged: before 5.19 none is.

use aya_ebpf::{
    EbpfContext as _, bindings::BPF_TCP_LISTEN, helpers::generated::bpf_jiffies64,
    programs::SockContext,
};
use redirector_common::{AnswerValue, Ending, HealthWord, LONGEST_WAIT, PROTOCOL_TCP, SocketValue};

use crate::{
    client,
    context::{difference, four},
    kernel_socket::{Socket, is_task_exiting},
    listen,
    maps::{ANSWERS, HEALTH},
    passive::{self, backend_of},
    slot::{Find as _, Slot, constant, word},
    socket_slots,
};

const AF_INET6: u32 = 10;

/// 250 ms in jiffies of this kernel, or 0 where it does not say what sockets show: set by the loader. A
/// request that was not answered for less says nothing.
#[unsafe(no_mangle)]
static ANSWER_BOUND: u32 = 0;

/// Whether the end of a socket's connection is to be judged: then [`closed`] is to be called, in a program
/// of its own. A socket that listens has other things to be asked.
#[inline(always)]
#[must_use]
pub fn is_judged(context: &SockContext, socket: Slot<SocketValue>) -> bool {
    word!(socket.unresponsive).load() != 0
        && listen::state_and_protocol(context).0 != BPF_TCP_LISTEN
}

/// What a socket that is closed shows. What follows from it is done in a program of its own: in one the verifier
/// would combine them (16,298 instructions).
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// An answer, later than the last request that had none: [`answered`].
    Answered,
    /// A request without an answer: [`unanswered`].
    Unanswered,
}

/// A redirected socket is closed, whose connect was judged before. Its slot is given back by what follows.
#[inline(always)]
#[must_use]
pub fn closed(context: &SockContext) -> Option<Shown> {
    let socket = socket_slots::of(context.as_ptr())?;
    let least = constant(&ANSWER_BOUND);
    // Of UDP nothing tells whether an answer is due.
    let is_tcp = listen::state_and_protocol(context).1 == u32::from(PROTOCOL_TCP);
    if least != 0 && is_tcp && listen::is_watching() { judge(context, socket, least) } else { None }
}

/// Nothing follows.
#[inline(always)]
pub fn leave(context: &SockContext) {
    if let Some(socket) = socket_slots::of(context.as_ptr()) {
        socket_slots::release(socket);
    }
}

/// Its backend has answered.
#[inline(always)]
pub fn answered(context: &SockContext) {
    if let Some(socket) = socket_slots::of(context.as_ptr()) {
        passive::answered(client::closing(context, word!(socket.cgroup).load()), socket);
        socket_slots::release(socket);
    }
}

/// Its backend has not.
#[inline(always)]
pub fn unanswered(context: &SockContext) {
    if let Some(socket) = socket_slots::of(context.as_ptr()) {
        passive::unanswered(client::closing(context, word!(socket.cgroup).load()), socket);
        socket_slots::release(socket);
    }
}

/// In order:
///
/// 1. While others are answered, and nothing is said against the backend, none of its connections that
///    end now can have waited in vain for long enough.
/// 2. The backend has answered: that is noted, and ends the client's row if it is newer than the first
///    request that was not answered. What answers in a network that a process made may be that process.
/// 3. It has not, for as long as its answers may take, nor any other client since; it has answered
///    before; and the process does not end, which closes whatever is under way: a failure.
#[inline(always)]
fn judge(context: &SockContext, socket: Slot<SocketValue>, least: u32) -> Option<Shown> {
    let (backend, generation) = backend_of(socket);
    let (health, known) = (HEALTH.slot(backend)?, ANSWERS.slot(backend)?);
    let word = HealthWord(health.word().load());
    let is_doubted = word.0 & (HealthWord::AVOIDED_BIT | HealthWord::KERNEL) != 0;
    // SAFETY: the helper takes nothing.
    let now = unsafe { bpf_jiffies64() } as u32;
    let flags = word!(known.flags).load();
    let others = now.wrapping_sub(word!(known.heard).load());
    let is_fresh = flags & AnswerValue::ANSWERED != 0 && others < least / 4;
    if word.generation() != generation || is_fresh && !is_doubted || !is_peer(context, socket) {
        return None;
    }
    let (state, _) = listen::state_and_protocol(context);
    let sock = Socket::of(context.as_ptr());
    let ending = sock.ending(state, now)?;
    if ending.has_heard() {
        if sock.is_of_system() {
            note(known, &ending, now, least);
        }
        // A pooled connection may have been answered long ago.
        if is_doubted && ending.heard < others {
            return Some(Shown::Answered);
        }
    }
    if flags & AnswerValue::ANSWERED == 0
        || !ending.is_unanswered(flags & AnswerValue::SPEAKS_FIRST != 0)
        || ending.sent < AnswerValue::bound(word!(known.wait).load(), least)
        || others < ending.sent
        || is_task_exiting()
    {
        return None;
    }
    // What a process sees in a network that it made is its own affair.
    if flags & AnswerValue::UNANSWERED == 0 && sock.is_of_system() {
        word!(known.heard).store(now.wrapping_sub(ending.sent));
        word!(known.flags).store(word!(known.flags).load() | AnswerValue::UNANSWERED);
    }
    Some(Shown::Unanswered)
}

/// What a closed socket shows of its backend's answers.
#[inline(always)]
fn note(known: Slot<AnswerValue>, ending: &Ending, now: u32, least: u32) {
    let flags = word!(known.flags).load();
    let speaks_first = if ending.has_sent() { 0 } else { AnswerValue::SPEAKS_FIRST };
    let mut seen = flags | AnswerValue::ANSWERED | speaks_first;
    if flags & AnswerValue::ANSWERED == 0
        || ending.heard < now.wrapping_sub(word!(known.heard).load())
    {
        word!(known.heard).store(now.wrapping_sub(ending.heard));
        seen &= !AnswerValue::UNANSWERED;
    }
    if seen != flags {
        word!(known.flags).store(seen);
    }
    let longest = least.wrapping_mul(LONGEST_WAIT);
    let wait = ending.wait().unwrap_or(0);
    let wait = if wait < longest { wait } else { longest };
    if wait > u32::from(word!(known.wait).load()) {
        word!(known.wait).store(wait as u16);
    }
}

/// Whether the socket is connected to where it was redirected: it may have been connected elsewhere
/// since.
#[inline(always)]
fn is_peer(context: &SockContext, socket: Slot<SocketValue>) -> bool {
    let sock = context.sock;
    // SAFETY: the kernel passes a valid socket for the whole call. Volatile, so that each access has
    // four bytes.
    let (family, port) = unsafe {
        (
            (&raw const (*sock).family).read_volatile(),
            (&raw const (*sock).dst_port).cast::<u32>().read_volatile(),
        )
    };
    if word!(socket.destination.dialled_port).load() == 0
        || u16::from_be(port as u16) != word!(socket.destination.chosen_port).load()
    {
        return false;
    }
    let chosen = word!(socket.destination.chosen).load_parts();
    // SAFETY: as above.
    unsafe {
        if family == AF_INET6 {
            difference(&four((&raw const (*sock).dst_ip6).cast()), &chosen) == 0
        } else {
            (&raw const (*sock).dst_ip4).read_volatile() == chosen[3]
        }
    }
}
