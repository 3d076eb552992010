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

impl Limits {
    /// Whether anything follows from how a connect ends, or how long it takes.
    #[inline(always)]
    #[must_use]
    pub const fn are_set(&self) -> bool {
        self.refused as u32 | self.timeouts as u32 | self.connect_timeout_ms as u32 != 0
    }

    /// Nanoseconds of the next ejection after that many in a row.
    #[inline(always)]
    #[must_use]
    pub const fn ejection(&self, ejections: u32) -> u64 {
        // 32 bits shifted by less than 32 fit; from there on every base but 0 exceeds every limit.
        let doublings = if ejections < 31 { ejections } else { 31 };
        let lasts = (self.base_ejection_ms as u64) << doublings;
        let longest = self.max_ejection_ms as u64;
        (if lasts < longest { lasts } else { longest }) * 1_000_000
    }
}

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
    pub used: u16,
    /// 1 if the last connect that succeeded had sent more than one SYN: it is far away, or busy.
    pub slow: u16,
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

/// Key of `TRIALS`: one claim to try an ejected backend while the agent is silent. Who inserts it
/// first has it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct TrialKey {
    /// [`PassiveValue::until`] of the ejection.
    pub until: u64,
    /// Index into `HEALTH`.
    pub backend: u32,
    /// Generation of that index.
    pub generation: u32,
    /// Which one: trials whose outcome nobody saw must not be the last.
    pub number: u64,
}

const _: () = assert!(size_of::<TrialKey>() == 24);

impl TrialKey {
    /// The claim that may be made at `now`: one in 8.6 s (2^33 ns).
    #[inline(always)]
    #[must_use]
    pub const fn new(backend: u32, generation: u32, until: u64, now: u64) -> Self {
        Self { until, backend, generation, number: now.saturating_sub(until) >> 33 }
    }
}

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
/// Index in `CONFIG`: not 0 once a socket had to keep its state in storage of its own (`SOCKETS`): before,
/// nobody needs to look there.
pub const STORED: u32 = 2;
/// Words of `CONFIG`.
pub const CONFIG_WORDS: usize = 8;

/// Nanoseconds without a heartbeat after which nobody is expected to probe what the kernel has
/// ejected: then it tries by itself. Longer than any plan takes.
pub const AGENT_SILENT: u64 = 5_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_ejection_takes_twice_as_long_until_the_longest() {
        let limits =
            Limits { base_ejection_ms: 10_000, max_ejection_ms: 300_000, ..Limits::default() };
        let seconds = [0, 1, 2, 3, 4, 5, 6, 31, 32, 1_000, u32::MAX]
            .map(|ejections| limits.ejection(ejections) / 1_000_000_000);
        assert_eq!(seconds, [10, 20, 40, 80, 160, 300, 300, 300, 300, 300, 300]);
        let longest =
            Limits { base_ejection_ms: u32::MAX, max_ejection_ms: u32::MAX, ..Limits::default() };
        assert_eq!(longest.ejection(u32::MAX), u64::from(u32::MAX) * 1_000_000);
    }

    #[test]
    fn a_trial_without_outcome_is_not_the_last() {
        let at = |now| TrialKey::new(7, 1, 1_000, now);
        assert_eq!(at(1_000), at(8_000_000_000));
        assert_ne!(at(1_000), at(9_000_000_000));
    }
}
