//! A contender that is up: its node, what runs there, and the cgroup of its clients.

use std::{
    net::SocketAddr,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use redirector_tests::{cgroup::Cgroup, lab::Node, netns::Netns, place::Place};

use super::{
    attempt::Attempt,
    client::{Client, Load},
    contender::Contender,
    cpu,
    running::Running,
};

/// A proxy that does not serve by then will not.
const LONGEST_START: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

/// A contender that is up. The fields drop from top to bottom.
#[derive(Debug)]
pub(super) struct Entrant {
    pub(super) contender: Contender,
    pub(super) running: Running,
    /// Of its clients alone: what they cost is counted there, and the agent attaches there.
    cgroup: Cgroup,
    netns: Netns,
}

impl Entrant {
    /// Starts a contender on its node; it serves when this returns.
    pub(super) fn start(contender: Contender, node: &Node, redirector: &Path) -> Result<Self> {
        let cgroup = Cgroup::new(contender.name())?;
        let running = Running::start(contender.means(), node, &cgroup, redirector)?;
        let entrant = Self { contender, running, cgroup, netns: node.netns().clone() };
        entrant.wait_until_it_serves()?;
        Ok(entrant)
    }

    /// Starts a client there that dials these addresses in turn.
    pub(super) fn client(&self, load: Load, to: &[SocketAddr]) -> Result<Client> {
        Client::start(Place::new(&self.netns, &self.cgroup), load, to)
    }

    /// CPU time of all clients so far, also of those that have ended.
    pub(super) fn clients_cpu(&self) -> Result<Duration> {
        cpu::of_cgroup(self.cgroup.path())
    }

    /// Takes it down. Fails with the log if the agent has logged an error.
    pub(super) fn finish(self) -> Result<()> {
        self.running.finish()
    }

    /// An agent serves once it is ready, which its guard has waited for; rules at once.
    fn wait_until_it_serves(&self) -> Result<()> {
        let Running::Proxy(..) = self.running else { return Ok(()) };
        let begin = Instant::now();
        for address in self.contender.addresses() {
            while self.netns.run(|| Attempt::make(address)).has_failed() {
                let log = || self.running.log();
                ensure!(begin.elapsed() < LONGEST_START, "it does not serve: {}", log());
                thread::sleep(POLL);
            }
        }
        Ok(())
    }
}
