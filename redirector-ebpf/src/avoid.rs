//! Whom a client avoids: it alone goes elsewhere, at once, whatever others see.

use redirector_common::{AvoidKey, AvoidWord, ClientHash, Reason, ticks};
use redirector_ebpf::opaque;

use crate::{
    maps::AVOID,
    programs::count,
    slot::{Find as _, Slot},
};

/// 1 if this client avoids that backend, else 0. Cheap enough for each step of a walk.
#[inline(always)]
pub fn avoids(client: ClientHash, backend: u32, generation: u32, now: u32) -> Option<u64> {
    let key = AvoidKey::new(client, backend, generation);
    let [one, other] = key.places;
    // A place that is not there ends the dial: as "nothing" the verifier would explore all that
    // follows once more for each.
    let one = load(AVOID.slot(one)?);
    let other = load(AVOID.slot(other)?);
    // Twice 28 bits: only 0 times anything is 0, and only then one less has the highest bit.
    let less = (one.does_not_avoid(&key, now) * other.does_not_avoid(&key, now)).wrapping_sub(1);
    Some(opaque(less) >> 63)
}

/// Notes one more failure of this client. Whether it avoids the backend from now on, and did not
/// just before.
#[inline(always)]
pub fn failed(key: &AvoidKey, is_refused: bool, limit: u32, now: u64) -> bool {
    let now = ticks(now);
    let Some(place) = place(key, now) else {
        count(Reason::AvoidFull);
        return false;
    };
    let before = own(place, key);
    let after = before.failed(is_refused, limit, now);
    write(place, after);
    after.level() != before.level() || before.is_trying() && after.level() != 0
}

/// Notes one more request of this client that was not answered: in its row (`row`) until there are as
/// many as the service allows, then in its word. As [`failed`].
#[inline(always)]
pub fn unanswered(key: &AvoidKey, row: &AvoidKey, limit: u32, now: u64) -> bool {
    let now = ticks(now);
    let Some(place) = place(key, now) else {
        count(Reason::AvoidFull);
        return false;
    };
    let before = own(place, key);
    if before.level() == 0 || before.is_stale(now) {
        let Some(counting) = self::place(row, now) else {
            count(Reason::AvoidFull);
            return false;
        };
        let counted = own(counting, row).failed(false, limit, now);
        if counted.level() == 0 {
            write(counting, counted);
            return false;
        }
        write(counting, AvoidWord::default());
    }
    let after = before.unanswered(now);
    write(place, after);
    after.level() != before.level() || before.is_trying()
}

/// A connect of this client is about to try a backend that it has avoided until now.
#[inline(always)]
pub fn try_again(key: &AvoidKey, now: u64) {
    let now = ticks(now);
    if let Some(place) = place(key, now) {
        let before = own(place, key);
        if before.level() != 0 {
            write(place, before.trying(now));
        }
    }
}

/// The same of one that the kernel has ejected, whether or not this client has ever avoided it.
/// Whether it may.
#[inline(always)]
pub fn try_ejected(key: &AvoidKey, now: u64) -> bool {
    let now = ticks(now);
    let Some(place) = place(key, now) else {
        return false;
    };
    write(place, own(place, key).trying(now));
    true
}

/// A connect of this client succeeded. What it avoids for want of answers, it goes on to avoid.
#[inline(always)]
pub fn succeeded(key: &AvoidKey) {
    for place in key.places {
        if let Some(place) = AVOID.slot(place)
            && load(place).is_of(key)
            && !load(place).is_for_answers()
        {
            write(place, AvoidWord::default());
        }
    }
}

/// A request of this client was answered. That an old connection is says nothing of new ones: what it
/// avoids because connects failed, it goes on to avoid.
#[inline(always)]
pub fn answered(key: &AvoidKey, row: &AvoidKey) {
    for (key, is_row) in [(key, false), (row, true)] {
        for place in key.places {
            if let Some(place) = AVOID.slot(place)
                && load(place).is_of(key)
                && (is_row || load(place).is_for_answers())
            {
                write(place, AvoidWord::default());
            }
        }
    }
}

/// Where the word of a key stands, or may be written.
#[inline(always)]
fn place(key: &AvoidKey, now: u32) -> Option<Slot<u64>> {
    let [one, other] = key.places;
    let (one, other) = (AVOID.slot(one)?, AVOID.slot(other)?);
    let (first, second) = (load(one), load(other));
    if second.is_of(key) {
        Some(other)
    } else if first.is_of(key) || first.is_stale(now) {
        Some(one)
    } else {
        second.is_stale(now).then_some(other)
    }
}

/// The word there if it is this key's, else a new one.
#[inline(always)]
fn own(place: Slot<u64>, key: &AvoidKey) -> AvoidWord {
    let word = load(place);
    if word.is_of(key) { word } else { AvoidWord::new(key) }
}

#[inline(always)]
fn load(place: Slot<u64>) -> AvoidWord {
    AvoidWord(place.word().load())
}

#[inline(always)]
fn write(place: Slot<u64>, word: AvoidWord) {
    place.word().store(word.0);
}
