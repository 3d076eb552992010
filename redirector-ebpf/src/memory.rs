//! What a socket remembers of its redirections, and the answer to "who is my peer?".

use core::ptr;

use aya_ebpf::{
    EbpfContext as _,
    bindings::BPF_SK_STORAGE_GET_F_CREATE,
    helpers::generated::{bpf_sk_storage_get, bpf_skc_to_mptcp_sock},
    programs::SockAddrContext,
};
use redirector_common::{
    ANSWER_SECONDS, DESTINATIONS, Destination, Limits, PROTOCOL_UDP, SendsValue, SentValue,
    SocketValue, tag_of,
};

use crate::{
    alone::seconds,
    client,
    context::Address,
    maps::{SENDS, SOCKETS},
    seats,
};

/// What to remember of one redirection.
pub struct Redirection {
    pub dialled: Address,
    pub chosen: Address,
    pub backend: u32,
    pub generation: u32,
    pub epoch: u16,
    pub node: u16,
    pub tier: u32,
    /// Those of the service; of a connect only.
    pub limits: Limits,
}

impl Redirection {
    #[inline(always)]
    fn store(&self, value: &mut Destination) {
        *value = Destination {
            dialled: self.dialled.words,
            chosen: self.chosen.words,
            dialled_port: self.dialled.port,
            chosen_port: self.chosen.port,
            backend: self.backend,
            generation: self.generation,
            epoch: self.epoch,
            node: self.node,
            tier: self.tier,
        };
    }
}

/// Whether this kernel has MPTCP and tells programs about it (5.19): set by the loader.
#[unsafe(no_mangle)]
static HAS_MPTCP: u8 = 0;

/// Which protocols remember the address dialled, so that `getpeername` and UDP replies show it:
/// set by the loader (`--peer-name`).
#[unsafe(no_mangle)]
static REMEMBER_TCP: u8 = 1;
#[unsafe(no_mangle)]
static REMEMBER_UDP: u8 = 1;

/// Whether sockets of this protocol show the address dialled as their peer's.
#[inline(always)]
pub fn shows_dialled(protocol: u8) -> bool {
    let flag =
        if protocol == PROTOCOL_UDP { &raw const REMEMBER_UDP } else { &raw const REMEMBER_TCP };
    // SAFETY: a plain load of a constant that the loader may replace.
    (unsafe { flag.read_volatile() }) != 0
}

/// Remembers a connect, which is to be watched or not.
#[inline(always)]
pub fn connected(
    context: &SockAddrContext,
    redirection: &Redirection,
    is_watched: bool,
) -> Remembered {
    let mut is_subflow = false;
    // SAFETY: a plain load of a constant that the loader may replace.
    if unsafe { (&raw const HAS_MPTCP).read_volatile() } != 0 {
        // SAFETY: the storage belongs to a socket that is held while a subflow of it connects.
        if let Some(value) = unsafe { whole_socket(context).as_mut() } {
            redirection.store(&mut value.destination);
            seats::note_stored();
            is_subflow = true;
        }
    }
    // The end of a subflow is not seen: it would never leave its seat.
    let seat = if is_subflow { None } else { seats::take(context.as_ptr()) };
    let value = match seat {
        Some(value) => value,
        // SAFETY: the storage belongs to this socket, which the caller of the hook holds.
        None => match unsafe { SOCKETS.get_or_insert_ptr_mut(context, None).as_mut() } {
            Some(value) => {
                seats::note_stored();
                value
            }
            None => return Remembered::No,
        },
    };
    redirection.store(&mut value.destination);
    value.cgroup = client::cgroup();
    value.limits = redirection.limits;
    // A socket that connects is not connecting: what is left of an earlier connect is its hold alone.
    let dialled = if is_watched { SocketValue::DIALLED } else { 0 };
    value.state = value.state & SocketValue::WATCHED | dialled;
    Remembered::Yes
}

/// What this socket remembers of its last connect.
#[inline(always)]
#[expect(clippy::mut_from_ref, reason = "the value belongs to the socket, not to the context")]
fn remembered(context: &SockAddrContext) -> Option<&mut SocketValue> {
    if let Some(value) = seats::of(context.as_ptr()) {
        return Some(value);
    }
    if !seats::is_any_stored() {
        return None;
    }
    // SAFETY: the storage belongs to this socket, which the caller of the hook holds.
    unsafe { SOCKETS.get_ptr_mut(context).as_mut() }
}

/// The storage of the whole MPTCP socket, which is asked for its peer, while a subflow of it
/// connects. Null for a socket of another kind.
#[inline(always)]
unsafe fn whole_socket(context: &SockAddrContext) -> *mut SocketValue {
    let map = (&raw const SOCKETS).cast_mut().cast();
    let create = u64::from(BPF_SK_STORAGE_GET_F_CREATE);
    // SAFETY: the kernel passes a valid context, and in it a socket; the second helper is called
    // only with what the first one found.
    unsafe {
        let whole = bpf_skc_to_mptcp_sock((*context.sock_addr).__bindgen_anon_1.sk.cast());
        if whole.is_null() {
            return ptr::null_mut();
        }
        bpf_sk_storage_get(map, whole.cast(), ptr::null_mut(), create).cast()
    }
}

/// Forgets the connect before if it went to this very address as a backend: now it is dialled
/// itself. Any other is told by the echo, and counts again if this connect fails.
#[inline(always)]
pub fn connected_elsewhere(context: &SockAddrContext, dialled: &Address) {
    if let Some(value) = remembered(context) {
        let value = &mut value.destination;
        let equal = is_equal(&value.chosen, value.chosen_port, dialled);
        value.dialled_port &= (equal as u16).wrapping_sub(1);
    }
}

/// The earlier send of this socket to the same service address, which is used again now.
#[inline(always)]
#[expect(clippy::mut_from_ref, reason = "the storage belongs to the socket, not to the context")]
pub fn earlier_send<'s>(
    context: &'s SockAddrContext,
    dialled: &Address,
) -> Option<&'s mut SentValue> {
    // SAFETY: as above.
    let sends = unsafe { SENDS.get_ptr_mut(context).as_mut()? };
    let (has_tag, number) = find(sends, dialled);
    let slot = &mut sends.slots[number as usize % DESTINATIONS];
    let Destination { dialled: words, dialled_port, .. } = &slot.destination;
    if has_tag & is_equal(words, *dialled_port, dialled) == 0 {
        return None;
    }
    sends.recency = sends.recency.used(number as u32);
    Some(slot)
}

/// Whether this socket has sent to that service address.
#[inline(always)]
pub fn has_sent(context: &SockAddrContext, dialled: &Address) -> bool {
    earlier_send(context, dialled).is_some()
}

/// Where a connected socket's connect to the same service address went: no other backend's answer
/// reaches it. What it is connected to is for the caller to compare.
#[inline(always)]
pub fn earlier_connect(context: &SockAddrContext, dialled: &Address) -> Option<Address> {
    let destination = &remembered(context)?.destination;
    let is_same = is_equal(&destination.dialled, destination.dialled_port, dialled) != 0;
    let Destination { chosen, chosen_port, .. } = *destination;
    is_same.then_some(Address { words: chosen, port: chosen_port })
}

/// In [`Destination::tier`] of a send: the tier. Above it, how many others have been asked since.
pub const TIER: u32 = 0xff;

/// Notes that an earlier send's backend is to be sought in the next of so many tiers; not once all
/// have been asked.
#[inline(always)]
pub fn seek_in_next_tier(context: &SockAddrContext, dialled: &Address, tiers: u8) -> bool {
    let Some(slot) = earlier_send(context, dialled) else {
        return false;
    };
    let slot = &mut slot.destination;
    let tiers = u32::from(tiers);
    let asked = (slot.tier >> 8) + 1;
    let next = (slot.tier & TIER) + 1;
    let next = if next < tiers { next } else { 0 };
    slot.tier = asked << 8 | next;
    asked < tiers
}

/// Whether a slot may be that address's (0 or 1), and which. Without branches, so that what follows is
/// verified once and not once per slot.
#[inline(always)]
fn find(sends: &SendsValue, dialled: &Address) -> (u64, u64) {
    let tag = tag_of(&dialled.words, dialled.port);
    let (mut found, mut number) = (0, 0);
    for (i, other) in sends.tags.iter().enumerate() {
        let equal = u64::from(tag ^ other).wrapping_sub(1) >> 63;
        // SAFETY: a volatile load of a local: else the compiler makes a branch of it.
        let equal = unsafe { (&raw const equal).read_volatile() };
        found |= equal;
        number |= equal * i as u64;
    }
    (found, number)
}

/// 1 if they are equal, else 0, by arithmetic alone.
#[inline(always)]
fn is_equal(words: &[u32; 4], port: u16, address: &Address) -> u64 {
    let difference = (words[0] ^ address.words[0])
        | (words[1] ^ address.words[1])
        | (words[2] ^ address.words[2])
        | (words[3] ^ address.words[3])
        | u32::from(port ^ address.port);
    let equal = u64::from(difference).wrapping_sub(1) >> 63;
    // SAFETY: a volatile load of a local: else the compiler makes a comparison and a branch of it.
    unsafe { (&raw const equal).read_volatile() }
}

/// How a redirection was remembered.
pub enum Remembered {
    Yes,
    /// The destination that was used least recently made room.
    InsteadOfAnother,
    /// No memory.
    No,
}

/// Notes that the backend of an earlier send is about to be replaced: its answer may be under way.
#[inline(always)]
pub fn leave_backend(context: &SockAddrContext, dialled: &Address) {
    if let Some(slot) = earlier_send(context, dialled) {
        slot.earlier = slot.destination.chosen;
        slot.earlier_port = slot.destination.chosen_port;
        slot.changed = seconds();
    }
}

/// Remembers a send to a service address: in the slot of that address, else in place of the one used
/// least recently.
#[inline(always)]
pub fn sent(context: &SockAddrContext, redirection: &Redirection) -> Remembered {
    // SAFETY: as above.
    let Some(sends) = (unsafe { SENDS.get_or_insert_ptr_mut(context, None).as_mut() }) else {
        return Remembered::No;
    };
    let dialled = &redirection.dialled;
    let (has_tag, own) = find(sends, dialled);
    let number = own | (u64::from(sends.recency.oldest()) & has_tag.wrapping_sub(1));
    let place = number as usize % DESTINATIONS;
    let before = sends.tags[place];
    sends.tags[place] = tag_of(&dialled.words, dialled.port);
    sends.recency = sends.recency.used(number as u32);
    redirection.store(&mut sends.slots[place].destination);
    if has_tag != 0 {
        return Remembered::Yes;
    }
    sends.slots[place].earlier_port = 0;
    if before == 0 { Remembered::Yes } else { Remembered::InsteadOfAnother }
}

/// Does it for each slot, by its number: a loop that the compiler leaves a loop is refused without
/// CAP_PERFMON ("tried to add from different maps, paths or scalars").
macro_rules! each_slot {
    ($($argument:expr),*; $do:ident) => {
        $do($($argument),*, 0); $do($($argument),*, 1); $do($($argument),*, 2);
        $do($($argument),*, 3); $do($($argument),*, 4); $do($($argument),*, 5);
        $do($($argument),*, 6); $do($($argument),*, 7);
    };
}

/// Forgets the sends that went to this very address as a backend: now it is dialled itself.
#[inline(always)]
pub fn sent_elsewhere(context: &SockAddrContext, dialled: &Address) {
    // SAFETY: as above.
    if let Some(sends) = unsafe { SENDS.get_ptr_mut(context).as_mut() } {
        each_slot!(sends, dialled; forget_if_sent_to);
    }
}

#[inline(always)]
fn forget_if_sent_to(sends: &mut SendsValue, dialled: &Address, number: usize) {
    let SentValue { destination, earlier, earlier_port, .. } = &mut sends.slots[number];
    let is_chosen = is_equal(&destination.chosen, destination.chosen_port, dialled) as u32;
    let keep = is_chosen.wrapping_sub(1);
    sends.tags[number] &= keep;
    destination.dialled_port &= keep as u16;
    destination.chosen_port &= keep as u16;
    *earlier_port &= (is_equal(earlier, *earlier_port, dialled) as u16).wrapping_sub(1);
}

/// The service address behind the connected peer `actual`.
#[inline(always)]
pub fn peer(context: &SockAddrContext, actual: &Address) -> Option<Address> {
    dialled(&remembered(context)?.destination, actual)
}

/// The service address behind the sender `actual` of a datagram: of those sent to, the last; else of
/// those whose backend it was before the present one.
#[inline(always)]
pub fn sender(context: &SockAddrContext, actual: &Address) -> Option<Address> {
    // SAFETY: as above.
    let sends = unsafe { SENDS.get_ptr_mut(context).as_ref()? };
    let mut best = Best { address: Address { words: [0; 4], port: 0 }, slot: 0, is_earlier: true };
    each_slot!(sends, actual, &mut best; compare);
    (best.address.port != 0).then_some(best.address)
}

/// What [`sender`] has found so far.
struct Best {
    /// Port 0 is "none". Not an Option: its address would be undefined until one is found, and
    /// the compiler keeps it on the stack. 5.10: "invalid read from stack R10 off=-24 size=8".
    address: Address,
    slot: u32,
    is_earlier: bool,
}

#[inline(always)]
fn compare(sends: &SendsValue, actual: &Address, best: &mut Best, number: usize) {
    let SentValue { destination, earlier, earlier_port, changed, .. } = &sends.slots[number];
    let is_earlier = destination.chosen_port != actual.port || destination.chosen != actual.words;
    if is_earlier
        && (*earlier_port != actual.port
            || *earlier != actual.words
            || seconds().wrapping_sub(*changed) >= ANSWER_SECONDS)
    {
        return;
    }
    let slot = number as u32;
    let is_better = best.address.port == 0
        || best.is_earlier && !is_earlier
        || best.is_earlier == is_earlier && sends.recency.is_later(slot, best.slot);
    if destination.dialled_port != 0 && is_better {
        let address = Address { words: destination.dialled, port: destination.dialled_port };
        *best = Best { address, slot, is_earlier };
    }
}

#[inline(always)]
fn dialled(value: &Destination, actual: &Address) -> Option<Address> {
    let is_current =
        value.dialled_port != 0 && value.chosen_port == actual.port && value.chosen == actual.words;
    is_current.then_some(Address { words: value.dialled, port: value.dialled_port })
}
