//! Which object's turn it is.

use std::sync::Arc;

use redirector_core::Moment;

use super::{
    super::Key,
    Class, Due, Pace, Writer,
    request::{is_other_status, is_same},
};

impl Writer {
    /// The key whose turn it is.
    pub(super) fn next(&mut self, now: Moment) -> Option<Key> {
        self.token_at = None;
        let of = |class: Class| {
            let of = self.ready.iter().filter(move |(one, _)| *one == class);
            of.map(|(_, key)| key).filter(|key| !self.busy.contains_key(*key))
        };
        // What has nothing to keep for others comes first; of the rest what can do something.
        let first = |class: Class| {
            let next = of(class).find(|key| self.moved(key).is_empty());
            next.or_else(|| of(class).find(|key| self.request(key).is_some())).cloned()
        };
        if let Some(key) = first(Class::AtOnce) {
            return Some(key);
        }
        let paced = first(Class::Paced);
        if paced.is_some() {
            match self.bucket.take(now) {
                Ok(()) => return paced,
                Err(at) => self.token_at = Some(at),
            }
        }
        // What others refer to goes last.
        let removals = self.ready.iter().rev().take_while(|(class, _)| *class == Class::Removal);
        removals.map(|(_, key)| key).find(|key| self.may_go(key)).cloned()
    }

    /// Notes whether the object is as desired.
    pub(super) fn judge(&mut self, key: Key) {
        if self.differs(&key) {
            self.due.entry(key.clone()).or_default();
            self.queue(&key);
        } else if let Some(due) = self.due.remove(&key) {
            self.dequeue(&key, due);
        }
        self.count(&key);
    }

    /// Puts what is due in its place.
    pub(super) fn queue(&mut self, key: &Key) {
        let Some(due) = self.due.get(key).copied() else { return };
        self.dequeue(key, due);
        match due.not_before {
            Some(at) => self.waiting.insert((at, key.clone())),
            None => self.ready.insert((self.class(key), key.clone())),
        };
    }

    pub(super) fn dequeue(&mut self, key: &Key, due: Due) {
        for class in [Class::AtOnce, Class::Paced, Class::Removal] {
            self.ready.remove(&(class, key.clone()));
        }
        if let Some(at) = due.not_before {
            self.waiting.remove(&(at, key.clone()));
        }
    }

    fn class(&self, key: &Key) -> Class {
        match self.wanted.get(key).map(|wanted| wanted.pace) {
            Some(Pace::AtOnce) => Class::AtOnce,
            Some(Pace::Paced) => Class::Paced,
            None => Class::Removal,
        }
    }

    /// Notes whether the object is still to be made, or being made.
    pub(super) fn count(&mut self, key: &Key) {
        let Some(wanted) = self.wanted.get(key) else { return };
        let group = (Arc::clone(&key.namespace), Arc::clone(&wanted.group));
        if self.due.contains_key(key) || self.busy.contains_key(key) {
            self.unmade.entry(group).or_default().insert(key.clone());
        } else {
            self.forget(key);
        }
    }

    pub(super) fn forget(&mut self, key: &Key) {
        let Some(wanted) = self.wanted.get(key) else { return };
        let group = (Arc::clone(&key.namespace), Arc::clone(&wanted.group));
        if let Some(keys) = self.unmade.get_mut(&group) {
            keys.remove(key);
            if keys.is_empty() {
                self.unmade.remove(&group);
            }
        }
    }

    pub(super) fn differs(&self, key: &Key) -> bool {
        match (self.wanted.get(key), self.actual.get(key)) {
            (Some(_), None) => true,
            (Some(wanted), Some(actual)) if actual.is_ours => {
                self.unsure.contains(key)
                    || !is_same(wanted, actual)
                    || is_other_status(wanted, actual)
            }
            (None, Some(actual)) => actual.is_ours && !actual.is_leaving && self.may_remove,
            (Some(_), Some(_)) | (None, None) => false,
        }
    }

    /// An object goes when nothing of its Service is still to be made.
    fn may_go(&self, key: &Key) -> bool {
        let Some(actual) = self.actual.get(key) else { return false };
        let group = (Arc::clone(&key.namespace), Arc::clone(&actual.group));
        !self.busy.contains_key(key) && !self.unmade.contains_key(&group)
    }
}
