//! Flags that several commands share.

use std::{collections::BTreeSet, path::PathBuf};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use redirector_core::plan::Capacities;

use crate::control::{Client, LongNames, RunDirectory};
use crate::datapath::{Options, Pins, SEATS, cgroup::Cgroup};

/// Where everything is pinned.
#[derive(Clone, Debug, Args)]
pub(super) struct PinArgs {
    /// Directory on a BPF file system below which everything is pinned
    #[arg(long, value_name = "DIR", default_value = "/sys/fs/bpf/redirector")]
    pin_path: PathBuf,
}

impl PinArgs {
    pub(super) fn pins(&self) -> Pins {
        Pins::new(&self.pin_path)
    }
}

/// Where a running agent is spoken to.
#[derive(Clone, Debug, Args)]
pub(super) struct RunArgs {
    /// Directory of the agent's control socket and of the orders that it keeps
    #[arg(long, value_name = "DIR", default_value = "/run/redirector")]
    run_dir: PathBuf,
}

impl RunArgs {
    pub(super) fn directory(&self) -> RunDirectory {
        RunDirectory::new(&self.run_dir)
    }

    /// Names of services that the maps have no room for.
    pub(super) fn long_names(&self) -> BTreeSet<String> {
        LongNames::new(&self.directory().long_names()).read()
    }

    pub(super) fn client(&self) -> Client {
        Client::new(&self.directory().socket())
    }
}

/// How to print.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct OutputArgs {
    /// Format of the output
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub(super) output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people
    Text,
    /// For programs
    Json,
}

/// Protocols whose sockets show the address they dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PeerName {
    Tcp,
    Udp,
    None,
}

/// What the privileged half needs.
#[derive(Clone, Debug, Args)]
pub(super) struct LoadArgs {
    #[command(flatten)]
    pub(super) pins: PinArgs,
    /// Cgroup to attach to; a directory of another file system stands for the cgroup2 hierarchy that
    /// is mounted below it [default: the root of the cgroup2 mount]
    #[arg(long, value_name = "DIR")]
    cgroup: Option<PathBuf>,
    /// Give the pins to this user and group, so that the agent can run as it; with the loader's own
    /// user, share them with this group
    #[arg(long, value_name = "UID[:GID]", value_parser = parse_owner)]
    owner: Option<(u32, u32)>,
    /// Protocols whose sockets show the service address as their peer: `tcp`, `udp`, both, `none`
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["tcp", "udp"])]
    peer_name: Vec<PeerName>,
    /// Frontends there is room for, of each address family
    #[arg(long, value_name = "N", default_value_t = 65_536, value_parser = clap::value_parser!(u32).range(1..=1 << 24))]
    max_frontends: u32,
    /// Services there is room for
    #[arg(long, value_name = "N", default_value_t = 65_536, value_parser = clap::value_parser!(u32).range(1..=1 << 24))]
    max_services: u32,
    /// Backends there is room for
    #[arg(long, value_name = "N", default_value_t = 262_144, value_parser = clap::value_parser!(u32).range(1..=1 << 24))]
    max_backends: u32,
    /// Nodes there is room for
    #[arg(long, value_name = "N", default_value_t = 65_536, value_parser = clap::value_parser!(u32).range(2..=65_536))]
    max_nodes: u32,
    /// Slots of 16 bytes in the table: an IPv4 entry takes one, an IPv6 entry two, a service and
    /// family two and one per tier
    #[arg(long, value_name = "N", default_value_t = 2_097_152, value_parser = clap::value_parser!(u32).range(8..=1 << 27))]
    max_slots: u32,
    /// Redirected sockets whose state has a place in an array, of 104 bytes each, rounded down to a
    /// power of two; more work as well, but each connect of theirs costs about half a microsecond
    /// more
    #[arg(long, value_name = "N", default_value_t = SEATS, value_parser = clap::value_parser!(u32).range(0..=1 << 24))]
    max_seats: u32,
}

impl LoadArgs {
    pub(super) fn cgroup(&self) -> Result<Cgroup> {
        Cgroup::open(self.cgroup.as_deref())
    }

    /// Where to attach, if it was said.
    pub(super) fn cgroup_path(&self) -> Option<PathBuf> {
        self.cgroup.clone()
    }

    pub(super) fn options(&self) -> Result<Options> {
        let has = |name| self.peer_name.contains(&name);
        if has(PeerName::None) && self.peer_name.len() > 1 {
            bail!("--peer-name none excludes the others");
        }
        Ok(Options {
            capacities: Capacities {
                frontends: self.max_frontends,
                services: self.max_services,
                backends: self.max_backends,
                nodes: self.max_nodes,
                slots: self.max_slots,
            },
            remember_tcp: has(PeerName::Tcp),
            remember_udp: has(PeerName::Udp),
            client_level: 0,
            seats: self.max_seats.checked_ilog2().map_or(0, |power| 1 << power),
            owner: self.owner,
        })
    }
}

fn parse_owner(text: &str) -> Result<(u32, u32), String> {
    let (user, group) = text.split_once(':').unwrap_or((text, text));
    let number = |text: &str| text.parse().map_err(|_| format!("`{text}` is no user or group id"));
    Ok((number(user)?, number(group)?))
}

/// The id of the process that holds the pins, for a message.
pub(super) fn holder(pins: &Pins) -> String {
    pins.holder().map_or_else(|| "?".to_owned(), |pid| pid.to_string())
}
