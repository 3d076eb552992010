//! Reads addresses and ports, in canonical form, and says what to do about those that
//! [`redirector_core::address`] refuses.

use std::net::{IpAddr, SocketAddr};

use redirector_core::{
    address::{Refusal, usable},
    service::Protocol,
};

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

/// Why no connection may be steered to or from `address`, and what to do. Allowing loopback
/// addresses allows none that carries one.
pub(super) fn objection(address: IpAddr, allow_loopback: bool) -> Option<String> {
    let why = usable(address).err()?;
    if address.is_loopback() && allow_loopback {
        return None;
    }
    let advice = match why {
        Refusal::Loopback if address.is_loopback() => {
            "; set allowLoopback: true to try on one host"
        }
        Refusal::Metadata => ", which is never redirected",
        Refusal::LinkLocal => "; use one that routers forward",
        Refusal::Loopback | Refusal::Unspecified | Refusal::Multicast | Refusal::Reserved => {
            "; use the address of one host"
        }
    };
    Some(format!("{why}{advice}"))
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
