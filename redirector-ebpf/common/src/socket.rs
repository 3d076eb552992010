//! State that belongs to one socket, or to one client: what was dialled, and what was chosen.

use bytemuck::{Pod, Zeroable};

use crate::Limits;

/// Where one `connect` or `sendmsg` of a socket went.
///
/// Addresses are canonical, IPv4 as `::ffff:a.b.c.d` whichever family the socket has, and in the
/// words of a `sockaddr_in6`, as the programs see them: network order in memory.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Destination {
    /// The service address that the application dialled.
    pub dialled: [u32; 4],
    /// Echo of the backend chosen: compared with the peer that the kernel reports, because the
    /// socket may have been connected elsewhere since.
    pub chosen: [u32; 4],
    /// Host order; 0 if this is no longer a redirected destination.
    pub dialled_port: u16,
    /// Host order.
    pub chosen_port: u16,
    /// Index into `HEALTH`.
    pub backend: u32,
    /// Generation of that index when it was chosen.
    pub generation: u32,
    /// Epoch of the service's table when it was chosen: an equal one still lists the backend.
    pub epoch: u16,
    /// Index into `NODES`.
    pub node: u16,
    /// The tier it was chosen from; of a send, above the low byte, how many others were asked for it
    /// since.
    pub tier: u32,
}

const _: () = assert!(size_of::<Destination>() == 52);

/// The value of `SEATS` and `SOCKETS`: where a socket was connected to, and, of a TCP socket, what
/// to make of how that ends.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct SocketValue {
    /// In `SEATS`: of the socket that sits here, or sat here last. Cookies are never used again, so
    /// another socket is told by it.
    pub cookie: u64,
    /// In `SEATS`: who would miss this value: 1 for the socket's descriptors, 1 for a connect that
    /// is watched. The slot is free at 0; the program that makes 1 of it has taken it.
    pub refs: u64,
    /// Of who called connect: [`Client::cgroup`](crate::Client::cgroup).
    pub cgroup: u64,
    /// What was dialled and chosen.
    pub destination: Destination,
    /// Those of the service, when it was dialled.
    pub limits: Limits,
    /// The application's own `TCP_USER_TIMEOUT` in milliseconds, to be put back.
    pub saved_timeout_ms: u32,
    /// The one in its place while the connect is under way; 0 is none.
    pub bound_timeout_ms: u32,
    /// [`SocketValue::DIALLED`], [`SocketValue::WATCHED`], [`SocketValue::LATE`],
    /// [`SocketValue::UNANSWERED`], and in the low byte the callbacks of the socket that were switched on
    /// for this.
    pub state: u32,
    /// The application's own `TCP_SYNCNT`, to be put back; 0 is none.
    pub saved_retries: u8,
    /// [`Settings::unresponsive`](crate::Settings::unresponsive) of the service, when it was dialled.
    pub unresponsive: u8,
    /// Always 0.
    pub _pad: u16,
}

const _: () = assert!(size_of::<SocketValue>() == 104);

impl SocketValue {
    /// The connect is under way.
    pub const WATCHED: u32 = 1 << 8;
    /// It had no answer in the time that its backend usually takes: counted, once.
    pub const UNANSWERED: u32 = 1 << 9;
    /// Its first SYN had no answer before the second one.
    pub const LATE: u32 = 1 << 10;
    /// It is to be watched, and has not sent its first SYN.
    pub const DIALLED: u32 = 1 << 11;
    /// Times the number of how it failed, between the program that has seen it and the one that makes
    /// something of it.
    pub const FAILED: u32 = 1 << 12;
    /// Where the callbacks are.
    pub const CALLBACKS: u32 = 0xff;
}

/// Destinations that one unconnected UDP socket remembers; the least recently used is replaced.
pub const DESTINATIONS: usize = 8;

/// Seconds for which it is remembered that an answer may come: conntrack's time for a UDP flow with
/// datagrams of one side only (`nf_conntrack_udp_timeout`).
pub const ANSWER_SECONDS: u32 = 30;

/// Seconds for which a host that wrote to a UDP socket may be answered, counted from what either of
/// them sent last: longer than a phone rings. conntrack's time for a flow with datagrams of both sides is
/// 120 s (`nf_conntrack_udp_timeout_stream`).
pub const CALLER_SECONDS: u32 = 180;

/// The value of `SENDS`: what an unconnected UDP socket has been sending to.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct SendsValue {
    /// Which slot was used later than which.
    pub recency: Recency,
    /// A check of each slot's address, never 0, so that most are passed by at one look; 0 if the slot
    /// is free. No two are equal.
    pub tags: [u32; DESTINATIONS],
    /// In no order.
    pub slots: [SentValue; DESTINATIONS],
}

const _: () = assert!(size_of::<SendsValue>() == 8 + (4 + 76) * DESTINATIONS);

/// Eight slots in the order of their last use: bit `8 a + b` says that `a` was used later than `b`. The
/// row of the one used least recently is 0; at the beginning that is the first.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Recency(pub u64);

const _: () = assert!(DESTINATIONS == 8);

impl Recency {
    const ONES: u64 = 0x0101_0101_0101_0101;

    /// After a use of that slot.
    #[inline(always)]
    #[must_use]
    pub const fn used(self, slot: u32) -> Self {
        Self((self.0 | 0xff << (8 * slot)) & !(Self::ONES << slot))
    }

    /// The slot used least recently.
    #[inline(always)]
    #[must_use]
    pub const fn oldest(self) -> u32 {
        // The highest bit of each byte that is 0, and of no byte before it.
        let empty = self.0.wrapping_sub(Self::ONES) & !self.0 & Self::ONES << 7;
        let first = (empty & empty.wrapping_neg()) >> 7;
        (first.wrapping_mul(0x0001_0203_0405_0607) >> 56) as u32
    }

    /// Whether one slot was used later than another.
    #[inline(always)]
    #[must_use]
    pub const fn is_later(self, one: u32, other: u32) -> bool {
        self.0 >> (8 * one + other) & 1 != 0
    }
}

/// A check of an address, as [`SendsValue::tags`].
#[inline(always)]
#[must_use]
pub const fn tag_of(address: &[u32; 4], port: u16) -> u32 {
    let [a, b, c, d] = *address;
    let mixed = ((a ^ c) as u64) << 32 ^ ((b as u64) << 16) ^ d as u64 ^ (port as u64) << 40;
    (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32 | 1
}

/// A frontend that a UDP socket sends to.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct SentValue {
    /// Where the last send went.
    pub destination: Destination,
    /// The backend before it, as [`Destination::chosen`]: its answer may be under way.
    pub earlier: [u32; 4],
    /// Host order; 0 is none.
    pub earlier_port: u16,
    /// Always 0.
    pub _pad: u16,
    /// When the present one took its place, in seconds of `CLOCK_MONOTONIC`.
    pub changed: u32,
}

/// Key of `CALLERS`: a host that has the address of a frontend, and to whom it wrote. Whatever socket
/// of that port answers: servers have several, or make one for each client.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct CallerKey {
    /// As [`Destination::dialled`].
    pub address: [u32; 4],
    /// Cookie of the receiver's network namespace.
    pub netns: u64,
    /// Of the host; host order.
    pub port: u16,
    /// Of the receiver.
    pub local_port: u16,
    /// Always 0.
    pub _pad: u32,
}

const _: () = assert!(size_of::<CallerKey>() == 32);

/// Value of `CALLERS`: when it wrote last, in seconds of `CLOCK_MONOTONIC`, and above them a check of
/// the key, because an element of an LRU map can be recycled under a reader.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct CallerWord(pub u64);

impl CallerWord {
    /// One that wrote just now.
    #[inline(always)]
    #[must_use]
    pub const fn new(key: &CallerKey, now: u32) -> Self {
        Self((check(key) as u64) << 32 | now as u64)
    }

    /// Whether it was written for `key`, not longer ago than an answer may take.
    #[inline(always)]
    #[must_use]
    pub const fn may_be_answered(self, key: &CallerKey, now: u32) -> bool {
        (self.0 >> 32) as u32 == check(key) && now.wrapping_sub(self.0 as u32) < CALLER_SECONDS
    }
}

#[inline(always)]
const fn check(key: &CallerKey) -> u32 {
    let CallerKey { address: [a, b, c, d], netns, port, local_port, _pad } = *key;
    let ports = (port as u64) << 16 | local_port as u64;
    let mixed = netns ^ ports << 32 ^ (a ^ b.rotate_left(8) ^ c.rotate_left(16) ^ d) as u64;
    (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
}

/// Key of `AFFINITY`: one client of one service.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct AffinityKey {
    /// Cookie of the client's network namespace.
    pub client: u64,
    /// [`Header::service`](crate::Header::service).
    pub service: u32,
    /// 4 or 6: a service has a table and backends of its own in each family.
    pub family: u32,
}

const _: () = assert!(size_of::<AffinityKey>() == 16);

/// Value of `AFFINITY`. Each word is stored whole; the first proves that it belongs to its key,
/// because an element of an LRU map can be recycled under a reader.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct AffinityValue {
    /// Backend in bits 0 to 23, its generation in 24 to 47, a check of the key in 48 to 63.
    pub choice: u64,
    /// When it was used last, in seconds of `CLOCK_MONOTONIC`, times 8, plus the tier. Read with
    /// the wrong `choice` it makes at worst a new choice: the tier is searched for the backend.
    pub used: u64,
}

impl AffinityValue {
    /// A choice that proves its key.
    #[inline(always)]
    #[must_use]
    pub const fn new(
        backend: u32,
        generation: u32,
        tier: u32,
        key: &AffinityKey,
        now: u64,
    ) -> Self {
        let choice = (backend & 0xff_ffff) as u64
            | ((generation & 0xff_ffff) as u64) << 24
            | (affinity_check(key) as u64) << 48;
        Self { choice, used: now << 3 | (tier & 7) as u64 }
    }

    /// The tier it was chosen from.
    #[inline(always)]
    #[must_use]
    pub const fn tier(&self) -> u32 {
        (self.used & 7) as u32
    }

    /// When it was used last, in seconds of `CLOCK_MONOTONIC`.
    #[inline(always)]
    #[must_use]
    pub const fn used_seconds(&self) -> u64 {
        self.used >> 3
    }

    /// Index into `HEALTH`.
    #[inline(always)]
    #[must_use]
    pub const fn backend(&self) -> u32 {
        (self.choice & 0xff_ffff) as u32
    }

    /// Generation of that index when it was chosen.
    #[inline(always)]
    #[must_use]
    pub const fn generation(&self) -> u32 {
        (self.choice >> 24 & 0xff_ffff) as u32
    }

    /// Whether this value was written for `key`.
    #[inline(always)]
    #[must_use]
    pub const fn is_of(&self, key: &AffinityKey) -> bool {
        (self.choice >> 48) as u16 == affinity_check(key)
    }
}

/// 16 bits that tell one key's value from another's.
#[inline(always)]
#[must_use]
pub const fn affinity_check(key: &AffinityKey) -> u16 {
    let mixed = key.client ^ (key.service as u64) << 32 ^ (key.family as u64) << 28;
    let mixed = mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 48) as u16 | 1
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;

    #[test]
    fn the_slot_used_least_recently_makes_room() {
        let mut recency = Recency::default();
        let mut order: Vec<u32> = (0..8).collect();
        let mut random = 7_u32;
        for _ in 0..10_000 {
            assert_eq!(recency.oldest(), order[0]);
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let used = random >> 29;
            recency = recency.used(used);
            order.retain(|slot| *slot != used);
            order.push(used);
            // Those never used yet stand before all others, in their order.
            let later = |pair: &[u32]| recency.is_later(pair[1], pair[0]);
            let used_ones: Vec<u32> =
                order.iter().copied().filter(|slot| recency.0 >> (8 * slot) & 0xff != 0).collect();
            assert!(used_ones.windows(2).all(later), "{order:?}");
        }
    }
}
