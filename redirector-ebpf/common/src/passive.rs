//! What the kernel sees of connects that fail: limits, counts per backend, and the news it sends.

use bytemuck::{Pod, Zeroable};

/// When connects through a service eject a backend, and how long a connect may take. Part of the
/// service's [`Settings`](crate::Settings), and copied into each socket that goes through it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Pod, Zeroable)]
pub struct Limits {
    /// Consecutive hard failures (refused, unreachable, timed out) that eject; 0 is never.
    pub refused: u8,
    /// Consecutive soft failures (given up after a retransmission) that eject; 0 is never.
    pub timeouts: u8,
    /// Milliseconds that a connect may take, 300 to 60,000; 0 is as long as the system lets it.
    pub connect_timeout_ms: u16,
    /// Milliseconds of the first ejection; each further one takes twice as long.
    pub base_ejection_ms: u32,
    /// Milliseconds that no ejection exceeds.
    pub max_ejection_ms: u32,
}

const _: () = assert!(size_of::<Limits>() == 12);

/// What `PASSIVE` holds for a backend: zero while nothing fails. Each word is stored whole.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct PassiveValue {
    /// Hard failures in a row in the lower half, soft ones in the upper.
    pub failures: u64,
    /// When the ejection may end, in nanoseconds of `CLOCK_MONOTONIC`.
    pub until: u64,
    /// Cgroup id of the only client that failed since the last success; 0 is nobody,
    /// [`SEVERAL`] more than one.
    pub client: u64,
    /// Ejections in a row: the exponent of the next one. The agent sets it back to 0.
    pub ejections: u32,
    /// 1 since a connect to it succeeded (stored only if it is not 1 yet); the agent sets it back
    /// to 0 and so learns which backends this node's sockets use.
    pub used: u32,
}

const _: () = assert!(size_of::<PassiveValue>() == 32);

/// More than one client saw a backend fail.
pub const SEVERAL: u64 = u64::MAX;

/// Key of `MUTED`: a client whose failures against a backend do not count. The value is until
/// when, in nanoseconds of `CLOCK_MONOTONIC`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct MutedKey {
    /// Cgroup id.
    pub client: u64,
    /// Index into `HEALTH`.
    pub backend: u32,
    /// Generation of that index.
    pub generation: u32,
}

const _: () = assert!(size_of::<MutedKey>() == 16);

/// One piece of news in `EVENTS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct EventValue {
    /// An [`EventKind`].
    pub kind: u32,
    /// Index into `HEALTH`.
    pub backend: u32,
    /// Generation of that index.
    pub generation: u32,
    /// [`PassiveValue::ejections`] after this one.
    pub ejections: u32,
    /// As [`PassiveValue::client`].
    pub client: u64,
    /// As [`PassiveValue::until`].
    pub until: u64,
}

const _: () = assert!(size_of::<EventValue>() == 32);

/// What happened to a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum EventKind {
    /// Ejected: connects were refused.
    Refused = 1,
    /// Ejected: connects were not answered in time, or nobody knew the way.
    TimedOut = 2,
    /// A trial connect succeeded while the agent was dead: re-admitted.
    Readmitted = 3,
    /// Its last local listener is gone: ejected.
    ListenerGone = 4,
    /// It has a local listener again: re-admitted.
    ListenerBack = 5,
}

/// A number that is no [`EventKind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownEvent;

impl TryFrom<u32> for EventKind {
    type Error = UnknownEvent;

    fn try_from(number: u32) -> Result<Self, UnknownEvent> {
        Ok(match number {
            1 => Self::Refused,
            2 => Self::TimedOut,
            3 => Self::Readmitted,
            4 => Self::ListenerGone,
            5 => Self::ListenerBack,
            _ => return Err(UnknownEvent),
        })
    }
}

/// Index in `CONFIG`: when the agent was last alive, in nanoseconds of `CLOCK_MONOTONIC`. It
/// writes this every 500 ms.
pub const HEARTBEAT: u32 = 0;
/// Index in `CONFIG`: nanoseconds without a heartbeat after which addresses that kube-proxy serves
/// too pass untouched; 0 is never.
pub const STALE_AFTER: u32 = 1;
/// Words of `CONFIG`.
pub const CONFIG_WORDS: usize = 8;

/// Nanoseconds without a heartbeat after which nobody is expected to probe what the kernel has
/// ejected: then it tries by itself. Longer than any plan takes.
pub const AGENT_SILENT: u64 = 5_000_000_000;
