//! One outbox: what was heard of it, and what of that counts (never empty, never partial).
//!
//! In order: what is heard counts at once; what is not heard any more counts until a manifest proves
//! that it is gone; of a manifest that removes more than half a second one must come 2 s later, but for
//! Services of which it states that a user has deleted their ServiceExports.

mod agreement;
mod held;
mod told;
mod valid;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use agreement::Agreement;
pub(super) use held::{HeldService, Spot};
use redirector_core::Moment;
use redirector_kube::api::ObjectRef;
use redirector_policy::Reach;
pub(super) use told::Told;

use super::timing::Timing;
use crate::api::Unexport;

/// What is known of one outbox.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pub told: Told,
    agreement: Agreement,
    /// What counts.
    held: BTreeMap<ObjectRef, HeldService>,
    /// Services of which something has vanished without proof.
    pending: BTreeSet<ObjectRef>,
    /// Services heard of but not merged: the cluster was not one to listen to.
    unmerged: BTreeSet<ObjectRef>,
    /// Endpoints that count, in all.
    endpoints: usize,
    /// What is heard is not believed until the watches begin anew.
    is_suspended: bool,
    /// Heartbeats since both kinds were listed.
    beats: u32,
    /// Since when no manifest has proven the newest state, or there is none.
    differs_since: Option<Moment>,
    /// The newest state that was proven.
    proven: Option<u64>,
    /// Since when manifests remove more than half.
    large_since: Option<Moment>,
    /// What the newest manifest states.
    unexported: Vec<Unexport>,
}

/// Services that count otherwise than before.
pub(super) type Touched = BTreeSet<ObjectRef>;

impl Outbox {
    /// The watches begin anew.
    pub fn restart(&mut self) {
        self.told.restart();
        self.suspend();
        self.is_suspended = false;
    }

    /// Nothing is proven and nothing counts anew until the watches begin anew.
    pub fn suspend(&mut self) {
        self.agreement.restart();
        (self.beats, self.proven, self.large_since) = (0, None, None);
        self.unexported.clear();
        self.is_suspended = true;
    }

    /// Whether both kinds have been listed since the watches began.
    pub fn is_listed(&self) -> bool {
        !self.is_suspended && self.told.is_listed()
    }

    /// A manifest came with a heartbeat. One that was said before the watches began is none.
    pub fn manifest(&mut self, digest: &str, unexported: &[Unexport]) {
        if self.is_listed() {
            self.beats = self.beats.saturating_add(1);
            self.agreement.manifest(digest);
            self.unexported = unexported.to_vec();
        }
    }

    /// Whether the newest state, or one before it, was proven since the watches began.
    pub fn is_proven(&self) -> bool {
        self.proven.is_some()
    }

    /// Whether what is held has differed from every manifest for too long.
    pub fn is_incomplete(&self, now: Moment, timing: &Timing) -> bool {
        self.differs_since.is_some_and(|since| now >= since.after(timing.incomplete))
    }

    /// When to look again without news.
    pub fn deadline(&self, timing: &Timing) -> Option<Moment> {
        let incomplete = self.differs_since.map(|since| since.after(timing.incomplete));
        let confirm = self.large_since.map(|since| since.after(timing.confirm));
        [incomplete, confirm].into_iter().flatten().min()
    }

    /// What counts, by Service.
    pub fn held(&self) -> &BTreeMap<ObjectRef, HeldService> {
        &self.held
    }

    /// Puts what an importer before this one has left.
    pub fn adopt(&mut self, object: ObjectRef, service: HeldService) {
        self.endpoints += service.endpoints.len();
        self.unmerged.insert(object.clone());
        self.held.insert(object, service);
    }

    /// Compares what was heard with the manifests. Before [`merge`](Self::merge), which needs the number
    /// of the state.
    pub fn compare(&mut self, now: Moment) {
        if !self.is_listed() {
            self.differs_since.get_or_insert(now);
            return;
        }
        let digest = self.told.digest();
        self.agreement.told(digest);
        let Some((sequence, is_newest)) = self.agreement.agreed().filter(|_| self.beats > 0) else {
            self.differs_since.get_or_insert(now);
            return;
        };
        let is_progress = self.proven != Some(sequence);
        self.proven = Some(sequence);
        if is_newest {
            self.differs_since = None;
        } else if is_progress || self.differs_since.is_none() {
            self.differs_since = Some(now);
        }
    }

    /// Lets what was heard count. `is_heard` says whether this cluster is one to listen to now.
    pub fn merge(&mut self, reach: Reach, is_heard: bool, touched: &mut Touched) {
        self.unmerged.extend(self.told.take_changed());
        if !is_heard || !self.is_listed() {
            return;
        }
        for object in std::mem::take(&mut self.unmerged) {
            let before = self.held.remove(&object);
            self.endpoints -= before.as_ref().map_or(0, |held| held.endpoints.len());
            let sequence = self.agreement.sequence();
            let (held, is_other) = HeldService::merge(before, &self.told, &object, reach, sequence);
            if is_other {
                touched.insert(object.clone());
            }
            self.keep(object, held);
        }
    }

    /// Drops what is proven to be gone. `last_beat` is when the manifest was last confirmed.
    pub fn prove(
        &mut self,
        now: Moment,
        last_beat: Moment,
        timing: &Timing,
        touched: &mut Touched,
    ) {
        let Some(sequence) = self.proven else { return };
        let mut pending = std::mem::take(&mut self.pending);
        let stated: BTreeSet<ObjectRef> =
            pending.extract_if(.., |object| self.is_stated(object, sequence)).collect();
        self.drop_gone(stated, sequence, touched);
        let of = |object: &ObjectRef| self.held.get(object).map_or(0, |held| held.going(sequence));
        let going: usize = pending.iter().map(of).sum();
        if going * 2 > self.endpoints {
            let since = *self.large_since.get_or_insert(now);
            if last_beat < since.after(timing.confirm) {
                self.pending.extend(pending);
                return;
            }
        }
        self.large_since = None;
        self.drop_gone(pending, sequence, touched);
    }

    /// Whether that state lacks the Service, and the manifest states that this very export was deleted.
    fn is_stated(&self, object: &ObjectRef, sequence: u64) -> bool {
        let held = self.held.get(object).filter(|held| held.is_gone(sequence));
        held.is_some_and(|held| {
            let is_it = |one: &Unexport| {
                one.exported_at == held.spec.exported_at && one.object() == *object
            };
            self.unexported.iter().any(is_it)
        })
    }

    fn drop_gone(&mut self, objects: BTreeSet<ObjectRef>, sequence: u64, touched: &mut Touched) {
        for object in objects {
            let Some(before) = self.held.remove(&object) else { continue };
            self.endpoints -= before.endpoints.len();
            let (held, is_other) = before.prove(sequence);
            if is_other {
                touched.insert(object.clone());
            }
            self.keep(object, held);
        }
    }

    /// This cluster's own outbox is the truth: it is written here.
    pub fn trust(&mut self, touched: &mut Touched) {
        if self.told.is_listed() {
            let digest = self.told.digest();
            self.agreement.told(digest);
            self.merge(Reach::Pod, true, touched);
            self.proven = Some(u64::MAX);
            self.prove(
                Moment::default(),
                Moment(std::time::Duration::MAX),
                &Timing::divided_by(1),
                touched,
            );
        }
    }

    /// Forgets one Service: nothing known of a lost cluster holds. Returns how many endpoints it had.
    pub fn forget(&mut self) -> Option<(ObjectRef, usize)> {
        let (object, held) = self.held.pop_first()?;
        self.endpoints -= held.endpoints.len();
        self.pending.remove(&object);
        Some((object, held.endpoints.len()))
    }

    /// Everything that is heard is to be merged again: another reach counts, or a lost cluster is back.
    pub fn remerge(&mut self) {
        self.unmerged.extend(self.told.objects().cloned());
        self.unmerged.extend(self.held.keys().cloned());
    }

    /// Forgets all endpoints but not the Services: they were of another reach.
    pub fn drop_endpoints(&mut self, touched: &mut Touched) {
        for (object, held) in &mut self.held {
            self.endpoints -= held.endpoints.len();
            held.endpoints.clear();
            touched.insert(object.clone());
        }
        self.remerge();
    }

    fn keep(&mut self, object: ObjectRef, held: Option<HeldService>) {
        let Some(held) = held else {
            self.pending.remove(&object);
            return;
        };
        self.endpoints += held.endpoints.len();
        if held.is_pending() {
            self.pending.insert(object.clone());
        } else {
            self.pending.remove(&object);
        }
        self.held.insert(object, held);
    }

    /// What cannot be used of it.
    pub fn rejected(&self) -> Option<(&Arc<str>, &String)> {
        self.told.rejected()
    }
}
