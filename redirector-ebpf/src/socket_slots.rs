//! Socket slots (`SEATS`): where most sockets keep what they remember, in an array, by the low bits of the cookie.
//!
//! (The map's name and `--max-seats` are contracts; everywhere else it is a slot.) Cookies count up, so
//! neighbours in time sit side by side, and a slot is taken only by a socket that is older by as many
//! sockets as there are slots. A socket whose slot is taken, or that has none because its end is never
//! seen, keeps its value in storage of its own (`SOCKETS`).
//!
//! Nothing here returns what an atomic addition found: 5.10 refuses objects with such an
//! instruction. A program that reads 1 after adding 1 has taken the slot: of several at once none does.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_get_socket_cookie;
use redirector_common::{STORED, SocketValue};

use crate::{
    agentless::config,
    maps::{CONFIG, SEATS},
    slot::{Find as _, Slot, constant, word},
};

/// How many there are, a power of two; 0 where a socket's kind cannot be told (MPTCP before 5.19).
/// Set by the loader.
#[unsafe(no_mangle)]
static SEAT_COUNT: u32 = 0;

/// The value of this socket, if it has a slot: for a hook whose caller holds a descriptor of it, or that
/// knows that its connect is watched. Others ask [`is_still`] after having looked at the state.
#[inline(always)]
pub fn of(context: *mut c_void) -> Option<Slot<SocketValue>> {
    let (cookie, seat) = seat(context)?;
    (word!(seat.cookie).load() == cookie).then_some(seat)
}

/// Whether a value is still this socket's: in storage it is, there the cookie is 0. Another one
/// that takes a slot stores its cookie before anything else.
#[inline(always)]
pub fn is_still(value: Slot<SocketValue>, context: *mut c_void) -> bool {
    let cookie = word!(value.cookie).load();
    // SAFETY: the helper takes a context with a socket.
    cookie == 0 || cookie == unsafe { bpf_get_socket_cookie(context) }
}

/// The value of this socket, which takes its slot if that is free.
#[inline(always)]
pub fn take(context: *mut c_void) -> Option<Slot<SocketValue>> {
    let (cookie, seat) = seat(context)?;
    if word!(seat.cookie).load() == cookie {
        return Some(seat);
    }
    if word!(seat.refs).load() != 0 {
        return None;
    }
    add_ref(seat);
    if word!(seat.refs).load() != 1 {
        release(seat);
        return None;
    }
    // First, so that a stranger who reads what follows knows it.
    word!(seat.cookie).store(cookie);
    word!(seat.state).store(0);
    word!(seat.bound_timeout_ms).store(0);
    word!(seat.saved_retries).store(0);
    Some(seat)
}

/// The value is missed by one more: the descriptors, or a watched connect. Of storage it means nothing.
#[inline(always)]
pub fn add_ref(value: Slot<SocketValue>) {
    word!(value.refs).add(1);
}

/// One of these ends.
#[inline(always)]
pub fn release(value: Slot<SocketValue>) {
    // 1 less, as an addition.
    word!(value.refs).add(u64::MAX);
}

/// Whether any socket may have its value in storage. Until one does, none is looked up.
#[inline(always)]
pub fn is_any_stored() -> bool {
    config(STORED) != 0
}

/// Notes that one has.
#[inline(always)]
pub fn note_stored() {
    if let Some(slot) = CONFIG.slot(STORED)
        && slot.word().load() == 0
    {
        slot.word().store(1);
    }
}

/// The cookie of the socket, and where its slot would be.
#[inline(always)]
fn seat(context: *mut c_void) -> Option<(u64, Slot<SocketValue>)> {
    let count = constant(&SEAT_COUNT);
    if count == 0 {
        return None;
    }
    // SAFETY: the helper takes a context with a socket.
    let cookie = unsafe { bpf_get_socket_cookie(context) };
    Some((cookie, SEATS.slot(cookie as u32 & count.wrapping_sub(1))?))
}
