//! What becomes of a connect whose socket is closed: given up, without a way to its backend, or ended
//! without our having seen it. The release of a socket is the one hook that no other program can take
//! away.

use core::ptr;

use aya_ebpf::{
    EbpfContext as _,
    bindings::{BPF_SOCK_OPS_STATE_CB_FLAG, BPF_TCP_CLOSE, BPF_TCP_SYN_SENT},
    helpers::generated::bpf_sk_storage_get,
    programs::SockContext,
};
use redirector_common::{PROTOCOL_TCP, Reason, SocketValue};

use crate::{
    agentless::now,
    client,
    kernel_socket::Socket,
    listen,
    maps::SOCKETS,
    passive::{self, Failure},
    programs::count,
    slot::{Slot, word},
    socket_slots,
};

const AF_INET6: u32 = 10;
/// Microseconds without an answer after which a socket that is closed was given up because of that,
/// and not because something else was faster.
const GIVEN_UP: u64 = 50_000;

/// Whether something is left to be made of the connect of a socket that is being closed: then
/// [`released`] is to be called, in a program of its own. No other program can take this hook away.
#[inline(always)]
#[must_use]
pub fn is_left(socket: Slot<SocketValue>) -> bool {
    word!(socket.state).load() & (SocketValue::WATCHED | SocketValue::DIALLED) != 0
}

/// Whether a socket without a slot may be one of which something is left; its storage says. Most sockets
/// that are closed are connected.
#[inline(always)]
#[must_use]
pub fn may_be_left(context: &SockContext) -> bool {
    let (state, protocol) = listen::state_and_protocol(context);
    (state == BPF_TCP_SYN_SENT || state == BPF_TCP_CLOSE)
        && protocol == u32::from(PROTOCOL_TCP)
        && socket_slots::is_any_stored()
}

/// What a socket without a slot remembers, if something of its connect is left.
#[inline(always)]
fn stored(context: &SockContext) -> Option<Slot<SocketValue>> {
    let map = (&raw const SOCKETS).cast_mut().cast();
    // SAFETY: the storage belongs to this socket, which its last owner closes.
    let socket = unsafe {
        Slot::or_null(bpf_sk_storage_get(map, context.as_ptr(), ptr::null_mut(), 0).cast())
    };
    socket.filter(|socket| is_left(*socket))
}

/// A socket is closed by its last owner, and of its connect something is left (`STORED`: in storage of
/// its own):
///
/// 1. It was given up before there was an answer. That it ends is seen after this, or at this very
///    moment by another CPU: its hold of the slot is given back there.
/// 2. It has never sent a SYN: there was no way to the backend, as far as this socket could go.
/// 3. Its end was not or will not be seen, because another program took the callbacks away.
#[inline(always)]
pub fn released<const STORED: bool>(context: &SockContext) {
    let socket = if STORED { stored(context) } else { socket_slots::of(context.as_ptr()) };
    let Some(socket) = socket else {
        return;
    };
    let state = word!(socket.state).load();
    let is_watched = state & SocketValue::WATCHED != 0;
    // SAFETY: the kernel passes a valid socket for the whole call. Volatile: accesses of four
    // bytes, as the verifier wants them.
    let (now, peer_port) = unsafe {
        (
            (&raw const (*context.sock).state).read_volatile(),
            (&raw const (*context.sock).dst_port).cast::<u32>().read_volatile(),
        )
    };
    let failure = match now {
        BPF_TCP_SYN_SENT if is_watched => given_up(context, socket, state),
        BPF_TCP_CLOSE if state & SocketValue::DIALLED != 0 && peer_port == 0 => no_way(context),
        BPF_TCP_CLOSE if is_watched => unseen(context),
        _ => None,
    };
    if is_watched && now == BPF_TCP_SYN_SENT && will_be_seen(context) {
        if failure.is_some() {
            // Counted here.
            word!(socket.state).store(state | SocketValue::UNANSWERED);
        }
    } else {
        word!(socket.state).store(0);
        if is_watched {
            count(Reason::Unseen);
            socket_slots::release(socket);
        }
    }
    if let Some(failure) = failure {
        let cgroup = word!(socket.cgroup).load();
        passive::failed(client::closing(context, cgroup), socket, failure);
    }
    socket_slots::release(socket);
}

/// How a connect failed that has sent no SYN. Where a local address and port were missing instead of a
/// route (EADDRNOTAVAIL), an IPv4 socket knows its peer, and an IPv6 socket, which does so in any case,
/// is bound to a port.
#[inline(always)]
fn no_way(context: &SockContext) -> Option<Failure> {
    // SAFETY: as above.
    let (family, peer) = unsafe {
        (
            (&raw const (*context.sock).family).read_volatile(),
            (&raw const (*context.sock).dst_ip4).read_volatile(),
        )
    };
    let is_local = if family == AF_INET6 {
        listen::is_watching() && Socket::of(context.as_ptr()).is_bound()
    } else {
        peer != 0
    };
    (!is_local).then_some(Failure::TimedOut)
}

/// Whether the end of a connect will call [`decided`]: no other program has switched that off. Where it cannot be
/// told it is assumed.
#[inline(always)]
fn will_be_seen(context: &SockContext) -> bool {
    !listen::is_watching()
        || u32::from(Socket::of(context.as_ptr()).callbacks()) & BPF_SOCK_OPS_STATE_CB_FLAG != 0
}

/// How the connect of a socket failed that is closed before it has ended.
#[inline(always)]
fn given_up(context: &SockContext, socket: Slot<SocketValue>, state: u32) -> Option<Failure> {
    let error = error(context);
    if error != 0 || state & SocketValue::UNANSWERED != 0 {
        return Failure::of_error(error);
    }
    let has_waited =
        state & SocketValue::LATE != 0 || !passive::is_slow(socket) && waited(context) >= GIVEN_UP;
    has_waited.then_some(Failure::Unanswered)
}

/// How a connect failed whose end was not seen; `None` if it did not, or the socket does not tell. What the
/// application has fetched already was most likely a refusal. (Of one that succeeded nothing is made:
/// whom the client avoids, it tries again in time.)
#[inline(always)]
fn unseen(context: &SockContext) -> Option<Failure> {
    if !listen::is_watching() || Socket::of(context.as_ptr()).was_connected() {
        return None;
    }
    match error(context) {
        0 => Some(Failure::Refused),
        error => Failure::of_error(error),
    }
}

/// Microseconds since the SYN; 0 if the kernel does not say.
#[inline(always)]
fn waited(context: &SockContext) -> u64 {
    if !listen::is_watching() {
        return 0;
    }
    match Socket::of(context.as_ptr()).last_active() {
        0 => 0,
        last => (now() / 1_000).saturating_sub(last),
    }
}

/// The error of a socket that is being closed; 0 is none, or unknown.
#[inline(always)]
fn error(context: &SockContext) -> u32 {
    if listen::is_watching() { Socket::of(context.as_ptr()).error() } else { 0 }
}
