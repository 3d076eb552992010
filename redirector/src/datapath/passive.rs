//! The agent's side of what the kernel sees by itself: the heartbeat, mutes, counts, events.
//!
//! The kernel writes here too: every store is one word that means the same whoever comes first.

use std::{os::fd::AsRawFd, time::Duration};

use anyhow::{Context as _, Result};
use aya::maps::{HashMap, Map, MapData, RingBuf};
use nix::time::{ClockId, clock_gettime};
use redirector_common::{EventValue, HEARTBEAT, MutedKey, PassiveValue, STALE_AFTER};
use tokio::io::{Interest, unix::AsyncFd};

use super::{map_array, mapped::Mapped, open, pins::Pins};

/// Words 0 to 2 of a [`PassiveValue`] are its own; the fourth holds `ejections`, `used` and `slow`.
const WORDS: usize = size_of::<PassiveValue>() / 8;
const LAST: usize = WORDS - 1;
const USED: u64 = 1 << 32;
const EJECTIONS: u64 = u32::MAX as u64;

/// What both sides know of failing connects.
#[derive(Debug)]
pub(super) struct Passive {
    /// `PASSIVE`, word by word.
    words: Mapped<u64>,
    muted: HashMap<MapData, MutedKey, u64>,
    config: Mapped<u64>,
}

impl Passive {
    pub(super) fn open(pins: &Pins) -> Result<Self> {
        let muted = Map::LruHashMap(open(pins, "MUTED")?);
        Ok(Self {
            words: map_array::<PassiveValue>(pins, "PASSIVE")?.into_words(),
            muted: HashMap::try_from(muted).context("MUTED has another shape")?,
            config: map_array(pins, "CONFIG")?,
        })
    }

    /// The agent is alive.
    pub(super) fn beat(&self) -> Result<()> {
        self.config.publish(HEARTBEAT as usize, monotonic()?)
    }

    /// How long addresses that kube-proxy serves too are redirected without a heartbeat.
    pub(super) fn set_stale_after(&self, after: Option<Duration>) -> Result<()> {
        self.config.publish(STALE_AFTER as usize, after.map_or(0, nanoseconds))
    }

    /// Forgets what was counted of that index.
    pub(super) fn clear(&self, index: u32) -> Result<()> {
        (0..WORDS).try_for_each(|word| self.store(index, word, 0))
    }

    /// Forgets the failures that led to an ejection, but not how many ejections there were.
    pub(super) fn clear_failures(&self, index: u32) -> Result<()> {
        (0..LAST).try_for_each(|word| self.store(index, word, 0))
    }

    /// The next ejection is a first one.
    pub(super) fn forgive(&self, index: u32) -> Result<()> {
        self.store(index, LAST, self.last(index) & !EJECTIONS)
    }

    /// Whether a connect to it has succeeded since this was last asked.
    pub(super) fn take_used(&self, index: u32) -> bool {
        let last = self.last(index);
        // Should the kernel eject it in this very moment, one ejection is not counted.
        last & USED != 0 && self.store(index, LAST, last & !USED).is_ok()
    }

    /// This client's failures against this backend do not count from now on.
    pub(super) fn mute(
        &mut self,
        client: u64,
        backend: u32,
        generation: u32,
        lasts: Duration,
    ) -> Result<()> {
        let until = monotonic()?.saturating_add(nanoseconds(lasts));
        let key = MutedKey { client, backend, generation };
        self.muted.insert(key, until, 0).context("cannot write MUTED")
    }

    fn last(&self, index: u32) -> u64 {
        self.words.read(index as usize * WORDS + LAST).unwrap_or(0)
    }

    fn store(&self, index: u32, word: usize, value: u64) -> Result<()> {
        self.words.publish(index as usize * WORDS + word, value)
    }
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
    /// Opens the pinned ring. What nobody has read since comes first.
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
