//! The application: a process in the redirected cgroup that dials services and states what it saw.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};

use super::dial::{self, Family, TRANSPORTS, dial, error_number, repeatedly};
use super::health::Health;
use super::{CGROUP, Reporter, machine, replicas};
use crate::dialer::Transport;

/// The last byte of the frontends with backends, and of those without.
const SERVED: u8 = 10;
const EMPTY: u8 = 20;

/// With 3 replicas and an even choice, 60 dials miss one of them once in 10^10 runs.
const DIALS: u32 = 60;

/// When in the life of the redirector this process runs.
#[derive(Debug, Clone, Copy)]
pub(super) enum Phase {
    AgentRunning,
    AgentDead,
    Unloaded,
}

impl Phase {
    const ALL: [Self; 3] = [Self::AgentRunning, Self::AgentDead, Self::Unloaded];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::AgentRunning => "agent-running",
            Self::AgentDead => "agent-dead",
            Self::Unloaded => "unloaded",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.name() == name)
    }
}

/// Joins the cgroup and makes the statements of `phase`.
pub(super) fn run(phase: Phase) -> Result<()> {
    fs::write(format!("{CGROUP}/cgroup.procs"), "0").context("cannot join the cgroup")?;
    let mut report = Reporter::open()?;
    for transport in TRANSPORTS {
        for family in Family::ALL {
            let case = format!("{} over {}", dial::name(transport), family.name());
            match phase {
                Phase::AgentRunning => {
                    let name = format!("{case} reaches every replica and shows the service");
                    report.check(&name, reaches_every_replica(transport, family))?;
                    let name = format!("{case} to a service without backends is refused");
                    report.check(&name, is_refused(transport, family))?;
                    let name = format!("{case} obeys an ejection by one store");
                    report.check(&name, obeys_one_store(transport, family))?;
                    let name = format!("{case} to an address that is no service is untouched");
                    report.check(&name, is_untouched(transport, family))?;
                }
                Phase::AgentDead => {
                    let name = format!("{case} is redirected after the agent was killed");
                    report.check(&name, reaches_every_replica(transport, family))?;
                }
                Phase::Unloaded => {
                    let name = format!("{case} is left alone after an unload");
                    report.check(&name, finds_no_route(transport, family))?;
                }
            }
        }
    }
    Ok(())
}

fn reaches_every_replica(transport: Transport, family: Family) -> Result<()> {
    let seen = dial_service(transport, family)?;
    let missed: Vec<_> = backends(family).iter().filter(|one| !seen.contains(one)).collect();
    ensure!(missed.is_empty(), "{DIALS} dials never reached {missed:?}");
    Ok(())
}

fn is_refused(transport: Transport, family: Family) -> Result<()> {
    let expected = refusal(&machine::kernel_release()?)?;
    let result = dial(transport, family.frontend(EMPTY, transport));
    ensure!(
        error_number(&result) == Some(expected),
        "expected {}, got {result:?}",
        std::io::Error::from_raw_os_error(expected)
    );
    Ok(())
}

fn obeys_one_store(transport: Transport, family: Family) -> Result<()> {
    let protocol = match transport {
        Transport::Tcp => redirector_common::PROTOCOL_TCP,
        Transport::Udp | Transport::UdpUnconnected => redirector_common::PROTOCOL_UDP,
    };
    let ejected = backends(family)[1];
    let health = Health::open()?;
    let backend = health.find(ejected, protocol)?;

    health.store(backend, 1);
    let seen = dial_service(transport, family)?;
    health.store(backend, 0);

    ensure!(!seen.contains(&ejected), "{ejected} was reached although it is ejected");
    ensure!(seen.len() == 2, "the others were not all reached, only {seen:?}");
    let seen = dial_service(transport, family)?;
    ensure!(seen.contains(&ejected), "{ejected} was not reached again after its re-admission");
    Ok(())
}

/// The control: dialling a replica by its own address shows that address.
fn is_untouched(transport: Transport, family: Family) -> Result<()> {
    let replica = backends(family)[0];
    let dialled = match (family, replica) {
        (Family::Mapped, SocketAddr::V4(replica)) => {
            SocketAddr::from((replica.ip().to_ipv6_mapped(), replica.port()))
        }
        _ => replica,
    };
    let answer = dial(transport, dialled).with_context(|| format!("dial of {dialled}"))?;
    ensure!(answer.replica == replica, "{} answered for {replica}", answer.replica);
    ensure!(answer.shows(dialled), "dialled {dialled}, the socket shows {answer:?}");
    Ok(())
}

/// A guest has a loopback interface and nothing else: the bare address leads nowhere.
fn finds_no_route(transport: Transport, family: Family) -> Result<()> {
    let result = dial(transport, family.frontend(SERVED, transport));
    ensure!(error_number(&result) == Some(libc::ENETUNREACH), "expected no route, got {result:?}");
    Ok(())
}

/// Dials the service and returns who answered; every socket must show the address dialled.
fn dial_service(transport: Transport, family: Family) -> Result<BTreeSet<SocketAddr>> {
    let service = family.frontend(SERVED, transport);
    let mut seen = BTreeSet::new();
    repeatedly(transport, service, DIALS, |answer| {
        ensure!(answer.shows(service), "dialled {service}, the socket shows {answer:?}");
        ensure!(backends(family).contains(&answer.replica), "a stranger answered: {answer:?}");
        seen.insert(answer.replica);
        Ok(())
    })?;
    Ok(seen)
}

fn backends(family: Family) -> &'static [SocketAddr; 3] {
    match family {
        Family::Ipv4 | Family::Mapped => &replicas::IPV4,
        Family::Ipv6 => &replicas::IPV6,
    }
}

/// A program can choose the error since 5.18 (`bpf_set_retval`); before, a refusal is EPERM.
fn refusal(release: &str) -> Result<i32> {
    let mut numbers = release.split(['.', '-', '+']).map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
        bail!("cannot read a version from {release:?}");
    };
    Ok(if (major, minor) < (5, 18) { libc::EPERM } else { libc::ECONNREFUSED })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_changes_with_5_18() {
        for (release, expected) in [
            ("5.10.0-46-cloud-amd64", libc::EPERM),
            ("5.17.9", libc::EPERM),
            ("5.18.0-1", libc::ECONNREFUSED),
            ("6.1.0-56-cloud-amd64", libc::ECONNREFUSED),
            ("7.2.13+deb14-cloud-amd64", libc::ECONNREFUSED),
        ] {
            assert_eq!(refusal(release).expect(release), expected, "{release}");
        }
    }
}
