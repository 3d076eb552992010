//! The replicas of the guest's services: each answers with its own address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::Result;

use crate::replica;

/// The backends of every service that has any, as in `config.yaml`.
pub(super) const IPV4: [SocketAddr; 3] = [ipv4(1), ipv4(2), ipv4(3)];
pub(super) const IPV6: [SocketAddr; 3] = [ipv6(8081), ipv6(8082), ipv6(8083)];

const fn ipv4(last: u8) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 1, last)), 8080)
}

const fn ipv6(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), port)
}

/// Serves all of them, TCP and UDP, until the guest ends.
pub(super) fn serve() -> Result<()> {
    for address in IPV4.into_iter().chain(IPV6) {
        replica::answer_at(address, &address.to_string())?;
    }
    Ok(())
}
