//! The application of a test: a process in a cgroup that dials addresses and says who answered.
//!
//! One process does many dials, each on a fresh socket. It is told what to do by one JSON value a
//! line on stdin ([`Order`]) and answers by one JSON value a line on stdout ([`Line`]). A test
//! uses [`Client`], which starts the process and speaks that protocol:
//!
//! ```no_run
//! # use redirector_tests::{cgroup::Cgroup, dialer::{Client, Dial}, lab::Lab, place::Place};
//! # fn main() -> anyhow::Result<()> {
//! let lab = Lab::new(&["n1", "n2"])?;
//! let cgroup = Cgroup::new("client")?;
//! let mut client = Client::start(Place::new(lab.node("n1").netns(), &cgroup))?;
//! let dial = Dial::tcp("10.96.0.10:80".parse()?);
//! for dialled in client.dial(dial, 1000)? {
//!     assert_eq!(dialled.outcome, Ok("a1".to_owned()));
//!     assert_eq!(dialled.peer, Some(dial.address), "the application sees what it has dialled");
//! }
//! # Ok(())
//! # }
//! ```

mod client;
mod dial;
mod load;

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

pub use client::{Client, LoadRun};
pub(crate) use dial::dial;
pub use load::serve;

/// How one dial is made, always with a fresh socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dial {
    /// `[::ffff:a.b.c.d]:port` is dialled with an IPv6 socket.
    pub address: SocketAddr,
    /// TCP or UDP, connected or not.
    pub transport: Transport,
    /// Limits the connect, and then the wait for the answer.
    pub timeout_ms: u64,
}

/// How the socket is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transport {
    /// Connects and reads what the replica answers.
    Tcp,
    /// `connect`, `send`, `recv`.
    Udp,
    /// `sendto` and `recvfrom`, never `connect`.
    UdpUnconnected,
}

/// What one dial came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dialled {
    /// When the dial began: microseconds of the monotonic clock, see [`now_us`].
    pub at_us: u64,
    /// How long `connect` took, successful or not; for unconnected UDP, `sendto`.
    pub connect_us: u64,
    /// How long until the answer was there, or it was clear that none would come.
    pub total_us: u64,
    /// The name of the replica that answered.
    pub outcome: Result<String, Failure>,
    /// What `getpeername` shows after the connect. Of a socket without peer: nothing.
    pub peer: Option<SocketAddr>,
    /// What `recvfrom` gives as the answer's source. UDP only.
    pub source: Option<SocketAddr>,
}

/// Why a dial failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Whether it failed in `connect` (or `sendto`), or after it.
    pub phase: ConnectPhase,
    /// The number of the error; `ETIMEDOUT` and `EAGAIN` when the dial's own timeout ran out in
    /// the connect and in the wait for the answer; `None` if the answer was cut short.
    pub errno: Option<i32>,
}

/// How far a dial came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConnectPhase {
    /// There was no connection.
    Connect,
    /// There was a connection, but no answer.
    Answer,
}

/// Dials one address again and again at a steady rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// What to dial, and how.
    pub dial: Dial,
    /// Dials per second, all threads together. A dial that is late is made at once.
    pub rate: u32,
    /// How many dials may be under way at the same time.
    pub threads: u32,
    /// Ends by itself after this long; without, when it is stopped.
    pub duration_ms: Option<u64>,
    /// Report every dial, not only the failed ones.
    pub every: bool,
}

/// One second of a load.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Second {
    /// Its number, from 0.
    pub number: u64,
    /// Dials that ended in this second, failed or not.
    pub dials: u64,
    /// Those among them that failed.
    pub failed: u64,
    /// Answers by replica.
    pub by: BTreeMap<String, u64>,
    /// The longest of the dials.
    pub slowest_us: u64,
}

/// What the process is told. End of input ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Makes so many dials, one after the other. Answered by as many `Dialled`.
    Dial(Dial, u32),
    /// Makes a load. Answered by `Dialled` (as ordered) and a `Second` each second, at last `Ended`.
    Load(Load),
    /// Ends a load.
    Stop,
}

/// What the process says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Line {
    /// One dial.
    Dialled(Dialled),
    /// One second of a load.
    Second(Second),
    /// A load is over: the sums over all of it.
    Ended(Second),
}

impl Dial {
    /// A TCP dial with a timeout of 5 s.
    #[must_use]
    pub fn tcp(address: SocketAddr) -> Self {
        Self { address, transport: Transport::Tcp, timeout_ms: 5_000 }
    }

    /// A dial with a connected UDP socket and a timeout of 5 s.
    #[must_use]
    pub fn udp(address: SocketAddr) -> Self {
        Self { address, transport: Transport::Udp, timeout_ms: 5_000 }
    }

    fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }
}

impl Load {
    /// So many dials a second, by at most 4 at the same time, until it is stopped; only those that
    /// fail are reported.
    #[must_use]
    pub fn new(dial: Dial, rate: u32) -> Self {
        Self { dial, rate, threads: 4, duration_ms: None, every: false }
    }
}

impl Line {
    /// The dial that it reports.
    #[must_use]
    pub fn dialled(self) -> Option<Dialled> {
        match self {
            Self::Dialled(dialled) => Some(dialled),
            Self::Second(_) | Self::Ended(_) => None,
        }
    }
}

impl Second {
    /// The sums over these dials.
    #[must_use]
    pub fn of(dialled: &[Dialled]) -> Self {
        let mut sums = Self::default();
        dialled.iter().for_each(|one| sums.count(one));
        sums
    }

    /// The sums over all of them.
    #[must_use]
    pub fn sum(all: impl IntoIterator<Item = Self>) -> Self {
        let mut sums = Self::default();
        all.into_iter().for_each(|one| sums.add(&one));
        sums
    }

    fn count(&mut self, dialled: &Dialled) {
        self.dials += 1;
        self.slowest_us = self.slowest_us.max(dialled.total_us);
        match &dialled.outcome {
            Ok(name) => *self.by.entry(name.clone()).or_default() += 1,
            Err(_) => self.failed += 1,
        }
    }

    fn add(&mut self, other: &Self) {
        let Self { number, dials, failed, by, slowest_us } = other;
        self.number = *number;
        self.dials += dials;
        self.failed += failed;
        self.slowest_us = self.slowest_us.max(*slowest_us);
        for (name, count) in by {
            *self.by.entry(name.clone()).or_default() += count;
        }
    }
}

/// The monotonic clock, which is the same in every process of a machine.
#[must_use]
pub fn now_us() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("Linux has a monotonic clock");
    let now = Duration::from(now);
    now.as_secs() * 1_000_000 + u64::from(now.subsec_micros())
}
