//! Seats: where most sockets keep what they remember, in an array, by the low bits of the cookie.
//!
//! Cookies count up, so neighbours in time sit side by side, and a seat is taken only by a socket
//! that is older by as many sockets as there are seats. A socket whose seat is taken, or that has
//! none because its end is never seen, keeps its value in storage of its own (`SOCKETS`).
//!
//! Nothing here returns what an atomic addition found: 5.10 refuses objects with such an
//! instruction. A seat is taken by whoever reads 1 after adding 1: of several at once nobody does.

use core::{ffi::c_void, intrinsics};

use aya_ebpf::helpers::generated::bpf_get_socket_cookie;
use redirector_common::{STORED, SocketValue};

use crate::maps::{CONFIG, SEATS};

/// How many there are, a power of two; 0 where a socket's kind cannot be told (MPTCP before 5.19).
/// Set by the loader.
#[unsafe(no_mangle)]
static SEAT_COUNT: u32 = 0;

/// The value of this socket, if it has a seat: for whoever holds a descriptor of it, or knows that
/// its connect is watched. Anybody else asks [`is_still`] after having looked at the state.
#[inline(always)]
pub fn of<'s>(context: *mut c_void) -> Option<&'s mut SocketValue> {
    let (cookie, seat) = seat(context)?;
    // SAFETY: an element of an array; the word is loaded whole.
    unsafe { ((&raw const (*seat).cookie).read_volatile() == cookie).then(|| &mut *seat) }
}

/// Whether a value is still this socket's: in storage it is, there the cookie is 0. Another one
/// that takes a seat stores its cookie before anything else.
#[inline(always)]
pub fn is_still(value: &SocketValue, context: *mut c_void) -> bool {
    // SAFETY: as above; the helper takes a context with a socket.
    unsafe {
        let cookie = (&raw const value.cookie).read_volatile();
        cookie == 0 || cookie == bpf_get_socket_cookie(context)
    }
}

/// The value of this socket, which takes its seat if that is free.
#[inline(always)]
pub fn take<'s>(context: *mut c_void) -> Option<&'s mut SocketValue> {
    let (cookie, seat) = seat(context)?;
    // SAFETY: an element of an array; each word is loaded or stored whole. The cookie is stored
    // first, so that a stranger who reads what follows knows it.
    unsafe {
        if (&raw const (*seat).cookie).read_volatile() == cookie {
            return Some(&mut *seat);
        }
        if (&raw const (*seat).holders).read_volatile() != 0 {
            return None;
        }
        add(seat, 1);
        if (&raw const (*seat).holders).read_volatile() != 1 {
            add(seat, LESS);
            return None;
        }
        (&raw mut (*seat).cookie).write_volatile(cookie);
        (&raw mut (*seat).state).write_volatile(0);
        (&raw mut (*seat).bound_timeout_ms).write_volatile(0);
        (&raw mut (*seat).saved_retries).write_volatile(0);
        Some(&mut *seat)
    }
}

/// One more who would miss this value. Of storage it means nothing.
#[inline(always)]
pub fn hold(value: &mut SocketValue) {
    add(value, 1);
}

/// One less.
#[inline(always)]
pub fn leave(value: &mut SocketValue) {
    add(value, LESS);
}

/// Whether any socket may have its value in storage. Until one does, nobody asks for it.
#[inline(always)]
pub fn is_any_stored() -> bool {
    // SAFETY: the word is loaded whole.
    CONFIG.get_ptr(STORED).is_some_and(|word| unsafe { word.read_volatile() } != 0)
}

/// One has.
#[inline(always)]
pub fn note_stored() {
    if let Some(word) = CONFIG.get_ptr_mut(STORED) {
        // SAFETY: the word is loaded and stored whole; whoever stores, stores the same.
        unsafe {
            if word.read_volatile() == 0 {
                word.write_volatile(1);
            }
        }
    }
}

/// 1 less, as an addition.
const LESS: u64 = u64::MAX;

#[inline(always)]
fn add(value: *mut SocketValue, by: u64) {
    use intrinsics::{AtomicOrdering, atomic_xadd};
    // SAFETY: a word of an element of an array, or of a socket's storage.
    unsafe {
        atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(&raw mut (*value).holders, by);
    }
}

/// The cookie of the socket, and where its seat would be.
#[inline(always)]
fn seat(context: *mut c_void) -> Option<(u64, *mut SocketValue)> {
    if count() == 0 {
        return None;
    }
    // SAFETY: the helper takes a context with a socket.
    let cookie = unsafe { bpf_get_socket_cookie(context) };
    Some((cookie, at(cookie)?))
}

#[inline(always)]
fn at(cookie: u64) -> Option<*mut SocketValue> {
    SEATS.get_ptr_mut(cookie as u32 & count().wrapping_sub(1))
}

#[inline(always)]
fn count() -> u32 {
    // SAFETY: a plain load of a constant that the loader may replace.
    unsafe { (&raw const SEAT_COUNT).read_volatile() }
}
