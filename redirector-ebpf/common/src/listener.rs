//! Local listeners: which there are, whose backends they serve, and the way from an address to its
//! backend's index.

use bytemuck::{Pod, Zeroable};

use crate::BackendValue;

/// Words of a bucket of `BACKEND_IDS`: one cache line.
pub const IDS: usize = 8;

/// One element of `BACKEND_IDS`, the index from a backend's address to its number. The first
/// element only says, in its first word, how many buckets follow; 0 is "no index".
///
/// A backend is in one of two buckets ([`buckets_of`]), at any place. A program that finds it compares
/// `BACKENDS` and the generation in `HEALTH`, because words of 16 bits of check can collide.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct IdBucket(pub [IdWord; IDS]);

const _: () = assert!(size_of::<IdBucket>() == 64);

/// A backend's number in a word that proves what it was stored for. 0 is "none".
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct IdWord(pub u64);

impl IdWord {
    /// Backend in bits 0 to 23, its generation in 24 to 47, a check of the key in 48 to 63.
    #[inline(always)]
    #[must_use]
    pub const fn new(backend: u32, generation: u32, check: u16) -> Self {
        Self(
            (backend & 0xff_ffff) as u64
                | ((generation & 0xff_ffff) as u64) << 24
                | (check as u64) << 48,
        )
    }

    /// Index into `HEALTH`.
    #[inline(always)]
    #[must_use]
    pub const fn backend(self) -> u32 {
        (self.0 & 0xff_ffff) as u32
    }

    /// Generation of that index.
    #[inline(always)]
    #[must_use]
    pub const fn generation(self) -> u32 {
        (self.0 >> 24 & 0xff_ffff) as u32
    }

    /// Never 0, but in "none".
    #[inline(always)]
    #[must_use]
    pub const fn check(self) -> u16 {
        (self.0 >> 48) as u16
    }
}

/// A [`BackendValue`] in the words that both sides mix and compare.
#[inline(always)]
#[must_use]
pub const fn identity_words(address: [u64; 2], port: u16, protocol: u8) -> [u64; 3] {
    [address[0], address[1], port as u64 | (protocol as u64) << 16]
}

/// The same of what `BACKENDS` holds.
#[must_use]
pub fn identity_of(backend: &BackendValue) -> [u64; 3] {
    bytemuck::cast(*backend)
}

/// Spreads a backend's identity over 64 bits.
#[inline(always)]
#[must_use]
pub const fn mix(identity: &[u64; 3]) -> u64 {
    let mut mixed = identity[0] ^ identity[2].wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd) ^ identity[1];
    // The finalizer of MurmurHash3.
    mixed = (mixed ^ mixed >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed = (mixed ^ mixed >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mixed ^ mixed >> 33
}

/// The two buckets of a mixed identity, 0 to `count` - 1, and the check of its word.
#[inline(always)]
#[must_use]
pub const fn buckets_of(mixed: u64, count: u32) -> ([u32; 2], u16) {
    ([scale_by(mixed as u32, count), scale_by((mixed >> 32) as u32, count)], mixed as u16 | 1)
}

/// Key of `PORTS`: a port of a network namespace, on all its addresses of a family or on one.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct PortKey {
    /// Cookie of the network namespace.
    pub netns: u64,
    /// In the words of a `sockaddr_in6`, IPv4 as `::ffff:a.b.c.d`; all 0 is every address.
    pub address: [u32; 4],
    /// Host order.
    pub port: u16,
    /// 4 or 6.
    pub family: u16,
    /// Always 0.
    pub _pad: u32,
}

const _: () = assert!(size_of::<PortKey>() == 32);

/// Backends of one port of a namespace and family, at most: as many as it has addresses there that
/// are backends.
pub const LEARNED: usize = 4;

/// Value of `PORTS`. Each word is stored whole; words that belong to another key do not pass
/// their check.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct PortValue {
    /// Listeners that were seen to begin and not yet to end; as a signed number.
    pub listeners: u64,
    /// 1 if there may be others, older than the programs.
    pub has_older: u64,
    /// Where the key is for every address: backends that accepted connections here.
    pub backends: [IdWord; LEARNED],
}

const _: () = assert!(size_of::<PortValue>() == 48);

/// 16 bits that tell the learned words of one port from another's; never 0.
#[inline(always)]
#[must_use]
pub const fn port_check(netns: u64, port: u16, family: u16) -> u16 {
    let mixed = netns ^ (port as u64) << 40 ^ (family as u64) << 56;
    (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as u16 | 1
}

/// Value of `LISTENERS`, by socket cookie: what a listener serves.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct ListenerValue {
    /// As in [`PortKey`].
    pub netns: u64,
    /// As in [`PortKey`].
    pub address: [u32; 4],
    /// Host order.
    pub port: u16,
    /// [`SERVES_V4`], [`SERVES_V6`], [`UNCOUNTED`].
    pub families: u16,
    /// Always 0.
    pub _pad: u32,
}

const _: () = assert!(size_of::<ListenerValue>() == 32);

/// A listener takes connections to IPv4 addresses.
pub const SERVES_V4: u16 = 1;
/// A listener takes connections to IPv6 addresses.
pub const SERVES_V6: u16 = 2;

/// A listener is older than the programs: `PORTS` has not counted it.
pub const UNCOUNTED: u16 = 4;

/// What `BACKEND_NETNS` holds for a backend: the namespace that accepted a connection to it, and is
/// known to `PORTS`. The lower 39 bits of the cookie, which no two namespaces of one boot share in
/// practice, [`SERVED_NO_MORE`], and the generation of the index.
#[inline(always)]
#[must_use]
pub const fn served_in(netns: u64, generation: u32) -> u64 {
    netns & (SERVED_NO_MORE - 1) | (generation as u64) << 40
}

/// In such a word: the last listener there has ended. Only then another namespace takes over: one
/// that gives itself the address of a neighbour's backend must not.
pub const SERVED_NO_MORE: u64 = 1 << 39;

/// Whether a namespace serves the backend of that generation, as far as is known.
#[inline(always)]
#[must_use]
pub const fn is_served(word: u64, generation: u32) -> bool {
    let netns = word & (SERVED_NO_MORE - 1);
    netns != 0 && word & SERVED_NO_MORE == 0 && word >> 40 == generation as u64
}

#[inline(always)]
const fn scale_by(half: u32, count: u32) -> u32 {
    ((half as u64 * count as u64) >> 32) as u32
}
