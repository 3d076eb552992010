//! Keys of the frontend maps: the address, port and protocol that an application dials.

use core::net::{Ipv4Addr, Ipv6Addr};

use bytemuck::{Pod, Zeroable};

/// `IPPROTO_TCP`.
pub const PROTOCOL_TCP: u8 = 6;
/// `IPPROTO_UDP`.
pub const PROTOCOL_UDP: u8 = 17;

/// In the value of `FRONTENDS4/6`, beside the index: a host may have the address (a node port, an
/// address of a load balancer), so that a datagram from there may be a client's first one. No host has
/// a cluster address of Kubernetes.
pub const HOST_HAS_IT: u32 = 1 << 31;

/// Key of `FRONTENDS4`. A v4-mapped IPv6 address is looked up here as well.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Pod, Zeroable)]
pub struct FrontendKey4 {
    /// In the order it is written.
    pub address: [u8; 4],
    /// Host order, so that `bpftool map dump` shows the number people know.
    pub port: u16,
    /// IP protocol number, [`PROTOCOL_TCP`] or [`PROTOCOL_UDP`].
    pub protocol: u8,
    /// Always 0: keys are compared as bytes.
    pub _pad: u8,
}

const _: () = assert!(size_of::<FrontendKey4>() == 8);

impl FrontendKey4 {
    /// A key from what people call it.
    #[inline(always)]
    #[must_use]
    pub const fn new(address: Ipv4Addr, port: u16, protocol: u8) -> Self {
        Self { address: address.octets(), port, protocol, _pad: 0 }
    }
}

/// Key of `FRONTENDS6`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Pod, Zeroable)]
pub struct FrontendKey6 {
    /// In the order it is written.
    pub address: [u8; 16],
    /// Host order.
    pub port: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// Always 0.
    pub _pad: u8,
}

const _: () = assert!(size_of::<FrontendKey6>() == 20);

impl FrontendKey6 {
    /// A key from what people call it.
    #[inline(always)]
    #[must_use]
    pub const fn new(address: Ipv6Addr, port: u16, protocol: u8) -> Self {
        Self { address: address.octets(), port, protocol, _pad: 0 }
    }
}
