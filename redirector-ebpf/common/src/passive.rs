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

/// Seconds after which the kernel gives up a connect whose SYN it repeats that often, the first so many
/// times without waiting longer (`tcp_syn_retries` or `TCP_SYNCNT`; `tcp_syn_linear_timeouts`, 0 before
/// 6.5): with the timer that fires when twice the last wait of a connect without linear timeouts is over
/// (`tcp_write_timeout`, `tcp_model_timeout`). Above 6 retries as for 6, which no limit of ours exceeds.
#[inline(always)]
#[must_use]
pub const fn syn_seconds(retries: u8, linear: u8) -> u32 {
    let retries = if retries < 6 { retries as u32 } else { 6 };
    let (linear, last) = (linear as u32, 1 << retries);
    let model = 2 * last - 1;
    if model <= linear + 1 {
        model
    } else if linear < last {
        linear + model
    } else {
        linear + last - 1
    }
}

/// A client: what its own failures move, and nothing else.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Pod, Zeroable)]
pub struct Client {
    /// Id of its cgroup, at the level of pods and units that the loader has chosen, else its own.
    pub cgroup: u64,
    /// Cookie of its network namespace, if the system made that; 0 for one that a process made
    /// itself, as many as it likes.
    pub netns: u64,
}

/// What `PASSIVE` holds for a backend: zero while nothing fails. Each member is stored whole.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct PassiveValue {
    /// When the kernel's own veto may end, in nanoseconds of `CLOCK_MONOTONIC`.
    pub until: u64,
    /// Until when several clients do not eject it, in the same: a probe has contradicted them. The
    /// agent writes this; it counts while the agent lives. Only with [`ANSWERS`](Self::ANSWERS) also for
    /// requests without an answer.
    pub vouched: u64,
    /// A [`WitnessWord`](crate::WitnessWord): who saw it fail last; 0 since a success.
    pub witness: u64,
    /// Ejections in a row. The agent sets it back to 0.
    pub ejections: u32,
    /// [`USED_BY_SYSTEM`](Self::USED_BY_SYSTEM) or [`USED`](Self::USED) since a connect to it
    /// succeeded, only ever raised; the agent sets it back to 0 and so learns which backends this
    /// node's sockets use.
    pub used: u8,
    /// 1 if the last connect that succeeded had sent more than one SYN: it is far away, or busy.
    pub slow: u8,
    /// 1 since the agent was asked about it; the agent sets it back to 0 with its answer. Till
    /// then it is not asked again.
    pub asked: u8,
    /// Always 0.
    pub _pad: u8,
}

const _: () = assert!(size_of::<PassiveValue>() == 32);

impl PassiveValue {
    /// In `vouched`: that it accepts connections is not all that is known.
    pub const ANSWERS: u64 = 1;
    /// Used, but only from networks that processes made themselves: the process that answers there may
    /// be no backend. It is worth a probe, and no evidence.
    pub const USED: u8 = 1;
    /// Used from a network that the system made: the backend itself has answered.
    pub const USED_BY_SYSTEM: u8 = 2;
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
    /// As [`PassiveValue::ejections`].
    pub ejections: u32,
    /// Who saw it.
    pub client: Client,
    /// As [`PassiveValue::until`].
    pub until: u64,
}

const _: () = assert!(size_of::<EventValue>() == 40);

/// What happened to a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum EventKind {
    /// A client avoids it: its connects were refused. A question to the agent.
    AvoidedRefused = 1,
    /// A client avoids it: its connects were not answered in time, or found no way. A question.
    AvoidedTimedOut = 2,
    /// Ejected: connects of several clients failed, the last one's were refused.
    SuspectedRefused = 3,
    /// Ejected: connects of several clients failed, the last one's were not answered in time.
    SuspectedTimedOut = 4,
    /// A trial connect succeeded while the agent was dead: re-admitted.
    Readmitted = 5,
    /// Its last local listener is gone: ejected.
    ListenerGone = 6,
    /// It has a local listener again: re-admitted.
    ListenerBack = 7,
    /// A client avoids it: it accepted connections and did not answer. A question.
    AvoidedUnresponsive = 8,
    /// Ejected: it did not answer several clients.
    SuspectedUnresponsive = 9,
}

/// A number that is no [`EventKind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownEvent;

impl TryFrom<u32> for EventKind {
    type Error = UnknownEvent;

    fn try_from(number: u32) -> Result<Self, UnknownEvent> {
        Ok(match number {
            1 => Self::AvoidedRefused,
            2 => Self::AvoidedTimedOut,
            3 => Self::SuspectedRefused,
            4 => Self::SuspectedTimedOut,
            5 => Self::Readmitted,
            6 => Self::ListenerGone,
            7 => Self::ListenerBack,
            8 => Self::AvoidedUnresponsive,
            9 => Self::SuspectedUnresponsive,
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
/// no look at it is needed.
pub const STORED: u32 = 2;
/// Index in `CONFIG`: not 0 once a host may have had the address of a UDP frontend: before, no datagram
/// comes from one.
pub const HOSTS_HAVE: u32 = 3;
/// Words of `CONFIG`.
pub const CONFIG_WORDS: usize = 8;

/// Nanoseconds without a heartbeat after which no agent is expected to probe what the kernel has
/// ejected: then it tries by itself. Longer than any plan takes.
pub const AGENT_SILENT: u64 = 5_000_000_000;

/// Nanoseconds after which the death of a local listener is tried again while the agent is silent.
pub const LISTENER_GONE: u64 = 10_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_of_syns_is_as_long_as_the_kernel_takes() {
        // Measured on Linux 6.18, in seconds, by retries and linear timeouts.
        for (retries, linear, seconds) in
            [(1, 0, 3), (2, 0, 7), (6, 0, 127), (1, 4, 3), (2, 4, 7), (3, 4, 19), (6, 4, 131)]
        {
            assert_eq!(syn_seconds(retries, linear), seconds, "{retries}, {linear}");
        }
    }

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
}
