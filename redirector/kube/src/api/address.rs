//! Reads addresses strictly, in canonical form, and says which are never used, whatever an object
//! says.
//!
//! What a text means must not depend on who reads it: no leading zeros, no ports, no scopes. What
//! is refused is what belongs to a machine itself, to its link or to nobody, and where clouds give
//! out credentials; an IPv6 address that a translator or a tunnel turns into an IPv4 address is
//! judged as that one too. Documentation addresses are allowed: nothing answers there, and labs use
//! them.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use thiserror::Error;

/// Longest text of an address that a message repeats, in bytes.
const SHOWN: usize = 64;

/// Addresses of cloud metadata and platform services that are not link-local: Azure, Alibaba,
/// Oracle, Amazon (metadata, DNS, time, pod identity), Google.
const METADATA: [IpAddr; 9] = [
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

/// Why an address is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// No text that everybody reads alike.
    #[error("is no address in its usual form")]
    Form,
    /// Of the other family than its list.
    #[error("is of another family than its list")]
    Family,
    /// 127.0.0.0/8, `::1`.
    #[error("is a loopback address")]
    Loopback,
    /// 0.0.0.0/8, `::`, and the deprecated `::a.b.c.d`.
    #[error("is an unspecified address")]
    Unspecified,
    /// 169.254.0.0/16 with most clouds' metadata, fe80::/10.
    #[error("is a link-local address")]
    LinkLocal,
    /// 224.0.0.0/4, ff00::/8.
    #[error("is a multicast address")]
    Multicast,
    /// 240.0.0.0/4 with the broadcast address.
    #[error("is a broadcast or reserved address")]
    Reserved,
    /// Whoever steers connections there, or away from there, obtains the node's credentials.
    #[error("is a cloud metadata address")]
    Metadata,
}

/// An address that is not used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?} {why}")]
pub struct Refused {
    /// As it was written; a long one is cut.
    pub text: Arc<str>,
    /// Why.
    pub why: Refusal,
}

/// An address as an object lists it: canonical (never a v4-mapped IPv6 address) and allowed, or
/// why not.
pub type Address = Result<IpAddr, Refused>;

/// Reads one.
pub(super) fn read(text: &str) -> Address {
    let refuse = |why| Refused { text: cut(text).into(), why };
    // std reads no leading zeros, no shortened IPv4, no scope, no port, no spaces.
    let address: IpAddr = text.parse().map_err(|_| refuse(Refusal::Form))?;
    let address = address.to_canonical();
    objection(address).map_or(Ok(address), |why| Err(refuse(why)))
}

/// Reads one of a list that has one family.
pub(super) fn read_of(family: Family, text: &str) -> Address {
    let address = read(text)?;
    if Family::of(address) == family && (family == Family::V4) != text.contains(':') {
        return Ok(address);
    }
    Err(Refused { text: cut(text).into(), why: Refusal::Family })
}

/// `AddressType` of a slice, `IPFamily` of a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// That of a canonical address.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// By the name that the API gives it.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "IPv4" => Some(Self::V4),
            "IPv6" => Some(Self::V6),
            _ => None,
        }
    }
}

/// Why nothing is steered to or from a canonical address.
fn objection(address: IpAddr) -> Option<Refusal> {
    if METADATA.contains(&address) {
        return Some(Refusal::Metadata);
    }
    match address {
        IpAddr::V4(four) => objection4(four),
        IpAddr::V6(six) => objection6(six),
    }
}

fn objection4(address: Ipv4Addr) -> Option<Refusal> {
    match address.octets() {
        [0, ..] => Some(Refusal::Unspecified),
        [127, ..] => Some(Refusal::Loopback),
        [169, 254, ..] => Some(Refusal::LinkLocal),
        [224..=239, ..] => Some(Refusal::Multicast),
        [240..=255, ..] => Some(Refusal::Reserved),
        _ => None,
    }
}

fn objection6(address: Ipv6Addr) -> Option<Refusal> {
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
        segments => objection(IpAddr::V4(embedded(segments)?)),
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

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(SHOWN)]
}
