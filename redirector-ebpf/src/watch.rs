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
use redirector_common::{SocketValue, syn_seconds};

use crate::{
    client,
    context::{difference, four},
    listen,
    maps::SOCKETS,
    passive::{self, Failure},
    slot::{Slot, constant, word},
    socket_slots,
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

/// A socket is about to send its SYN.
#[inline(always)]
pub fn connecting(context: &SockOpsContext) {
    let Some((_, socket)) = socket(context) else {
        return;
    };
    if !word!(socket.limits).load_parts().are_set() || !is_peer(context.ops, socket) {
        return;
    }
    let state = word!(socket.state);
    if state.load() & SocketValue::WATCHED == 0 {
        socket_slots::add_ref(socket);
    }
    let before = context.cb_flags();
    state.store(SocketValue::WATCHED | (CALLBACKS & !before));
    let _ = context.set_cb_flags((before | CALLBACKS) as i32);
}

/// How long a socket waits for the answer to its first SYN, in jiffies. Only those above have both
/// callbacks before they have sent anything.
#[inline(always)]
pub fn first_timeout(context: &SockOpsContext) {
    let timeout = constant(&SYN_TIMEOUT);
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
    let state = word!(socket.state);
    let before = state.load();
    if before & (SocketValue::WATCHED | SocketValue::UNANSWERED) != SocketValue::WATCHED {
        return false;
    }
    if before & SocketValue::LATE == 0 {
        state.store(before | SocketValue::LATE);
        bound(context, sock, socket);
        // The peer or a router has refused: the next SYN, or the kernel at once (IPv6), ends with that.
        if field(sock, &SK_ERR_SOFT).unwrap_or(0) != 0 {
            return false;
        }
        // A backend whose answers take that long has more time: until the third SYN.
        if passive::is_slow(socket) {
            return false;
        }
    }
    let failed = Failure::Unanswered as u32 * SocketValue::FAILED;
    state.store(before | SocketValue::LATE | SocketValue::UNANSWERED | failed);
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
    let state = word!(socket.state).load();
    // A socket without descriptors that is not watched has left its slot to another one.
    if state & SocketValue::WATCHED == 0 || !socket_slots::is_still(socket, context.as_ptr()) {
        return false;
    }
    word!(socket.state).store(0);
    let callbacks = context.cb_flags() & !(state & SocketValue::CALLBACKS);
    let _ = context.set_cb_flags(callbacks as i32);
    unbound(context, sock, socket);
    if now == BPF_TCP_ESTABLISHED {
        passive::succeeded(context, socket, state & SocketValue::LATE != 0);
    } else if now == BPF_TCP_CLOSE
        && let Some(failure) = failure(context, sock, state)
    {
        word!(socket.state).store(failure as u32 * SocketValue::FAILED);
        return true;
    }
    socket_slots::release(socket);
    false
}

/// The connect of a socket has failed, as [`unanswered`] or [`decided`] has noted.
#[inline(always)]
pub fn failed(context: &SockOpsContext) {
    let Some((_, socket)) = socket(context) else {
        return;
    };
    let state = word!(socket.state).load();
    word!(socket.state).store(state & (SocketValue::FAILED - 1));
    if let Some(failure) = Failure::of(state / SocketValue::FAILED) {
        let cgroup = word!(socket.cgroup).load();
        passive::failed(client::connected(context, cgroup), socket, failure);
    }
    if state & SocketValue::WATCHED == 0 {
        socket_slots::release(socket);
    }
}

/// The same, where there is no program for it: nothing is counted.
#[inline(always)]
pub fn forget_failure(context: &SockOpsContext) {
    if let Some((_, socket)) = socket(context) {
        let state = word!(socket.state).load();
        word!(socket.state).store(state & (SocketValue::FAILED - 1));
        if state & SocketValue::WATCHED == 0 {
            socket_slots::release(socket);
        }
    }
}

/// How a connect failed, by the socket's error; `None` if the application gave up early or closed it.
#[inline(always)]
fn failure(context: &SockOpsContext, sock: *mut bpf_sock, state: u32) -> Option<Failure> {
    let error = field(sock, &SK_ERR).unwrap_or(0);
    if error != 0 {
        return Failure::of_error(error);
    }
    // SAFETY: the kernel passes a valid context for the whole call.
    let is_unanswered = unsafe { (*context.ops).total_retrans } != 0;
    (is_unanswered && state & SocketValue::UNANSWERED == 0).then_some(Failure::Unanswered)
}

/// The socket, and what it remembers of its redirection.
#[inline(always)]
fn socket(context: &SockOpsContext) -> Option<(*mut bpf_sock, Slot<SocketValue>)> {
    // SAFETY: the kernel passes a valid context for the whole call.
    let sock = unsafe { (*context.ops).__bindgen_anon_2.sk };
    if sock.is_null() {
        return None;
    }
    if let Some(socket) = socket_slots::of(context.as_ptr()) {
        return Some((sock, socket));
    }
    if !socket_slots::is_any_stored() {
        return None;
    }
    let map = (&raw const SOCKETS).cast_mut().cast();
    // SAFETY: the storage belongs to this socket, which is locked for the call.
    let socket = unsafe {
        Slot::or_null(bpf_sk_storage_get(map, sock.cast(), core::ptr::null_mut(), 0).cast())
    };
    Some((sock, socket?))
}

/// Whether that is where the socket is being connected to. It may have been connected elsewhere
/// since it was redirected.
#[inline(always)]
fn is_peer(ops: *mut bpf_sock_ops, socket: Slot<SocketValue>) -> bool {
    // SAFETY: the kernel passes a valid context for the whole call. Volatile, so that each access
    // has four bytes.
    let port = u32::from_be(unsafe { (&raw const (*ops).remote_port).read_volatile() });
    if word!(socket.destination.dialled_port).load() == 0
        || port != u32::from(word!(socket.destination.chosen_port).load())
    {
        return false;
    }
    let chosen = word!(socket.destination.chosen).load_parts();
    // SAFETY: as above.
    unsafe {
        if (&raw const (*ops).family).read_volatile() != AF_INET6 {
            return (&raw const (*ops).remote_ip4).read_volatile() == chosen[3];
        }
        difference(&four((&raw const (*ops).remote_ip6).cast()), &chosen) == 0
    }
}

/// Lets the connect take as long as it would by the application's and the system's count of SYNs, but
/// no longer than the service's limit and the application's own: a time takes the place of the count,
/// because SYNs of ours follow each other faster. Not before the first one has gone unanswered: the
/// kernel sets its next timer after this, by what it finds then, and a connect that is answered pays
/// nothing.
#[inline(always)]
fn bound(context: &SockOpsContext, sock: *mut bpf_sock, socket: Slot<SocketValue>) {
    let Some(own) = field(sock, &USER_TIMEOUT) else {
        return;
    };
    let Some(retries) = field8(sock, &SYN_RETRIES) else {
        return;
    };
    let known = if listen::is_watching() { listen::socket(context).syn_retries() } else { None };
    let (usual, linear) = known.unwrap_or(USUAL_RETRIES);
    let usual = if retries == 0 { usual } else { retries };
    let counted = syn_seconds(usual, linear) * 1_000;
    let limit =
        u32::from(word!(socket.limits.connect_timeout_ms).load()).wrapping_sub(1).min(counted - 1);
    // Odd, so that it is hardly ever what an application sets meanwhile.
    let ours = limit.wrapping_add(1) | 1;
    if own.wrapping_sub(1) < ours {
        // The application's own is shorter: only the count must not be shorter still.
    } else if set(context, TCP_USER_TIMEOUT, ours) {
        word!(socket.saved_timeout_ms).store(own);
        word!(socket.bound_timeout_ms).store(ours);
    } else {
        return;
    }
    if set(context, TCP_SYNCNT, MANY_RETRIES) {
        word!(socket.saved_retries).store(usual);
    }
}

/// Puts back what the application had, unless it has set something else meanwhile.
#[inline(always)]
fn unbound(context: &SockOpsContext, sock: *mut bpf_sock, socket: Slot<SocketValue>) {
    let retries = word!(socket.saved_retries).load();
    if retries != 0 {
        word!(socket.saved_retries).store(0);
        if field8(sock, &SYN_RETRIES) == Some(MANY_RETRIES as u8) {
            set(context, TCP_SYNCNT, retries.into());
        }
    }
    let ours = word!(socket.bound_timeout_ms).load();
    if ours == 0 {
        return;
    }
    word!(socket.bound_timeout_ms).store(0);
    if field(sock, &USER_TIMEOUT) == Some(ours) {
        set(context, TCP_USER_TIMEOUT, word!(socket.saved_timeout_ms).load());
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
fn field(sock: *mut bpf_sock, offset: &'static u32) -> Option<u32> {
    // SAFETY: the offset is that of a member of four bytes.
    Some(unsafe { member(sock, offset)?.cast::<u32>().read_volatile() })
}

/// The same of 8 bits.
#[inline(always)]
fn field8(sock: *mut bpf_sock, offset: &'static u32) -> Option<u8> {
    // SAFETY: the offset is that of a member of one byte.
    Some(unsafe { member(sock, offset)?.read_volatile() })
}

#[inline(always)]
fn member(sock: *mut bpf_sock, offset: &'static u32) -> Option<*const u8> {
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
