//! Socket addresses as the kernel reads and writes them.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use serde::{Deserialize, Serialize};

/// The bytes of a `sockaddr`, as many as the kernel was given or gave.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawAddress(pub Vec<u8>);

impl From<SocketAddr> for RawAddress {
    fn from(address: SocketAddr) -> Self {
        let port = address.port().to_be_bytes();
        let mut bytes = Vec::new();
        match address {
            SocketAddr::V4(v4) => {
                bytes.extend(family(libc::AF_INET));
                bytes.extend(port);
                bytes.extend(v4.ip().octets());
                bytes.extend([0; 8]);
            }
            SocketAddr::V6(v6) => {
                bytes.extend(family(libc::AF_INET6));
                bytes.extend(port);
                bytes.extend(v6.flowinfo().to_ne_bytes());
                bytes.extend(v6.ip().octets());
                bytes.extend(v6.scope_id().to_ne_bytes());
            }
        }
        Self(bytes)
    }
}

impl RawAddress {
    /// What a connected socket is connected to in order to be connected to nothing.
    #[must_use]
    pub fn unspecified() -> Self {
        let mut bytes = vec![0; 16];
        bytes[..2].copy_from_slice(&family(libc::AF_UNSPEC));
        Self(bytes)
    }

    /// No address at all: what TCP says about where bytes came from.
    #[must_use]
    pub fn none() -> Self {
        Self(Vec::new())
    }

    /// The same address without its port.
    pub(super) fn without_port(mut self) -> Self {
        if let Some(port) = self.0.get_mut(2..4) {
            port.fill(0);
        }
        self
    }

    /// What it says, if it is a whole IPv4 or IPv6 address.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        let bytes = &self.0;
        let kind = i32::from(u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?));
        let port = u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?);
        let ip = match (kind, bytes.len()) {
            (libc::AF_INET, 16) => Ipv4Addr::from(<[u8; 4]>::try_from(&bytes[4..8]).ok()?).into(),
            (libc::AF_INET6, 28) => {
                Ipv6Addr::from(<[u8; 16]>::try_from(&bytes[8..24]).ok()?).into()
            }
            _ => return None,
        };
        Some(SocketAddr::new(ip, port))
    }
}

impl fmt::Debug for RawAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address() {
            // Two addresses may differ in bytes that their text does not show.
            Some(address) if Self::from(address) == *self => write!(f, "{address}"),
            Some(address) => write!(f, "{address} as {:02x?}", self.0),
            None => write!(f, "{:02x?}", self.0),
        }
    }
}

fn family(number: i32) -> [u8; 2] {
    u16::try_from(number).expect("address families are small numbers").to_ne_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_survives_the_kernels_form() {
        for text in ["10.96.0.10:80", "[fd00:96::a]:443", "[::ffff:10.96.0.10]:53"] {
            let address: SocketAddr = text.parse().expect("an address");
            assert_eq!(RawAddress::from(address).address(), Some(address));
            assert_eq!(format!("{:?}", RawAddress::from(address)), text);
        }
        assert_eq!(RawAddress::unspecified().address(), None);
    }
}
