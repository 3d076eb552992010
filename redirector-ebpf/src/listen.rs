//! Local listeners: sees when the last one of a backend is gone, and when there is one again.
//!
//! Which backends a namespace serves is learned from connections that it accepted, never from what
//! a listener is bound to: `IP_FREEBIND` lets any process bind to any address. A listener on loopback
//! serves no backend, because no backend has such an address.

use aya_ebpf::{
    EbpfContext,
    bindings::{BPF_ANY, BPF_SOCK_OPS_STATE_CB_FLAG, BPF_TCP_CLOSE, BPF_TCP_LISTEN},
    helpers::generated::{bpf_get_netns_cookie, bpf_get_socket_cookie},
    programs::{SockContext, SockOpsContext},
};
use redirector_common::{
    ListenerValue, PROTOCOL_TCP, SERVED_NO_MORE, UNCOUNTED, is_served, served_in,
};

use crate::{
    backend,
    context::{Address, four},
    kernel_socket::Socket,
    maps::{BACKEND_NETNS, LISTENERS},
    ports::{self, V4, V6},
    slot::{Find as _, constant},
};

/// Whether local listeners are watched: set by the loader, where the kernel tells programs the
/// namespace of a socket (5.15) and lets them read its memory.
#[unsafe(no_mangle)]
static WATCH_LISTENERS: u8 = 0;

const ARMED: u32 = BPF_SOCK_OPS_STATE_CB_FLAG;
const AF_INET: u32 = 2;

/// A connection was accepted: the backend that it was made to is served here, and lives.
#[inline(always)]
pub fn accepted(context: &SockOpsContext) {
    if !is_watching() {
        return;
    }
    // Inherited from the listener.
    let flags = context.cb_flags();
    if flags & ARMED != 0 {
        let _ = context.set_cb_flags((flags & !ARMED) as i32);
    }
    let address = local_address(context);
    let Some(backend) = backend::find(&address) else {
        return;
    };
    // SAFETY: the helper takes this context.
    let netns = unsafe { bpf_get_netns_cookie(context.as_ptr()) };
    let Some(known) = BACKEND_NETNS.slot(backend.index) else {
        return;
    };
    let here = served_in(netns, backend.generation);
    let before = known.word().load();
    let is_another = before & !SERVED_NO_MORE != here;
    if is_another
        && (is_served(before, backend.generation)
            || !socket(context).is_of_system()
            || !ports::learn(netns, &address, backend))
    {
        return;
    }
    // What was under way to a listener that has ended since may still be accepted.
    if backend.is_unserved_lately() && !ports::is_listening(netns, &address) {
        return;
    }
    if before != here {
        known.word().store(here);
    }
    backend.tell(0);
}

/// A socket has begun to listen.
#[inline(always)]
pub fn listening(context: &SockOpsContext) {
    if !is_watching() {
        return;
    }
    // SAFETY: the helpers take this context.
    let (cookie, netns) = unsafe {
        (bpf_get_socket_cookie(context.as_ptr()), bpf_get_netns_cookie(context.as_ptr()))
    };
    let socket = socket(context);
    let Some(listener) = socket.listener(netns) else {
        return;
    };
    // One that there is no room for ends like one that is older than these programs.
    if let Some(listener) = remember(cookie, &listener) {
        let _ = context.set_cb_flags((context.cb_flags() | ARMED) as i32);
        ports::began(&listener, socket.group());
    }
}

/// Whether a listener has stopped to listen. One that is shut down is seen only so; one that is
/// closed was seen by [`is_released`].
#[inline(always)]
pub fn is_shut(context: &SockOpsContext) -> bool {
    is_watching() && context.arg(1) == BPF_TCP_CLOSE
}

/// Whether the last descriptor of a listener is being closed; its port still answers.
#[inline(always)]
pub fn is_released(context: &SockContext) -> bool {
    if !is_watching() {
        return false;
    }
    let (state, protocol) = state_and_protocol(context);
    if state != BPF_TCP_LISTEN || protocol != u32::from(PROTOCOL_TCP) {
        return false;
    }
    // SAFETY: the helpers take this context.
    let (cookie, netns) = unsafe {
        (bpf_get_socket_cookie(context.as_ptr()), bpf_get_netns_cookie(context.as_ptr()))
    };
    if LISTENERS.get_ptr(&cookie).is_none() {
        let Some(mut listener) = Socket::of(context.as_ptr()).listener(netns) else {
            return false;
        };
        listener.families |= UNCOUNTED;
        return LISTENERS.insert(&cookie, &listener, u64::from(BPF_ANY)).is_ok();
    }
    true
}

/// Of a socket that is being closed.
#[inline(always)]
pub fn state_and_protocol(context: &SockContext) -> (u32, u32) {
    let sock = context.sock;
    // SAFETY: the kernel passes a valid socket for the whole call. Volatile: accesses of four
    // bytes, as the verifier wants them.
    unsafe {
        ((&raw const (*sock).state).read_volatile(), (&raw const (*sock).protocol).read_volatile())
    }
}

/// A listener ends: for IPv4 first. Whether it was one of those remembered: then for IPv6 too, by
/// [`ended6`], in a program of its own.
#[inline(always)]
pub fn ended4(context: &impl EbpfContext, socket: Socket) -> bool {
    // SAFETY: the helper takes this context.
    let cookie = unsafe { bpf_get_socket_cookie(context.as_ptr()) };
    let Some(remembered) = LISTENERS.get_ptr_mut(&cookie) else {
        return false;
    };
    // SAFETY: only events of this one socket touch this element, and they come one by one.
    let listener = unsafe { *remembered };
    if listener.families & V4.mask != 0 {
        ports::ended(&listener, V4, socket.group());
    }
    true
}

/// The same for IPv6, and forgets the listener: only the first event that ends it finds it.
#[inline(always)]
pub fn ended6(context: &impl EbpfContext, socket: Socket) {
    // SAFETY: the helper takes this context.
    let cookie = unsafe { bpf_get_socket_cookie(context.as_ptr()) };
    // SAFETY: as above.
    let Some(listener) = (unsafe { LISTENERS.get(&cookie) }).copied() else {
        return;
    };
    if LISTENERS.remove(&cookie).is_ok() && listener.families & V6.mask != 0 {
        ports::ended(&listener, V6, socket.group());
    }
}

/// Whether listeners are watched. Asked before a [`Socket`] is made: where they are not, the verifier
/// may forbid the helper for that.
#[inline(always)]
pub fn is_watching() -> bool {
    constant(&WATCH_LISTENERS) != 0
}

/// Remembers what a listener serves, and reads it back: of what comes from a map the verifier knows
/// nothing, so all that follows is explored once and not for each way to that knowledge.
#[inline(always)]
fn remember(cookie: u64, listener: &ListenerValue) -> Option<ListenerValue> {
    LISTENERS.insert(&cookie, listener, u64::from(BPF_ANY)).ok()?;
    // SAFETY: only events of this one socket touch this element, and they come one by one.
    unsafe { LISTENERS.get(&cookie) }.copied()
}

/// The socket that an event is about.
#[inline(always)]
pub fn socket(context: &SockOpsContext) -> Socket {
    // SAFETY: the kernel passes a valid context for the whole call.
    Socket::of(unsafe { (*context.ops).__bindgen_anon_2.sk }.cast())
}

/// Where the peer has connected to.
#[inline(always)]
fn local_address(context: &SockOpsContext) -> Address {
    let ops = context.ops;
    // SAFETY: the kernel passes a valid context for the whole call. Volatile, and all of them
    // whatever the family: else the compiler merges two accesses into one at a computed place
    // ("dereference of modified ctx ptr").
    let (family, port, four, six) = unsafe {
        (
            (&raw const (*ops).family).read_volatile(),
            (&raw const (*ops).local_port).read_volatile() as u16,
            (&raw const (*ops).local_ip4).read_volatile(),
            four((&raw const (*ops).local_ip6).cast()),
        )
    };
    if family == AF_INET { Address::v4(four, port) } else { Address { words: six, port } }
}
