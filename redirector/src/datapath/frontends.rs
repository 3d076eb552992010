//! `FRONTENDS4` and `FRONTENDS6`: which addresses are frontends, and of which word in `SERVICES`.

use std::{io::ErrorKind, net::IpAddr};

use anyhow::{Context as _, Result};
use aya::maps::{HashMap, Map, MapData, MapError};
use redirector_common::{FrontendKey4, FrontendKey6};
use redirector_core::service::{Frontend, Protocol};

use super::{open, pins::Pins};

/// Both maps, opened. Values are as the programs of their layout have them.
#[derive(Debug)]
pub(super) struct Frontends {
    ipv4: HashMap<MapData, FrontendKey4, u32>,
    ipv6: HashMap<MapData, FrontendKey6, u32>,
}

impl Frontends {
    pub(super) fn open(pins: &Pins) -> Result<Self> {
        Ok(Self {
            ipv4: HashMap::try_from(Map::HashMap(open(pins, "FRONTENDS4")?))
                .context("FRONTENDS4 has another shape")?,
            ipv6: HashMap::try_from(Map::HashMap(open(pins, "FRONTENDS6")?))
                .context("FRONTENDS6 has another shape")?,
        })
    }

    /// All frontends that name a protocol.
    pub(super) fn list(&self) -> Result<Vec<(Frontend, u32)>> {
        let mut frontends = Vec::new();
        for entry in &self.ipv4 {
            let (key, value) = entry.context("cannot list FRONTENDS4")?;
            frontends.extend(frontend(key.address.into(), key.port, key.protocol, value));
        }
        for entry in &self.ipv6 {
            let (key, value) = entry.context("cannot list FRONTENDS6")?;
            frontends.extend(frontend(key.address.into(), key.port, key.protocol, value));
        }
        Ok(frontends)
    }

    /// Inserts a frontend that is not there yet: one that is would be recycled under its readers.
    pub(super) fn insert(&mut self, frontend: &Frontend, value: u32) -> Result<()> {
        const BPF_NOEXIST: u64 = 1;
        let Frontend { address, port, protocol } = *frontend;
        match address {
            IpAddr::V4(address) => {
                let key = FrontendKey4::new(address, port, protocol.number());
                self.ipv4.insert(key, value, BPF_NOEXIST)?;
            }
            IpAddr::V6(address) => {
                let key = FrontendKey6::new(address, port, protocol.number());
                self.ipv6.insert(key, value, BPF_NOEXIST)?;
            }
        }
        Ok(())
    }

    /// Removes a frontend; one that is not there is no error.
    pub(super) fn remove(&mut self, frontend: &Frontend) -> Result<()> {
        let Frontend { address, port, protocol } = *frontend;
        let removed = match address {
            IpAddr::V4(address) => {
                self.ipv4.remove(&FrontendKey4::new(address, port, protocol.number()))
            }
            IpAddr::V6(address) => {
                self.ipv6.remove(&FrontendKey6::new(address, port, protocol.number()))
            }
        };
        match removed {
            Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
            Err(MapError::SyscallError(error)) if error.io_error.kind() == ErrorKind::NotFound => {
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn frontend(address: IpAddr, port: u16, protocol: u8, value: u32) -> Option<(Frontend, u32)> {
    let protocol = Protocol::from_number(protocol)?;
    Some((Frontend { address, port, protocol }, value))
}
