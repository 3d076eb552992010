//! Gives sockets their seats in this layout: what they remember of connects that the earlier programs
//! redirected.
//!
//! Both layouts' programs may be attached meanwhile. What sockets keep in storage of their own
//! (`SOCKETS`, `SENDS`) no process can give them.

use std::{
    mem::offset_of,
    sync::atomic::{AtomicU64, Ordering},
};

use anyhow::Result;
use bytemuck::{Pod, Zeroable};
use redirector_common::{Destination, Limits, SocketValue};

use crate::datapath::{map_array, pins::Pins};

/// A value of `SEATS` as layout 3 had it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
struct Before {
    cookie: u64,
    refs: u64,
    destination: Destination,
    stamp: u32,
    cgroup: u64,
    limits: Limits,
    saved_timeout_ms: u32,
    bound_timeout_ms: u32,
    state: u32,
}

const _: () = assert!(size_of::<Before>() == size_of::<SocketValue>());
const WORDS: usize = size_of::<SocketValue>() / 8;
const COOKIE: usize = offset_of!(SocketValue, cookie) / 8;
const REFS: usize = offset_of!(SocketValue, refs) / 8;
const _: () = assert!(offset_of!(Before, cookie) / 8 == COOKIE);
const _: () = assert!(offset_of!(Before, refs) / 8 == REFS);

/// Takes a seat for every socket that has one there and none here. A second time does no harm.
pub(super) fn carry(from: &Pins, to: &Pins) -> Result<()> {
    let Ok(from) = map_array::<Before>(from, "SEATS") else { return Ok(()) };
    let to = map_array::<SocketValue>(to, "SEATS")?;
    let before = from.read_all();
    let seats = from.words().chunks_exact(WORDS).zip(to.words().chunks_exact(WORDS));
    for (value, (from, to)) in before.iter().zip(seats) {
        if value.refs != 0 {
            take(value, from, to);
        }
    }
    Ok(())
}

/// Takes a seat as the programs do, with what the socket remembers. The socket may be closed at any
/// moment: then its old seat is free or another's, and so is this one.
fn take(value: &Before, from: &[AtomicU64], to: &[AtomicU64]) {
    let load = |word: &AtomicU64| word.load(Ordering::Acquire);
    if load(&to[COOKIE]) == value.cookie || load(&to[REFS]) != 0 {
        return;
    }
    if to[REFS].fetch_add(1, Ordering::AcqRel) != 0 {
        to[REFS].fetch_sub(1, Ordering::AcqRel);
        return;
    }
    let value = now(value);
    let words: [u64; WORDS] = bytemuck::cast(value);
    for (index, word) in words.iter().enumerate().filter(|(index, _)| *index > REFS) {
        to[index].store(*word, Ordering::Relaxed);
    }
    to[COOKIE].store(value.cookie, Ordering::Release);
    to[REFS].fetch_add(value.refs.wrapping_sub(1), Ordering::AcqRel);
    if load(&from[COOKIE]) != value.cookie || load(&from[REFS]) == 0 {
        // Closed meanwhile, perhaps before there was anything here to be given back.
        let _ = to[REFS].compare_exchange(value.refs, 0, Ordering::AcqRel, Ordering::Acquire);
    }
}

fn now(value: &Before) -> SocketValue {
    let Before { cookie, refs, destination, stamp: _, cgroup, limits, .. } = *value;
    let Before { saved_timeout_ms, bound_timeout_ms, state, .. } = *value;
    SocketValue {
        cookie,
        refs,
        cgroup,
        destination,
        limits,
        saved_timeout_ms,
        bound_timeout_ms,
        state,
        saved_retries: 0,
        unresponsive: 0,
        _pad: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(words: [u64; WORDS]) -> Vec<AtomicU64> {
        words.map(AtomicU64::new).into()
    }

    fn before(cookie: u64) -> Before {
        Before { cookie, refs: 1, saved_timeout_ms: 7, state: 9, ..Before::zeroed() }
    }

    fn read(seat: &[AtomicU64]) -> SocketValue {
        let words: Vec<u64> = seat.iter().map(|word| word.load(Ordering::Acquire)).collect();
        bytemuck::pod_read_unaligned(bytemuck::cast_slice(&words))
    }

    #[test]
    fn a_socket_keeps_its_seat_and_takes_it_once() {
        let value = before(77);
        let (from, to) = (seat(bytemuck::cast(value)), seat([0; WORDS]));
        take(&value, &from, &to);
        take(&value, &from, &to);
        assert_eq!(read(&to), now(&value));
        assert_eq!((read(&to).saved_timeout_ms, read(&to).state), (7, 9));
    }

    #[test]
    fn a_seat_that_another_socket_has_stays_its() {
        let (value, other) = (before(77), now(&before(78)));
        let (from, to) = (seat(bytemuck::cast(value)), seat(bytemuck::cast(other)));
        take(&value, &from, &to);
        assert_eq!(read(&to), other);
    }

    #[test]
    fn a_socket_that_is_closed_meanwhile_has_no_seat() {
        let value = before(77);
        let closed = Before { refs: 0, ..value };
        let (from, to) = (seat(bytemuck::cast(closed)), seat([0; WORDS]));
        take(&value, &from, &to);
        assert_eq!(read(&to).refs, 0);
    }
}
