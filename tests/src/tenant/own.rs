//! A network that a process without rights makes for itself.

use std::{fmt::Write as _, fs, net::IpAddr};

use anyhow::{Context as _, Result};
use nix::{
    sched::{CloneFlags, unshare},
    unistd::{getgid, getuid},
};

use crate::netns;

/// Whatever is not local leaves by a cable whose other end no process reads.
const LOST: &str = "link set lo up\n\
                    link add v0 type veth peer name v1\n\
                    link set v0 arp off up\n\
                    link set v1 up\n\
                    addr add 192.0.2.1/24 dev v0\n\
                    addr add 2001:db8::1/64 dev v0 nodad\n\
                    route add 0.0.0.0/0 dev v0\n\
                    route add ::/0 dev v0\n";

/// The first time in a new user namespace, whose root this process becomes. It must have one thread.
pub(super) fn make(is_first: bool, addresses: &[IpAddr]) -> Result<()> {
    if is_first {
        let (user, group) = (getuid(), getgid());
        unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET)
            .context("cannot make a user namespace")?;
        for (file, text) in [
            ("setgroups", "deny".to_owned()),
            ("uid_map", format!("0 {user} 1")),
            ("gid_map", format!("0 {group} 1")),
        ] {
            fs::write(format!("/proc/self/{file}"), text)
                .with_context(|| format!("cannot write {file}"))?;
        }
    } else {
        unshare(CloneFlags::CLONE_NEWNET).context("cannot make a network namespace")?;
    }
    let mut batch = LOST.to_owned();
    for address in addresses {
        let _ = match address {
            IpAddr::V4(address) => writeln!(batch, "addr add {address}/32 dev lo"),
            IpAddr::V6(address) => writeln!(batch, "addr add {address}/128 dev lo nodad"),
        };
    }
    netns::feed(&["ip", "-batch", "-"], "iproute2", &batch)
}
