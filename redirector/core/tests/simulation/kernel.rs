//! What the kernel's programs do with connects that end: which client avoids what, what witnesses
//! saw, trials. The rules are those of `redirector-ebpf/src/passive.rs`, which needs a kernel.

use std::{collections::BTreeMap, time::Duration};

use redirector_common::{AGENT_SILENT, Limits};
use redirector_core::{
    input::{ClientId, KernelEvent},
    service::BackendRef,
};

use super::truth::Condition;

/// How long a client avoids a backend at first, and at most.
const AVOIDED: Duration = Duration::from_secs(1);
const AVOIDED_AT_MOST: Duration = Duration::from_secs(60);
/// Two witnesses within this time are several.
const WITNESS_WINDOW: Duration = Duration::from_mins(1);

#[derive(Clone, Debug, Default)]
pub struct Kernel {
    avoided: BTreeMap<(ClientId, BackendRef), Avoided>,
    passive: BTreeMap<BackendRef, Passive>,
}

/// What one client saw of one backend.
#[derive(Clone, Copy, Debug, Default)]
struct Avoided {
    refused: u32,
    unanswered: u32,
    level: u32,
    until: Duration,
}

#[derive(Clone, Copy, Debug, Default)]
struct Passive {
    /// The network namespace whose client has reached its limit last, and when.
    witness: Option<(u64, Duration)>,
    /// The agent has been asked and has not answered.
    is_asked: bool,
    vouched: Duration,
    until: Duration,
    ejections: u32,
}

/// A connect that ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    pub backend: BackendRef,
    pub client: ClientId,
    pub state: Condition,
    /// Whether what the kernel, or the agent in its place, saw of connects keeps clients away.
    pub is_ejected: bool,
    /// Whether that, or the end of its listener, keeps clients away.
    pub is_vetoed: bool,
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
    /// Counts a connect that ended. Returns the news for the agent, if there are any.
    pub fn ended(&mut self, ended: Ended) -> Option<News> {
        let Ended { backend, client, state, is_ejected, is_vetoed, limits, now, stopped } = ended;
        let is_silent = is_silent(stopped, now);
        let passive = self.passive.entry(backend).or_default();
        if state == Condition::Well {
            self.avoided.remove(&(client, backend));
            if client.netns == 0 {
                return None;
            }
            passive.witness = None;
            let event = KernelEvent::Readmitted;
            return (is_vetoed && is_silent).then_some(News { backend, event, until: now });
        }
        let refused = state == Condition::Refusing;
        let avoided = self.avoided.entry((client, backend)).or_default();
        if !avoided.failed(refused, &limits, now) {
            return None;
        }
        let mut is_several = false;
        if client.netns != 0 {
            let earlier = passive.witness.replace((client.netns, now));
            is_several = earlier
                .is_some_and(|(netns, at)| netns != client.netns && now - at < WITNESS_WINDOW);
        }
        if is_ejected {
            return None;
        }
        if is_several && (is_silent || passive.vouched <= now) {
            let lasts = Duration::from_nanos(limits.ejection(0));
            passive.until = now + lasts;
            passive.ejections += 1;
            let ejections = passive.ejections;
            let event = KernelEvent::Suspected { refused, client, lasts, ejections };
            return Some(News { backend, event, until: passive.until });
        }
        let event = KernelEvent::Avoided { refused, client };
        let is_new = !std::mem::replace(&mut passive.is_asked, true);
        is_new.then_some(News { backend, event, until: now })
    }

    /// Whether a client would rather go elsewhere.
    pub fn avoids(&self, client: ClientId, backend: &BackendRef, now: Duration) -> bool {
        self.avoided.get(&(client, *backend)).is_some_and(|avoided| now < avoided.until)
    }

    /// Whether this connect may be its client's trial of an ejected backend. If it fails the client
    /// avoids the backend.
    pub fn claim(&mut self, client: ClientId, backend: &BackendRef, now: Duration) -> bool {
        let until = self.passive.get(backend).map_or(Duration::ZERO, |passive| passive.until);
        let may_try = until <= now && !self.avoids(client, backend, now);
        if may_try {
            let avoided = self.avoided.entry((client, *backend)).or_default();
            avoided.level = avoided.level.max(1);
        }
        may_try
    }

    /// The agent clears the byte, with what led to it.
    pub fn readmit(&mut self, backend: &BackendRef) {
        if let Some(passive) = self.passive.get_mut(backend) {
            (passive.witness, passive.until) = (None, Duration::ZERO);
        }
    }

    pub fn forgive(&mut self, backend: &BackendRef) {
        if let Some(passive) = self.passive.get_mut(backend) {
            passive.ejections = 0;
        }
    }

    pub fn vouch(&mut self, backend: BackendRef, until: Duration) {
        self.passive.entry(backend).or_default().vouched = until;
    }

    pub fn answered(&mut self, backend: &BackendRef) {
        if let Some(passive) = self.passive.get_mut(backend) {
            passive.is_asked = false;
        }
    }

    /// The agent answers what it has not heard, so that it is asked again.
    pub fn answer_but(&mut self, is_asked: impl Fn(&BackendRef) -> bool) {
        for (backend, passive) in &mut self.passive {
            passive.is_asked &= is_asked(backend);
        }
    }

    /// The index of the backend is another one's now.
    pub fn forget(&mut self, backend: &BackendRef) {
        self.passive.remove(backend);
        self.avoided.retain(|(_, avoided), _| avoided != backend);
    }
}

impl Avoided {
    /// Counts one more failure. Returns whether the limit is reached.
    fn failed(&mut self, refused: bool, limits: &Limits, now: Duration) -> bool {
        let (count, limit) = if refused {
            (&mut self.refused, limits.refused)
        } else {
            (&mut self.unanswered, limits.timeouts)
        };
        *count += 1;
        // Once the client has avoided the backend, one failed connect is enough.
        if *count < u32::from(limit) && self.level == 0 {
            return false;
        }
        (self.refused, self.unanswered) = (0, 0);
        self.until = now + (AVOIDED * 2_u32.pow(self.level)).min(AVOIDED_AT_MOST);
        self.level = (self.level + 1).min(6);
        true
    }
}
