//! Watches the connects of redirected TCP sockets: bounds them, and counts how they end.
//!
//! Armed for one connect and disarmed when it ends: nothing runs later in a connection's life, and
//! nothing for sockets that were not redirected.

use aya_ebpf::{
    EbpfContext as _,
    bindings::{
        BPF_SOCK_OPS_RTO_CB_FLAG, BPF_SOCK_OPS_STATE_CB_FLAG, BPF_TCP_CLOSE, BPF_TCP_ESTABLISHED,
        BPF_TCP_SYN_SENT, bpf_sock, bpf_sock_ops,
    },
    helpers::generated::{bpf_setsockopt, bpf_sk_storage_get, bpf_skc_to_tcp_sock},
    programs::SockOpsContext,
};
use redirector_common::{Destination, SocketValue};

use crate::{
    maps::SOCKETS,
    passive::{self, Failure},
    seats,
};

const AF_INET6: u32 = 10;
const SOL_TCP: i32 = 6;
const TCP_USER_TIMEOUT: i32 = 18;

const ECONNREFUSED: u32 = 111;
const ENETUNREACH: u32 = 101;
const ETIMEDOUT: u32 = 110;
const EHOSTDOWN: u32 = 112;
const EHOSTUNREACH: u32 = 113;

/// What is switched on for the time of a connect.
const CALLBACKS: u32 = BPF_SOCK_OPS_STATE_CB_FLAG | BPF_SOCK_OPS_RTO_CB_FLAG;

/// Where `sk_err` and `icsk_user_timeout` are in a `tcp_sock` of this kernel; 0 if it does not
/// say. Set by the loader.
#[unsafe(no_mangle)]
static SK_ERR: u32 = 0;
#[unsafe(no_mangle)]
static USER_TIMEOUT: u32 = 0;
/// 250 ms in jiffies of this kernel: set by the loader.
#[unsafe(no_mangle)]
static SYN_TIMEOUT: u32 = 250;

/// A socket is about to send its SYN.
#[inline(always)]
pub fn connecting(context: &SockOpsContext) {
    let Some((_, socket)) = socket(context) else {
        return;
    };
    if !socket.limits.are_set() || !is_peer(context.ops, &socket.destination) {
        return;
    }
    if socket.state & SocketValue::WATCHED == 0 {
        seats::hold(socket);
    }
    let before = context.cb_flags();
    socket.state = SocketValue::WATCHED | (CALLBACKS & !before);
    let _ = context.set_cb_flags((before | CALLBACKS) as i32);
}

/// How long a socket waits for the answer to its first SYN, in jiffies. Only those above have both
/// callbacks before they have sent anything.
#[inline(always)]
pub fn first_timeout(context: &SockOpsContext) {
    if context.cb_flags() & CALLBACKS == CALLBACKS {
        context.set_reply(constant(&raw const SYN_TIMEOUT));
    }
}

/// A socket's retransmission timer went off. Whether that is a failure: then [`failed`] is to be
/// called, in a program of its own.
#[inline(always)]
#[must_use]
pub fn unanswered(context: &SockOpsContext) -> bool {
    // SAFETY: the kernel passes a valid context for the whole call.
    let state = unsafe { (*context.ops).state };
    // The last one ends in a timeout, which is counted then.
    let is_last = context.arg(2) != 0;
    if state != BPF_TCP_SYN_SENT || is_last {
        return false;
    }
    let Some((sock, socket)) = socket(context) else {
        return false;
    };
    let before = state_of(socket);
    if before & (SocketValue::WATCHED | SocketValue::UNANSWERED) != SocketValue::WATCHED {
        return false;
    }
    if before & SocketValue::LATE == 0 {
        socket.state = before | SocketValue::LATE;
        bound(context, sock, socket);
        // A backend whose answers take that long has more time: until the third SYN.
        if passive::is_slow(&socket.destination) {
            return false;
        }
    }
    socket.state = before
        | SocketValue::LATE
        | SocketValue::UNANSWERED
        | (Failure::Unanswered as u32 * SocketValue::FAILED);
    true
}

/// A socket leaves `SYN_SENT`: it is connected, or it has failed, or it was closed. Whether it has
/// failed: then [`failed`] is to be called.
#[inline(always)]
#[must_use]
pub fn decided(context: &SockOpsContext) -> bool {
    let now = context.arg(1);
    let Some((sock, socket)) = socket(context) else {
        return false;
    };
    let state = state_of(socket);
    // A socket that nobody holds and that is not watched has left its seat to another one.
    if state & SocketValue::WATCHED == 0 || !seats::is_still(socket, context.as_ptr()) {
        return false;
    }
    socket.state = 0;
    let callbacks = context.cb_flags() & !(state & SocketValue::CALLBACKS);
    let _ = context.set_cb_flags(callbacks as i32);
    unbound(context, sock, socket);
    if now == BPF_TCP_ESTABLISHED {
        passive::succeeded(context, socket, state & SocketValue::LATE != 0);
    } else if now == BPF_TCP_CLOSE
        && let Some(failure) = failure(context, sock, state)
    {
        socket.state = failure as u32 * SocketValue::FAILED;
        return true;
    }
    seats::leave(socket);
    false
}

/// The connect of a socket has failed, as [`unanswered`] or [`decided`] has noted.
#[inline(always)]
pub fn failed(context: &SockOpsContext) {
    let Some((_, socket)) = socket(context) else {
        return;
    };
    let state = state_of(socket);
    socket.state = state & (SocketValue::FAILED - 1);
    if let Some(failure) = Failure::of(state / SocketValue::FAILED) {
        passive::failed(context, socket, failure);
    }
    if state & SocketValue::WATCHED == 0 {
        seats::leave(socket);
    }
}

/// The same, where there is no program for it: nothing is counted.
#[inline(always)]
pub fn forget_failure(context: &SockOpsContext) {
    if let Some((_, socket)) = socket(context) {
        let state = state_of(socket);
        socket.state = state & (SocketValue::FAILED - 1);
        if state & SocketValue::WATCHED == 0 {
            seats::leave(socket);
        }
    }
}

/// How a connect failed, by the socket's error; `None` if somebody gave up early or closed it.
#[inline(always)]
fn failure(context: &SockOpsContext, sock: *mut bpf_sock, state: u32) -> Option<Failure> {
    match field(sock, &raw const SK_ERR).unwrap_or(0) {
        ECONNREFUSED => Some(Failure::Refused),
        ENETUNREACH | ETIMEDOUT | EHOSTDOWN | EHOSTUNREACH => Some(Failure::TimedOut),
        0 => {
            // SAFETY: the kernel passes a valid context for the whole call.
            let is_unanswered = unsafe { (*context.ops).total_retrans } != 0;
            (is_unanswered && state & SocketValue::UNANSWERED == 0).then_some(Failure::Unanswered)
        }
        _ => None,
    }
}

/// The socket, and what it remembers of its redirection.
#[inline(always)]
#[expect(clippy::mut_from_ref, reason = "the storage belongs to the socket, not to the context")]
fn socket(context: &SockOpsContext) -> Option<(*mut bpf_sock, &mut SocketValue)> {
    // SAFETY: the kernel passes a valid context for the whole call.
    let sock = unsafe { (*context.ops).__bindgen_anon_2.sk };
    if sock.is_null() {
        return None;
    }
    if let Some(socket) = seats::of(context.as_ptr()) {
        return Some((sock, socket));
    }
    if !seats::is_any_stored() {
        return None;
    }
    let map = (&raw const SOCKETS).cast_mut().cast();
    // SAFETY: the storage belongs to this socket, which is locked for the call.
    let socket = unsafe {
        bpf_sk_storage_get(map, sock.cast(), core::ptr::null_mut(), 0)
            .cast::<SocketValue>()
            .as_mut()
    };
    Some((sock, socket?))
}

/// Its state, read once.
#[inline(always)]
fn state_of(socket: &SocketValue) -> u32 {
    // SAFETY: the word is loaded whole.
    unsafe { (&raw const socket.state).read_volatile() }
}

/// Whether that is where the socket is being connected to. It may have been connected elsewhere
/// since it was redirected.
#[inline(always)]
fn is_peer(ops: *mut bpf_sock_ops, destination: &Destination) -> bool {
    let chosen = &destination.chosen;
    // SAFETY: the kernel passes a valid context for the whole call. Volatile, so that each access
    // has four bytes.
    unsafe {
        let port = u32::from_be((&raw const (*ops).remote_port).read_volatile());
        if destination.dialled_port == 0 || port != u32::from(destination.chosen_port) {
            return false;
        }
        if (&raw const (*ops).family).read_volatile() != AF_INET6 {
            return (&raw const (*ops).remote_ip4).read_volatile() == chosen[3];
        }
        let words = (&raw const (*ops).remote_ip6).cast::<u32>();
        let difference = (words.read_volatile() ^ chosen[0])
            | (words.add(1).read_volatile() ^ chosen[1])
            | (words.add(2).read_volatile() ^ chosen[2])
            | (words.add(3).read_volatile() ^ chosen[3]);
        difference == 0
    }
}

/// Lets the connect take no longer than the service's limit, nor than the application wants. Not
/// before the first SYN has gone unanswered: the kernel sets its next timer after this, by what it
/// finds then, and a connect that is answered pays nothing.
#[inline(always)]
fn bound(context: &SockOpsContext, sock: *mut bpf_sock, socket: &mut SocketValue) {
    if socket.limits.connect_timeout_ms == 0 {
        return;
    }
    let Some(own) = field(sock, &raw const USER_TIMEOUT) else {
        return;
    };
    // Odd, so that it is hardly ever what an application sets meanwhile.
    let ours = u32::from(socket.limits.connect_timeout_ms) | 1;
    if own.wrapping_sub(1) >= ours && set_user_timeout(context, ours) {
        socket.saved_timeout_ms = own;
        socket.bound_timeout_ms = ours;
    }
}

/// Puts back what the application had, unless it has set something else meanwhile.
#[inline(always)]
fn unbound(context: &SockOpsContext, sock: *mut bpf_sock, socket: &mut SocketValue) {
    let ours = socket.bound_timeout_ms;
    if ours == 0 {
        return;
    }
    socket.bound_timeout_ms = 0;
    if field(sock, &raw const USER_TIMEOUT) == Some(ours) {
        set_user_timeout(context, socket.saved_timeout_ms);
    }
}

#[inline(always)]
fn set_user_timeout(context: &SockOpsContext, milliseconds: u32) -> bool {
    let mut value = milliseconds;
    // SAFETY: the helper takes this context and four bytes.
    unsafe {
        bpf_setsockopt(
            context.ops.cast(),
            SOL_TCP,
            TCP_USER_TIMEOUT,
            (&raw mut value).cast(),
            size_of::<u32>() as i32,
        ) == 0
    }
}

/// 32 bits of the kernel's `tcp_sock`; `None` if this kernel does not say where they are.
#[inline(always)]
fn field(sock: *mut bpf_sock, offset: *const u32) -> Option<u32> {
    let offset = constant(offset) as usize;
    if offset == 0 {
        return None;
    }
    // SAFETY: the helper takes a socket; what it returns is one of the kernel's own, and the
    // offset is that of a member of four bytes.
    unsafe {
        let tcp = bpf_skc_to_tcp_sock(sock.cast()).cast::<u8>();
        if tcp.is_null() {
            return None;
        }
        Some(tcp.add(offset).cast::<u32>().read_volatile())
    }
}

#[inline(always)]
fn constant(value: *const u32) -> u32 {
    // SAFETY: a plain load of a constant that the loader may replace.
    unsafe { value.read_volatile() }
}
