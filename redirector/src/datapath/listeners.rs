//! Whether this kernel lets the programs watch local listeners, the constants they need for it, and
//! the end of what they remember.

use std::{fmt, fs};

use anyhow::{Context as _, Result, ensure};
use aya::maps::{Array, HashMap, Map, MapData};
use redirector_common::{HealthByte, HealthWord, PortKey, PortValue, is_served};

use super::{Mapped, Pins, btf, check::kernel_at_least, open};

/// `PORTS`, opened.
#[derive(Debug)]
pub(super) struct Ports(HashMap<MapData, PortKey, PortValue>);

impl Ports {
    pub(super) fn open(pins: &Pins) -> Result<Self> {
        let map = Map::HashMap(open(pins, "PORTS")?);
        Ok(Self(HashMap::try_from(map).context("PORTS has another shape")?))
    }

    /// Forgets the ports on which no socket listens and whose backends are gone: those of pods that
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

/// `BACKEND_NETNS`, opened.
pub(super) struct Served(Array<MapData, u64>);

impl Served {
    pub(super) fn open(pins: &Pins) -> Result<Self> {
        let map = Map::Array(open(pins, "BACKEND_NETNS")?);
        Ok(Self(Array::try_from(map).context("BACKEND_NETNS has another shape")?))
    }

    /// Whether a namespace is known that serves this backend.
    pub(super) fn is_known(&self, index: u32, health: &Mapped<HealthWord>) -> bool {
        let generation = health.read(index as usize).unwrap_or_default().generation();
        is_served(self.0.get(&index, 0).unwrap_or_default(), generation)
    }
}

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Served").finish_non_exhaustive()
    }
}

/// Members of `struct sock_common` whose place `kernel_socket::Common` of the programs assumes, in bytes.
const ASSUMED: [(&str, u32); 3] = [("skc_family", 16), ("skc_state", 18), ("skc_bound_dev_if", 20)];

/// Constants of the programs, and the structure and member whose offset each is.
const OFFSETS: [(&str, &str, &str); 12] = [
    ("SOCK_NETNS", "sock_common", "skc_net"),
    ("SOCK_ADDRESS6", "sock_common", "skc_v6_rcv_saddr"),
    ("SOCK_GROUP", "sock", "sk_reuseport_cb"),
    ("GROUP_COUNT", "sock_reuseport", "num_socks"),
    ("NETNS_OWNER", "net", "user_ns"),
    ("OWNER_LEVEL", "user_namespace", "level"),
    ("SOCK_ERROR", "sock", "sk_err"),
    ("SOCK_ERROR_SOFT", "sock", "sk_err_soft"),
    ("SOCK_ERROR_QUEUE", "sock", "sk_error_queue"),
    ("TCP_CLOCK", "tcp_sock", "tcp_mstamp"),
    ("TCP_ACKED", "tcp_sock", "bytes_acked"),
    ("TCP_CALLBACKS", "tcp_sock", "bpf_sock_ops_cb_flags"),
];

/// The same of what tells whether a backend answers. (`lrcvtime` is of a structure without a name.)
const ANSWERS: [(&str, &str, &str); 5] = [
    ("TCP_RECEIVED", "tcp_sock", "bytes_received"),
    ("TCP_UNACKED", "tcp_sock", "snd_una"),
    ("TCP_WRITTEN", "tcp_sock", "write_seq"),
    ("TCP_SENT_AT", "tcp_sock", "lsndtime"),
    ("TASK_FLAGS", "task_struct", "flags"),
];

/// The same of a member of a member, whose offsets add up.
const NESTED: [(&str, [(&str, &str); 2]); 2] = [
    ("BUFFER_ERROR", [("sk_buff", "cb"), ("sock_exterr_skb", "ee")]),
    ("NETNS_SYN_RETRIES", [("net", "ipv4"), ("netns_ipv4", "sysctl_tcp_syn_retries")]),
];

/// The constants with which the programs judge whether backends answer, beside those of [`globals`].
///
/// # Errors
///
/// The kernel's types lack one.
pub(super) fn answers(types: &[u8]) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let offset = |structure, member| {
        btf::member(types, structure, member)?
            .with_context(|| format!("{} has no {structure}.{member}", btf::KERNEL))
    };
    let heard = offset("inet_connection_sock", "icsk_ack")? + offset("", "lrcvtime")?;
    let mut globals = vec![("TCP_HEARD_AT", heard)];
    for (name, structure, member) in ANSWERS {
        globals.push((name, offset(structure, member)?));
    }
    let bytes =
        |(name, offset): (&'static str, u32)| (name, (offset as u16).to_ne_bytes().to_vec());
    Ok(globals.into_iter().map(bytes).collect())
}

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
    let mut push = |name, offset: u32| globals.push((name, (offset as u16).to_ne_bytes().to_vec()));
    for (name, structure, member) in OFFSETS {
        push(name, offset(structure, member)?);
    }
    for (name, [(outer, inner), (structure, member)]) in NESTED {
        push(name, offset(outer, inner)? + offset(structure, member)?);
    }
    // From 6.5 on.
    if let Some(linear) = btf::member(types, "netns_ipv4", "sysctl_tcp_syn_linear_timeouts")? {
        push("NETNS_SYN_LINEAR", offset("net", "ipv4")? + linear);
    }
    Ok(globals)
}
