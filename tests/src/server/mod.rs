//! A server of a test that opens and closes its listeners one by one, as real servers do: shared
//! ports, forks, IPv4 through IPv6.
//!
//! The guard's half starts the process and tells it what to do: one `Order` as JSON a line on
//! stdin, answered by one line on stdout. Connections are answered like a replica's.

mod run;

use std::net::SocketAddr;

use anyhow::{Result, anyhow};
use serde::{Deserialize, Serialize};

pub use run::serve;

use crate::{
    place::Place,
    programs::{self, Role},
    worker::Worker,
};

/// What the process is told. End of input ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Opens one more listener. Answered by its number.
    Open(Listen),
    /// Closes the listener of that number.
    Close(usize),
    /// Shuts it down, and does not close it.
    Shutdown(usize),
    /// Forks a process that shares every listener and serves the last one. Answered by its id.
    Fork,
}

/// How to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listen {
    /// The address to listen at.
    pub address: SocketAddr,
    /// It listens with `SO_REUSEPORT`.
    pub shares: bool,
    /// It listens with `IPV6_V6ONLY`.
    pub is_v6_only: bool,
    /// It listens with `IP_FREEBIND`: on an address that is not there.
    pub is_free: bool,
}

impl Listen {
    /// Listens without any option.
    #[must_use]
    pub fn on(address: SocketAddr) -> Self {
        Self { address, shares: false, is_v6_only: false, is_free: false }
    }

    /// Listens with `SO_REUSEPORT`.
    #[must_use]
    pub fn sharing(address: SocketAddr) -> Self {
        Self { shares: true, ..Self::on(address) }
    }
}

/// A server. Dropping it kills the process, but not what it has forked: that ends with its cgroup.
#[derive(Debug)]
pub struct Server(Worker);

impl Server {
    /// Starts one without listeners. The name is what it answers with; one line.
    pub fn start(place: Place<'_>, name: &str) -> Result<Self> {
        let mut command = programs::command(Role::Server)?;
        command.arg(name);
        Worker::start(place, command).map(Self)
    }

    /// Starts a server that listens.
    pub fn listening(place: Place<'_>, name: &str, listen: Listen) -> Result<Self> {
        let mut server = Self::start(place, name)?;
        server.open(listen)?;
        Ok(server)
    }

    /// Opens one more listener, which serves when this returns. Returns its number, from 0.
    pub fn open(&mut self, listen: Listen) -> Result<usize> {
        self.order(Order::Open(listen)).map(|number| number as usize)
    }

    /// Closes a listener, and returns when that is done.
    pub fn close(&mut self, listener: usize) -> Result<()> {
        self.order(Order::Close(listener)).map(drop)
    }

    /// Shuts a listener down without closing it.
    pub fn shutdown(&mut self, listener: usize) -> Result<()> {
        self.order(Order::Shutdown(listener)).map(drop)
    }

    /// Forks a process that shares every listener and serves the last one; returns its id.
    pub fn fork(&mut self) -> Result<u32> {
        self.order(Order::Fork)
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// Kills the process (SIGKILL) and waits for its end: its descriptors are closed.
    pub fn kill(&mut self) {
        self.0.process.kill();
    }

    fn order(&mut self, order: Order) -> Result<u32> {
        let reply: Result<u32, String> = self.0.ask(&order)?;
        reply.map_err(|error| anyhow!("{order:?}: {error}"))
    }
}
