//! Ports of network namespaces: how many listen there, and for which backends.

use aya_ebpf::bindings::BPF_NOEXIST;
use redirector_common::{
    IdWord, LEARNED, ListenerValue, PortKey, PortValue, SERVES_V4, SERVES_V6, port_check,
};

use crate::{
    backend::{self, Backend},
    context::Address,
    maps::PORTS,
};

/// The families of IP, and what a listener's mask calls them.
const FAMILIES: [(u16, u16); 2] = [(4, SERVES_V4), (6, SERVES_V6)];

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
            // SAFETY: a word of a live value, stored whole.
            unsafe { (&raw mut (*port).backends[place].0).write_volatile(word.0) };
            return true;
        }
    }
    false
}

/// A listener has begun; `is_counted` says that its end will be told. `group` are the listeners
/// that share its port by `SO_REUSEPORT`, itself included; 0 if none may.
#[inline(always)]
pub fn began(listener: &ListenerValue, is_counted: bool, group: u16) {
    for (family, mask) in FAMILIES {
        if listener.families & mask == 0 {
            continue;
        }
        let key = key_of(listener, family, listener.address);
        if is_counted && let Some(port) = port_or_new(&key) {
            add(port, 1);
            let has_older = u64::from(group) > count(port).cast_unsigned();
            // SAFETY: as above.
            unsafe { (&raw mut (*port).has_older).write_volatile(u64::from(has_older)) };
        }
        each_backend(listener, family, 0);
    }
}

/// A listener ends; `is_counted` says that its beginning was told. `group` as above: it counts only
/// where some of them may be older than the programs, because of several that end at once each
/// still sees the others.
#[inline(always)]
pub fn ended(listener: &ListenerValue, is_counted: bool, group: u16) {
    for (family, mask) in FAMILIES {
        if listener.families & mask == 0 {
            continue;
        }
        let key = key_of(listener, family, listener.address);
        let mut may_have_older = true;
        if let Some(port) = PORTS.get_ptr_mut(&key) {
            if is_counted {
                add(port, u64::MAX);
                // SAFETY: as above.
                may_have_older = unsafe { (&raw const (*port).has_older).read_volatile() } != 0;
            }
            if count(port) > 0 {
                continue;
            }
        }
        if group <= 1 || !may_have_older {
            each_backend(listener, family, 1);
            forget(&key);
        }
    }
}

/// Tells the backends that a listener serves whether somebody listens (0) or nobody does (1).
#[inline(always)]
fn each_backend(listener: &ListenerValue, family: u16, is_gone: u8) {
    let Some(port) = PORTS.get_ptr_mut(&key_of(listener, family, ANY)) else {
        return;
    };
    for place in 0..LEARNED {
        one_backend(listener, u32::from(family), learned(port, place), is_gone);
    }
}

/// One of them, if it is on the listener's address. A function of its own: the stack of the
/// programs is short.
#[inline(never)]
fn one_backend(listener: &ListenerValue, family: u32, word: IdWord, is_gone: u8) {
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
    if listener.address != ANY && listener.address != address {
        return;
    }
    if is_gone != 0 {
        let serves_all = key_of(listener, family, ANY);
        let serves_it = key_of(listener, family, address);
        if listens(&serves_all) || listens(&serves_it) {
            return;
        }
        backend.eject();
        // One that has begun meanwhile may have re-admitted before this ejected.
        if !listens(&serves_all) && !listens(&serves_it) {
            return;
        }
    }
    backend.readmit();
}

#[inline(always)]
fn key_of(listener: &ListenerValue, family: u16, address: [u32; 4]) -> PortKey {
    PortKey { netns: listener.netns, address, port: listener.port, family, _pad: 0 }
}

#[inline(always)]
fn listens(key: &PortKey) -> bool {
    PORTS.get_ptr_mut(key).is_some_and(|port| count(port) > 0)
}

/// Removes a port that nobody listens on and nothing is known of. Others stay until the agent
/// sweeps: who begins to listen there again re-admits.
#[inline(always)]
fn forget(key: &PortKey) {
    let Some(port) = PORTS.get_ptr_mut(key) else {
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
fn port_or_new(key: &PortKey) -> Option<*mut PortValue> {
    if let Some(port) = PORTS.get_ptr_mut(key) {
        return Some(port);
    }
    let _ = PORTS.insert(key, &PortValue::default(), u64::from(BPF_NOEXIST));
    PORTS.get_ptr_mut(key)
}

#[inline(always)]
fn learned(port: *const PortValue, place: usize) -> IdWord {
    // SAFETY: a word of a value that stays readable until the program ends.
    IdWord(unsafe { (&raw const (*port).backends[place].0).read_volatile() })
}

#[inline(always)]
fn count(port: *const PortValue) -> i64 {
    // SAFETY: as above.
    unsafe { (&raw const (*port).listeners).read_volatile() }.cast_signed()
}

#[inline(always)]
fn add(port: *mut PortValue, by: u64) {
    use core::intrinsics::{AtomicOrdering, atomic_xadd};
    // SAFETY: as above. The result is not used: 5.10 knows no addition that returns one.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(&raw mut (*port).listeners, by) };
}
