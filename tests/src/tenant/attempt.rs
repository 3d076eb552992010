//! Connects that a tenant makes, and how they end.

use std::{net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

/// Connects to make, one after the other. Each is closed as soon as its end is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Addresses that are dialled in turn.
    pub addresses: Vec<SocketAddr>,
    /// How often each address is dialled.
    pub times: u32,
    /// Milliseconds between two connects.
    pub pause_ms: u64,
    /// Milliseconds after which a connect is given up.
    pub timeout_ms: i64,
    /// `IP_TTL`, or `IPV6_UNICAST_HOPS`, of its packets; otherwise the kernel's.
    pub hops: Option<i32>,
    /// Cgroups: before each connect the process moves to the next of them.
    pub cgroups: Vec<PathBuf>,
}

/// How many connects ended in which way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Connects that ended with a connection.
    pub connected: u32,
    /// Connects that ended with ECONNREFUSED.
    pub refused: u32,
    /// Connects that ended with EHOSTUNREACH: a router or a host on the way has said so.
    pub unreachable: u32,
    /// Connects that ended with ETIMEDOUT, or were given up.
    pub unanswered: u32,
    /// Connects that ended with anything else.
    pub other: u32,
}

impl Attempt {
    /// Dials these addresses so often, as fast as possible, for as long as the policy lets them wait.
    #[must_use]
    pub fn new(addresses: &[SocketAddr], times: u32) -> Self {
        Self {
            addresses: addresses.to_owned(),
            times,
            pause_ms: 0,
            timeout_ms: 5_000,
            hops: None,
            cgroups: Vec::new(),
        }
    }

    /// The same connects with so many milliseconds between two of them.
    #[must_use]
    pub fn every(self, pause_ms: u64) -> Self {
        Self { pause_ms, ..self }
    }

    /// The same connects with packets that live for so many hops.
    #[must_use]
    pub fn hops(self, hops: i32) -> Self {
        Self { hops: Some(hops), ..self }
    }

    /// The same connects from these cgroups in turn.
    #[must_use]
    pub fn from(self, cgroups: &[PathBuf]) -> Self {
        Self { cgroups: cgroups.to_owned(), ..self }
    }
}

impl Tally {
    /// All connects that did not end with a connection.
    #[must_use]
    pub fn failed(self) -> u32 {
        let Self { connected: _, refused, unreachable, unanswered, other } = self;
        refused + unreachable + unanswered + other
    }

    pub(crate) fn add(&mut self, more: Self) {
        let Self { connected, refused, unreachable, unanswered, other } = more;
        self.connected += connected;
        self.refused += refused;
        self.unreachable += unreachable;
        self.unanswered += unanswered;
        self.other += other;
    }
}
