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
use redirector_ebpf::opaque;

use crate::{
    agentless::seconds,
    client,
    context::{Address, difference},
    maps::{SENDS, SOCKETS},
    slot::{Slot, constant, word},
    socket_slots,
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
    /// The same.
    pub unresponsive: u8,
}

impl Redirection {
    #[inline(always)]
    fn destination(&self) -> Destination {
        Destination {
            dialled: self.dialled.words,
            chosen: self.chosen.words,
            dialled_port: self.dialled.port,
            chosen_port: self.chosen.port,
            backend: self.backend,
            generation: self.generation,
            epoch: self.epoch,
            node: self.node,
            tier: self.tier,
        }
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
    let flag = if protocol == PROTOCOL_UDP { &REMEMBER_UDP } else { &REMEMBER_TCP };
    constant(flag) != 0
}

/// Remembers a connect, which is to be watched or not.
#[inline(always)]
pub fn connected(
    context: &SockAddrContext,
    redirection: &Redirection,
    is_watched: bool,
) -> Remembered {
    let mut is_subflow = false;
    if constant(&HAS_MPTCP) != 0
        && let Some(value) = whole_socket(context)
    {
        word!(value.destination).store_parts(redirection.destination());
        socket_slots::note_stored();
        is_subflow = true;
    }
    // The end of a subflow is not seen: it would never leave its slot.
    let seat = if is_subflow { None } else { socket_slots::take(context.as_ptr()) };
    let value = match seat {
        Some(value) => value,
        // SAFETY: the storage belongs to this socket, which the caller of the hook holds.
        None => match unsafe { Slot::or_null(SOCKETS.get_or_insert_ptr_mut(context, None)) } {
            Some(value) => {
                socket_slots::note_stored();
                value
            }
            None => return Remembered::No,
        },
    };
    word!(value.destination).store_parts(redirection.destination());
    word!(value.cgroup).store(client::cgroup());
    word!(value.limits).store_parts(redirection.limits);
    word!(value.unresponsive).store(redirection.unresponsive);
    // A socket that connects is not connecting: what is left of an earlier connect is its hold alone.
    let dialled = if is_watched { SocketValue::DIALLED } else { 0 };
    let state = word!(value.state);
    state.store(state.load() & SocketValue::WATCHED | dialled);
    Remembered::Yes
}

/// What this socket remembers of its last connect.
#[inline(always)]
fn remembered(context: &SockAddrContext) -> Option<Slot<SocketValue>> {
    if let Some(value) = socket_slots::of(context.as_ptr()) {
        return Some(value);
    }
    if !socket_slots::is_any_stored() {
        return None;
    }
    // SAFETY: the storage belongs to this socket, which the caller of the hook holds.
    unsafe { Slot::or_null(SOCKETS.get_ptr_mut(context)) }
}

/// The storage of the whole MPTCP socket, which is asked for its peer, while a subflow of it
/// connects. None for a socket of another kind.
#[inline(always)]
fn whole_socket(context: &SockAddrContext) -> Option<Slot<SocketValue>> {
    let map = (&raw const SOCKETS).cast_mut().cast();
    let create = u64::from(BPF_SK_STORAGE_GET_F_CREATE);
    // SAFETY: the kernel passes a valid context, and in it a socket; the second helper is called
    // only with what the first one found: a socket that is held while a subflow of it connects.
    unsafe {
        let whole = bpf_skc_to_mptcp_sock((*context.sock_addr).__bindgen_anon_1.sk.cast());
        if whole.is_null() {
            return None;
        }
        Slot::or_null(bpf_sk_storage_get(map, whole.cast(), ptr::null_mut(), create).cast())
    }
}

/// Forgets the connect before if it went to this very address as a backend: now it is dialled
/// itself. Any other is told by the echo, and counts again if this connect fails.
#[inline(always)]
pub fn connected_elsewhere(context: &SockAddrContext, dialled: &Address) {
    if let Some(value) = remembered(context) {
        let chosen = word!(value.destination.chosen).load_parts();
        let equal = is_equal(&chosen, word!(value.destination.chosen_port).load(), dialled);
        let port = word!(value.destination.dialled_port);
        port.store(port.load() & (equal as u16).wrapping_sub(1));
    }
}

/// The earlier send of this socket to the same service address, which is used again now.
#[inline(always)]
pub fn earlier_send(context: &SockAddrContext, dialled: &Address) -> Option<Slot<SentValue>> {
    let sends = sends(context)?;
    let (has_tag, number) = find(sends, dialled);
    let slot = slot_of(sends, number as usize % DESTINATIONS);
    let words = word!(slot.destination.dialled).load_parts();
    if has_tag & is_equal(&words, word!(slot.destination.dialled_port).load(), dialled) == 0 {
        return None;
    }
    use_slot(sends, number as u32);
    Some(slot)
}

/// What this socket remembers of its sends.
#[inline(always)]
fn sends(context: &SockAddrContext) -> Option<Slot<SendsValue>> {
    // SAFETY: the storage belongs to this socket, which the caller of the hook holds.
    unsafe { Slot::or_null(SENDS.get_ptr_mut(context)) }
}

#[inline(always)]
fn slot_of(sends: Slot<SendsValue>, number: usize) -> Slot<SentValue> {
    // SAFETY: a part of the storage.
    unsafe { Slot::found(&raw mut (*sends.as_ptr()).slots[number]) }
}

#[inline(always)]
fn use_slot(sends: Slot<SendsValue>, number: u32) {
    let recency = word!(sends.recency);
    recency.store(recency.load().used(number));
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
    let value = remembered(context)?;
    let words = word!(value.destination.dialled).load_parts();
    let is_same = is_equal(&words, word!(value.destination.dialled_port).load(), dialled) != 0;
    is_same.then(|| Address {
        words: word!(value.destination.chosen).load_parts(),
        port: word!(value.destination.chosen_port).load(),
    })
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
    let tier = word!(slot.destination.tier);
    let (before, tiers) = (tier.load(), u32::from(tiers));
    let asked = (before >> 8) + 1;
    let next = (before & TIER) + 1;
    let next = if next < tiers { next } else { 0 };
    tier.store(asked << 8 | next);
    asked < tiers
}

/// Whether a slot may be that address's (0 or 1), and which. Without branches, so that what follows is
/// verified once and not once per slot.
#[inline(always)]
fn find(sends: Slot<SendsValue>, dialled: &Address) -> (u64, u64) {
    let tag = tag_of(&dialled.words, dialled.port);
    let (mut found, mut number) = (0, 0);
    for i in 0..DESTINATIONS {
        let other = word!(sends.tags[i]).load();
        let equal = opaque(u64::from(tag ^ other).wrapping_sub(1) >> 63);
        found |= equal;
        number |= equal * i as u64;
    }
    (found, number)
}

/// 1 if they are equal, else 0, by arithmetic alone.
#[inline(always)]
fn is_equal(words: &[u32; 4], port: u16, address: &Address) -> u64 {
    let difference = difference(words, &address.words) | u32::from(port ^ address.port);
    opaque(u64::from(difference).wrapping_sub(1) >> 63)
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
        word!(slot.earlier).store_parts(word!(slot.destination.chosen).load_parts());
        word!(slot.earlier_port).store(word!(slot.destination.chosen_port).load());
        word!(slot.changed).store(seconds());
    }
}

/// Remembers a send to a service address: in the slot of that address, else in place of the one used
/// least recently.
#[inline(always)]
pub fn sent(context: &SockAddrContext, redirection: &Redirection) -> Remembered {
    // SAFETY: the storage belongs to this socket, which the caller of the hook holds.
    let Some(sends) = (unsafe { Slot::or_null(SENDS.get_or_insert_ptr_mut(context, None)) }) else {
        return Remembered::No;
    };
    let dialled = &redirection.dialled;
    let (has_tag, own) = find(sends, dialled);
    let oldest = word!(sends.recency).load().oldest();
    let number = own | (u64::from(oldest) & has_tag.wrapping_sub(1));
    let place = number as usize % DESTINATIONS;
    let before = word!(sends.tags[place]).load();
    word!(sends.tags[place]).store(tag_of(&dialled.words, dialled.port));
    use_slot(sends, number as u32);
    let slot = slot_of(sends, place);
    word!(slot.destination).store_parts(redirection.destination());
    if has_tag != 0 {
        return Remembered::Yes;
    }
    word!(slot.earlier_port).store(0);
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
    if let Some(sends) = sends(context) {
        each_slot!(sends, dialled; forget_if_sent_to);
    }
}

#[inline(always)]
fn forget_if_sent_to(sends: Slot<SendsValue>, dialled: &Address, number: usize) {
    let slot = slot_of(sends, number);
    let chosen = word!(slot.destination.chosen).load_parts();
    let is_chosen = is_equal(&chosen, word!(slot.destination.chosen_port).load(), dialled);
    let keep = (is_chosen as u32).wrapping_sub(1);
    let tag = word!(sends.tags[number]);
    tag.store(tag.load() & keep);
    for port in [word!(slot.destination.dialled_port), word!(slot.destination.chosen_port)] {
        port.store(port.load() & keep as u16);
    }
    let port = word!(slot.earlier_port);
    let is_earlier = is_equal(&word!(slot.earlier).load_parts(), port.load(), dialled);
    port.store(port.load() & (is_earlier as u16).wrapping_sub(1));
}

/// The service address behind the connected peer `actual`.
#[inline(always)]
pub fn peer(context: &SockAddrContext, actual: &Address) -> Option<Address> {
    let value = remembered(context)?;
    let port = word!(value.destination.dialled_port).load();
    let is_current = port != 0
        && word!(value.destination.chosen_port).load() == actual.port
        && word!(value.destination.chosen).load_parts() == actual.words;
    is_current.then(|| Address { words: word!(value.destination.dialled).load_parts(), port })
}

/// The service address behind the sender `actual` of a datagram: of those sent to, the last; else of
/// those whose backend it was before the present one.
#[inline(always)]
pub fn sender(context: &SockAddrContext, actual: &Address) -> Option<Address> {
    let sends = sends(context)?;
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
fn compare(sends: Slot<SendsValue>, actual: &Address, best: &mut Best, number: usize) {
    let slot = slot_of(sends, number);
    let is_earlier = word!(slot.destination.chosen_port).load() != actual.port
        || word!(slot.destination.chosen).load_parts() != actual.words;
    if is_earlier
        && (word!(slot.earlier_port).load() != actual.port
            || word!(slot.earlier).load_parts() != actual.words
            || seconds().wrapping_sub(word!(slot.changed).load()) >= ANSWER_SECONDS)
    {
        return;
    }
    let (number, port) = (number as u32, word!(slot.destination.dialled_port).load());
    let is_better = best.address.port == 0
        || best.is_earlier && !is_earlier
        || best.is_earlier == is_earlier && word!(sends.recency).load().is_later(number, best.slot);
    if port != 0 && is_better {
        let address = Address { words: word!(slot.destination.dialled).load_parts(), port };
        *best = Best { address, slot: number, is_earlier };
    }
}
