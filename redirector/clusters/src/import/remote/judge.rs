//! Judges a cluster as of now: its phase, and what of its outbox counts.

use std::time::Duration;

use redirector_core::Moment;

use super::{
    super::{
        heard::{Facts, Silence, State},
        news::Failure,
        outbox::Touched,
        timing::Timing,
    },
    Forgotten, Remote,
};

impl Remote {
    /// Judges it as of now. Returns the state before if it is another one, and whether its outbox is to
    /// be listed anew.
    pub(in crate::import) fn judge(
        &mut self,
        now: Moment,
        timing: &Timing,
        touched: &mut Touched,
    ) -> (Option<State>, bool) {
        if !self.is_ours() || self.object.is_leaving {
            return (None, false);
        }
        self.outbox.compare(now);
        let facts = self.facts(now, timing);
        let before = self.heard.judge(now, facts, timing);
        if before.is_some_and(|before| matches!(before, State::Joining | State::Lost)) {
            self.outbox.remerge();
        }
        let state = self.heard.state();
        self.is_partly_heard = state == State::Live
            && matches!(self.failure, Some(Failure::Unreachable(_)))
            && self.has_failed_for(timing.incomplete, now);
        if state != State::Lost {
            self.forgotten = Forgotten::default();
        }
        let is_doubted =
            |since: &Moment| !self.outbox.is_proven() && now < since.after(timing.incomplete);
        self.doubted = self.doubted.filter(is_doubted);
        let is_heard = self.is_known
            && self.doubted.is_none()
            && self.other.is_none()
            && matches!(state, State::Live | State::Silent { .. });
        self.outbox.merge(self.reach(), is_heard, touched);
        if is_heard {
            self.outbox.prove(now, self.heard.last(), timing, touched);
        }
        if state == State::Lost {
            self.forget(now, timing, touched);
        }
        let is_due = self.relist_at.is_none_or(|at| now >= at.after(timing.incomplete));
        // One that has not been listed is being listed, or cannot be.
        let is_listed = self.outbox.is_listed();
        let is_asked =
            self.wants_relist || facts.is_incomplete && is_listed && is_due && self.other.is_none();
        if is_asked {
            self.relist_at = Some(now);
            self.wants_relist = false;
        }
        (before, is_asked)
    }

    fn has_failed_for(&self, time: Duration, now: Moment) -> bool {
        self.failing_since.is_some_and(|since| now >= since.after(time))
    }

    /// Slices of a lost cluster go one after the other.
    fn forget(&mut self, now: Moment, timing: &Timing, touched: &mut Touched) {
        let since = *self.forgotten.since.get_or_insert(now);
        let passed = now.0.saturating_sub(since.0).as_nanos() / timing.lost_slice.as_nanos().max(1);
        let due = u32::try_from(passed).unwrap_or(u32::MAX).saturating_add(1);
        while self.forgotten.slices < due
            && let Some((object, endpoints)) = self.outbox.forget()
        {
            let slices = u32::try_from(endpoints.div_ceil(100).max(1)).unwrap_or(u32::MAX);
            self.forgotten.slices = self.forgotten.slices.saturating_add(slices);
            touched.insert(object);
        }
    }

    /// When to judge again without news.
    pub(in crate::import) fn deadline(&self, now: Moment, timing: &Timing) -> Option<Moment> {
        if !self.is_ours() || self.object.is_leaving {
            return None;
        }
        let heard = self.heard.deadline(self.facts(now, timing), timing);
        let relist = self.relist_at.map(|at| at.after(timing.incomplete));
        let forget = self.forgotten.since.filter(|_| !self.outbox.held().is_empty());
        let forget = forget.map(|since| since.after(timing.lost_slice * self.forgotten.slices));
        let doubted = self.doubted.map(|since| since.after(timing.incomplete));
        let [refused, partly] = [timing.silence, timing.incomplete]
            .map(|time| self.failing_since.map(|since| since.after(time)));
        [heard, self.outbox.deadline(timing), relist, forget, doubted, refused, partly]
            .into_iter()
            .flatten()
            .filter(|at| *at > now)
            .min()
    }

    fn facts(&self, now: Moment, timing: &Timing) -> Facts {
        Facts {
            is_complete: self.outbox.is_proven(),
            is_incomplete: self.outbox.is_incomplete(now, timing),
            is_refused: self.refusal.is_some() || self.spec.is_none(),
            is_unauthorized: matches!(self.failure, Some(Failure::Unauthorized(_)))
                && self.has_failed_for(timing.silence, now),
            is_other: self.other.is_some(),
            failure: self.failure.as_ref().map(|failure| match failure {
                Failure::Unreachable(_) => Silence::Unreachable,
                Failure::Unauthorized(_) => Silence::Unauthorized,
            }),
            keep_for: self.spec.as_ref().map(|spec| spec.keep_for()).unwrap_or_default(),
        }
    }
}
