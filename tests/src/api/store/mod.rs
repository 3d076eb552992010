//! The objects, their history, and the one counter of versions.
//!
//! Nothing here knows HTTP. A version of an object never changes; a reader holds no lock.

mod check;
mod defaults;
mod kinds;
mod write;

use std::{
    collections::{BTreeMap, hash_map::RandomState},
    hash::{BuildHasher as _, Hasher as _},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

pub(crate) use kinds::{Event, Kind, Snapshot};
pub(crate) use write::{Preconditions, Writer};

use super::{
    failure::{Cause, Failure},
    object::{Key, Stored},
    options::Validate,
    resources::{self, Resource},
};

/// Everything that the server knows.
#[derive(Debug)]
pub(crate) struct Store {
    inner: Mutex<Inner>,
    revisions: watch::Sender<u64>,
}

/// What is under the lock.
pub(crate) struct Inner {
    /// The version of the last change of anything.
    pub revision: u64,
    kinds: Vec<Kind>,
    /// Makes uids and generated names.
    serial: u64,
    /// Makes them others than those of another server.
    salt: u64,
    validate: Option<Validate>,
    allocated: defaults::Allocated,
}

/// All objects at one version.
#[derive(Debug, Clone)]
pub(crate) struct Saved {
    revision: u64,
    kinds: Vec<BTreeMap<Key, Arc<Stored>>>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("revision", &self.revision).finish_non_exhaustive()
    }
}

impl Store {
    /// An empty one; of each kind the last `window` changes are remembered.
    pub fn new(window: usize, validate: Option<Validate>) -> Self {
        let kinds = resources::ALL.iter().map(|_| Kind::new(window)).collect();
        let allocated = defaults::Allocated::default();
        let salt = RandomState::new().build_hasher().finish();
        let inner = Inner { revision: 1, kinds, serial: 0, salt, validate, allocated };
        Self { inner: Mutex::new(inner), revisions: watch::Sender::new(1) }
    }

    /// Runs `job` alone, then tells watches if it has changed anything.
    pub fn change<T>(&self, job: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.lock();
        let before = inner.revision;
        let result = job(&mut inner);
        let after = inner.revision;
        drop(inner);
        if after != before {
            self.revisions.send_replace(after);
        }
        result
    }

    /// Wakes its receiver at each new version.
    pub fn revisions(&self) -> watch::Receiver<u64> {
        self.revisions.subscribe()
    }

    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    pub fn kind(&self, resource: &Resource) -> &Kind {
        &self.kinds[resource.index()]
    }

    pub fn get(&self, resource: &Resource, key: &Key) -> Option<&Arc<Stored>> {
        self.kind(resource).objects.get(key)
    }

    /// All objects of a kind as they were at `revision`.
    pub fn snapshot(&mut self, resource: &Resource, revision: u64) -> Result<Snapshot, Failure> {
        let current = self.revision;
        self.kinds[resource.index()].snapshot(revision, current)
    }

    /// Forgets what has changed until now: older versions are expired.
    pub fn compact(&mut self) {
        let revision = self.revision;
        self.kinds.iter_mut().for_each(|kind| kind.forget(revision));
    }

    pub fn save(&self) -> Saved {
        let kinds = self.kinds.iter().map(|kind| kind.objects.clone()).collect();
        Saved { revision: self.revision, kinds }
    }

    /// Goes back; what has been given to Services stays given.
    pub fn restore(&mut self, saved: &Saved) {
        let Saved { revision, kinds } = saved;
        self.revision = *revision;
        for (kind, objects) in self.kinds.iter_mut().zip(kinds) {
            kind.restore(objects.clone(), *revision);
        }
    }

    /// Counts the version on without any change, as changes of kinds that no client watches do.
    pub fn skip(&mut self, versions: u64) {
        self.revision += versions;
    }

    fn check(&self, resource: &Resource, value: &mut serde_json::Value) -> Result<(), Vec<Cause>> {
        match &self.validate {
            Some(validate) if resource.plural == "failoverpolicies" => validate(value),
            _ => Ok(()),
        }
    }

    /// A number that is not given twice, scattered.
    fn scattered(&mut self) -> u64 {
        self.serial += 1;
        let mut mixed = self.salt ^ self.serial.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A name that no other object of any server has.
    pub fn uid(&mut self) -> String {
        let [high, low] = [self.scattered(), self.scattered()];
        format!(
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            low >> 52,
            low & 0xffff_ffff_ffff
        )
    }

    /// Five letters as the real server appends them to `generateName`.
    fn suffix(&mut self) -> String {
        const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        let mut number = self.scattered();
        let mut letter = || {
            let found = LETTERS[usize::try_from(number % 27).unwrap_or(0)];
            number /= 27;
            char::from(found)
        };
        (0..5).map(|_| letter()).collect()
    }
}
