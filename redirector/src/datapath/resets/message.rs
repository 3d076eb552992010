//! The bytes of sock_diag(7): requests to list and to destroy sockets, and what the kernel answers.
//!
//! Nothing here makes a system call.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bytemuck::{Zeroable as _, bytes_of_mut};
use redirector_common::SocketValue;

/// `linux/netlink.h`, `linux/sock_diag.h` and `linux/inet_diag.h`.
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_DUMP: u16 = 0x300;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const SOCK_DESTROY: u16 = 21;
const INET_DIAG_REQ_BYTECODE: u16 = 1;
const INET_DIAG_REQ_SK_BPF_STORAGES: u16 = 2;
const SK_DIAG_BPF_STORAGE_REQ_MAP_FD: u16 = 1;
const INET_DIAG_SK_BPF_STORAGES: u16 = 20;
const INET_DIAG_CGROUP_ID: u16 = 21;
const SK_DIAG_BPF_STORAGE: u16 = 1;
const SK_DIAG_BPF_STORAGE_MAP_VALUE: u16 = 3;
/// `NLA_TYPE_MASK`: without the bit for "nested".
const TYPE: u16 = 0x3fff;
const NESTED: u16 = 0x8000;

const HEADER: usize = 16;
const ATTRIBUTE: usize = 4;
/// `inet_diag_msg`: four bytes, the socket's identity, five numbers.
const SOCKET: usize = 72;
/// The last of those numbers.
const INODE: usize = 68;

/// `inet_diag_sockid`: ports, addresses, interface and cookie of one socket, as the kernel wrote
/// them and wants them back.
pub(super) type Identity = [u8; 48];

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    /// `AF_INET` or `AF_INET6`.
    pub(super) family: u8,
    /// `IPPROTO_TCP` or `IPPROTO_UDP`.
    pub(super) protocol: u8,
}

/// A socket that the kernel has listed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found {
    pub(super) identity: Identity,
    /// Canonical: never v4-mapped.
    pub(super) peer: SocketAddr,
    /// 0: no process holds it any more.
    pub(super) inode: u32,
    /// The cgroup that it was made in (5.8).
    pub(super) cgroup: Option<u64>,
    /// Its storage in the map that was asked for; never of UDP.
    pub(super) value: Option<SocketValue>,
}

impl Found {
    /// `idiag_cookie`: what programs call the socket's cookie.
    pub(super) fn cookie(&self) -> u64 {
        let [.., a, b, c, d, e, f, g, h] = self.identity;
        u64::from_ne_bytes([a, b, c, d, e, f, g, h])
    }
}

/// One message of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Message {
    Socket(Box<Found>),
    /// The end: of a list, or of the request. 0 is success, else an error number.
    End(i32),
}

/// Asks for the sockets in `states` (bits) that `filter` accepts, with their storage in `map`.
pub(super) fn list(
    kind: Kind,
    states: u32,
    filter: &[u8],
    map: Option<i32>,
    sequence: u32,
) -> Vec<u8> {
    let mut payload = request(kind, states, &[0; 48]);
    attribute(&mut payload, INET_DIAG_REQ_BYTECODE, filter);
    if let Some(map) = map {
        let mut nested = Vec::new();
        attribute(&mut nested, SK_DIAG_BPF_STORAGE_REQ_MAP_FD, &map.to_ne_bytes());
        attribute(&mut payload, INET_DIAG_REQ_SK_BPF_STORAGES | NESTED, &nested);
    }
    message(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, sequence, &payload)
}

/// Asks for the end of exactly this socket.
pub(super) fn destroy(kind: Kind, identity: &Identity, sequence: u32) -> Vec<u8> {
    message(SOCK_DESTROY, NLM_F_ACK, sequence, &request(kind, u32::MAX, identity))
}

/// Bytecode of `INET_DIAG_REQ_BYTECODE` that accepts sockets with one of these peers; an IPv4 peer
/// also as the v4-mapped peer of an IPv6 socket.
///
/// The kernel accepts where a jump ends exactly at the end, and rejects beyond it; every jump must
/// lead to where the `yes` of earlier ones leads (`valid_cc` of `inet_diag.c`).
pub(super) fn filter(peers: &[SocketAddr]) -> Vec<u8> {
    const INET_DIAG_BC_JMP: u8 = 1;
    const INET_DIAG_BC_D_COND: u8 = 8;
    const JUMP: u16 = 4;
    let mut code = Vec::new();
    for peer in peers.iter().rev() {
        let (family, octets) = match peer.ip() {
            IpAddr::V4(address) => (libc::AF_INET as u8, address.octets().to_vec()),
            IpAddr::V6(address) => (libc::AF_INET6 as u8, address.octets().to_vec()),
        };
        let size = 4 + 8 + octets.len() as u8;
        let rest = code.len() as u16;
        let mut condition = vec![INET_DIAG_BC_D_COND, size];
        // On a mismatch: over the jump to the next condition, or by as much beyond the end.
        condition.extend((u16::from(size) + JUMP).to_ne_bytes());
        condition.extend([family, octets.len() as u8 * 8, 0, 0]);
        condition.extend(i32::from(peer.port()).to_ne_bytes());
        condition.extend(octets);
        if rest > 0 {
            condition.extend([INET_DIAG_BC_JMP, JUMP as u8]);
            condition.extend((rest + JUMP).to_ne_bytes());
        }
        code.splice(0..0, condition);
    }
    code
}

/// The messages of one datagram that answer the request of that number.
pub(super) fn messages(datagram: &[u8], sequence: u32) -> Vec<Message> {
    let mut found = Vec::new();
    let mut rest = datagram;
    while let Some(length) = u32_at(rest, 0).map(|length| length as usize)
        && (HEADER..=rest.len()).contains(&length)
    {
        let (message, after) = (&rest[..length], &rest[aligned(length).min(rest.len())..]);
        rest = after;
        if u32_at(message, 8) == Some(sequence) {
            let kind = u16_at(message, 4).unwrap_or(0);
            found.extend(decode(kind, &message[HEADER..]));
        }
    }
    found
}

fn decode(kind: u16, payload: &[u8]) -> Option<Message> {
    match kind {
        NLMSG_DONE | NLMSG_ERROR => {
            let number = u32_at(payload, 0).unwrap_or(0).cast_signed();
            Some(Message::End(number.wrapping_neg()))
        }
        SOCK_DIAG_BY_FAMILY => socket(payload).map(Box::new).map(Message::Socket),
        _ => None,
    }
}

fn socket(payload: &[u8]) -> Option<Found> {
    let identity: Identity = payload.get(4..52)?.try_into().ok()?;
    let port = u16::from_be_bytes(identity[2..4].try_into().ok()?);
    let address: [u8; 16] = identity[20..36].try_into().ok()?;
    let address = match i32::from(*payload.first()?) {
        libc::AF_INET => Ipv4Addr::from(<[u8; 4]>::try_from(&address[..4]).ok()?).into(),
        libc::AF_INET6 => Ipv6Addr::from(address).to_canonical(),
        _ => return None,
    };
    let described = payload.get(SOCKET..)?;
    let cgroup = attribute_of(described, INET_DIAG_CGROUP_ID)
        .and_then(|id| Some(u64::from_ne_bytes(id.try_into().ok()?)));
    let value = attribute_of(described, INET_DIAG_SK_BPF_STORAGES)
        .and_then(|storages| attribute_of(storages, SK_DIAG_BPF_STORAGE))
        .and_then(|storage| attribute_of(storage, SK_DIAG_BPF_STORAGE_MAP_VALUE))
        .and_then(value);
    Some(Found {
        identity,
        peer: SocketAddr::new(address, port),
        inode: u32_at(payload, INODE)?,
        cgroup,
        value,
    })
}

/// A value that is longer than ours ends in padding up to 8 bytes.
fn value(bytes: &[u8]) -> Option<SocketValue> {
    let mut value = SocketValue::zeroed();
    let length = size_of::<SocketValue>();
    bytes_of_mut(&mut value).copy_from_slice(bytes.get(..length)?);
    Some(value)
}

fn attribute_of(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(found, _)| *found == kind).map(|(_, content)| content)
}

fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(rest, 0)?);
        let kind = u16_at(rest, 2)? & TYPE;
        let content = rest.get(ATTRIBUTE..length)?;
        rest = &rest[aligned(length).min(rest.len())..];
        Some((kind, content))
    })
}

/// `inet_diag_req_v2`.
fn request(kind: Kind, states: u32, identity: &Identity) -> Vec<u8> {
    let mut bytes = vec![kind.family, kind.protocol, 0, 0];
    bytes.extend(states.to_ne_bytes());
    bytes.extend(identity);
    bytes
}

fn message(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + payload.len());
    bytes.extend(((HEADER + payload.len()) as u32).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend((NLM_F_REQUEST | flags).to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    // The kernel knows who asks.
    bytes.extend(0_u32.to_ne_bytes());
    bytes.extend(payload);
    bytes
}

fn attribute(bytes: &mut Vec<u8>, kind: u16, content: &[u8]) {
    bytes.extend(((ATTRIBUTE + content.len()) as u16).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(content);
    bytes.resize(aligned(bytes.len()), 0);
}

fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: Kind = Kind { family: libc::AF_INET6 as u8, protocol: 6 };

    /// Runs a filter as `inet_diag_bc_run` does, for conditions on the peer alone.
    fn accepts(code: &[u8], peer: SocketAddr) -> bool {
        let mut at = 0;
        while at < code.len() {
            let is_jump = code[at] == 1;
            let (prefix, port) = (usize::from(code[at + 5 * usize::from(!is_jump)]), at + 8);
            let is_equal = !is_jump && {
                let octets = match peer.ip() {
                    IpAddr::V4(address) => address.octets().to_vec(),
                    IpAddr::V6(address) => address.octets().to_vec(),
                };
                u32_at(code, port) == Some(peer.port().into())
                    && code[at + 12..at + 12 + prefix / 8] == octets
            };
            let step = if is_equal { code[at + 1].into() } else { u16_at(code, at + 2).unwrap() };
            at += usize::from(step);
        }
        at == code.len()
    }

    fn answered(kind: u16, payload: &[u8]) -> Vec<u8> {
        message(kind, 0, 7, payload)
    }

    #[test]
    fn a_filter_accepts_its_peers_and_nothing_else() {
        let all: Vec<SocketAddr> =
            ["10.77.2.1:80", "[fd77::2:1]:80", "10.77.2.1:81", "10.77.3.1:80", "[fd77::3:1]:80"]
                .map(|text| text.parse().unwrap())
                .to_vec();
        for chosen in 0..1_u32 << all.len() {
            let (inside, outside): (Vec<_>, Vec<_>) =
                (0..all.len()).partition(|number| chosen >> number & 1 == 1);
            if inside.is_empty() {
                continue;
            }
            let code = filter(&inside.iter().map(|number| all[*number]).collect::<Vec<_>>());
            assert!(inside.iter().all(|number| accepts(&code, all[*number])), "{chosen:b}");
            assert!(!outside.iter().any(|number| accepts(&code, all[*number])), "{chosen:b}");
        }
    }

    #[test]
    fn a_listed_socket_is_read_with_its_storage() {
        let mut payload = vec![libc::AF_INET6 as u8, 1, 0, 0];
        let mut identity: Identity = [0; 48];
        identity[2..4].copy_from_slice(&8080_u16.to_be_bytes());
        identity[30..36].copy_from_slice(&[0xff, 0xff, 10, 77, 2, 1]);
        payload.extend(identity);
        payload.extend([0; 16]);
        payload.extend(99_u32.to_ne_bytes());
        let mut expected = SocketValue::zeroed();
        bytes_of_mut(&mut expected).fill(7);
        let (mut storage, mut storages) = (Vec::new(), Vec::new());
        attribute(&mut storage, SK_DIAG_BPF_STORAGE_MAP_VALUE, bytemuck::bytes_of(&expected));
        attribute(&mut storages, SK_DIAG_BPF_STORAGE | NESTED, &storage);
        attribute(&mut payload, 8, &[1]);
        attribute(&mut payload, INET_DIAG_CGROUP_ID, &5_u64.to_ne_bytes());
        attribute(&mut payload, INET_DIAG_SK_BPF_STORAGES, &storages);
        let mut datagram = answered(SOCK_DIAG_BY_FAMILY, &payload);
        datagram.extend(answered(NLMSG_DONE, &0_u32.to_ne_bytes()));

        let found = messages(&datagram, 7);

        let socket = Found {
            identity,
            peer: "10.77.2.1:8080".parse().unwrap(),
            inode: 99,
            cgroup: Some(5),
            value: Some(expected),
        };
        assert_eq!(found, [Message::Socket(Box::new(socket)), Message::End(0)]);
        assert_eq!(messages(&datagram, 8), [], "answers to another request");
    }

    #[test]
    fn an_error_is_its_number_and_a_torn_datagram_ends_early() {
        let datagram = answered(NLMSG_ERROR, &(-libc::ENOENT).to_ne_bytes());
        assert_eq!(messages(&datagram, 7), [Message::End(libc::ENOENT)]);
        for length in 0..datagram.len() {
            assert_eq!(messages(&datagram[..length], 7), []);
        }
    }

    #[test]
    fn requests_have_the_kernels_sizes() {
        let one: SocketAddr = "10.77.2.1:80".parse().unwrap();
        assert_eq!(destroy(TCP, &[0; 48], 1).len(), 16 + 56);
        assert_eq!(list(TCP, 2, &filter(&[one]), None, 1).len(), 16 + 56 + 4 + 16);
        assert_eq!(list(TCP, 2, &filter(&[one]), Some(5), 1).len(), 16 + 56 + 4 + 16 + 12);
    }
}
