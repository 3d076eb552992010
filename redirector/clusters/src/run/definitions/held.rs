//! Removals that are not believed yet: pure.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use redirector_kube::api::{Batch, Change, ObjectRef};

/// Removals that are not heard yet.
#[derive(Debug, Default)]
pub(super) struct Held {
    objects: BTreeSet<ObjectRef>,
    /// The definition has been missing since the first of them.
    was_missing: bool,
    /// Since when it is back.
    back_since: Option<Instant>,
}

impl Held {
    pub(super) fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// Whether the definition was missing when it was last asked for.
    pub(super) fn is_missing(&self) -> bool {
        self.was_missing && self.back_since.is_none()
    }

    /// Takes the removals out of a batch; what comes after its removal is there again. Returns whether there
    /// were any.
    pub(super) fn take<T>(&mut self, batch: &mut Batch<T>, object: fn(&T) -> ObjectRef) -> bool {
        let before = batch.changes.len();
        for change in std::mem::take(&mut batch.changes) {
            match change {
                Change::Remove(object) => {
                    self.objects.insert(object);
                    continue;
                }
                Change::Put(ref put) => {
                    self.objects.remove(&object(put));
                }
                Change::Rejected { .. } => {}
            }
            batch.changes.push(change);
        }
        if self.objects.is_empty() {
            *self = Self::default();
        }
        before != batch.changes.len()
    }

    /// Takes in whether the kind is served; `None` is not known. Returns what is gone: all, if the
    /// definition was there all the time; else what was not applied again in `reapplied` after it came back.
    pub(super) fn judge(
        &mut self,
        is_served: Option<bool>,
        now: Instant,
        reapplied: Duration,
    ) -> BTreeSet<ObjectRef> {
        match is_served {
            None => return BTreeSet::new(),
            Some(false) => {
                (self.was_missing, self.back_since) = (true, None);
                return BTreeSet::new();
            }
            Some(true) => {}
        }
        if self.was_missing && now < *self.back_since.get_or_insert(now) + reapplied {
            return BTreeSet::new();
        }
        std::mem::take(self).objects
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn web() -> ObjectRef {
        ObjectRef { namespace: "shop".into(), name: "web".into() }
    }

    fn take(held: &mut Held, changes: Vec<Change<ObjectRef>>) -> Vec<Change<ObjectRef>> {
        let mut batch = Batch { changes, is_synced: true };
        held.take(&mut batch, ObjectRef::clone);
        batch.changes
    }

    fn removed(held: &mut Held, objects: &[ObjectRef]) {
        let changes = objects.iter().cloned().map(Change::Remove).collect();
        assert_eq!(take(held, changes), []);
    }

    fn put(held: &mut Held, object: ObjectRef) {
        take(held, vec![Change::Put(object)]);
    }

    #[test]
    fn what_is_made_anew_after_its_removal_is_there() {
        let mut held = Held::default();
        let changes = take(&mut held, vec![Change::Remove(web()), Change::Put(web())]);
        assert_eq!(changes, [Change::Put(web())]);
        assert!(held.is_empty());
        let changes = take(&mut held, vec![Change::Put(web()), Change::Remove(web())]);
        assert_eq!(changes, [Change::Put(web())], "its removal follows when it is believed");
        assert!(!held.is_empty());
    }

    #[test]
    fn a_removal_counts_at_once_while_the_definition_is_there_and_later_where_that_is_not_known() {
        let (now, long) = (Instant::now(), Duration::from_mins(5));
        let mut held = Held::default();
        removed(&mut held, &[web()]);
        assert_eq!(held.judge(None, now, long), [].into());
        assert_eq!(held.judge(Some(true), now, long), [web()].into());
        assert!(held.is_empty());
    }

    #[test]
    fn what_goes_with_its_definition_stays_until_it_is_not_applied_again() {
        let (now, long) = (Instant::now(), Duration::from_mins(5));
        let other = ObjectRef { name: "other".into(), ..web() };
        let mut held = Held::default();
        removed(&mut held, &[web(), other.clone()]);
        assert_eq!(held.judge(Some(false), now, long), [].into());
        assert!(held.is_missing());
        assert_eq!(held.judge(Some(true), now + long, long), [].into());
        put(&mut held, web());
        assert_eq!(held.judge(Some(true), now + long + long / 2, long), [].into());
        assert_eq!(held.judge(Some(true), now + long * 2, long), [other].into());
    }

    #[test]
    fn once_all_is_applied_again_the_next_removal_is_a_users() {
        let (now, long) = (Instant::now(), Duration::from_mins(5));
        let mut held = Held::default();
        removed(&mut held, &[web()]);
        held.judge(Some(false), now, long);
        put(&mut held, web());
        removed(&mut held, &[web()]);
        assert_eq!(held.judge(Some(true), now, long), [web()].into());
    }
}
