//! Ports of network namespaces: how many listen there, and for which backends.

use aya_ebpf::bindings::BPF_NOEXIST;
use redirector_common::{
    IdWord, LEARNED, ListenerValue, PortKey, PortValue, SERVED_NO_MORE, SERVES_V4, SERVES_V6,
    UNCOUNTED, port_check, served_in,
};
use redirector_ebpf::opaque;

use crate::{
    backend::{self, Backend},
    context::{Address, difference},
    maps::{BACKEND_NETNS, PORTS},
    slot::{Find as _, Slot, word},
};

/// A family of IP, and what a listener's mask calls it.
#[derive(Clone, Copy)]
pub struct Family {
    version: u16,
    pub mask: u16,
}

pub const V4: Family = Family { version: 4, mask: SERVES_V4 };
pub const V6: Family = Family { version: 6, mask: SERVES_V6 };

/// Every address.
const ANY: [u32; 4] = [0; 4];

/// A connection to `address` was accepted in `netns`, where that is not known yet.
#[inline(always)]
pub fn learn(netns: u64, address: &Address, backend: Backend) -> bool {
    let family = if address.is_v4() { 4 } else { 6 };
    let key = PortKey { netns, address: ANY, port: address.port, family, _pad: 0 };
    let Some(port) = port_or_new(&key) else {
        return false;
    };
    let word = IdWord::new(backend.index, backend.generation, port_check(netns, key.port, family));
    for place in 0..LEARNED {
        let there = learned(port, place);
        if there == word {
            return true;
        }
        if there.check() != word.check() || backend::current(there).is_none() {
            word!(port.backends[place]).store(word);
            return true;
        }
    }
    false
}

/// Whether a listener that was seen to begin serves `address`.
#[inline(always)]
pub fn is_listening(netns: u64, address: &Address) -> bool {
    let family = if address.is_v4() { 4 } else { 6 };
    let all = PortKey { netns, address: ANY, port: address.port, family, _pad: 0 };
    listens(&all) | listens(&PortKey { address: address.words, ..all }) != 0
}

/// A listener has begun, and its end will be told. `group` are the listeners that share its port
/// by `SO_REUSEPORT`, itself included; 0 if none may.
#[inline(always)]
pub fn began(listener: &ListenerValue, group: u16) {
    for Family { version: family, mask } in [V4, V6] {
        if listener.families & mask == 0 {
            continue;
        }
        let Some(port) = port_or_new(&key_of(listener, family, listener.address)) else {
            continue;
        };
        add(port, 1);
        let has_older = is_positive(i64::from(group) - count(port));
        word!(port.has_older).store(has_older);
        each_backend(listener, family, 0);
    }
}

/// A listener ends, in one of its families. `group` as above: it counts only where some of them may
/// be older than the programs, because of several that end at once each still sees the others.
#[inline(always)]
pub fn ended(listener: &ListenerValue, family: Family, group: u16) {
    let uncounted = u64::from(listener.families & UNCOUNTED) / u64::from(UNCOUNTED);
    let key = key_of(listener, family.version, listener.address);
    let Some(port) = port_or_new(&key) else {
        return;
    };
    add(port, uncounted.wrapping_sub(1));
    let has_older = word!(port.has_older).load();
    let has_siblings = is_positive(i64::from(group) - 1) & (has_older | uncounted);
    if is_positive(count(port)) | has_siblings == 0 {
        each_backend(listener, family.version, 1);
        forget(&key);
    }
}

/// 1 or 0, by arithmetic: each branch would be explored with all that follows.
#[inline(always)]
fn is_positive(number: i64) -> u64 {
    opaque(number.wrapping_neg()).cast_unsigned() >> 63
}

/// Tells the backends that a listener serves whether a socket listens (0) or none does (1).
#[inline(always)]
fn each_backend(listener: &ListenerValue, family: u16, is_gone: u64) {
    let Some(port) = PORTS.slot(&key_of(listener, family, ANY)) else {
        return;
    };
    for place in 0..LEARNED {
        one_backend(listener, u32::from(family), learned(port, place), is_gone);
    }
}

/// One of them, if it is on the listener's address. A function of its own: the stack of the
/// programs is short.
#[inline(never)]
fn one_backend(listener: &ListenerValue, family: u32, word: IdWord, is_gone: u64) {
    let family = family as u16;
    if word.check() != port_check(listener.netns, listener.port, family) {
        return;
    }
    let Some(backend) = backend::current(word) else {
        return;
    };
    let Some(address) = backend.address() else {
        return;
    };
    if difference(&listener.address, &ANY) != 0 && difference(&listener.address, &address) != 0 {
        return;
    }
    let Some(served) = BACKEND_NETNS.slot(backend.index) else {
        return;
    };
    let here = served_in(listener.netns, backend.generation);
    if served.word().load() & !SERVED_NO_MORE != here {
        // Another namespace serves it: what happens here says nothing about it.
        return;
    }
    if is_gone != 0 {
        // First ejected, then looked for others: one that begins meanwhile is found here, or
        // re-admits after this.
        backend.tell(1);
        let (all, this) = (key_of(listener, family, ANY), key_of(listener, family, address));
        if listens(&all) | listens(&this) == 0 {
            served.word().store(here | SERVED_NO_MORE);
            return;
        }
    }
    served.word().store(here);
    backend.tell(0);
}

#[inline(always)]
fn key_of(listener: &ListenerValue, family: u16, address: [u32; 4]) -> PortKey {
    PortKey { netns: listener.netns, address, port: listener.port, family, _pad: 0 }
}

/// 1 or 0.
#[inline(always)]
fn listens(key: &PortKey) -> u64 {
    PORTS.slot(key).map_or(0, |port| is_positive(count(port)))
}

/// Removes a port without listeners of which nothing is known. Others stay until the agent
/// sweeps: who begins to listen there again re-admits.
#[inline(always)]
fn forget(key: &PortKey) {
    let Some(port) = PORTS.slot(key) else {
        return;
    };
    let mut words = 0;
    for place in 0..LEARNED {
        words |= learned(port, place).0;
    }
    if words == 0 {
        let _ = PORTS.remove(key);
    }
}

#[inline(always)]
fn port_or_new(key: &PortKey) -> Option<Slot<PortValue>> {
    if let Some(port) = PORTS.slot(key) {
        return Some(port);
    }
    let _ = PORTS.insert(key, &PortValue::default(), u64::from(BPF_NOEXIST));
    PORTS.slot(key)
}

#[inline(always)]
fn learned(port: Slot<PortValue>, place: usize) -> IdWord {
    word!(port.backends[place]).load()
}

#[inline(always)]
fn count(port: Slot<PortValue>) -> i64 {
    word!(port.listeners).load().cast_signed()
}

#[inline(always)]
fn add(port: Slot<PortValue>, by: u64) {
    word!(port.listeners).add(by);
}
