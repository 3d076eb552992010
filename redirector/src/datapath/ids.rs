//! `BACKEND_IDS`: lets the programs find the backend behind an address that a connection was
//! accepted on. It holds backends of this node alone: of another node's, a listener here is none of
//! theirs, whatever address it has.
//!
//! Words in an array, read in two lookups. The agent is the only writer.

use std::collections::BTreeSet;

use anyhow::Result;
use redirector_common::{
    BackendValue, HealthWord, IDS, IdBucket, IdWord, PROTOCOL_TCP, buckets_of, identity_of, mix,
};

use super::Mapped;

/// Backends per bucket, at most: half of its places, so that two buckets to choose from are enough.
const LOAD: u32 = 4;

/// Backends of one node that there is room for: 250 pods with 64 ports each.
const LOCAL: u32 = 16_384;
/// Elements of the map: its buckets, and the one before them.
pub const ELEMENTS: u32 = LOCAL.div_ceil(LOAD) + 1;

/// The index, opened.
#[derive(Debug)]
pub(super) struct Ids {
    words: Mapped<u64>,
    buckets: u32,
}

/// Where a backend's word may be.
struct Places {
    /// Numbers of the first words of its two buckets.
    buckets: [usize; 2],
    check: u16,
}

impl Ids {
    pub(super) fn new(map: Mapped<IdBucket>) -> Self {
        let buckets = (map.len() as u32).saturating_sub(1);
        Self { words: map.into_words(), buckets }
    }

    /// Removes what does not fit `backends` and `health`: an earlier agent may have stopped half-way.
    pub(super) fn reconcile(
        &self,
        backends: &Mapped<BackendValue>,
        health: &Mapped<HealthWord>,
    ) -> Result<()> {
        self.retain(|index, place, word| {
            let value = backends.read(index as usize).filter(is_indexed);
            value.zip(health.read(index as usize)).is_some_and(|(value, state)| {
                let places = self.places(&value);
                word == places.word(index, state) && places.all().any(|other| other == place)
            })
        })?;
        if self.words.read(0) != Some(u64::from(self.buckets)) {
            self.words.publish(0, u64::from(self.buckets))?;
        }
        Ok(())
    }

    /// Holds these backends and no others, from now on.
    pub(super) fn hold(
        &self,
        indices: &BTreeSet<u32>,
        backends: &Mapped<BackendValue>,
        health: &Mapped<HealthWord>,
    ) -> Result<()> {
        self.retain(|index, _, _| indices.contains(&index))?;
        for index in indices {
            let value = backends.read(*index as usize).filter(is_indexed);
            if let Some((value, state)) = value.zip(health.read(*index as usize)) {
                self.insert(*index, &value, state, backends)?;
            }
        }
        Ok(())
    }

    fn retain(&self, is_kept: impl Fn(u32, usize, IdWord) -> bool) -> Result<()> {
        for place in IDS..self.words.len() {
            let word = self.read(place);
            if word != IdWord::default() && !is_kept(word.backend(), place, word) {
                self.words.publish(place, 0)?;
            }
        }
        Ok(())
    }

    /// `index` is another backend's from now on; `backends` still has the one before.
    pub(super) fn forget(&self, index: u32, backends: &Mapped<BackendValue>) -> Result<()> {
        if let Some(before) = backends.read(index as usize).filter(is_indexed) {
            for place in self.places(&before).all() {
                if self.read(place) != IdWord::default() && self.read(place).backend() == index {
                    self.words.publish(place, 0)?;
                }
            }
        }
        Ok(())
    }

    fn insert(
        &self,
        index: u32,
        value: &BackendValue,
        health: HealthWord,
        backends: &Mapped<BackendValue>,
    ) -> Result<()> {
        let places = self.places(value);
        let word = places.word(index, health);
        for place in places.all() {
            let there = self.read(place);
            if there == word {
                return Ok(());
            }
            // The same address under an index that it had before.
            if there.check() == places.check
                && backends.read(there.backend() as usize).as_ref() == Some(value)
            {
                return self.words.publish(place, word.0);
            }
        }
        let best = places
            .buckets
            .into_iter()
            .filter(|first| !self.bucket(*first).any(|there| there.check() == places.check))
            .max_by_key(|first| self.bucket(*first).filter(|there| there.0 == 0).count());
        let free =
            best.and_then(|first| (first..first + IDS).find(|place| self.read(*place).0 == 0));
        match free {
            Some(place) => self.words.publish(place, word.0),
            None => {
                tracing::debug!(index, "no room in BACKEND_IDS: its listener is not watched");
                Ok(())
            }
        }
    }

    fn places(&self, value: &BackendValue) -> Places {
        let (buckets, check) = buckets_of(mix(&identity_of(value)), self.buckets);
        Places { buckets: buckets.map(|bucket| (bucket as usize + 1) * IDS), check }
    }

    fn bucket(&self, first: usize) -> impl Iterator<Item = IdWord> {
        (first..first + IDS).map(|place| self.read(place))
    }

    fn read(&self, place: usize) -> IdWord {
        IdWord(self.words.read(place).unwrap_or(0))
    }
}

impl Places {
    fn all(&self) -> impl Iterator<Item = usize> + use<> {
        self.buckets.into_iter().flat_map(|first| first..first + IDS)
    }

    fn word(&self, index: u32, health: HealthWord) -> IdWord {
        IdWord::new(index, health.generation(), self.check)
    }
}

/// Listeners are TCP's; an index that was never used has no protocol.
fn is_indexed(value: &BackendValue) -> bool {
    value.protocol == PROTOCOL_TCP
}
