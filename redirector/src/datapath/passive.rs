//! The agent's side of what the kernel sees by itself: the heartbeat, who avoids whom, events.
//!
//! The kernel writes here too: every store is one word or byte that means the same whichever comes
//! first.

use std::{collections::BTreeSet, mem::offset_of, os::fd::AsRawFd, time::Duration};

use anyhow::{Context as _, Result};
use aya::maps::{Map, MapData, RingBuf};
use nix::time::{ClockId, clock_gettime};
use redirector_common::{
    AnswerValue, AvoidWord, EventValue, HEARTBEAT, HOSTS_HAVE, PassiveValue, STALE_AFTER, ticks,
};
use redirector_core::input::Network;
use tokio::io::{Interest, unix::AsyncFd};

use super::{Datapath, map_array, mapped::Mapped, open, pins::Pins};

/// Words of a [`PassiveValue`].
const WORDS: usize = size_of::<PassiveValue>() / 8;
const UNTIL: usize = offset_of!(PassiveValue, until) / 8;
const VOUCHED: usize = offset_of!(PassiveValue, vouched) / 8;
const WITNESS: usize = offset_of!(PassiveValue, witness) / 8;
const _: () = assert!(size_of::<AnswerValue>() == 8, "one word");

/// The heartbeat, by which the kernel hears that an agent lives.
#[derive(Debug)]
pub struct Heart(Mapped<u64>);

impl Heart {
    /// Opens the pinned map.
    ///
    /// # Errors
    ///
    /// It cannot be opened or mapped.
    pub fn open(pins: &Pins) -> Result<Self> {
        map_array(pins, "CONFIG").map(Self)
    }

    /// The agent is alive.
    ///
    /// # Errors
    ///
    /// Never in practice.
    pub fn beat(&self) -> Result<()> {
        self.0.publish(HEARTBEAT as usize, monotonic()?)
    }
}

/// What both sides know of failing connects.
#[derive(Debug)]
pub(super) struct Passive {
    /// `PASSIVE`, word by word.
    words: Mapped<u64>,
    /// `ANSWERS`, as words; an earlier load of the same layout has not made it.
    answers: Option<Mapped<u64>>,
    avoid: Mapped<u64>,
    config: Mapped<u64>,
}

impl Passive {
    pub(super) fn open(pins: &Pins) -> Result<Self> {
        Ok(Self {
            words: map_array::<PassiveValue>(pins, "PASSIVE")?.into_words(),
            answers: map_array::<AnswerValue>(pins, "ANSWERS").ok().map(Mapped::into_words),
            avoid: map_array(pins, "AVOID")?,
            config: map_array(pins, "CONFIG")?,
        })
    }

    /// From now on a datagram may come from a host that has the address of a frontend.
    pub(super) fn hosts_have_frontends(&self) -> Result<()> {
        self.config.publish(HOSTS_HAVE as usize, 1)
    }

    /// Forgets what was counted of that index.
    pub(super) fn clear(&self, index: u32) -> Result<()> {
        if let Some(answers) = &self.answers {
            answers.publish(index as usize, 0)?;
        }
        (0..WORDS).try_for_each(|word| self.store(index, word, 0))
    }

    /// Halves the longest time that an answer of that index took: what was slow once is not for ever.
    fn halve_wait(&self, index: u32) -> Result<()> {
        const AT: usize = offset_of!(AnswerValue, wait);
        let Some(answers) = &self.answers else { return Ok(()) };
        let word = answers.read(index as usize).unwrap_or(0);
        let wait = (word >> (8 * AT)) as u16;
        // The higher byte first: a program that reads in between sees neither more than there was nor
        // less than half.
        for (at, byte) in (wait / 2).to_le_bytes().into_iter().enumerate().rev() {
            if wait.to_le_bytes()[at] != byte {
                answers.store_byte(index as usize, AT + at, byte)?;
            }
        }
        Ok(())
    }

    /// Forgets what led to an ejection, but not how many ejections there were.
    pub(super) fn clear_failures(&self, index: u32) -> Result<()> {
        [UNTIL, WITNESS].into_iter().try_for_each(|word| self.store(index, word, 0))
    }

    /// The lower 16 bits of the indices that some client avoids, or counts failures of. What is
    /// over is removed: it would come back when the clock of its words wraps.
    pub(super) fn sweep_avoided(&self) -> Result<BTreeSet<u16>> {
        let now = ticks(monotonic()?);
        let mut avoided = BTreeSet::new();
        for place in 0..self.avoid.len() {
            let word = AvoidWord(self.avoid.read(place).unwrap_or(0));
            if word.0 == 0 {
                continue;
            }
            if word.is_stale(now) {
                self.avoid.publish(place, 0)?;
            } else {
                avoided.insert(word.backend_bits());
            }
        }
        Ok(avoided)
    }

    fn store(&self, index: u32, word: usize, value: u64) -> Result<()> {
        self.words.publish(index as usize * WORDS + word, value)
    }

    /// Stores one byte of a value, counted from its first.
    fn store_byte(&self, index: u32, byte: usize, value: u8) -> Result<()> {
        self.words.store_byte(index as usize * WORDS + byte / 8, byte % 8, value)
    }
}

impl Datapath {
    /// How long ago an agent wrote its heartbeat; `None` if none ever has.
    ///
    /// # Errors
    ///
    /// Never in practice.
    pub fn silence(&self) -> Result<Option<Duration>> {
        let beat = self.passive.config.read(HEARTBEAT as usize).unwrap_or(0);
        let now = monotonic()?;
        Ok((beat != 0).then(|| Duration::from_nanos(now.saturating_sub(beat))))
    }

    /// How long addresses that kube-proxy serves too are redirected without an agent; `None` is
    /// for ever.
    ///
    /// # Errors
    ///
    /// Never in practice.
    pub fn set_stale_after(&self, after: Option<Duration>) -> Result<()> {
        self.passive.config.publish(STALE_AFTER as usize, after.map_or(0, nanoseconds))
    }

    /// The next ejection of that backend by the kernel is a first one.
    ///
    /// # Errors
    ///
    /// There is no such index.
    pub fn forgive(&self, index: u32) -> Result<()> {
        let at = offset_of!(PassiveValue, ejections);
        (at..at + size_of::<u32>()).try_for_each(|byte| self.passive.store_byte(index, byte, 0))
    }

    /// A probe has contradicted the clients: for so long several of them do not eject it, for requests
    /// without an answer (`answers`) neither.
    ///
    /// # Errors
    ///
    /// There is no such index.
    pub fn vouch(&self, index: u32, lasts: Duration, answers: bool) -> Result<()> {
        let until = monotonic()?.saturating_add(nanoseconds(lasts)) & !PassiveValue::ANSWERS;
        let until = if answers { until | PassiveValue::ANSWERS } else { until };
        self.passive.store(index, VOUCHED, until)
    }

    /// Halves the longest time that an answer of those backends took.
    ///
    /// # Errors
    ///
    /// There is no such index.
    pub fn halve_waits(&self, mut indices: impl Iterator<Item = u32>) -> Result<()> {
        indices.try_for_each(|index| self.passive.halve_wait(index))
    }

    /// The kernel's question about that backend is answered: it may ask again.
    ///
    /// # Errors
    ///
    /// There is no such index.
    pub fn answered(&self, index: u32) -> Result<()> {
        self.passive.store_byte(index, offset_of!(PassiveValue, asked), 0)
    }

    /// What the kernel has seen of that backend since this was last asked; nothing beyond the end.
    #[must_use]
    pub fn take_seen(&self, index: u32) -> Seen {
        const { assert!(offset_of!(PassiveValue, used) / 8 == offset_of!(PassiveValue, asked) / 8) };
        let (used, asked) = (offset_of!(PassiveValue, used), offset_of!(PassiveValue, asked));
        let Passive { words, .. } = &self.passive;
        let word = words.read(index as usize * WORDS + used / 8).unwrap_or(0).to_le_bytes();
        let is_new = word[used % 8] != 0 && self.passive.store_byte(index, used, 0).is_ok();
        let network = match word[used % 8] {
            PassiveValue::USED => Network::OfProcess,
            _ => Network::OfSystem,
        };
        Seen { used_from: is_new.then_some(network), is_asked: word[asked % 8] != 0 }
    }
}

/// What the kernel has seen of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// From where a connect to it has succeeded.
    pub used_from: Option<Network>,
    /// The kernel has asked about it, and waits for the answer.
    pub is_asked: bool,
}

/// News from the kernel, in the order in which it happened.
#[derive(Debug)]
pub struct Events(AsyncFd<Ring>);

/// The ring; aya's has no `Debug`.
struct Ring(RingBuf<MapData>);

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ring")
    }
}

impl AsRawFd for Ring {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.0.as_raw_fd()
    }
}

impl Events {
    /// Opens the pinned ring. Events that no agent has read yet come first.
    ///
    /// # Errors
    ///
    /// It is missing, may not be opened, or this is no tokio runtime.
    pub fn open(pins: &Pins) -> Result<Self> {
        let ring = RingBuf::try_from(Map::RingBuf(open(pins, "EVENTS")?))
            .context("EVENTS has another shape")?;
        // SAFETY: the ring owns its descriptor, and always answers with the same one.
        let fd = unsafe { AsyncFd::register_with_interest(Ring(ring), Interest::READABLE) }
            .context("cannot follow EVENTS")?;
        Ok(Self(fd))
    }

    /// Waits for news. Nothing is lost if the future is dropped before it is ready.
    pub async fn next(&mut self) -> Vec<EventValue> {
        loop {
            let Ok(mut ready) = self.0.readable_mut().await else {
                // The runtime is going down.
                return std::future::pending().await;
            };
            let ring = &mut ready.get_inner_mut().0;
            let mut events = Vec::new();
            while let Some(bytes) = ring.next() {
                events.extend(bytemuck::try_pod_read_unaligned::<EventValue>(&bytes));
            }
            ready.clear_ready();
            if !events.is_empty() {
                return events;
            }
        }
    }
}

/// Nanoseconds of `CLOCK_MONOTONIC`, as the programs read it.
pub fn monotonic() -> Result<u64> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).context("cannot read CLOCK_MONOTONIC")?;
    Ok(nanoseconds(Duration::from(now)))
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
