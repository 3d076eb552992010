//! Whether this kernel lets the programs watch local listeners, the constants they need for it, and
//! the end of what they remember.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use aya::maps::{HashMap, Map, MapData};
use redirector_common::{HealthByte, HealthWord, PortKey, PortValue};

use super::{Mapped, Pins, btf, check::kernel_at_least, open};

/// `PORTS`, opened.
#[derive(Debug)]
pub(super) struct Ports(HashMap<MapData, PortKey, PortValue>);

impl Ports {
    pub(super) fn open(pins: &Pins) -> Result<Self> {
        let map = Map::HashMap(open(pins, "PORTS")?);
        Ok(Self(HashMap::try_from(map).context("PORTS has another shape")?))
    }

    /// Forgets the ports that nobody listens on and whose backends are gone: those of pods that
    /// have ended. The programs keep them, because who begins to listen there again re-admits.
    pub(super) fn sweep(&mut self, health: &Mapped<HealthWord>) {
        let is_needed = |value: &PortValue| {
            value.listeners.cast_signed() > 0
                || value.backends.iter().any(|word| {
                    let state = health.read(word.backend() as usize).unwrap_or_default();
                    word.0 != 0
                        && state.generation() == word.generation()
                        && state.byte(HealthByte::Discovery) == 0
                })
        };
        let unneeded: Vec<PortKey> = self
            .0
            .iter()
            // One that the programs remove meanwhile ends or restarts the walk: the next is soon.
            .filter_map(|entry| entry.ok().filter(|(_, value)| !is_needed(value)))
            .map(|(key, _)| key)
            .collect();
        for key in unneeded {
            // Gone already, perhaps.
            let _ = self.0.remove(&key);
        }
    }
}

/// Members of `struct sock_common` whose place `peek::Common` of the programs assumes, in bytes.
const ASSUMED: [(&str, u32); 3] = [("skc_family", 16), ("skc_state", 18), ("skc_bound_dev_if", 20)];

/// Constants of the programs, and the structure and member whose offset each is.
const OFFSETS: [(&str, &str, &str); 6] = [
    ("SOCK_NETNS", "sock_common", "skc_net"),
    ("SOCK_ADDRESS6", "sock_common", "skc_v6_rcv_saddr"),
    ("SOCK_GROUP", "sock", "sk_reuseport_cb"),
    ("GROUP_COUNT", "sock_reuseport", "num_socks"),
    ("NETNS_OWNER", "net", "user_ns"),
    ("OWNER_LEVEL", "user_namespace", "level"),
];

/// The constants with which listeners are watched.
///
/// # Errors
///
/// They cannot be: the kernel is too old, does not describe its types, or is locked down.
pub(super) fn globals(types: Option<&[u8]>) -> Result<Vec<(&'static str, Vec<u8>)>> {
    ensure!(kernel_at_least(5, 15), "programs learn the namespace of a listener from 5.15 on");
    let lockdown = fs::read_to_string("/sys/kernel/security/lockdown").unwrap_or_default();
    ensure!(
        !lockdown.contains("[confidentiality]"),
        "the kernel's lockdown lets no program read what sockets share"
    );
    let types = types.with_context(|| format!("the kernel has no {} for it", btf::KERNEL))?;
    let offset = |structure, member| {
        btf::member(types, structure, member)?
            .with_context(|| format!("{} has no {structure}.{member}", btf::KERNEL))
    };
    for (member, place) in ASSUMED {
        let is = offset("sock_common", member)?;
        ensure!(is == place, "sock_common.{member} is at byte {is} and not at {place}");
    }
    ensure!(offset("sock", "__sk_common")? == 0, "a sock does not begin with a sock_common");
    let mut globals = vec![("WATCH_LISTENERS", vec![1])];
    for (name, structure, member) in OFFSETS {
        globals.push((name, (offset(structure, member)? as u16).to_ne_bytes().to_vec()));
    }
    Ok(globals)
}
