//! Which addresses may be frontends and backends: one rule for every source.
//!
//! Refused is what belongs to a machine itself, to its link or to no host, and where clouds give
//! out credentials. An IPv6 address that carries an IPv4 address for a translator or a tunnel is
//! judged as that one too. Documentation addresses are allowed: none answers, and labs use them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use thiserror::Error;

/// Addresses of cloud metadata and platform services: most clouds, Azure, Alibaba, Oracle, Amazon
/// (metadata, DNS, time, pod identity), Google.
const METADATA: [IpAddr; 10] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x123)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x253)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// Why no connection is steered to or from an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Error)]
pub enum Refusal {
    /// 127.0.0.0/8, `::1`.
    #[error("is a loopback address")]
    Loopback,
    /// 0.0.0.0/8, `::`, and the deprecated `::a.b.c.d`.
    #[error("is an unspecified or v4-compatible address")]
    Unspecified,
    /// 169.254.0.0/16, fe80::/10.
    #[error("is a link-local address")]
    LinkLocal,
    /// 224.0.0.0/4, ff00::/8.
    #[error("is a multicast address")]
    Multicast,
    /// 240.0.0.0/4 with the broadcast address.
    #[error("is a broadcast or reserved address")]
    Reserved,
    /// A source that steers connections there, or away from there, obtains the node's credentials.
    #[error("is a cloud metadata address")]
    Metadata,
}

/// The canonical form of an address that may be used: a v4-mapped one is the IPv4 address that it
/// means.
///
/// # Errors
///
/// Why it may not be used.
pub fn usable(address: IpAddr) -> Result<IpAddr, Refusal> {
    let address = address.to_canonical();
    refusal(address).map_or(Ok(address), Err)
}

/// Why a canonical address may not be used.
fn refusal(address: IpAddr) -> Option<Refusal> {
    if METADATA.contains(&address) {
        return Some(Refusal::Metadata);
    }
    match address {
        IpAddr::V4(four) => refusal4(four),
        IpAddr::V6(six) => refusal6(six),
    }
}

fn refusal4(address: Ipv4Addr) -> Option<Refusal> {
    match address.octets() {
        [0, ..] => Some(Refusal::Unspecified),
        [127, ..] => Some(Refusal::Loopback),
        [169, 254, ..] => Some(Refusal::LinkLocal),
        [224..=239, ..] => Some(Refusal::Multicast),
        [240..=255, ..] => Some(Refusal::Reserved),
        _ => None,
    }
}

fn refusal6(address: Ipv6Addr) -> Option<Refusal> {
    if address.is_loopback() {
        return Some(Refusal::Loopback);
    }
    if address.is_unicast_link_local() {
        return Some(Refusal::LinkLocal);
    }
    if address.is_multicast() {
        return Some(Refusal::Multicast);
    }
    match address.segments() {
        [0, 0, 0, 0, 0, 0, ..] => Some(Refusal::Unspecified),
        segments => refusal(IpAddr::V4(embedded(segments)?)),
    }
}

/// The IPv4 address that a translator or a tunnel takes from an IPv6 address. In order: NAT64 (RFC
/// 6052; of the local prefix of RFC 8215 the usual /96s), stateless translation (RFC 2765), 6to4
/// (RFC 3056), Teredo (RFC 4380: the client's, inverted), ISATAP (RFC 5214).
fn embedded(segments: [u16; 8]) -> Option<Ipv4Addr> {
    let address =
        |high: u16, low: u16| Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match segments {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x64, 0xff9b, 1, _, _, _, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x2002, high, low, _, _, _, _, _] => address(high, low),
        [0x2001, 0, _, _, _, _, high, low] => address(!high, !low),
        [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => address(high, low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_carries_an_ipv4_address_is_judged_as_that_one_too() {
        for (four, why) in [
            ("127.0.0.1", Some(Refusal::Loopback)),
            ("0.1.2.3", Some(Refusal::Unspecified)),
            ("169.254.169.254", Some(Refusal::Metadata)),
            ("169.254.1.1", Some(Refusal::LinkLocal)),
            ("192.0.0.192", Some(Refusal::Metadata)),
            ("239.1.2.3", Some(Refusal::Multicast)),
            ("250.1.1.1", Some(Refusal::Reserved)),
            ("10.1.2.3", None),
        ] {
            let four: Ipv4Addr = four.parse().expect("an address");
            assert_eq!(usable(four.into()).err(), why, "{four}");
            assert_eq!(usable(four.to_ipv6_mapped().into()).err(), why, "mapped {four}");
            let [a, b, c, d] = four.octets().map(u16::from);
            let (high, low) = (a << 8 | b, c << 8 | d);
            for six in [
                [0x64, 0xff9b, 0, 0, 0, 0, high, low],
                [0x64, 0xff9b, 1, 7, 0, 0, high, low],
                [0, 0, 0, 0, 0xffff, 0, high, low],
                [0x2002, high, low, 1, 0, 0, 0, 1],
                [0x2001, 0, 0x4136, 0xe378, 0x8000, 0x63bf, !high, !low],
                [0xfd00, 0, 0, 0, 0x200, 0x5efe, high, low],
            ] {
                let six = Ipv6Addr::from(six);
                assert_eq!(usable(six.into()).err(), why, "{six} carries {four}");
            }
        }
    }

    #[test]
    fn a_v4_compatible_address_is_refused_whatever_it_carries() {
        for text in ["::127.0.0.1", "::10.1.2.3", "::"] {
            let address = text.parse().expect("an address");
            assert_eq!(usable(address), Err(Refusal::Unspecified), "{text}");
        }
    }
}
