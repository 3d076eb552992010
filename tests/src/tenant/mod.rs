//! A process of a tenant who has no rights on the machine: user 65534 without a capability.
//!
//! It may make a user namespace of its own, and a network in it where any address is its own; it may
//! move between the cgroups that were given to its user; and it may connect. The guard's half starts
//! the process and tells it what to do: one `Order` as JSON a line on stdin, answered by one line on
//! stdout, a [`Tally`] of connects or an error.

mod attempt;
mod held;
mod own;
mod run;

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use anyhow::{Result, anyhow};
use serde::{Deserialize, Serialize};

pub use attempt::{Attempt, Tally};
pub use run::serve;

use crate::{
    place::Place,
    privileges::TENANT,
    programs::{self, Role},
    worker::Worker,
};

/// What the process is told. End of input ends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Makes a network of its own: these addresses are its own, whatever is sent to others is lost.
    Own(Vec<IpAddr>),
    /// Accepts connections there and closes them at once.
    Listen(SocketAddr),
    /// Opens connections to each of these addresses, and keeps them.
    Hold(Vec<SocketAddr>, u32),
    /// Asks on every connection that it keeps.
    Ask,
    /// Connects.
    Attempt(Attempt),
    /// Makes so many cgroups below this one, and attempts the same from each.
    Swarm(PathBuf, u32, Attempt),
}

/// A tenant's process. Dropping it kills the process.
#[derive(Debug)]
pub struct Tenant(Worker);

impl Tenant {
    /// Starts one. In the place's cgroup its sockets are redirected.
    pub fn start(place: Place<'_>) -> Result<Self> {
        let program = programs::command(Role::Tenant)?;
        let mut command = TENANT.command(Path::new(program.get_program()), &[]);
        command.args(program.get_args());
        Worker::start(place, command).map(Self)
    }

    /// Its process, for example to move it into another cgroup.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// Makes a user namespace with a network of its own, or another such network if it has one: these
    /// addresses are its own, whatever is sent to others is lost.
    pub fn own(&mut self, addresses: &[IpAddr]) -> Result<()> {
        self.order(&Order::Own(addresses.to_owned())).map(drop)
    }

    /// Accepts connections at an address of its network, until the process ends.
    pub fn listen(&mut self, address: SocketAddr) -> Result<()> {
        self.order(&Order::Listen(address)).map(drop)
    }

    /// Opens so many connections to each of these addresses, and keeps them.
    pub fn hold(&mut self, addresses: &[SocketAddr], times: u32) -> Result<Tally> {
        self.order(&Order::Hold(addresses.to_owned(), times))
    }

    /// Asks on every connection that it keeps; `connected` are those that answer.
    pub fn ask(&mut self) -> Result<Tally> {
        self.order(&Order::Ask)
    }

    /// Connects, and says how that ended.
    pub fn attempt(&mut self, attempt: Attempt) -> Result<Tally> {
        self.order(&Order::Attempt(attempt))
    }

    /// Starts to connect; [`end`](Self::end) says how that ended.
    pub fn begin(&mut self, attempt: Attempt) -> Result<()> {
        self.0.tell(&Order::Attempt(attempt))
    }

    /// Waits for what was begun.
    pub fn end(&mut self) -> Result<Tally> {
        let reply: Result<Tally, String> = self.0.reply()?;
        reply.map_err(|error| anyhow!("the tenant cannot: {error}"))
    }

    /// Makes so many cgroups below one that was given to it, and connects from each.
    pub fn swarm(&mut self, below: &Path, clients: u32, attempt: Attempt) -> Result<Tally> {
        self.order(&Order::Swarm(below.to_owned(), clients, attempt))
    }

    fn order(&mut self, order: &Order) -> Result<Tally> {
        self.0.tell(order)?;
        self.end()
    }
}
