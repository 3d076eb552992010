//! Who avoids whom: what a client has seen of a backend, in words that say by themselves whose
//! they are.
//!
//! `AVOID` is an array of words in segments. A client's words stand in two segments, which its
//! identity chooses, so that it fills no others however many backends it fails to reach.

use crate::{Client, GENERATIONS, HealthWord};

/// Words of `AVOID`, a power of two.
pub const AVOID_WORDS: u32 = 1 << 16;
/// Words of a segment, a power of two: what one client can fill are two of them.
pub const SEGMENT: u32 = 1 << 8;

/// Nanoseconds of a tick, as a power of two: 134 ms.
const TICK: u32 = 27;
/// Bits of a time in ticks. It wraps after 4.9 hours: a word that no agent removes avoids its backend
/// once more then, for a minute.
const TIME_BITS: u32 = 17;
const TIME: u32 = (1 << TIME_BITS) - 1;
/// Ticks of the first time of avoiding; each further one takes twice as long: 1.07 s.
const FIRST: u32 = 8;
/// Ticks that none exceeds: 60 s, and less than 512. As long a word is kept after its end, and failures in a row count
/// together.
pub const LONGEST: u32 = 447;
/// The highest level: its time is the longest.
const MAX_LEVEL: u32 = 7;

/// Which client, which backend: the key of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AvoidKey {
    /// Where the word may stand: indices in `AVOID`.
    pub places: [u32; 2],
    /// The upper 28 bits of the word: 11 that check the key, the lower 16 of the backend's index.
    pub identity: u32,
}

impl AvoidKey {
    /// Of a backend whose index had that generation.
    #[inline(always)]
    #[must_use]
    pub const fn new(client: ClientHash, backend: u32, generation: u32) -> Self {
        Self::of(client, backend, generation)
    }

    /// Where the client counts requests to that backend that were not answered: a connection that is
    /// accepted does not end that row.
    #[inline(always)]
    #[must_use]
    pub const fn of_answers(client: ClientHash, backend: u32, generation: u32) -> Self {
        Self::of(client, backend, generation | GENERATIONS)
    }

    #[inline(always)]
    const fn of(client: ClientHash, backend: u32, generation: u32) -> Self {
        let mixed = mix(client.0 ^ (backend as u64 | (generation as u64) << 32));
        let within = SEGMENT - 1;
        let segments = AVOID_WORDS / SEGMENT - 1;
        let (one, other) = (client.0 as u32 & segments, (client.0 >> 32) as u32 & segments);
        let places = [
            one * SEGMENT + (mixed as u32 & within),
            other * SEGMENT + ((mixed >> 16) as u32 & within),
        ];
        let check = ((mixed >> 48) as u32 & 0xfff) | 1;
        Self { places, identity: check << 16 | (backend & 0xffff) }
    }
}

/// A client, mixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientHash(u64);

impl ClientHash {
    /// Of a client.
    #[inline(always)]
    #[must_use]
    pub const fn new(client: Client) -> Self {
        Self(mix(client.cgroup ^ client.netns.rotate_left(32)))
    }
}

/// Now, in ticks.
#[inline(always)]
#[must_use]
pub const fn ticks(nanoseconds: u64) -> u32 {
    (nanoseconds >> TICK) as u32 & TIME
}

/// What `AVOID` holds. 0 is "nothing".
///
/// Bits 0 to 16 are a time; 17 to 24 and 25 to 32 failures in a row, unanswered and refused; 33 to 35
/// the level; 36 to 63 the identity. At level 0 the client counts, and forgets at that time. Above
/// it avoids the backend until then; with a refused count of 1 one connect is trying it meanwhile, with
/// an unanswered count of 1 it does so because requests were not answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AvoidWord(pub u64);

impl AvoidWord {
    const UNANSWERED: u32 = TIME_BITS;
    const REFUSED: u32 = Self::UNANSWERED + 8;
    const LEVEL: u32 = Self::REFUSED + 8;
    const IDENTITY: u32 = Self::LEVEL + 3;

    /// Nothing has failed yet.
    #[inline(always)]
    #[must_use]
    pub const fn new(key: &AvoidKey) -> Self {
        Self((key.identity as u64) << Self::IDENTITY)
    }

    /// Whether it stands for this key.
    #[inline(always)]
    #[must_use]
    pub const fn is_of(self, key: &AvoidKey) -> bool {
        (self.0 >> Self::IDENTITY) as u32 == key.identity
    }

    /// The lower 16 bits of the backend's index.
    #[inline(always)]
    #[must_use]
    pub const fn backend_bits(self) -> u16 {
        (self.0 >> Self::IDENTITY) as u16
    }

    /// How often in a row the client has begun to avoid the backend; 0 is not yet.
    #[inline(always)]
    #[must_use]
    pub const fn level(self) -> u32 {
        (self.0 >> Self::LEVEL) as u32 & MAX_LEVEL
    }

    /// Whether a connect is trying the backend, its time being over.
    #[inline(always)]
    #[must_use]
    pub const fn is_trying(self) -> bool {
        self.level() != 0 && (self.0 >> Self::REFUSED) as u8 == 1
    }

    /// Whether the client avoids the backend because its requests were not answered: a connection that
    /// is accepted does not end that.
    #[inline(always)]
    #[must_use]
    pub const fn is_for_answers(self) -> bool {
        self.level() != 0 && (self.0 >> Self::UNANSWERED) as u8 == 1
    }

    /// Ticks until its time; negative afterwards.
    #[inline(always)]
    const fn remaining(self, now: u32) -> i32 {
        let shift = u32::BITS - TIME_BITS;
        ((self.0 as u32).wrapping_sub(now) << shift) as i32 >> shift
    }

    /// Whether the client goes elsewhere while it can.
    #[inline(always)]
    #[must_use]
    pub const fn is_avoiding(self, now: u32) -> bool {
        self.not_avoiding(now) == 0
    }

    /// 0 if it stands for this key and its client goes elsewhere while it can; else a number of 28
    /// bits. Without a comparison: in a walk the verifier would explore each with all that follows.
    #[inline(always)]
    #[must_use]
    pub const fn does_not_avoid(self, key: &AvoidKey, now: u32) -> u64 {
        self.0 >> Self::IDENTITY ^ key.identity as u64 | self.not_avoiding(now)
    }

    /// 0 if there is a level, and the time is less than 512 ticks ahead.
    #[inline(always)]
    const fn not_avoiding(self, now: u32) -> u64 {
        let level = self.0 >> Self::LEVEL & MAX_LEVEL as u64;
        let before_end = self.0.wrapping_sub(now as u64).wrapping_sub(1) & TIME as u64;
        level.wrapping_sub(1) & 8 | before_end >> 9
    }

    /// Whether nothing would be lost with it.
    #[inline(always)]
    #[must_use]
    pub const fn is_stale(self, now: u32) -> bool {
        // Kept for as long again after its time: a trial that fails then counts as one.
        let kept = if self.level() == 0 { 0 } else { LONGEST as i32 };
        let remaining = self.remaining(now);
        self.0 == 0 || remaining + kept <= 0 || remaining > LONGEST as i32
    }

    /// After one more failure. At the limit the client avoids the backend; so it does again after a
    /// trial that failed. A connect that was made though the client avoids it changes nothing.
    #[inline(always)]
    #[must_use]
    pub const fn failed(self, is_refused: bool, limit: u32, now: u32) -> Self {
        if self.level() != 0 && !self.is_stale(now) {
            if self.is_trying() || !self.is_avoiding(now) {
                return self.avoiding(self.level() + 1, 0, now);
            }
            return self;
        }
        let shift = if is_refused { Self::REFUSED } else { Self::UNANSWERED };
        let counted = if self.is_stale(now) { 0 } else { (self.0 >> shift) as u8 as u32 };
        if counted + 1 >= limit {
            return self.avoiding(1, 0, now);
        }
        let others = if self.is_stale(now) { 0 } else { self.0 & (0xffff << Self::UNANSWERED) };
        let counts = others & !(0xff << shift) | ((counted + 1) as u64) << shift;
        let end = now.wrapping_add(LONGEST) & TIME;
        Self(self.0 >> Self::IDENTITY << Self::IDENTITY | counts | end as u64)
    }

    /// After as many requests in a row without an answer as the service allows, or one if it is avoided
    /// already: as after a connect that failed.
    #[inline(always)]
    #[must_use]
    pub const fn unanswered(self, now: u32) -> Self {
        if self.level() == 0 || self.is_stale(now) {
            return self.avoiding(1, Self::FOR_ANSWERS, now);
        }
        if self.is_trying() || !self.is_avoiding(now) {
            return self.avoiding(self.level() + 1, Self::FOR_ANSWERS, now);
        }
        self
    }

    /// While a connect of this client tries the backend the others still avoid it.
    #[inline(always)]
    #[must_use]
    pub const fn trying(self, now: u32) -> Self {
        let level = if self.is_stale(now) { 0 } else { self.level() };
        let why = if self.is_for_answers() { Self::FOR_ANSWERS } else { 0 };
        self.avoiding(if level == 0 { 1 } else { level }, Self::TRYING | why, now)
    }

    /// Counts of 1 that say how and why a client avoids.
    const TRYING: u64 = 1 << Self::REFUSED;
    const FOR_ANSWERS: u64 = 1 << Self::UNANSWERED;

    #[inline(always)]
    const fn avoiding(self, level: u32, how: u64, now: u32) -> Self {
        let level = if level < MAX_LEVEL { level } else { MAX_LEVEL };
        let lasts = FIRST << (level - 1);
        let lasts = if lasts < LONGEST { lasts } else { LONGEST };
        let end = now.wrapping_add(lasts) & TIME;
        Self(
            self.0 >> Self::IDENTITY << Self::IDENTITY
                | (level as u64) << Self::LEVEL
                | how
                | end as u64,
        )
    }
}

/// Who a namespace of the system is that saw a backend fail, and when: the lower 40 bits of its
/// cookie, which no two namespaces of one boot share in practice, 23 of the time, and one that says how
/// it failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WitnessWord(pub u64);

impl WitnessWord {
    const COOKIE: u64 = (1 << 40) - 1;
    /// Nanoseconds of its clock, as a power of two: 8.6 s.
    const CLOCK: u32 = 33;
    /// In units of that clock: what was seen a minute apart was not seen together.
    const TOGETHER: u64 = 7;

    const FOR_ANSWERS: u64 = 1 << 63;

    /// It saw the backend fail now: not answer (`for_answers`), or not connect.
    #[inline(always)]
    #[must_use]
    pub const fn new(netns: u64, for_answers: bool, now: u64) -> Self {
        let how = (for_answers as u64) << 63;
        Self(netns & Self::COOKIE | now >> Self::CLOCK << 41 >> 1 | how)
    }

    /// Whether `earlier` is another one that saw the same, not long ago.
    #[inline(always)]
    #[must_use]
    pub const fn is_second(self, earlier: Self) -> bool {
        let apart = (self.0 >> 40).wrapping_sub(earlier.0 >> 40) & 0x7f_ffff;
        let different = self.0 ^ earlier.0;
        earlier.0 != 0
            && different & Self::COOKIE != 0
            && different & Self::FOR_ANSWERS == 0
            && apart <= Self::TOGETHER
    }

    /// Whether it saw requests go unanswered: a connection that is accepted does not contradict it.
    #[inline(always)]
    #[must_use]
    pub const fn is_for_answers(self) -> bool {
        self.0 & Self::FOR_ANSWERS != 0
    }
}

/// The finalizer of MurmurHash3.
#[inline(always)]
const fn mix(word: u64) -> u64 {
    let mixed = (word ^ word >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let mixed = (mixed ^ mixed >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mixed ^ mixed >> 33
}

const _: () = assert!(HealthWord::AVOIDED_BIT & HealthWord::VETOES == 0);

#[cfg(test)]
mod tests {
    extern crate std;

    use std::{collections::BTreeSet, vec::Vec};

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_client_counts_to_the_limit_of_each_kind_and_then_avoids() {
        let (key, now) = (key(7, 1), ticks(SECOND));
        let refused = |word: AvoidWord| word.failed(true, 3, now);
        let word = refused(refused(AvoidWord::new(&key)));
        assert!(!word.is_avoiding(now) && word.is_of(&key));
        let word = word.failed(false, 5, now);
        assert!(!word.is_avoiding(now), "unanswered ones count by themselves");
        let word = refused(word);
        assert!(word.is_avoiding(now) && word.is_of(&key));
        assert_eq!(word.level(), 1);
        assert!(refused(AvoidWord::new(&key).failed(true, 1, now)).is_avoiding(now), "the first");
    }

    #[test]
    fn each_trial_that_fails_makes_it_twice_as_long_up_to_a_minute() {
        let key = key(7, 1);
        let mut now = 0;
        let mut word = AvoidWord::new(&key).failed(true, 1, ticks(now));
        let mut lasted = Vec::new();
        for _ in 0..9 {
            let begun = now;
            while word.is_avoiding(ticks(now)) {
                assert_eq!(word.failed(true, 1, ticks(now)), word, "it was dialled all the same");
                now += SECOND / 10;
            }
            lasted.push((now - begun) / SECOND);
            word = word.trying(ticks(now));
            assert!(word.is_avoiding(ticks(now)), "others wait for the outcome");
            word = word.failed(true, 1, ticks(now));
            assert!(!word.is_trying());
        }
        assert_eq!(lasted, [1, 2, 4, 8, 17, 34, 60, 60, 60]);
    }

    #[test]
    fn failures_that_are_a_minute_apart_are_not_in_a_row() {
        let (key, late) = (key(7, 1), ticks(61 * SECOND));
        let word = AvoidWord::new(&key).failed(true, 2, 0);
        assert!(word.is_stale(late));
        assert!(!word.failed(true, 2, late).is_avoiding(late));
        assert!(word.failed(true, 2, ticks(59 * SECOND)).is_avoiding(ticks(59 * SECOND)));
    }

    #[test]
    fn a_word_is_forgotten_and_does_not_come_back_with_the_clock() {
        let word = AvoidWord::new(&key(7, 1)).failed(true, 1, 0);
        let wraps = u64::from(TIME) + 1;
        let avoiding = (0..wraps).filter(|at| word.is_avoiding(*at as u32)).count() as u32;
        assert!(avoiding <= 512, "{avoiding} ticks of {wraps}");
        assert!(!word.is_stale(ticks(60 * SECOND)), "a trial may still fail");
        let late = ticks(62 * SECOND);
        assert!(word.is_stale(late));
        assert_eq!(word.failed(true, 2, late).level(), 0, "it counts anew");
    }

    #[test]
    fn a_client_fills_two_segments_whatever_it_does() {
        let client = ClientHash::new(Client { cgroup: 77, netns: 5 });
        let places = (0..100_000).flat_map(|backend| AvoidKey::new(client, backend, 1).places);
        let segments: BTreeSet<u32> = places.map(|at| at / SEGMENT).collect();
        assert!(segments.len() <= 2, "{segments:?}");
        let others = (0..1_000).filter(|cgroup| {
            let other = ClientHash::new(Client { cgroup: *cgroup, netns: 5 });
            let places = AvoidKey::new(other, 1, 1).places;
            places.iter().all(|at| segments.contains(&(at / SEGMENT)))
        });
        assert!(others.count() <= 2, "hardly any other client has both of them");
    }

    #[test]
    fn another_namespace_within_a_minute_is_a_second_witness() {
        for how in [false, true] {
            let at = |netns, second: u64| WitnessWord::new(netns, how, second * SECOND);
            let first = at(7, 100);
            assert_eq!(first.is_for_answers(), how);
            assert!(at(8, 101).is_second(first));
            assert!(!at(7, 101).is_second(first));
            assert!(!at(8, 200).is_second(first));
            assert!(!at(8, 101).is_second(WitnessWord::default()));
            let other = WitnessWord::new(8, !how, 101 * SECOND);
            assert!(!other.is_second(first), "who cannot connect does not say that it is silent");
        }
    }

    #[test]
    fn silence_is_kept_apart_from_connects_and_counts_on_after_a_trial() {
        let client = ClientHash::new(Client { cgroup: 7, netns: 0 });
        let (key, row) = (AvoidKey::new(client, 1, 1), AvoidKey::of_answers(client, 1, 1));
        assert_ne!(key, row);
        assert_eq!(AvoidWord::new(&row).backend_bits(), 1, "the agent's sweep knows whose it is");
        let mut now = 0;
        let mut word = AvoidWord::new(&key).unanswered(ticks(now));
        assert!(word.is_avoiding(ticks(now)) && word.is_for_answers() && !word.is_trying());
        assert_eq!(word.unanswered(ticks(now)), word, "it was dialled before");
        now += 2 * SECOND;
        word = word.trying(ticks(now));
        assert!(word.is_trying() && word.is_for_answers());
        word = word.unanswered(ticks(now));
        assert_eq!((word.level(), word.is_for_answers()), (2, true));
        let refused = word.trying(ticks(now)).failed(true, 3, ticks(now));
        assert!(refused.level() == 3 && !refused.is_for_answers(), "a connect ends that");
    }

    fn key(cgroup: u64, backend: u32) -> AvoidKey {
        AvoidKey::new(ClientHash::new(Client { cgroup, netns: 0 }), backend, 1)
    }
}
