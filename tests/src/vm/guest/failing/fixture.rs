//! What every step needs: the services and backends of `config.yaml`, the agent, the kernel's maps.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use redirector_common::{HealthByte, PROTOCOL_TCP, Reason};

use super::CONFIG_PATH;
use super::server::{Manner, Server};
use crate::dialer::Transport;
use crate::place::Process;
use crate::vm::guest::counters::count;
use crate::vm::guest::dial::dial;
use crate::vm::guest::health::Health;
use crate::vm::guest::redirector::Agent;
use crate::vm::guest::{CGROUP, ROOT_CGROUP};

/// A service of its own for each step.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
pub(super) enum Service {
    Reset = 1,
    Probed,
    Refused,
    Shares,
    Hole,
    Short,
    Unanswered,
    Death,
    Agentless,
    Empty,
}

/// The backend that is alive in every service with two but those that are probed.
pub(super) const ALIVE: u8 = 11;
/// The backend that is alive in the service that is probed.
pub(super) const ALIVE_AND_PROBED: u8 = 10;

/// How long something may take that happens by itself, on a busy machine that is emulated too.
const LONGEST: Duration = Duration::from_secs(30);

/// What the steps share. Fields drop in this order.
#[derive(Debug)]
pub(super) struct Fixture {
    agent: Option<Agent>,
    health: Health,
    _alive: [Server; 2],
    /// What a later step goes on with.
    pub(super) replica: Option<Process>,
}

impl Fixture {
    /// The agent serves; from now on this process's sockets are redirected.
    pub(super) fn new() -> Result<Self> {
        let alive = [ALIVE, ALIVE_AND_PROBED].map(|number| Server::start(number, Manner::Answers));
        let [one, other] = alive;
        let agent = Agent::start(CONFIG_PATH)?;
        join(CGROUP)?;
        Ok(Self {
            agent: Some(agent),
            health: Health::open()?,
            _alive: [one?, other?],
            replica: None,
        })
    }

    /// Does what redirected processes would not: whatever sockets `work` makes, also listeners and
    /// what they accept, are neither redirected nor watched.
    pub(super) fn apart<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        join(ROOT_CGROUP)?;
        let done = work();
        join(CGROUP)?;
        done
    }

    pub(super) fn freeze_agent(&self) -> Result<()> {
        self.agent.as_ref().context("the agent is gone")?.freeze()
    }

    pub(super) fn thaw_agent(&self) -> Result<()> {
        self.agent.as_ref().context("the agent is gone")?.thaw()
    }

    /// Kills the agent (SIGKILL); no other one follows.
    pub(super) fn kill_agent(&mut self) -> Result<()> {
        self.agent.take().context("the agent is gone")?.kill()
    }

    /// Kills the agent if a step has not; fails if it ever complained.
    pub(super) fn finish(mut self) -> Result<()> {
        self.replica = None;
        match self.agent.take() {
            Some(agent) => agent.kill(),
            None => Ok(()),
        }
    }

    /// What that writer says of a backend: 0 is no objection.
    pub(super) fn byte(&self, backend: u8, byte: HealthByte) -> Result<u8> {
        let index = self.health.find(address(backend), PROTOCOL_TCP)?;
        Ok(self.health.byte(index, byte))
    }

    /// Dials so often; no connect may reach `avoided`, and none may fail but those with which this
    /// client tries it again, when its time is over.
    pub(super) fn only_others(&self, service: Service, avoided: u8, times: u32) -> Result<()> {
        let objections =
            || HealthByte::ALL.map(|byte| self.byte(avoided, byte).map_or(-1, i32::from));
        for dial in 1..=times {
            let begun = count(Reason::AvoidBegun)?;
            let who = self.who(service);
            if who.is_err() && count(Reason::AvoidBegun)? > begun {
                continue;
            }
            let who = who.with_context(|| {
                format!("dial {dial} of {times} of {service:?}, objections {:?}", objections())
            })?;
            let avoided = address(avoided);
            ensure!(
                who != avoided,
                "dial {dial} of {service:?} reached {avoided}: {:?}",
                objections()
            );
        }
        Ok(())
    }

    /// Dials until `backend` has answered; none may fail.
    pub(super) fn reaches(&self, service: Service, backend: u8) -> Result<u32> {
        let mut dials = 0;
        wait_until(&format!("{} answers", address(backend)), || {
            dials += 1;
            Ok(self.who(service)? == address(backend))
        })?;
        Ok(dials)
    }

    /// Dials until this client avoids the backend that refuses; how many of how many connects failed,
    /// each with ECONNREFUSED.
    pub(super) fn refused_until_avoided(&self, service: Service) -> Result<(u32, u32)> {
        let (mut failed, mut dials) = (0, 0);
        let begun = count(Reason::AvoidBegun)?;
        while count(Reason::AvoidBegun)? == begun {
            ensure!(dials < 200, "{failed} of {dials} connects were refused, and none is avoided");
            dials += 1;
            match dial(Transport::Tcp, frontend(service)) {
                Ok(_) => {}
                Err(error) if error.raw_os_error() == Some(libc::ECONNREFUSED) => failed += 1,
                Err(error) => bail!("dial {dials}: {error}, not a refusal"),
            }
        }
        Ok((failed, dials))
    }

    pub(super) fn who(&self, service: Service) -> io::Result<SocketAddr> {
        Ok(dial(Transport::Tcp, frontend(service))?.replica)
    }
}

pub(super) fn frontend(service: Service) -> SocketAddr {
    SocketAddr::from(([10, 96, 1, service as u8], 80))
}

/// Where a backend listens.
pub(super) fn address(backend: u8) -> SocketAddr {
    SocketAddr::from(([127, 0, 2, backend], 8080))
}

pub(super) fn wait_until(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<Duration> {
    let begin = Instant::now();
    while !is_so().with_context(|| format!("while waiting: {what}"))? {
        ensure!(begin.elapsed() < LONGEST, "not within {LONGEST:?}: {what}");
        thread::sleep(Duration::from_millis(5));
    }
    Ok(begin.elapsed())
}

fn join(cgroup: &str) -> Result<()> {
    let path = format!("{cgroup}/cgroup.procs");
    fs::write(&path, "0").with_context(|| format!("cannot write {path}"))
}
