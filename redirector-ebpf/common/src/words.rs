//! Words of services, backends and nodes, each changed by one store, and who an index is.

use core::net::{Ipv4Addr, Ipv6Addr};

use bytemuck::{Pod, Zeroable};

/// What `SERVICES` holds for a frontend (its index is the frontend's, no service's): where its table
/// is. 0 is "nothing published yet".
///
/// Bits 0 to 31 are the slot of the header in `TABLE`, 32 to 47 the epoch, the rest is 0.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct ServiceWord(pub u64);

impl ServiceWord {
    /// A word that publishes the header at `slot`.
    #[inline(always)]
    #[must_use]
    pub const fn new(slot: u32, epoch: u16) -> Self {
        Self(slot as u64 | (epoch as u64) << 32)
    }

    /// Slot of the header; never 0 once published.
    #[inline(always)]
    #[must_use]
    pub const fn slot(self) -> u32 {
        self.0 as u32
    }

    /// If the header has another epoch, this word is stale.
    #[inline(always)]
    #[must_use]
    pub const fn epoch(self) -> u16 {
        (self.0 >> 32) as u16
    }
}

/// Generations wrap at 2^24.
pub const GENERATIONS: u32 = 1 << 24;

/// What `HEALTH` holds for a backend: usable if its low 40 bits are 0, but for
/// [`AVOIDED`](Self::AVOIDED).
///
/// Bytes 0 to 4 are vetoes, of one writer each ([`HealthByte`]); bits 40 to 63 are the generation
/// of the index, so that one load says "usable" and "still the same backend".
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct HealthWord(pub u64);

impl HealthWord {
    /// In a byte that the kernel writes: clients or a listener have shown something, and no probe has
    /// confirmed it. It holds the backend back until the agent answers or the time is over.
    pub const SUSPECTED: u8 = 1;
    /// In such a byte: the agent's verdict.
    pub const CONFIRMED: u8 = 2;
    /// In [`HealthByte::Passive`], beside one of these: it accepts connections and does not answer. That it
    /// accepts one ends nothing.
    pub const UNRESPONSIVE: u8 = 4;
    /// In [`HealthByte::Passive`]: some client avoids the backend by itself; `AVOID` says who. No
    /// ejection. A stale one costs a look-up; the agent sweeps them.
    pub const AVOIDED: u8 = 0x80;

    /// Where [`AVOIDED`](Self::AVOIDED) is.
    pub const AVOIDED_BIT: u64 = (Self::AVOIDED as u64) << 24;
    /// Where [`SUSPECTED`](Self::SUSPECTED) is, of clients and of listeners.
    pub const SUSPECTED_BITS: u64 = (Self::SUSPECTED as u64) << 24 | (Self::SUSPECTED as u64) << 32;
    /// All bits that keep every client away.
    pub const VETOES: u64 = ((1 << 40) - 1) & !Self::AVOIDED_BIT;
    /// The veto of an operator.
    pub const OPERATOR: u64 = 0xff << 16;
    /// The vetoes that the kernel raises by itself, and may try to end while the agent is silent.
    pub const KERNEL: u64 = (0xff << 32 | 0xff << 24) & !Self::AVOIDED_BIT;

    /// A word with no objection.
    #[inline(always)]
    #[must_use]
    pub const fn new(generation: u32) -> Self {
        Self((generation as u64) << 40)
    }

    /// The vetoes of a backend on that node: its own, and in the same bytes those that the node's
    /// backends have in common: the shift takes bit 0 to bit 12, the prober's byte, and bit 4 to bit
    /// 16, the operator's ([`NodeWord::veto`]).
    #[inline(always)]
    #[must_use]
    pub const fn on(self, node: NodeWord) -> Self {
        Self(self.0 | (node.vetoes() as u64) << 12)
    }

    /// Whether there is no objection to new connections.
    #[inline(always)]
    #[must_use]
    pub const fn is_usable(self) -> bool {
        self.is_usable_despite(0)
    }

    /// The same, vetoes in `ignored` disregarded.
    #[inline(always)]
    #[must_use]
    pub const fn is_usable_despite(self, ignored: u64) -> bool {
        self.vetoes_despite(ignored) == 0
    }

    /// The vetoes that are not in `ignored`.
    #[inline(always)]
    #[must_use]
    pub const fn vetoes_despite(self, ignored: u64) -> u64 {
        self.0 & Self::VETOES & !ignored
    }

    /// Whether some client avoids it.
    #[inline(always)]
    #[must_use]
    pub const fn is_avoided(self) -> bool {
        self.0 & Self::AVOIDED_BIT != 0
    }

    /// Whether there are vetoes, and none but the kernel's.
    #[inline(always)]
    #[must_use]
    pub const fn is_only_ejected(self) -> bool {
        self.0 & Self::KERNEL != 0 && self.is_usable_despite(Self::KERNEL)
    }

    /// 24 bits.
    #[inline(always)]
    #[must_use]
    pub const fn generation(self) -> u32 {
        (self.0 >> 40) as u32
    }

    /// One writer's byte; 0 is "no objection". That some client avoids it is none.
    #[inline(always)]
    #[must_use]
    pub const fn byte(self, byte: HealthByte) -> u8 {
        ((self.0 & !Self::AVOIDED_BIT) >> (8 * byte as u64)) as u8
    }

    /// The same word with one writer's byte replaced.
    #[inline(always)]
    #[must_use]
    pub const fn with(self, byte: HealthByte, value: u8) -> Self {
        let shift = 8 * byte as u64;
        Self(self.0 & !(0xff << shift) | (value as u64) << shift)
    }
}

/// Who may object to a backend. The number is the byte of the [`HealthWord`], counted from the
/// least significant one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum HealthByte {
    /// No synced service lists the backend any more.
    Discovery = 0,
    /// Active probes fail.
    Prober = 1,
    /// An operator drains it.
    Operator = 2,
    /// Its connects fail: [`HealthWord::SUSPECTED`], [`HealthWord::CONFIRMED`].
    Passive = 3,
    /// Its local listener is gone: the same values.
    Listener = 4,
}

impl HealthByte {
    /// In the order of the bytes.
    pub const ALL: [Self; 5] =
        [Self::Discovery, Self::Prober, Self::Operator, Self::Passive, Self::Listener];

    /// Those that only the agent writes, as part of its plans. The kernel writes the others, and
    /// the agent clears them when it re-admits.
    pub const AGENT: [Self; 3] = [Self::Discovery, Self::Prober, Self::Operator];

    /// Lower case, for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Discovery => "discovery",
            Self::Prober => "prober",
            Self::Operator => "operator",
            Self::Passive => "passive",
            Self::Listener => "listener",
        }
    }
}

/// Index in `NODES` of a backend whose node has no name. Its word is always 0.
pub const NO_NODE: u16 = 0;

/// What `NODES` holds: the low byte is the vetoes that every backend there has in common
/// ([`veto`](Self::veto)), so that a node goes and comes back by one store; the other 56 bits say
/// which node it is, so that the index can be adopted after a restart.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Pod, Zeroable)]
pub struct NodeWord(pub u64);

impl NodeWord {
    /// A healthy node of the own cluster. The identity is 56 bits of FNV-1a (never 0): with 5,000
    /// nodes two share it with a probability of 2 in 10^10, and then share their fate.
    #[must_use]
    pub const fn named(name: &str) -> Self {
        Self::identified(fnv(FNV_OFFSET, name))
    }

    /// A healthy node of another cluster: as one of the own cluster called `cluster/name` would
    /// be, and no name has a `/`.
    #[must_use]
    pub const fn in_cluster(cluster: &str, name: &str) -> Self {
        Self::identified(fnv(fnv(fnv(FNV_OFFSET, cluster), "/"), name))
    }

    const fn identified(hash: u64) -> Self {
        Self(hash << 8 | 1 << 8)
    }

    /// The bit that stands for that byte of every backend on the node; 0 where it can have none in
    /// common.
    #[must_use]
    pub const fn veto(byte: HealthByte) -> u8 {
        match byte {
            HealthByte::Prober => 1,
            HealthByte::Operator => 1 << 4,
            HealthByte::Discovery | HealthByte::Passive | HealthByte::Listener => 0,
        }
    }

    /// The vetoes; 0 is none.
    #[inline(always)]
    #[must_use]
    pub const fn vetoes(self) -> u8 {
        self.0 as u8
    }

    /// Not 0 if it has vetoes that are not in `ignored`, which is as for
    /// [`HealthWord::vetoes_despite`]; what is shifted does not change from backend to backend.
    #[inline(always)]
    #[must_use]
    pub const fn vetoes_despite(self, ignored: u64) -> u64 {
        self.vetoes() as u64 & !(ignored >> 12)
    }

    /// The same node with these vetoes.
    #[must_use]
    pub const fn with_vetoes(self, vetoes: u8) -> Self {
        Self(self.identity().0 | vetoes as u64)
    }

    /// The word with its low byte cleared: which node, not how it is.
    #[must_use]
    pub const fn identity(self) -> Self {
        Self(self.0 & !0xff)
    }
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a of more text behind what has been hashed.
const fn fnv(mut hash: u64, text: &str) -> u64 {
    let bytes = text.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0100_0000_01b3);
        i += 1;
    }
    hash
}

/// Who a backend index is, for people and for adoption; write-once while the index is in use.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Pod, Zeroable)]
pub struct BackendValue {
    /// IPv6, or IPv4 as `::ffff:a.b.c.d`.
    pub address: [u8; 16],
    /// Host order.
    pub port: u16,
    /// IP protocol number; 0 if the index has never been used.
    pub protocol: u8,
    /// Always 0.
    pub _pad: [u8; 5],
}

const _: () = assert!(size_of::<BackendValue>() == 24);

impl BackendValue {
    /// An IPv4 backend.
    #[must_use]
    pub const fn new4(address: Ipv4Addr, port: u16, protocol: u8) -> Self {
        Self::new6(address.to_ipv6_mapped(), port, protocol)
    }

    /// An IPv6 backend.
    #[must_use]
    pub const fn new6(address: Ipv6Addr, port: u16, protocol: u8) -> Self {
        Self { address: address.octets(), port, protocol, _pad: [0; 5] }
    }
}

/// What `NAMES` holds per service id, for people: UTF-8, zero-filled. A longer name is cut at a
/// character boundary and ends in `~` and 16 digits that only it has.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct ServiceName(pub [u8; 64]);

impl ServiceName {
    /// As much of `name` as fits.
    #[must_use]
    pub fn new(name: &str) -> Self {
        const DIGITS: usize = 16;
        let mut text = [0; 64];
        if name.len() <= text.len() {
            text[..name.len()].copy_from_slice(name.as_bytes());
            return Self(text);
        }
        let mut end = text.len() - DIGITS - 1;
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        text[..end].copy_from_slice(&name.as_bytes()[..end]);
        text[end] = b'~';
        let digest = digest(name.as_bytes());
        for (place, digit) in text[end + 1..].iter_mut().take(DIGITS).enumerate() {
            *digit = b"0123456789abcdef"[(digest >> (60 - 4 * place) & 0xf) as usize];
        }
        Self(text)
    }

    /// The text, up to the first zero byte.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(self.0.len());
        core::str::from_utf8(&self.0[..end]).unwrap_or("?")
    }
}

/// FNV-1a: what tells names apart that begin alike.
fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |digest, byte| {
        (digest ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}
