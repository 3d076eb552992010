//! What the kernel's programs do with connects that end: counts, ejections, mutes. The same rules
//! as `redirector-ebpf/src/passive.rs`, which needs a kernel to run.

use std::{collections::BTreeMap, time::Duration};

use redirector_common::{AGENT_SILENT, Limits, SEVERAL};
use redirector_core::{input::KernelEvent, service::BackendRef};

use super::truth::State;

#[derive(Clone, Debug, Default)]
pub struct Kernel {
    passive: BTreeMap<BackendRef, Passive>,
    muted: BTreeMap<(u64, BackendRef), Duration>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Passive {
    refused: u32,
    unanswered: u32,
    until: Duration,
    client: u64,
    ejections: u32,
}

/// A connect that ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    pub backend: BackendRef,
    pub client: u64,
    pub state: State,
    /// Whether the kernel objects to the backend.
    pub is_ejected: bool,
    pub limits: Limits,
    pub now: Duration,
    /// Since when there has been no heartbeat.
    pub stopped: Option<Duration>,
}

/// What the agent is to hear, and when the ejection ends.
#[derive(Clone, Copy, Debug)]
pub struct News {
    pub backend: BackendRef,
    pub event: KernelEvent,
    pub until: Duration,
}

pub fn is_silent(stopped: Option<Duration>, now: Duration) -> bool {
    stopped.is_some_and(|since| now.saturating_sub(since) > Duration::from_nanos(AGENT_SILENT))
}

impl Kernel {
    /// Counts; whether the backend's byte changes, and the news about it.
    pub fn ended(&mut self, ended: Ended) -> Option<News> {
        let Ended { backend, client, state, is_ejected, limits, now, stopped } = ended;
        let is_silent = is_silent(stopped, now);
        if state == State::Well {
            let passive = self.passive.get_mut(&backend)?;
            *passive = Passive { until: passive.until, ejections: passive.ejections, ..*passive };
            (passive.refused, passive.unanswered, passive.client) = (0, 0, 0);
            let event = KernelEvent::Readmitted;
            return (is_ejected && is_silent).then_some(News { backend, event, until: now });
        }
        if self.muted.get(&(client, backend)).is_some_and(|until| now < *until) {
            return None;
        }
        let passive = self.passive.entry(backend).or_default();
        if !is_ejected {
            if passive.client == 0 {
                passive.client = client;
            } else if passive.client != client {
                passive.client = SEVERAL;
            }
            let (count, limit) = match state {
                State::Refusing => (&mut passive.refused, limits.refused),
                _ => (&mut passive.unanswered, limits.timeouts),
            };
            *count += 1;
            if *count < u32::from(limit) {
                return None;
            }
        } else if !is_silent || now < passive.until {
            return None;
        }
        let lasts = Duration::from_nanos(limits.ejection(passive.ejections));
        passive.until = now + lasts;
        passive.ejections += 1;
        (passive.refused, passive.unanswered) = (0, 0);
        let client = (passive.client != SEVERAL).then_some(passive.client);
        let (refused, ejections) = (state == State::Refusing, passive.ejections);
        let event = KernelEvent::Ejected { refused, client, lasts, ejections };
        Some(News { backend, event, until: passive.until })
    }

    /// Whether this connect may be the trial of an ejected backend: then no other one for a while.
    pub fn claim(&mut self, backend: &BackendRef, now: Duration) -> bool {
        let Some(passive) = self.passive.get_mut(backend) else { return true };
        let is_due = passive.until <= now;
        if is_due {
            passive.until = now + Duration::from_secs(1);
        }
        is_due
    }

    /// The agent clears the byte, with the counts behind it.
    pub fn readmit(&mut self, backend: &BackendRef) {
        if let Some(passive) = self.passive.get_mut(backend) {
            (passive.refused, passive.unanswered, passive.client) = (0, 0, 0);
        }
    }

    pub fn forgive(&mut self, backend: &BackendRef) {
        if let Some(passive) = self.passive.get_mut(backend) {
            passive.ejections = 0;
        }
    }

    pub fn mute(&mut self, client: u64, backend: BackendRef, until: Duration) {
        self.muted.insert((client, backend), until);
    }

    /// Its index is another's now.
    pub fn forget(&mut self, backend: &BackendRef) {
        self.passive.remove(backend);
    }
}
