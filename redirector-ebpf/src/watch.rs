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
    programs::{SockContext, SockOpsContext},
};
use redirector_common::{Destination, PROTOCOL_TCP, Reason, SocketValue, syn_seconds};

use crate::{
    alone::now,
    client, listen,
    maps::SOCKETS,
    passive::{self, Failure},
    peek::Socket,
    programs::count,
    seats,
};

const AF_INET6: u32 = 10;
const SOL_TCP: i32 = 6;
const TCP_SYNCNT: i32 = 7;
const TCP_USER_TIMEOUT: i32 = 18;

/// What is switched on for the time of a connect.
const CALLBACKS: u32 = BPF_SOCK_OPS_STATE_CB_FLAG | BPF_SOCK_OPS_RTO_CB_FLAG;

/// Where `sk_err` and `icsk_user_timeout` are in a `tcp_sock` of this kernel; 0 if it does not
/// say. Set by the loader.
#[unsafe(no_mangle)]
static SK_ERR: u32 = 0;
#[unsafe(no_mangle)]
static USER_TIMEOUT: u32 = 0;
/// The same of `sk_err_soft` and `icsk_syn_retries`.
#[unsafe(no_mangle)]
static SK_ERR_SOFT: u32 = 0;
#[unsafe(no_mangle)]
static SYN_RETRIES: u32 = 0;
/// 250 ms in jiffies of this kernel, or 0 if the first SYN waits as long as ever: set by the loader.
#[unsafe(no_mangle)]
static SYN_TIMEOUT: u32 = 0;

/// `TCP_SYNCNT` of a connect that is bounded by time: more than there is time for.
const MANY_RETRIES: u32 = 127;
/// `tcp_syn_retries`, where a namespace does not say.
const USUAL_RETRIES: (u8, u8) = (6, 0);
/// Microseconds without an answer after which a socket that is closed was given up because of that,
/// and not because something else was faster.
const GIVEN_UP: u64 = 50_000;

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
    let timeout = constant(&raw const SYN_TIMEOUT);
    if timeout != 0 && context.cb_flags() & CALLBACKS == CALLBACKS {
        context.set_reply(timeout);
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
        // The peer or a router has refused: the next SYN, or the kernel at once (IPv6), ends with that.
        if field(sock, &raw const SK_ERR_SOFT).unwrap_or(0) != 0 {
            return false;
        }
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
        passive::failed(client::connected(context, socket.cgroup), socket, failure);
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

/// Whether something is left to be made of the connect of a socket that is being closed: then
/// [`released`] is to be called, in a program of its own. Nobody can take this hook away.
#[inline(always)]
#[must_use]
pub fn is_left(socket: &SocketValue) -> bool {
    state_of(socket) & (SocketValue::WATCHED | SocketValue::DIALLED) != 0
}

/// Whether a socket without a seat may be one of which something is left; its storage says. Most sockets
/// that are closed are connected.
#[inline(always)]
#[must_use]
pub fn may_be_left(context: &SockContext) -> bool {
    let sock = context.sock;
    // SAFETY: as below.
    let (state, protocol) = unsafe {
        ((&raw const (*sock).state).read_volatile(), (&raw const (*sock).protocol).read_volatile())
    };
    (state == BPF_TCP_SYN_SENT || state == BPF_TCP_CLOSE)
        && protocol == u32::from(PROTOCOL_TCP)
        && seats::is_any_stored()
}

/// What a socket without a seat remembers, if something of its connect is left.
#[inline(always)]
fn stored<'s>(context: &SockContext) -> Option<&'s mut SocketValue> {
    let map = (&raw const SOCKETS).cast_mut().cast();
    // SAFETY: the storage belongs to this socket, which its last owner closes.
    let socket = unsafe {
        bpf_sk_storage_get(map, context.as_ptr(), core::ptr::null_mut(), 0)
            .cast::<SocketValue>()
            .as_mut()
    };
    socket.filter(|socket| is_left(socket))
}

/// A socket is closed by its last owner, and of its connect something is left (`STORED`: in storage of
/// its own):
///
/// 1. It was given up before there was an answer. That it ends is seen after this, or at this very
///    moment by another CPU: its hold of the seat is given back there.
/// 2. It has never sent a SYN: there was no way to the backend, as far as this socket could go.
/// 3. Its end was not or will not be seen, because another program took the callbacks away.
#[inline(always)]
pub fn released<const STORED: bool>(context: &SockContext) {
    let socket = if STORED { stored(context) } else { seats::of(context.as_ptr()) };
    let Some(socket) = socket else {
        return;
    };
    let state = state_of(socket);
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
            socket.state = state | SocketValue::UNANSWERED;
        }
    } else {
        socket.state = 0;
        if is_watched {
            count(Reason::Unseen);
            seats::leave(socket);
        }
    }
    if let Some(failure) = failure {
        passive::failed(client::closing(context, socket.cgroup), socket, failure);
    }
    seats::leave(socket);
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

/// Whether the end of a connect will call [`decided`]: nobody has switched that off. Where it cannot be
/// told it is assumed.
#[inline(always)]
fn will_be_seen(context: &SockContext) -> bool {
    !listen::is_watching()
        || u32::from(Socket::of(context.as_ptr()).callbacks()) & BPF_SOCK_OPS_STATE_CB_FLAG != 0
}

/// How the connect of a socket failed that is closed before it has ended.
#[inline(always)]
fn given_up(context: &SockContext, socket: &SocketValue, state: u32) -> Option<Failure> {
    let error = error(context);
    if error != 0 || state & SocketValue::UNANSWERED != 0 {
        return Failure::of_error(error);
    }
    let has_waited = state & SocketValue::LATE != 0
        || !passive::is_slow(&socket.destination) && waited(context) >= GIVEN_UP;
    has_waited.then_some(Failure::Unanswered)
}

/// How a connect failed whose end was not seen; `None` if it did not, or nobody can tell. What the
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

/// How a connect failed, by the socket's error; `None` if somebody gave up early or closed it.
#[inline(always)]
fn failure(context: &SockOpsContext, sock: *mut bpf_sock, state: u32) -> Option<Failure> {
    let error = field(sock, &raw const SK_ERR).unwrap_or(0);
    if error != 0 {
        return Failure::of_error(error);
    }
    // SAFETY: the kernel passes a valid context for the whole call.
    let is_unanswered = unsafe { (*context.ops).total_retrans } != 0;
    (is_unanswered && state & SocketValue::UNANSWERED == 0).then_some(Failure::Unanswered)
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

/// Lets the connect take as long as it would by the application's and the system's count of SYNs, but
/// no longer than the service's limit and the application's own: a time takes the place of the count,
/// because SYNs of ours follow each other faster. Not before the first one has gone unanswered: the
/// kernel sets its next timer after this, by what it finds then, and a connect that is answered pays
/// nothing.
#[inline(always)]
fn bound(context: &SockOpsContext, sock: *mut bpf_sock, socket: &mut SocketValue) {
    let Some(own) = field(sock, &raw const USER_TIMEOUT) else {
        return;
    };
    let Some(retries) = field8(sock, &raw const SYN_RETRIES) else {
        return;
    };
    let known = if listen::is_watching() { listen::socket(context).syn_retries() } else { None };
    let (usual, linear) = known.unwrap_or(USUAL_RETRIES);
    let usual = if retries == 0 { usual } else { retries };
    let counted = syn_seconds(usual, linear) * 1_000;
    let limit = u32::from(socket.limits.connect_timeout_ms).wrapping_sub(1).min(counted - 1);
    // Odd, so that it is hardly ever what an application sets meanwhile.
    let ours = limit.wrapping_add(1) | 1;
    if own.wrapping_sub(1) < ours {
        // The application's own is shorter: only the count must not be shorter still.
    } else if set(context, TCP_USER_TIMEOUT, ours) {
        socket.saved_timeout_ms = own;
        socket.bound_timeout_ms = ours;
    } else {
        return;
    }
    if set(context, TCP_SYNCNT, MANY_RETRIES) {
        socket.saved_retries = usual.into();
    }
}

/// Puts back what the application had, unless it has set something else meanwhile.
#[inline(always)]
fn unbound(context: &SockOpsContext, sock: *mut bpf_sock, socket: &mut SocketValue) {
    let retries = socket.saved_retries;
    if retries != 0 {
        socket.saved_retries = 0;
        if field8(sock, &raw const SYN_RETRIES) == Some(MANY_RETRIES as u8) {
            set(context, TCP_SYNCNT, retries);
        }
    }
    let ours = socket.bound_timeout_ms;
    if ours == 0 {
        return;
    }
    socket.bound_timeout_ms = 0;
    if field(sock, &raw const USER_TIMEOUT) == Some(ours) {
        set(context, TCP_USER_TIMEOUT, socket.saved_timeout_ms);
    }
}

/// Sets an option of TCP. Whether that worked.
#[inline(always)]
fn set(context: &SockOpsContext, option: i32, value: u32) -> bool {
    let mut value = value;
    let (value, size) = ((&raw mut value).cast(), size_of::<u32>() as i32);
    // SAFETY: the helper takes this context and four bytes.
    unsafe { bpf_setsockopt(context.ops.cast(), SOL_TCP, option, value, size) == 0 }
}

/// 32 bits of the kernel's `tcp_sock`; `None` if this kernel does not say where they are.
#[inline(always)]
fn field(sock: *mut bpf_sock, offset: *const u32) -> Option<u32> {
    // SAFETY: the offset is that of a member of four bytes.
    Some(unsafe { member(sock, offset)?.cast::<u32>().read_volatile() })
}

/// The same of 8 bits.
#[inline(always)]
fn field8(sock: *mut bpf_sock, offset: *const u32) -> Option<u8> {
    // SAFETY: the offset is that of a member of one byte.
    Some(unsafe { member(sock, offset)?.read_volatile() })
}

#[inline(always)]
fn member(sock: *mut bpf_sock, offset: *const u32) -> Option<*const u8> {
    let offset = constant(offset) as usize;
    if offset == 0 {
        return None;
    }
    // SAFETY: the helper takes a socket; what it returns is one of the kernel's own.
    unsafe {
        let tcp = bpf_skc_to_tcp_sock(sock.cast()).cast::<u8>();
        (!tcp.is_null()).then(|| tcp.add(offset).cast_const())
    }
}

#[inline(always)]
fn constant(value: *const u32) -> u32 {
    // SAFETY: a plain load of a constant that the loader may replace.
    unsafe { value.read_volatile() }
}
