//! The arena `TABLE`: slots of 16 bytes that hold, per service and address family, a region:
//! header, settings, one range per tier, and the entries.
//!
//! A region is write-once: it is filled while nothing points at it, then published by one store
//! of a [`ServiceWord`](crate::ServiceWord), and reused only after a grace period. Everything in
//! it is found by a slot number, never by an offset within a map value: the verifier would follow
//! such an offset back through the whole decision (766,956 instructions instead of some 5,600).
//! A service with one tier and one IPv4 backend is one cache line.

use bytemuck::{Pod, Zeroable};

use crate::Limits;

/// Bytes of a slot.
pub const SLOT: usize = 16;
/// Slots of a cache line: regions begin at a multiple of it.
pub const SLOTS_PER_LINE: u32 = 4;
/// Tiers of a service, at most.
pub const MAX_TIERS: usize = 8;
/// Slot of the [`Settings`], counted from the header.
pub const SETTINGS: u32 = 1;
/// Slot of the first [`TierRange`], counted from the header.
pub const RANGES: u32 = 2;
/// The probability of an entry that never yields to its alias.
pub const ALWAYS: u16 = u16::MAX;

/// One slot of `TABLE`, uninterpreted.
#[repr(C, align(16))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Slot(pub [u8; SLOT]);

/// First slot of a region: all that most connects need to know of a service.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Header {
    /// Cumulative percent of each tier, 0 to 100; 100 from the last tier that carries load on. A
    /// random percentage below `loads[i]` and not below `loads[i - 1]` chooses tier `i`.
    pub loads: [u8; MAX_TIERS],
    /// Identity of the service, for session affinity and for people.
    pub service: u32,
    /// Equal to the epoch in the word that points here.
    pub epoch: u16,
    /// Tiers in use, 0 to [`MAX_TIERS`]; 0 refuses.
    pub tiers: u8,
    /// An [`AllDown`] in bits 0 and 1, [`Header::IPV6`], [`Header::AFFINITY`],
    /// [`Header::ALSO_SERVED`], [`Header::UNREACHABLE`].
    pub flags: u8,
}

const _: () = assert!(size_of::<Header>() == SLOT);

impl Header {
    /// Entries take two slots: an [`Entry`] and an [`Address6`].
    pub const IPV6: u8 = 1 << 2;
    /// [`Settings::affinity_seconds`] is not 0.
    pub const AFFINITY: u8 = 1 << 3;
    /// kube-proxy serves the address too: without an agent it is left alone.
    pub const ALSO_SERVED: u8 = 1 << 4;
    /// Without a tier a connect finds no host (EHOSTUNREACH), instead of no listener (ECONNREFUSED).
    pub const UNREACHABLE: u8 = 1 << 5;
    /// Where the [`AllDown`] is.
    pub const ALL_DOWN: u8 = 0b11;

    /// Slots of an entry, as a power of two: 0 or 1.
    #[inline(always)]
    #[must_use]
    pub const fn entry_shift(&self) -> u32 {
        (self.flags >> 2 & 1) as u32
    }
}

/// Second slot of a region: what only some connects need to know.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Settings {
    /// Bits 0 to 23: [`affinity_seconds`](Self::affinity_seconds), 24 to 31:
    /// [`unresponsive`](Self::unresponsive).
    numbers: u32,
    /// When connects eject a backend, and how long they may take.
    pub limits: Limits,
}

const _: () = assert!(size_of::<Settings>() == SLOT);

impl Settings {
    const SECONDS: u32 = (1 << 24) - 1;

    /// Of a service. Affinity is cut to 24 bits.
    #[must_use]
    pub const fn new(affinity_seconds: u32, unresponsive: u8, limits: Limits) -> Self {
        let numbers = affinity_seconds & Self::SECONDS | (unresponsive as u32) << 24;
        Self { numbers, limits }
    }

    /// Session affinity in seconds, 1 to 86,400 as in Kubernetes; 0 is none.
    #[inline(always)]
    #[must_use]
    pub const fn affinity_seconds(&self) -> u32 {
        self.numbers & Self::SECONDS
    }

    /// Consecutive requests without an answer that eject a backend which has answered before; 0 is
    /// never.
    #[inline(always)]
    #[must_use]
    pub const fn unresponsive(&self) -> u8 {
        (self.numbers >> 24) as u8
    }
}

/// Where a tier's entries are, sorted by backend index.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct TierRange {
    /// Slot of the first entry, counted from the header.
    pub start: u32,
    /// Entries, 1 to 65,535.
    pub length: u32,
    /// Always 0.
    pub _pad: [u32; 2],
}

const _: () = assert!(size_of::<TierRange>() == SLOT);

/// What a service does when no backend is usable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AllDown {
    /// Use every backend, as if all were healthy (Envoy's panic mode).
    #[default]
    Panic,
    /// `ECONNREFUSED` at once.
    Refuse,
    /// Leave the address alone, to kube-proxy or to whatever else serves it.
    PassThrough,
}

impl AllDown {
    /// The number in [`Header::flags`].
    #[inline(always)]
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Panic => 0,
            Self::Refuse => 1,
            Self::PassThrough => 2,
        }
    }
}

/// A number that names no [`AllDown`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownAllDown(pub u8);

impl TryFrom<u8> for AllDown {
    type Error = UnknownAllDown;

    #[inline(always)]
    fn try_from(number: u8) -> Result<Self, UnknownAllDown> {
        match number {
            0 => Ok(Self::Panic),
            1 => Ok(Self::Refuse),
            2 => Ok(Self::PassThrough),
            other => Err(UnknownAllDown(other)),
        }
    }
}

/// One entry of a tier; with an IPv6 address it is followed by an [`Address6`].
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Entry {
    /// Index into `HEALTH` and `BACKENDS`.
    pub backend: u32,
    /// Index into `NODES`; [`NO_NODE`](crate::NO_NODE) if unknown.
    pub node: u16,
    /// The entry of the same tier that has the rest of this one's share (alias method).
    pub alias: u16,
    /// This entry keeps a draw, 0 to 65,535, up to and including this; [`ALWAYS`] never yields.
    pub probability: u16,
    /// Where to connect, host order.
    pub port: u16,
    /// Where to connect; zero if an [`Address6`] follows.
    pub address: [u8; 4],
}

const _: () = assert!(size_of::<Entry>() == SLOT);

/// Second slot of an IPv6 entry.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Address6 {
    /// Where to connect.
    pub address: [u8; 16],
}

const _: () = assert!(size_of::<Address6>() == SLOT);
