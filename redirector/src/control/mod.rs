//! The agent's control socket: a Unix socket, mode 0600, on which operators order and ask.
//!
//! A process that may open it may steer traffic; no other can. HTTP/1.1, so that `curl
//! --unix-socket` works too.

mod alike;
mod asker;
mod carried_out;
mod client;
#[cfg(test)]
mod json_tests;
mod kept;
mod loader;
mod long_names;
mod orders;
mod server;
mod snapshot;
mod socket;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use redirector_core::{explain::NotInstalled, input::Verb, service::ServiceRef};
use redirector_kube::index::PortState;
use tokio::sync::oneshot;

pub use alike::there_are;
pub use asker::Asker;
pub use carried_out::{CarriedOut, Effect};
pub use client::Client;
pub use loader::{Loader, ask_loader};
pub use long_names::LongNames;
pub use orders::{Kept, Orders};
pub use server::Server;
pub use snapshot::{Snapshot, nowhere};
pub use socket::SocketFile;

/// A question or an order for the agent's task, with where its answer goes.
#[derive(Debug)]
pub enum Ask {
    /// Carry this out, if its client still waits. The answer is what is in force now, or why it is
    /// not: a name without a port means all ports.
    Order(Verb, Asker<Result<Vec<CarriedOut>, String>>),
    /// Are all of these possible? The answer is what is wrong with the first that is not; nothing is
    /// carried out.
    Check(Vec<Verb>, oneshot::Sender<Result<(), String>>),
    /// Which orders are in force?
    Orders(oneshot::Sender<Vec<Verb>>),
    /// Which services does this mean: `namespace/name`, with or without `:port`; without, all ports
    /// of it? `None` is every service. Or why there are none: the agent does not know them.
    Named(Option<String>, oneshot::Sender<Result<Vec<ServiceRef>, String>>),
    /// How are these? The answer is about the first of them, as many as the agent has time for before
    /// it looks at its news again, and which are left to be asked for.
    Snapshot(Vec<ServiceRef>, oneshot::Sender<(Snapshot, Vec<ServiceRef>)>),
    /// What do services want that the kernel does not have?
    NotInstalled(oneshot::Sender<Vec<NotInstalled>>),
    /// How are these? In their order; `None` is one that is not known.
    Health(Vec<ServiceRef>, oneshot::Sender<Vec<Option<PortState>>>),
}

/// Where the socket and the orders are.
#[derive(Clone, Debug)]
pub struct RunDirectory(PathBuf);

impl RunDirectory {
    /// That directory, whether or not it exists.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// The Unix socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.0.join("control.sock")
    }

    /// The Unix socket of a loader that stands by.
    #[must_use]
    pub fn loader(&self) -> PathBuf {
        self.0.join("loader.sock")
    }

    /// The file with the orders in force.
    #[must_use]
    pub fn orders(&self) -> PathBuf {
        self.0.join("orders.json")
    }

    /// The file with the names that the maps have no room for.
    #[must_use]
    pub fn long_names(&self) -> PathBuf {
        self.0.join("names.json")
    }

    /// The file with other addresses of the API server.
    #[must_use]
    pub fn api_servers(&self) -> PathBuf {
        self.0.join("api-servers")
    }

    /// Removes the sockets of processes that were killed. Orders stay: the next agent carries them out.
    ///
    /// # Errors
    ///
    /// One cannot be removed.
    pub fn sweep(&self) -> Result<()> {
        [self.socket(), self.loader()].iter().try_for_each(|path| socket::remove_dead(path))
    }

    /// Removes the other addresses of the API server.
    ///
    /// # Errors
    ///
    /// They cannot be removed.
    pub fn forget_api_servers(&self) -> Result<()> {
        let path = self.api_servers();
        clear(&path).with_context(|| format!("cannot remove {}", path.display()))
    }

    /// Creates it, for its owner only, if it is not there.
    ///
    /// # Errors
    ///
    /// It cannot be created.
    pub fn create(&self) -> Result<()> {
        use std::os::unix::fs::DirBuilderExt as _;
        let mut builder = std::fs::DirBuilder::new();
        let result = builder.recursive(true).mode(0o700).create(&self.0);
        result.with_context(|| format!("cannot create {}; pass --run-dir", self.0.display()))
    }
}

/// Removes what a process that died has left in a place, if there is something: a symbolic link itself,
/// not what it leads to.
fn clear(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
