//! What the writer of the torn-reads test puts into every table, and what its reader expects there.
//!
//! Shared by both as a source file. Everything that a table holds follows from one stamp, which
//! service at which version, and from the number of the entry: whatever mixes two tables does not
//! fit together.

use redirector_common::NodeWord;

/// Groups of two services and four frontends.
pub const GROUPS: u32 = 16;
/// Services in all.
pub const SERVICES: u32 = 2 * GROUPS;
/// Frontends of a group move between its two services; the last of them also comes and goes.
pub const FRONTENDS_PER_GROUP: u32 = 4;
/// Frontends in all, each in both address families.
pub const FRONTENDS: u32 = GROUPS * FRONTENDS_PER_GROUP;
/// Entries of a tier, at most: the number of an entry is its tier times this, plus its place. The
/// port of its backend is one more.
pub const ENTRIES_PER_TIER: u32 = 8;
/// Nodes in all.
pub const NODES: u32 = 32;
/// The port that every frontend has.
pub const PORT: u16 = 80;

/// Whether a frontend comes and goes, so that it may be missed.
#[inline(always)]
pub const fn comes_and_goes(frontend: u32) -> bool {
    frontend % FRONTENDS_PER_GROUP == FRONTENDS_PER_GROUP - 1
}

/// The address of a frontend: 10.96.0.0/16 or fd00:96::/64.
#[inline(always)]
pub const fn frontend4(frontend: u32) -> [u8; 4] {
    [10, 96, 0, frontend as u8]
}

/// The same in IPv6, as the words of a `sockaddr_in6`.
#[inline(always)]
pub const fn frontend6(frontend: u32) -> [u32; 4] {
    [0xfd00_0096_u32.to_be(), 0, 0, frontend.to_be()]
}

/// A version of a service: its number in the upper half, the version in the lower one. What its
/// tables hold as session affinity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp(pub u32);

impl Stamp {
    /// The service's number.
    #[inline(always)]
    pub const fn service(self) -> u32 {
        self.0 >> 16
    }

    /// The version in which the backend of entry `number` was new. A quarter of the services
    /// replace all backends at each version, the others one in two, three or four.
    #[inline(always)]
    pub const fn birth(self, number: u32) -> u16 {
        /// A multiple of every period, and above every number.
        const MULTIPLE: u32 = 48;
        let period = 1 + self.service() % 4;
        let version = self.0 & 0xffff;
        (version - (version + MULTIPLE - number) % period) as u16
    }

    /// The address of the backend of entry `number`: 10.128.0.0/9, told apart by service and birth.
    #[inline(always)]
    pub const fn backend4(self, number: u32) -> [u8; 4] {
        let [high, low] = self.birth(number).to_be_bytes();
        [10, 128 + self.service() as u8, high, low]
    }

    /// The same in IPv6, as the words of a `sockaddr_in6`.
    #[inline(always)]
    pub const fn backend6(self, number: u32) -> [u32; 4] {
        let prefix = 0xfd00_0128_u32.to_be();
        [prefix, 0, self.service().to_be(), (self.birth(number) as u32).to_be()]
    }

    /// The node of the backend of entry `number`.
    #[inline(always)]
    pub const fn node(self, number: u32) -> NodeWord {
        let node = (self.birth(number) as u32 + number) % NODES;
        let name = [b'n', b'0' + node as u8];
        // SAFETY: both bytes are ASCII.
        NodeWord::named(unsafe { core::str::from_utf8_unchecked(&name) })
    }
}

/// What the reader counts, by index of `READS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Outcome {
    /// Every read, however it ended.
    Read,
    /// It ended at a backend, and everything on the way fits together.
    Whole,
    /// A frontend that comes and goes was away.
    Away,
    /// Parts of two versions.
    Torn,
    /// Parts of another service.
    Foreign,
    /// A frontend, a table or a backend that is always there was not found.
    Missed,
    /// The reader stayed for a while in the middle, as an interrupted one does.
    Lingered,
    /// Sampling met only ejected backends.
    Scanned,
}

/// Counters of `READS`.
pub const OUTCOMES: usize = Outcome::Scanned as usize + 1;
