//! The backend behind an address, and its byte for a local listener.

use redirector_common::{
    Client, EventKind, EventValue, HealthByte, HealthWord, IDS, IdWord, LISTENER_GONE,
    PROTOCOL_TCP, buckets_of, identity_words, mix,
};

use crate::{
    alone,
    context::Address,
    maps::{BACKEND_IDS, BACKENDS, EVENTS, HEALTH, PASSIVE},
};

/// A backend, as of its generation.
#[derive(Clone, Copy)]
pub struct Backend {
    pub index: u32,
    pub generation: u32,
    health: *mut u64,
}

/// The backend with this address, over TCP.
#[inline(always)]
pub fn find(address: &Address) -> Option<Backend> {
    let [a, b, c, d] = address.words.map(u64::from);
    let identity = identity_words([a | b << 32, c | d << 32], address.port, PROTOCOL_TCP);
    // SAFETY: words of an array, each stored whole.
    let count = unsafe { BACKEND_IDS.get_ptr(0)?.cast::<u64>().read_volatile() } as u32;
    let ([one, other], check) = buckets_of(mix(&identity), count);
    named(word_in(one, check), &identity).or_else(|| named(word_in(other, check), &identity))
}

/// The word with this check, or 0: in a bucket no two have the same.
#[inline(always)]
fn word_in(bucket: u32, check: u16) -> IdWord {
    let Some(words) = BACKEND_IDS.get_ptr(bucket + 1) else {
        return IdWord(0);
    };
    let mut found = 0;
    for place in 0..IDS {
        // SAFETY: as above, within the bucket.
        let word = unsafe { words.cast::<u64>().add(place).read_volatile() };
        // All bits if they are equal, else none. By arithmetic: branches would be explored one
        // after the other for each place.
        let equal = 0_u64.wrapping_sub((word >> 48 ^ u64::from(check)).wrapping_sub(1) >> 63);
        // SAFETY: a volatile load of a local: else the compiler makes a branch of it.
        found |= word & unsafe { (&raw const equal).read_volatile() };
    }
    IdWord(found)
}

#[inline(always)]
fn named(word: IdWord, identity: &[u64; 3]) -> Option<Backend> {
    if word.0 == 0 {
        return None;
    }
    current(word).filter(|backend| is_called(*backend, identity))
}

/// The backend that a word means, if its index is not another's by now.
#[inline(always)]
pub fn current(word: IdWord) -> Option<Backend> {
    let (index, generation) = (word.backend(), word.generation());
    let health = HEALTH.get_ptr_mut(index)?;
    let backend = Backend { index, generation, health };
    (backend.health().generation() == generation).then_some(backend)
}

#[inline(always)]
fn is_called(backend: Backend, identity: &[u64; 3]) -> bool {
    let Some(value) = BACKENDS.get_ptr(backend.index) else {
        return false;
    };
    let words = value.cast::<u64>();
    // SAFETY: three words of an array's value, which stays the same while the index is in use.
    let difference = unsafe {
        (words.read_volatile() ^ identity[0])
            | (words.add(1).read_volatile() ^ identity[1])
            | (words.add(2).read_volatile() ^ identity[2])
    };
    difference == 0
}

impl Backend {
    /// Its address, in the words of a `sockaddr_in6`.
    #[inline(always)]
    pub fn address(self) -> Option<[u32; 4]> {
        let words = BACKENDS.get_ptr(self.index)?.cast::<u32>();
        // SAFETY: as above.
        Some(unsafe {
            [
                words.read_volatile(),
                words.add(1).read_volatile(),
                words.add(2).read_volatile(),
                words.add(3).read_volatile(),
            ]
        })
    }

    #[inline(always)]
    fn health(self) -> HealthWord {
        // SAFETY: a word of an array, stored whole or by bytes.
        HealthWord(unsafe { self.health.read_volatile() })
    }

    /// Nobody listens for it any more (1), or somebody does (0): changes this one byte of the
    /// word, if that is news and the index is still this backend's.
    #[inline(always)]
    pub fn tell(self, is_gone: u8) {
        let now = self.health();
        let was_gone = u8::from(now.byte(HealthByte::Listener) != 0);
        if now.generation() != self.generation || was_gone == is_gone {
            return;
        }
        if is_gone != 0
            && let Some(passive) = PASSIVE.get_ptr_mut(self.index)
        {
            let now = alone::now();
            // SAFETY: words of an array, each loaded or stored whole; the end before any dial can see
            // the veto.
            unsafe {
                let vouched = (&raw const (*passive).vouched).read_volatile();
                if now < vouched && !alone::agent_is_silent(now) {
                    // A probe has contradicted this not long ago: the next one sees it, if it is so.
                    return;
                }
                (&raw mut (*passive).until).write_volatile(now + LISTENER_GONE);
            }
        }
        // SAFETY: a byte within the word; no other writer in the kernel stores anything else there
        // for longer than this moment.
        unsafe {
            self.health.cast::<u8>().add(HealthByte::Listener as usize).write_volatile(is_gone);
        }
        let kind = if is_gone == 0 { EventKind::ListenerBack } else { EventKind::ListenerGone };
        let event = EventValue {
            kind: kind as u32,
            backend: self.index,
            generation: self.generation,
            ejections: 0,
            client: Client::default(),
            until: 0,
        };
        // Without room the agent finds the byte when it looks at the word.
        let _ = EVENTS.output(&event, 0);
    }
}
