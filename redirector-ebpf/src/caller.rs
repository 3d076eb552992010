//! Hosts that have the address of a frontend, and write to a UDP socket on this node: what a socket of
//! that port sends back is an answer and no dial.

use redirector_common::{
    CallerKey, CallerWord, FrontendKey4, FrontendKey6, HOST_HAS_IT, HOSTS_HAVE, PROTOCOL_UDP,
};

use crate::{
    agentless::{config, seconds},
    context::{Address, Hook},
    kernel_socket::Socket,
    listen,
    maps::{CALLERS, FRONTENDS4, FRONTENDS6},
    slot::Find as _,
    socket_state,
};

/// A datagram has come from `sender`, which is no backend that answers. Notes it if that is the
/// address of a frontend. Of a socket that has dialled it nothing is noted: any host may forge a
/// source.
#[inline(always)]
pub fn wrote<const V6: bool>(hook: &Hook<V6>, sender: &Address) {
    // Every datagram that a server receives comes here.
    if config(HOSTS_HAVE) == 0
        || !is_of_host(sender)
        || socket_state::has_sent(&hook.inner, sender)
        || !may_note(hook)
    {
        return;
    }
    let Some(key) = key(hook, sender) else {
        return;
    };
    let word = CallerWord::new(&key, seconds());
    if let Some(known) = CALLERS.slot(&key) {
        known.word().store(word.0);
    } else {
        // A full map evicts.
        let _ = CALLERS.insert(key, &word.0, 0);
    }
}

/// A network that a process made itself has any address: it would fill the map.
#[inline(always)]
fn may_note<const V6: bool>(hook: &Hook<V6>) -> bool {
    // SAFETY: the kernel passes a valid context, and in it a socket, for the whole call.
    !listen::is_watching()
        || Socket::of(unsafe { (*hook.inner.sock_addr).__bindgen_anon_1.sk }.cast()).is_of_system()
}

/// Whether a datagram to that address answers one from there: then the next may come later again.
#[inline(always)]
pub fn is_answered<const V6: bool>(hook: &Hook<V6>, address: &Address) -> bool {
    let Some(key) = key(hook, address) else {
        return false;
    };
    let Some(known) = CALLERS.slot(&key) else {
        return false;
    };
    let now = seconds();
    // A word that belongs to another key by now is refused, and then nothing is stored.
    let is_so = CallerWord(known.word().load()).may_be_answered(&key, now);
    if is_so {
        known.word().store(CallerWord::new(&key, now).0);
    }
    is_so
}

/// Whether it is the address of a UDP frontend that a host may have.
#[inline(always)]
fn is_of_host(address: &Address) -> bool {
    let Address { words, port } = *address;
    let value = if address.is_v4() {
        let key =
            FrontendKey4 { address: words[3].to_ne_bytes(), port, protocol: PROTOCOL_UDP, _pad: 0 };
        // SAFETY: a frontend's value never changes during its life.
        unsafe { FRONTENDS4.get(&key) }.copied()
    } else {
        // SAFETY: four words are sixteen bytes.
        let address = unsafe { core::mem::transmute::<[u32; 4], [u8; 16]>(words) };
        let key = FrontendKey6 { address, port, protocol: PROTOCOL_UDP, _pad: 0 };
        // SAFETY: as above.
        unsafe { FRONTENDS6.get(&key) }.copied()
    };
    value.is_some_and(|value| value & HOST_HAS_IT != 0)
}

/// Of the socket and that host. To a socket without a port no host can write.
#[inline(always)]
fn key<const V6: bool>(hook: &Hook<V6>, host: &Address) -> Option<CallerKey> {
    let local_port = hook.local_port();
    (local_port != 0).then(|| CallerKey {
        address: host.words,
        netns: hook.netns_cookie(),
        port: host.port,
        local_port,
        _pad: 0,
    })
}
