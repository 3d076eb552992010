//! The objects of one kind, what has changed last, and how they were at an earlier version.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, OnceLock},
};

use bytes::Bytes;

use crate::api::{
    failure::Failure,
    object::{Key, Stored},
};

/// All objects of a kind at one version, in the order of namespace and name.
pub(crate) type Snapshot = Arc<Vec<Arc<Stored>>>;

/// How many snapshots are kept: as many lists may be half read at a time.
const SNAPSHOTS: usize = 16;

#[derive(Debug)]
pub(crate) struct Kind {
    pub objects: BTreeMap<Key, Arc<Stored>>,
    history: VecDeque<Arc<Event>>,
    window: usize,
    /// Version of the newest change that is no longer in `history`.
    forgotten: u64,
    /// Version of the last change.
    changed: u64,
    snapshots: VecDeque<(u64, Snapshot)>,
}

/// One change of one object.
#[derive(Debug)]
pub(crate) struct Event {
    pub revision: u64,
    pub key: Key,
    pub old: Option<Arc<Stored>>,
    /// The new version; of a deletion the last state under the version of the deletion.
    pub new: Arc<Stored>,
    pub is_deletion: bool,
    /// The line of a watch without selector, made by the first who needs it.
    pub line: OnceLock<Bytes>,
}

impl Kind {
    pub fn new(window: usize) -> Self {
        let (objects, history) = (BTreeMap::new(), VecDeque::new());
        let snapshots = VecDeque::new();
        Self { objects, history, window, forgotten: 0, changed: 0, snapshots }
    }

    /// `new` replaces what there is.
    pub fn commit(&mut self, key: &Key, new: Arc<Stored>, revision: u64) {
        let old = self.objects.insert(key.clone(), Arc::clone(&new));
        self.note(key, old, new, revision, false);
    }

    /// Takes what there is away; `last` is what watches are told of it.
    pub fn remove_last(&mut self, key: &Key, last: Arc<Stored>, revision: u64) {
        let old = self.objects.remove(key);
        self.note(key, old, last, revision, true);
    }

    fn note(
        &mut self,
        key: &Key,
        old: Option<Arc<Stored>>,
        new: Arc<Stored>,
        revision: u64,
        is_deletion: bool,
    ) {
        let (key, line) = (key.clone(), OnceLock::new());
        self.changed = revision;
        self.history.push_back(Arc::new(Event { revision, key, old, new, is_deletion, line }));
        if self.history.len() > self.window {
            self.forgotten = self.history.pop_front().map_or(revision, |event| event.revision);
        }
    }

    /// What has changed after `revision`. Errors: that is no longer known.
    pub fn since(&self, revision: u64) -> Result<Vec<Arc<Event>>, Failure> {
        if revision < self.forgotten {
            return Err(Failure::expired(revision, self.forgotten));
        }
        let from = self.history.partition_point(|event| event.revision <= revision);
        Ok(self.history.range(from..).cloned().collect())
    }

    pub fn snapshot(&mut self, revision: u64, current: u64) -> Result<Snapshot, Failure> {
        if revision < self.forgotten {
            return Err(Failure::expired(revision, self.forgotten));
        }
        // One snapshot serves all versions between two changes.
        let at = if revision >= self.changed {
            self.changed
        } else {
            let after = self.history.partition_point(|event| event.revision <= revision);
            after.checked_sub(1).map_or(self.forgotten, |last| self.history[last].revision)
        };
        if let Some((_, found)) = self.snapshots.iter().find(|(taken, _)| *taken == at) {
            return Ok(Arc::clone(found));
        }
        let snapshot: Snapshot = if revision >= self.changed {
            debug_assert!(self.changed <= current);
            Arc::new(self.objects.values().cloned().collect())
        } else {
            Arc::new(self.rewound(revision).into_values().collect())
        };
        self.snapshots.push_back((at, Arc::clone(&snapshot)));
        if self.snapshots.len() > SNAPSHOTS {
            self.snapshots.pop_front();
        }
        Ok(snapshot)
    }

    pub fn forget(&mut self, revision: u64) {
        self.history.clear();
        self.snapshots.clear();
        self.forgotten = self.forgotten.max(revision);
    }

    /// These objects at that version, and no history.
    pub fn restore(&mut self, objects: BTreeMap<Key, Arc<Stored>>, revision: u64) {
        self.objects = objects;
        self.history.clear();
        self.snapshots.clear();
        (self.forgotten, self.changed) = (revision, revision);
    }

    /// The objects with every change after `revision` taken back, the last first.
    fn rewound(&self, revision: u64) -> BTreeMap<Key, Arc<Stored>> {
        let mut objects = self.objects.clone();
        for event in self.history.iter().rev().take_while(|event| event.revision > revision) {
            match &event.old {
                Some(old) => objects.insert(event.key.clone(), Arc::clone(old)),
                None => objects.remove(&event.key),
            };
        }
        objects
    }
}
