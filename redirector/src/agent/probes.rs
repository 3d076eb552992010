//! When the prober is told what to ask.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use redirector_core::{Input, Transition};

use super::Agent;

/// How long what is probed may stay as it was after services have changed: to find out costs as
/// much as there are services, and the first probe of a backend waits as long.
const MIN_INTERVAL: Duration = Duration::from_millis(100);
/// What is probed is not found out again for so long, whatever happens.
const REST: Duration = Duration::from_millis(10);
/// Nor is it for so many times as long as it took: each connect of a tenant's that fails may be
/// news, and all of them are to take no more than a tenth of the agent's time.
const RESTS: u32 = 9;

/// When to find out what is to be probed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Looks {
    next: Option<Instant>,
    last: Option<Instant>,
    /// The earliest time to find it out again.
    rests_until: Option<Instant>,
    /// Services may have changed since the last look: what is probed because of them is to be found
    /// out anew. Else only what is in doubt.
    is_of_services: bool,
}

impl Looks {
    /// When it is due to be found out, if anything may have changed.
    pub fn due(&self) -> Option<Instant> {
        self.next
    }

    /// There is news; `has_happened` says that something follows from it.
    pub fn note(&mut self, news: News, has_happened: bool, now: Instant) {
        self.is_of_services |= news.is_of_services;
        let at = match news.urgency {
            _ if has_happened => now,
            Urgency::Nothing => return,
            Urgency::Later => self.last.map_or(now, |last| now.max(last + MIN_INTERVAL)),
            Urgency::Now => now,
        };
        let at = self.rests_until.map_or(at, |rests| at.max(rests));
        self.next = Some(self.next.map_or(at, |earlier| earlier.min(at)));
    }

    /// Whether to find it out now, and then whether services may have changed; that is said once.
    fn take(&mut self, now: Instant) -> Option<bool> {
        self.next.take_if(|at| *at <= now)?;
        Some(std::mem::take(&mut self.is_of_services))
    }

    /// What is probed was found out, from `begin` to `end`.
    fn looked(&mut self, begin: Instant, end: Instant) {
        self.last = Some(end);
        self.rests_until = Some(end + REST.max((end - begin) * RESTS));
    }
}

/// What a piece of news may mean for what is probed, if nothing follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct News {
    urgency: Urgency,
    /// Services, their use by this node, or the node may be others now.
    is_of_services: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Urgency {
    Nothing,
    /// Backends come and go.
    Later,
    /// The prober is to ask a backend at once.
    Now,
}

impl News {
    pub(super) fn of(input: &Input) -> Self {
        let (urgency, is_of_services) = match input {
            Input::Probed { .. } | Input::Adopted(_) => (Urgency::Nothing, false),
            Input::Change { .. } | Input::Put(_) | Input::Remove(_) | Input::Used(_) => {
                (Urgency::Later, true)
            }
            Input::All(inputs) => {
                let all = || inputs.iter().map(Self::of);
                let urgency = all().map(|news| news.urgency).max().unwrap_or(Urgency::Nothing);
                (urgency, all().any(|news| news.is_of_services))
            }
            Input::Node(_) | Input::Replace(_) | Input::RemoteClusters(_) => (Urgency::Now, true),
            Input::Restore(_) | Input::Kernel { .. } | Input::Operator(_) | Input::Tick => {
                (Urgency::Now, false)
            }
        };
        Self { urgency, is_of_services }
    }

    /// What backends of other clusters are probed for may have changed with which tiers carry load: by
    /// whatever happens to a backend of any tier, also where that is no failover.
    pub(super) fn and_of(self, happened: &[Transition], has_other_clusters: bool) -> Self {
        let moves = has_other_clusters && !happened.is_empty();
        Self { is_of_services: self.is_of_services || moves, ..self }
    }
}

impl Agent {
    /// Has a look taken at the services before long: time has passed since this node used some.
    pub(super) fn note_disuse(&mut self) {
        let news = News { urgency: Urgency::Later, is_of_services: true };
        self.looks.note(news, false, Instant::now());
    }

    /// Tells the prober what to ask, if that is due and has changed.
    pub(super) fn want_probes(&mut self) {
        let begin = Instant::now();
        let Some(is_of_services) = self.looks.take(begin) else { return };
        let wanted = tokio::task::block_in_place(|| {
            if is_of_services {
                self.regular_probes = self.state.regular_probes();
            }
            self.state.with_doubted(self.regular_probes.clone())
        });
        self.wanted.send_if_modified(|current| {
            let is_new = **current != wanted;
            if is_new {
                *current = Arc::new(wanted);
            }
            is_new
        });
        self.looks.looked(begin, Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_question_is_asked_at_once_and_a_flood_of_them_takes_a_tenth() {
        for took in [Duration::from_micros(200), Duration::from_millis(5)] {
            let start = Instant::now();
            let (mut now, mut looks, mut busy) = (start, Looks::default(), Duration::ZERO);
            looks.note(NOW, false, now);
            assert_eq!(looks.due(), Some(start));
            while now < start + Duration::from_secs(10) {
                looks.note(NOW, true, now);
                let waits = looks.due().expect("it is due") - now;
                assert!(waits <= REST.max(took * RESTS), "{waits:?}");
                if looks.take(now).is_some() {
                    assert!(looks.take(now).is_none(), "once");
                    looks.looked(now, now + took);
                    now += took;
                    busy += took;
                }
                now += Duration::from_micros(100);
            }
            assert!(busy * 10 <= now - start + took * 10, "{busy:?} of {:?}", now - start);
            // A question after a pause does not wait.
            now += Duration::from_secs(1);
            assert!(looks.take(now).is_some());
            looks.looked(now, now + took);
            now += Duration::from_secs(1);
            looks.note(NOW, false, now);
            assert_eq!(looks.due(), Some(now));
        }
    }

    #[test]
    fn changed_services_wait_and_a_question_meanwhile_does_not() {
        let start = Instant::now();
        let mut looks = Looks::default();
        looks.note(NOTHING, false, start);
        assert_eq!(looks.due(), None);
        looks.looked(start, start);
        let now = start + 2 * REST;
        looks.note(SERVICES, false, now);
        assert_eq!(looks.due(), Some(start + MIN_INTERVAL));
        looks.note(NOW, false, now);
        assert_eq!(looks.due(), Some(now));
    }

    #[test]
    fn what_services_want_is_found_out_anew_only_after_they_have_changed() {
        let now = Instant::now();
        let mut looks = Looks::default();
        looks.note(NOTHING, true, now);
        assert_eq!(looks.take(now), Some(false), "an ejection");
        looks.note(SERVICES, false, now);
        assert_eq!(looks.take(now), Some(true));
        looks.note(NOW, true, now);
        assert_eq!(looks.take(now), Some(false), "it is said once");
    }

    #[test]
    fn what_happens_changes_what_is_probed_only_where_there_are_other_clusters() {
        let backend = redirector_core::service::BackendRef {
            address: "10.1.0.5".parse().expect("an address"),
            port: 80,
            protocol: redirector_core::service::Protocol::Tcp,
        };
        // A tier of Spill has less of the load, another one more, and neither is a failover.
        let by = redirector_common::HealthByte::Prober;
        let ejected = [Transition::Ejected { backend, by, why: "refused".into() }];
        assert!(!NOTHING.and_of(&ejected, false).is_of_services);
        assert!(!NOTHING.and_of(&[], true).is_of_services);
        assert!(NOTHING.and_of(&ejected, true).is_of_services);
        assert!(SERVICES.and_of(&[], false).is_of_services);
    }

    const NOTHING: News = News { urgency: Urgency::Nothing, is_of_services: false };
    const NOW: News = News { urgency: Urgency::Now, is_of_services: false };
    const SERVICES: News = News { urgency: Urgency::Later, is_of_services: true };
}
