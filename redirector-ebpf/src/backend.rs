//! The backend behind an address, and its byte for a local listener.

use redirector_common::{
    Client, EventKind, EventValue, HealthByte, HealthWord, IDS, IdWord, LISTENER_GONE,
    PROTOCOL_TCP, buckets_of, identity_words, mix,
};
use redirector_ebpf::opaque;

use crate::{
    agentless,
    context::Address,
    maps::{BACKEND_IDS, BACKENDS, EVENTS, HEALTH, PASSIVE},
    slot::{Find as _, Slot, word},
};

/// A backend, as of its generation.
#[derive(Clone, Copy)]
pub struct Backend {
    pub index: u32,
    pub generation: u32,
    health: Slot<u64>,
}

/// The backend with this address, over TCP.
#[inline(always)]
pub fn find(address: &Address) -> Option<Backend> {
    let [a, b, c, d] = address.words.map(u64::from);
    let identity = identity_words([a | b << 32, c | d << 32], address.port, PROTOCOL_TCP);
    let [count] = BACKEND_IDS.slot(0)?.words::<u64, 1>();
    let ([one, other], check) = buckets_of(mix(&identity), count as u32);
    named(word_in(one, check), &identity).or_else(|| named(word_in(other, check), &identity))
}

/// The word with this check, or 0: in a bucket no two have the same.
#[inline(always)]
fn word_in(bucket: u32, check: u16) -> IdWord {
    let Some(bucket) = BACKEND_IDS.slot(bucket + 1) else {
        return IdWord(0);
    };
    let mut found = 0;
    for word in bucket.words::<u64, IDS>() {
        // All bits if they are equal, else none. By arithmetic: branches would be explored one
        // after the other for each place.
        let equal = 0_u64.wrapping_sub((word >> 48 ^ u64::from(check)).wrapping_sub(1) >> 63);
        found |= word & opaque(equal);
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
    let health = HEALTH.slot(index)?;
    let backend = Backend { index, generation, health };
    (backend.health().generation() == generation).then_some(backend)
}

#[inline(always)]
fn is_called(backend: Backend, identity: &[u64; 3]) -> bool {
    let Some(value) = BACKENDS.slot(backend.index) else {
        return false;
    };
    // The value stays the same while the index is in use.
    let [a, b, c] = value.words::<u64, 3>();
    (a ^ identity[0]) | (b ^ identity[1]) | (c ^ identity[2]) == 0
}

impl Backend {
    /// Its address, in the words of a `sockaddr_in6`.
    #[inline(always)]
    pub fn address(self) -> Option<[u32; 4]> {
        Some(BACKENDS.slot(self.index)?.words())
    }

    #[inline(always)]
    fn health(self) -> HealthWord {
        HealthWord(self.health.word().load())
    }

    /// Whether its last listener has ended so lately that a connection which begins now cannot be
    /// told from one that was under way.
    #[inline(always)]
    pub fn is_unserved_lately(self) -> bool {
        self.health().byte(HealthByte::Listener) != 0
            && PASSIVE
                .slot(self.index)
                .is_some_and(|passive| agentless::now() < word!(passive.until).load())
    }

    /// No socket listens for it any more (1), or one does (0): changes this one byte of the
    /// word, if that is news and the index is still this backend's.
    #[inline(always)]
    pub fn tell(self, is_gone: u8) {
        let now = self.health();
        let was_gone = u8::from(now.byte(HealthByte::Listener) != 0);
        if now.generation() != self.generation || was_gone == is_gone {
            return;
        }
        if is_gone != 0
            && let Some(passive) = PASSIVE.slot(self.index)
        {
            let now = agentless::now();
            if now < word!(passive.vouched).load() && !agentless::agent_is_silent(now) {
                // A probe has contradicted this not long ago: the next one sees it, if it is so.
                return;
            }
            // Before any dial can see the veto.
            word!(passive.until).store(now + LISTENER_GONE);
        }
        // No other writer in the kernel stores anything else there for longer than this moment.
        self.health.word().byte(HealthByte::Listener).store(is_gone);
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
