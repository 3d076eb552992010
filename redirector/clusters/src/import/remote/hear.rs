//! Takes in what is heard of a cluster's outbox: whether the right one speaks, and whether what it says
//! follows what it said before.

use std::{mem, sync::Arc};

use redirector_core::Moment;

use super::{
    super::{
        news::{Failure, OutboxNews},
        timing::Timing,
    },
    Remote,
};
use crate::api::{Heartbeat, Manifest};

impl Remote {
    /// Takes in news of its outbox. Returns whether its status may be another one.
    pub(in crate::import) fn take(
        &mut self,
        news: OutboxNews,
        own_uid: Option<&str>,
        now: Moment,
        timing: &Timing,
    ) -> bool {
        match news {
            OutboxNews::Restarted => {
                self.outbox.restart();
                self.is_known = false;
                true
            }
            OutboxNews::Services(batch) => {
                self.outbox.told.take_services(batch);
                true
            }
            OutboxNews::Slices(batch) => {
                self.outbox.told.take_slices(batch);
                true
            }
            OutboxNews::Heartbeat(beat) => {
                let before =
                    (self.beat.is_some(), self.other.clone(), self.manifest_problem.clone());
                match beat {
                    Some(beat) if self.beat.as_ref() != Some(&beat) => {
                        self.beat(beat, own_uid, now, timing);
                    }
                    Some(_) => {}
                    None => self.beat = None,
                }
                before != (self.beat.is_some(), self.other.clone(), self.manifest_problem.clone())
            }
            OutboxNews::Failing(failure) => {
                let is_other = self.failure != failure;
                let variant = |failure: &Option<Failure>| failure.as_ref().map(mem::discriminant);
                if variant(&self.failure) != variant(&failure) {
                    self.failing_since = failure.as_ref().map(|_| now);
                }
                self.failure = failure;
                is_other
            }
        }
    }

    fn beat(&mut self, beat: Heartbeat, own_uid: Option<&str>, now: Moment, timing: &Timing) {
        let before = self.beat.replace(beat.clone());
        let manifest = match &beat.manifest {
            Ok(manifest) => Arc::clone(manifest),
            Err(why) => {
                self.manifest_problem = Some(Arc::clone(why));
                // It agrees with nothing.
                self.outbox.manifest("", &[]);
                self.heard.beat(now, timing);
                return;
            }
        };
        self.manifest_problem = None;
        if !self.is_right(&manifest, own_uid, now) {
            return;
        }
        let has_fallen = before.is_some_and(|before| is_older(&beat.version, &before.version));
        let is_other_epoch = self.epoch.is_some_and(|epoch| epoch != manifest.epoch);
        self.epoch = Some(manifest.epoch);
        self.heard.beat(now, timing);
        if has_fallen || is_other_epoch {
            // The exporter, or its API server's memory, is another one: what it says is listed again.
            self.doubt(now);
            return;
        }
        self.is_known = true;
        self.outbox.manifest(&manifest.digest, &manifest.unexported);
        if *self.regions != manifest.regions {
            self.regions = Arc::new(manifest.regions.clone());
        }
    }

    /// Whether it is the right cluster that speaks. The first that is heard is pinned.
    fn is_right(&mut self, manifest: &Manifest, own_uid: Option<&str>, now: Moment) -> bool {
        self.is_own = own_uid == Some(&*manifest.uid);
        if self.is_own {
            return false;
        }
        let expected = self.uid.get_or_insert_with(|| manifest.uid.as_str().into());
        if **expected != *manifest.uid {
            self.other = Some(manifest.uid.as_str().into());
            self.is_known = false;
            return false;
        }
        if self.other.take().is_some() {
            // What was heard in between is the other one's.
            self.doubt(now);
        }
        true
    }

    /// What is held may not be what is there: it is listed anew, and until then nothing is proven.
    fn doubt(&mut self, now: Moment) {
        self.wants_relist = true;
        self.is_known = false;
        self.doubted = Some(now);
        self.outbox.suspend();
    }
}

/// Whether a version is older than the one before: only numbers can be compared.
fn is_older(version: &str, before: &str) -> bool {
    let number = |text: &str| text.parse::<u64>().ok();
    number(version).zip(number(before)).is_some_and(|(version, before)| version < before)
}
