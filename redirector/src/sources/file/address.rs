//! Reads addresses and ports, in canonical form, and says which may not be used.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use redirector_core::service::Protocol;

/// Addresses of cloud metadata and platform services that are not link-local. Whoever can steer
/// connections there, or away from there, obtains the node's credentials.
const METADATA: [IpAddr; 4] = [
    IpAddr::V4(std::net::Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(std::net::Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// `ADDRESS:PORT/tcp` or `…/udp`. Errors: what is wrong with it, without its text.
pub(super) fn frontend(text: &str) -> Result<(IpAddr, u16, Protocol), String> {
    let Some((socket, protocol)) = text.split_once('/') else {
        return Err("has no protocol; end it with /tcp or /udp".to_owned());
    };
    let protocol = match protocol {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        other => return Err(format!("has the protocol {other:?}; use tcp or udp")),
    };
    let (address, port) = backend(socket)?;
    Ok((address, port, protocol))
}

/// `ADDRESS:PORT`, IPv6 in brackets; a v4-mapped address becomes the IPv4 address it means.
/// Errors: what is wrong with it, without its text.
pub(super) fn backend(text: &str) -> Result<(IpAddr, u16), String> {
    let Ok(socket) = text.parse::<SocketAddr>() else {
        return Err(diagnose(text));
    };
    if socket.port() == 0 {
        return Err("has port 0; ports are 1 to 65535".to_owned());
    }
    if let SocketAddr::V6(v6) = socket
        && v6.scope_id() != 0
    {
        return Err("has a scope; use an address that means the same on every interface".to_owned());
    }
    Ok((socket.ip().to_canonical(), socket.port()))
}

/// Why no connection may be steered to or from `address`, which is canonical.
pub(super) fn objection(address: IpAddr, allow_loopback: bool) -> Option<&'static str> {
    if address.is_loopback() {
        return (!allow_loopback)
            .then_some("is a loopback address; set allowLoopback: true to try on one host");
    }
    if address.is_unspecified() || matches!(address, IpAddr::V4(v4) if v4.octets()[0] == 0) {
        return Some("is the unspecified address; use the address of one host");
    }
    if address.is_multicast() {
        return Some("is a multicast address; use the address of one host");
    }
    if matches!(address, IpAddr::V4(v4) if v4.is_broadcast()) {
        return Some("is the broadcast address; use the address of one host");
    }
    if METADATA.contains(&address) || address == IpAddr::from([169, 254, 169, 254]) {
        return Some("is a cloud metadata address, which is never redirected");
    }
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    link_local.then_some("is a link-local address; use one that routers forward")
}

/// What is wrong with a text that is no socket address.
fn diagnose(text: &str) -> String {
    if text.parse::<IpAddr>().is_ok() {
        return "has no port; write ADDRESS:PORT, IPv6 as [ADDRESS]:PORT".to_owned();
    }
    let port = text.rsplit_once(':').map_or("", |(_, port)| port);
    if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) && port.len() > 4 {
        return format!("has port {port}; ports are 1 to 65535");
    }
    "is no ADDRESS:PORT such as 10.1.0.5:8080 or [fd00::5]:8080; names are not resolved".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_v4_mapped_address_is_judged_as_the_ipv4_address_it_means() {
        let (address, port) = backend("[::ffff:127.0.0.1]:80").expect("an address");
        assert_eq!((address, port), (IpAddr::from([127, 0, 0, 1]), 80));
        assert!(objection(address, false).is_some_and(|why| why.contains("loopback")));
        assert_eq!(objection(address, true), None);
    }

    #[test]
    fn allowing_loopback_allows_nothing_else() {
        for address in ["0.0.0.0", "0.1.2.3", "255.255.255.255", "224.0.0.1", "169.254.169.254"] {
            let address = address.parse().expect("an address");
            assert!(objection(address, true).is_some(), "{address} must be refused");
        }
        for address in ["::", "ff02::1", "fe80::1", "fd00:ec2::254", "100.100.100.200"] {
            let address = address.parse().expect("an address");
            assert!(objection(address, true).is_some(), "{address} must be refused");
        }
    }

    #[test]
    fn ordinary_addresses_are_allowed() {
        for address in ["10.0.0.1", "192.0.2.1", "8.8.8.8", "fd00::1", "2001:db8::1"] {
            let address = address.parse().expect("an address");
            assert_eq!(objection(address, false), None, "{address} must be allowed");
        }
    }
}
