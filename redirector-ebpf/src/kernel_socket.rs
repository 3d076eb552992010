//! Reads of a socket what its context does not show, from the kernel's memory.
//!
//! A read of memory that is not there gives nothing; it never faults.

use core::ffi::c_void;

use aya_ebpf::helpers::{bpf_probe_read_kernel, generated::bpf_get_current_task};
use redirector_common::{Ending, ListenerValue, SERVES_V4, SERVES_V6};

use crate::{context::Address, slot::constant};

/// Where things are in this kernel's structures, in bytes: set by the loader, by BTF.
#[unsafe(no_mangle)]
static SOCK_NETNS: u16 = 0;
#[unsafe(no_mangle)]
static SOCK_ADDRESS6: u16 = 0;
#[unsafe(no_mangle)]
static SOCK_GROUP: u16 = 0;
#[unsafe(no_mangle)]
static GROUP_COUNT: u16 = 0;
#[unsafe(no_mangle)]
static NETNS_OWNER: u16 = 0;
#[unsafe(no_mangle)]
static OWNER_LEVEL: u16 = 0;

#[unsafe(no_mangle)]
static SOCK_ERROR: u16 = 0;
#[unsafe(no_mangle)]
static SOCK_ERROR_SOFT: u16 = 0;
#[unsafe(no_mangle)]
static SOCK_ERROR_QUEUE: u16 = 0;
/// Of the `sock_extended_err` in a buffer of the error queue.
#[unsafe(no_mangle)]
static BUFFER_ERROR: u16 = 0;
#[unsafe(no_mangle)]
static TCP_CLOCK: u16 = 0;
#[unsafe(no_mangle)]
static TCP_ACKED: u16 = 0;
#[unsafe(no_mangle)]
static TCP_CALLBACKS: u16 = 0;
#[unsafe(no_mangle)]
static TCP_RECEIVED: u16 = 0;
#[unsafe(no_mangle)]
static TCP_UNACKED: u16 = 0;
#[unsafe(no_mangle)]
static TCP_WRITTEN: u16 = 0;
/// When it sent and received last, in jiffies.
#[unsafe(no_mangle)]
static TCP_SENT_AT: u16 = 0;
#[unsafe(no_mangle)]
static TCP_HEARD_AT: u16 = 0;
#[unsafe(no_mangle)]
static TASK_FLAGS: u16 = 0;
#[unsafe(no_mangle)]
static NETNS_SYN_RETRIES: u16 = 0;
/// 0 where every further SYN waits twice as long as the one before (before 6.5).
#[unsafe(no_mangle)]
static NETNS_SYN_LINEAR: u16 = 0;

/// The beginning of `struct sock_extended_err` (`linux/errqueue.h`).
#[repr(C)]
#[derive(Clone, Copy)]
struct ExtendedError {
    errno: u32,
    origin: u8,
}

/// `SO_EE_ORIGIN_ICMP` and `SO_EE_ORIGIN_ICMP6`: a router or the peer has sent it.
const ORIGIN_ICMP: u8 = 2;
const ORIGIN_ICMP6: u8 = 3;

/// The beginning of `struct sock_common`; the loader has compared it with BTF.
#[repr(C)]
#[derive(Clone, Copy)]
struct Common {
    _peer: u32,
    address4: u32,
    _hash: u32,
    _peer_port: u16,
    port: u16,
    family: u16,
    _state: u8,
    flags: u8,
}

/// `PF_EXITING` of a task.
const EXITING: u32 = 4;

/// `IPV6_V6ONLY` in [`Common::flags`].
const V6ONLY: u8 = 1 << 5;

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// A `struct sock`, by its address.
#[derive(Clone, Copy)]
pub struct Socket(u64);

impl Socket {
    /// The socket behind a pointer that the verifier watches over. It allows no arithmetic on one
    /// ("R1 pointer arithmetic on sock prohibited"), so its value is read from the stack.
    #[inline(always)]
    pub fn of(pointer: *const c_void) -> Self {
        let place = pointer;
        // SAFETY: reads a local; the helper checks what it reads.
        let address = unsafe { bpf_probe_read_kernel((&raw const place).cast::<u64>()) };
        Self(address.unwrap_or(0))
    }

    /// What it serves, of `netns`. Nothing for a family that is not IP.
    #[inline(always)]
    pub fn listener(self, netns: u64) -> Option<ListenerValue> {
        let common: Common = read(self.0, 0)?;
        let address = match common.family {
            AF_INET => Address::v4(common.address4, common.port),
            AF_INET6 => Address { words: read(self.0, offset(&SOCK_ADDRESS6))?, port: common.port },
            _ => return None,
        };
        Some(served(netns, address, common.family, common.flags & V6ONLY != 0))
    }

    /// Listeners that share its address and port by `SO_REUSEPORT`, itself included; 0 if none may.
    #[inline(always)]
    pub fn group(self) -> u16 {
        let group: u64 = read(self.0, offset(&SOCK_GROUP)).unwrap_or(0);
        read(group, offset(&GROUP_COUNT)).unwrap_or(0)
    }

    /// Its error, whether or not the application has fetched it: 0 is none. An error of ICMP that came
    /// while the application held the socket is kept apart; once it is fetched, only the error queue
    /// still has it.
    #[inline(always)]
    pub fn error(self) -> u32 {
        let number = |place| read::<u32>(self.0, offset(place)).unwrap_or(0);
        let error = number(&SOCK_ERROR);
        if error != 0 {
            return error;
        }
        let error = number(&SOCK_ERROR_SOFT);
        if error != 0 {
            return error;
        }
        // An empty queue leads to itself: what is read there is no error of ICMP.
        let first: u64 = read(self.0, offset(&SOCK_ERROR_QUEUE)).unwrap_or(0);
        if first == self.0.wrapping_add(offset(&SOCK_ERROR_QUEUE)) {
            return 0;
        }
        match read(first, offset(&BUFFER_ERROR)) {
            Some(ExtendedError { errno, origin: ORIGIN_ICMP | ORIGIN_ICMP6 }) => errno,
            _ => 0,
        }
    }

    /// When a TCP socket sent or received last, in microseconds of `CLOCK_MONOTONIC`; 0 if unknown.
    #[inline(always)]
    pub fn last_active(self) -> u64 {
        read(self.0, offset(&TCP_CLOCK)).unwrap_or(0)
    }

    /// Whether it has a port of its own.
    #[inline(always)]
    pub fn is_bound(self) -> bool {
        read::<Common>(self.0, 0).is_some_and(|common| common.port != 0)
    }

    /// Which callbacks of a TCP socket are switched on.
    #[inline(always)]
    pub fn callbacks(self) -> u8 {
        read(self.0, offset(&TCP_CALLBACKS)).unwrap_or(0)
    }

    /// Whether anything that a TCP socket sent was acknowledged, be it its SYN alone.
    #[inline(always)]
    pub fn was_connected(self) -> bool {
        read(self.0, offset(&TCP_ACKED)).unwrap_or(0_u64) != 0
    }

    /// What a TCP socket in `state` shows of its connection, at `now` in jiffies.
    #[inline(always)]
    pub fn ending(self, state: u32, now: u32) -> Option<Ending> {
        let number = |place| read::<u32>(self.0, offset(place));
        let (written, unacked) = (number(&TCP_WRITTEN)?, number(&TCP_UNACKED)?);
        Some(Ending {
            state,
            error: number(&SOCK_ERROR)?,
            acked: read(self.0, offset(&TCP_ACKED))?,
            received: read(self.0, offset(&TCP_RECEIVED))?,
            outstanding: written.wrapping_sub(unacked),
            sent: now.wrapping_sub(number(&TCP_SENT_AT)?),
            heard: now.wrapping_sub(number(&TCP_HEARD_AT)?),
        })
    }

    /// How often a SYN is repeated in its namespace (`tcp_syn_retries`), and how often before that
    /// without waiting longer (`tcp_syn_linear_timeouts`).
    #[inline(always)]
    pub fn syn_retries(self) -> Option<(u8, u8)> {
        let netns: u64 = read(self.0, offset(&SOCK_NETNS))?;
        let retries = read(netns, offset(&NETNS_SYN_RETRIES))?;
        let linear = offset(&NETNS_SYN_LINEAR);
        let linear = if linear == 0 { 0 } else { read(netns, linear)? };
        Some((retries, linear))
    }

    /// Whether its network namespace was made by the system and not in a process's own user
    /// namespace, where that process may add any address.
    #[inline(always)]
    pub fn is_of_system(self) -> bool {
        let level = || -> Option<i32> {
            let netns: u64 = read(self.0, offset(&SOCK_NETNS))?;
            let owner: u64 = read(netns, offset(&NETNS_OWNER))?;
            read(owner, offset(&OWNER_LEVEL))
        };
        level() == Some(0)
    }
}

/// Whether the process that runs now is ending: the kernel closes what it has open.
#[inline(always)]
pub fn is_task_exiting() -> bool {
    // SAFETY: the helper takes nothing.
    let task = unsafe { bpf_get_current_task() };
    read::<u32>(task, offset(&TASK_FLAGS)).unwrap_or(0) & EXITING != 0
}

/// What a listener of that family on `address` serves.
#[inline(always)]
fn served(netns: u64, address: Address, family: u16, is_v6_only: bool) -> ListenerValue {
    let words = address.words;
    let is_v4 = address.is_v4();
    let is_any = (words[0] | words[1] | words[3] == 0) && (is_v4 || words[2] == 0);
    let families = if is_v4 {
        SERVES_V4
    } else if is_any && family == AF_INET6 && !is_v6_only {
        SERVES_V4 | SERVES_V6
    } else {
        SERVES_V6
    };
    let place = if is_any { [0; 4] } else { words };
    ListenerValue { netns, address: place, port: address.port, families, _pad: 0 }
}

#[inline(always)]
fn offset(place: &'static u16) -> u64 {
    u64::from(constant(place))
}

#[inline(always)]
fn read<T: Copy>(address: u64, offset: u64) -> Option<T> {
    // SAFETY: the helper checks the address.
    unsafe { bpf_probe_read_kernel(address.wrapping_add(offset) as *const T) }.ok()
}
