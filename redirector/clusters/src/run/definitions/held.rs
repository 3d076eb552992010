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

    /// What is there is not gone.
    pub(super) fn put<T>(&mut self, changes: &[Change<T>], object: fn(&T) -> ObjectRef) {
        for change in changes {
            if let Change::Put(put) = change {
                self.objects.remove(&object(put));
            }
        }
        if self.objects.is_empty() {
            *self = Self::default();
        }
    }

    /// Takes the removals out of a batch. Returns whether there were any.
    pub(super) fn take_removals<T>(&mut self, batch: &mut Batch<T>) -> bool {
        let before = batch.changes.len();
        for change in std::mem::take(&mut batch.changes) {
            match change {
                Change::Remove(object) => drop(self.objects.insert(object)),
                Change::Put(_) | Change::Rejected { .. } => batch.changes.push(change),
            }
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

    fn removed(held: &mut Held, objects: &[ObjectRef]) {
        let changes = objects.iter().cloned().map(Change::<ObjectRef>::Remove).collect();
        assert!(held.take_removals(&mut Batch { changes, is_synced: true }));
    }

    fn put(held: &mut Held, object: ObjectRef) {
        held.put(&[Change::Put(object)], ObjectRef::clone);
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
