//! What the process does.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    os::fd::AsRawFd as _,
    path::Path,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use nix::{
    errno::Errno,
    sys::{
        socket::{
            AddressFamily, SockFlag, SockType, SockaddrStorage, connect, setsockopt, socket,
            sockopt,
        },
        time::TimeVal,
    },
};

use super::{Attempt, Order, Tally, held::Held, own};
use crate::worker;

/// The process `tenant`. Ends with its input.
pub fn serve() -> Result<()> {
    let mut state = State::default();
    worker::serve(|order| state.obey(&order).map_err(|error| format!("{order:?}: {error:#}")))
}

/// What lasts from one order to the next.
#[derive(Default)]
struct State {
    has_own: bool,
    held: Held,
}

impl State {
    fn obey(&mut self, order: &Order) -> Result<Tally> {
        match order {
            Order::Own(addresses) => {
                own::make(!self.has_own, addresses)?;
                self.has_own = true;
            }
            Order::Listen(address) => {
                let listener = TcpListener::bind(address).context("cannot listen")?;
                thread::spawn(move || listener.incoming().for_each(drop));
            }
            Order::Hold(addresses, times) => return self.held.open(addresses, *times),
            Order::Ask => return Ok(self.held.ask()),
            Order::Attempt(attempt) => return all(attempt),
            Order::Swarm(below, clients, attempt) => return swarm(below, *clients, attempt),
        }
        Ok(Tally::default())
    }
}

fn swarm(below: &Path, clients: u32, attempt: &Attempt) -> Result<Tally> {
    let mut tally = Tally::default();
    for number in 0..clients {
        let cgroup = below.join(number.to_string());
        fs::create_dir(&cgroup).context("cannot make a cgroup")?;
        enter(&cgroup)?;
        tally.add(all(attempt)?);
    }
    Ok(tally)
}

fn all(attempt: &Attempt) -> Result<Tally> {
    let Attempt { addresses, times, pause_ms, timeout_ms, hops, cgroups } = attempt;
    let mut tally = Tally::default();
    let mut cgroups = cgroups.iter().cycle();
    for _ in 0..*times {
        for address in addresses {
            if let Some(cgroup) = cgroups.next() {
                enter(cgroup)?;
            }
            match connected(*address, *timeout_ms, *hops) {
                Ok(()) => tally.connected += 1,
                Err(Errno::ECONNREFUSED) => tally.refused += 1,
                Err(Errno::EHOSTUNREACH) => tally.unreachable += 1,
                // The second is a send timeout: the connect goes on until the socket is closed.
                Err(Errno::ETIMEDOUT | Errno::EINPROGRESS) => tally.unanswered += 1,
                Err(_) => tally.other += 1,
            }
            thread::sleep(Duration::from_millis(*pause_ms));
        }
    }
    Ok(tally)
}

fn connected(address: SocketAddr, timeout_ms: i64, hops: Option<i32>) -> Result<(), Errno> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    let timeout = TimeVal::new(timeout_ms / 1_000, timeout_ms % 1_000 * 1_000);
    setsockopt(&socket, sockopt::SendTimeout, &timeout)?;
    match (hops, address) {
        (Some(hops), SocketAddr::V4(_)) => setsockopt(&socket, sockopt::Ipv4Ttl, &hops)?,
        (Some(hops), SocketAddr::V6(_)) => setsockopt(&socket, sockopt::Ipv6Ttl, &hops)?,
        (None, _) => {}
    }
    connect(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
    // Reset instead of closed: no node keeps thousands of sockets waiting.
    let at_once = libc::linger { l_onoff: 1, l_linger: 0 };
    setsockopt(&socket, sockopt::Linger, &at_once)
}

fn enter(cgroup: &Path) -> Result<()> {
    fs::write(cgroup.join("cgroup.procs"), "0")
        .with_context(|| format!("cannot move to {}", cgroup.display()))
}
