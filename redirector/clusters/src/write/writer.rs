//! Which request is next: pure.
//!
//! In order:
//!
//! - what changes or takes away endpoints, and what others refer to, at once;
//! - what adds endpoints, as fast as agents can read it;
//! - an endpoint that moves to another slice leaves its own only when it is there;
//! - removals, and of one Service only when everything else of it is as desired: make before break.
//!
//! A request that fails is repeated later and later, by itself: no other object waits for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use redirector_core::Moment;
use serde_json::Value;

use super::{
    Actual, Content, Key,
    backoff::Backoff,
    content::{covers, overlaid},
    kept::{addresses, group},
    pace::Bucket,
};

/// How soon an object is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pace {
    /// It takes something out of use, or brings back what was there before.
    AtOnce,
    /// It adds endpoints.
    Paced,
}

/// A request that is to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// About which object.
    pub key: Key,
    /// What is asked for.
    pub request: Request,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Make this object.
    Create(Value),
    /// Replace the object by this one, which has the version that it replaces.
    Update(Value),
    /// Replace its status likewise.
    UpdateStatus(Value),
    /// Remove the object of that UID.
    Delete {
        /// `metadata.uid`.
        uid: Arc<str>,
    },
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It is done, and this is what there is now.
    Written(Box<Actual>),
    /// There is no such object (any more).
    Gone,
    /// Another version is there, or one where none was expected.
    Conflict {
        /// What there is, if that could be read: it holds, however old its version (a backup was restored).
        found: Option<Box<Actual>>,
    },
    /// It had no effect, or that is not known; `asked` is how long the server wants to be left alone.
    Failed {
        /// `Retry-After`.
        asked: Option<Duration>,
    },
}

/// An object that is desired.
#[derive(Clone, Debug)]
struct Wanted {
    text: Arc<str>,
    content: Content,
    status: Option<Content>,
    group: Arc<str>,
    addresses: Arc<[IpAddr]>,
    pace: Pace,
}

/// A difference that is to be written.
#[derive(Clone, Copy, Debug, Default)]
struct Due {
    not_before: Option<Moment>,
    failures: u32,
}

/// In which order differences are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    AtOnce,
    Paced,
    Removal,
}

/// What belongs together: a namespace, and the Service there.
type Group = (Arc<str>, Arc<str>);

/// What is desired, what there is, and what is under way between the two.
#[derive(Debug)]
pub struct Writer {
    wanted: BTreeMap<Key, Wanted>,
    actual: BTreeMap<Key, Actual>,
    due: BTreeMap<Key, Due>,
    /// Those of `due` that wait for nothing but their turn.
    ready: BTreeSet<(Class, Key)>,
    /// Those that have failed, until they are tried again.
    waiting: BTreeSet<(Moment, Key)>,
    /// Requests under way, and how often each has failed before.
    busy: BTreeMap<Key, u32>,
    /// Objects of which a request had an effect that is not known: what was known of them may be old.
    unsure: BTreeSet<Key>,
    /// What is still to be made, or being made, of each Service.
    unmade: BTreeMap<Group, BTreeSet<Key>>,
    may_remove: bool,
    bucket: Bucket,
    token_at: Option<Moment>,
    backoff: Backoff,
}

/// The wait after the first failure.
const BACKOFF: Duration = Duration::from_millis(200);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(30);
/// An object that has failed so often is no reason to wait for it.
const HOPELESS: u32 = 3;

impl Writer {
    /// A writer that knows nothing yet, and so removes nothing. Its waits are divided by `divisor`.
    #[must_use]
    pub fn new(divisor: u32) -> Self {
        let by = divisor.max(1);
        Self {
            wanted: BTreeMap::new(),
            actual: BTreeMap::new(),
            due: BTreeMap::new(),
            ready: BTreeSet::new(),
            waiting: BTreeSet::new(),
            busy: BTreeMap::new(),
            unsure: BTreeSet::new(),
            unmade: BTreeMap::new(),
            may_remove: false,
            bucket: Bucket::new(0),
            token_at: None,
            backoff: Backoff { first: BACKOFF / by, longest: LONGEST / by },
        }
    }

    /// Whether everything that there is, and everything that should be, is known: before that nothing is
    /// removed.
    pub fn set_may_remove(&mut self, may_remove: bool) {
        if std::mem::replace(&mut self.may_remove, may_remove) != may_remove {
            let keys: Vec<Key> = self.actual.keys().cloned().collect();
            keys.into_iter().for_each(|key| self.judge(key));
        }
    }

    /// So many nodes read what is written.
    pub fn set_nodes(&mut self, nodes: usize) {
        self.bucket.set_nodes(nodes);
    }

    /// The object should be this one. A change that is at once stays so until it is written.
    pub fn want(&mut self, key: Key, object: &Value, pace: Pace) {
        let before = self.wanted.get(&key).filter(|_| self.due.contains_key(&key));
        let wanted = Wanted {
            text: object.to_string().into(),
            content: Content::of(object),
            status: object.get("status").map(|_| Content::of_status(object)),
            group: group(object).into(),
            addresses: addresses(object),
            pace: before.map_or(pace, |before| before.pace.min(pace)),
        };
        self.forget(&key);
        self.wanted.insert(key.clone(), wanted);
        self.judge(key);
    }

    /// There should be no such object.
    pub fn unwant(&mut self, key: Key) {
        self.forget(&key);
        self.wanted.remove(&key);
        self.judge(key);
    }

    /// The object is this one: what a watch says. One that is older than what an answer has said is no
    /// news.
    pub fn found(&mut self, key: Key, actual: Actual) {
        let before = self.actual.get(&key);
        if before.is_some_and(|before| before.uid == actual.uid && is_older(&actual, before)) {
            return;
        }
        let is_news = before.is_none_or(|before| before.version != actual.version);
        if is_news {
            self.unsure.remove(&key);
        }
        self.actual.insert(key.clone(), actual);
        // What failed once may have failed for the version that this one replaces.
        if is_news && self.due.get(&key).is_some_and(|due| due.failures == 1) {
            self.due.remove(&key);
        }
        self.judge(key);
    }

    /// There is no such object: what a watch says.
    pub fn lost(&mut self, key: Key) {
        self.unsure.remove(&key);
        self.actual.remove(&key);
        self.judge(key);
    }

    /// The objects as they are.
    #[must_use]
    pub fn actual(&self) -> &BTreeMap<Key, Actual> {
        &self.actual
    }

    /// Whether the object is desired and as desired.
    #[must_use]
    pub fn is_written(&self, key: &Key) -> bool {
        self.wanted.contains_key(key) && !self.due.contains_key(key) && !self.busy.contains_key(key)
    }

    /// Whether nothing is under way or about to be, but for what has failed again and again: what there
    /// is may be vouched for.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.busy.is_empty() && self.due.values().all(|due| due.failures >= HOPELESS)
    }

    /// How many objects are not as desired.
    #[must_use]
    pub fn backlog(&self) -> usize {
        let is_only_busy = |key: &&Key| !self.due.contains_key(*key);
        self.due.len() + self.busy.keys().filter(is_only_busy).count()
    }

    /// The next request, if one is due; [`Writer::done`] must follow.
    pub fn take(&mut self, now: Moment) -> Option<Job> {
        while let Some((at, _)) = self.waiting.first()
            && *at <= now
            && let Some((_, key)) = self.waiting.pop_first()
        {
            if let Some(due) = self.due.get_mut(&key) {
                due.not_before = None;
            }
            self.queue(&key);
        }
        let key = self.next(now)?;
        let request = self.request(&key)?;
        let due = self.due.remove(&key).unwrap_or_default();
        self.dequeue(&key, due);
        self.busy.insert(key.clone(), due.failures);
        self.count(&key);
        Some(Job { key, request })
    }

    /// When to ask again, if nothing else happens; `None` is not at all.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Moment> {
        let waiting = self.waiting.first().map(|(at, _)| *at);
        [waiting, self.token_at].into_iter().flatten().min()
    }

    /// What became of a request that was taken.
    pub fn done(&mut self, key: &Key, outcome: Outcome, now: Moment) {
        let failures = self.busy.remove(key).unwrap_or_default();
        let asked = match outcome {
            Outcome::Written(actual) => {
                self.unsure.remove(key);
                self.actual.insert(key.clone(), *actual);
                self.judge(key.clone());
                return;
            }
            Outcome::Gone => {
                self.unsure.remove(key);
                self.actual.remove(key);
                None
            }
            Outcome::Conflict { found } => {
                if let Some(found) = found {
                    self.unsure.remove(key);
                    self.actual.insert(key.clone(), *found);
                }
                None
            }
            Outcome::Failed { asked } => {
                self.unsure.insert(key.clone());
                asked
            }
        };
        if !self.differs(key) {
            self.judge(key.clone());
            return;
        }
        let failures = failures + 1;
        let at = Moment(now.0 + self.backoff.after(failures, asked));
        let old = self.due.insert(key.clone(), Due { not_before: Some(at), failures });
        self.dequeue(key, old.unwrap_or_default());
        self.waiting.insert((at, key.clone()));
        self.count(key);
    }

    /// The key whose turn it is.
    fn next(&mut self, now: Moment) -> Option<Key> {
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

    /// Endpoints that are to leave this slice for others of its Service, and are not known to be there
    /// yet, as they are to be there.
    fn moved(&self, key: &Key) -> Vec<Value> {
        self.try_moved(key).unwrap_or_default()
    }

    fn try_moved(&self, key: &Key) -> Option<Vec<Value>> {
        let (wanted, actual) = (self.wanted.get(key)?, self.actual.get(key)?);
        let group = (Arc::clone(&key.namespace), Arc::clone(&wanted.group));
        let others = self.unmade.get(&group)?.iter().filter(|other| *other != key);
        let has = |addresses: &[IpAddr], one: &IpAddr| addresses.binary_search(one).is_ok();
        let leaves = |one: &&IpAddr| !has(&wanted.addresses, one);
        let leaving: Vec<IpAddr> = actual.addresses.iter().filter(leaves).copied().collect();
        if leaving.is_empty() {
            return None;
        }
        let mut moved = Vec::new();
        for other in others {
            let Some(comes) = self.wanted.get(other) else { continue };
            let is_sure = !self.busy.contains_key(other) && !self.unsure.contains(other);
            let there = self.actual.get(other).filter(|_| is_sure);
            let there = there.map(|actual| &*actual.addresses).unwrap_or_default();
            let is_coming = |one: &IpAddr| has(&comes.addresses, one) && !has(there, one);
            let coming: Vec<_> = leaving.iter().filter(|one| is_coming(one)).collect();
            if coming.is_empty() {
                continue;
            }
            let object: Value = serde_json::from_str(&comes.text).unwrap_or_default();
            let endpoints = object["endpoints"].as_array().into_iter().flatten();
            let is_one = |endpoint: &&Value| {
                let address = endpoint["addresses"][0].as_str().and_then(|text| text.parse().ok());
                address.is_some_and(|address: IpAddr| coming.contains(&&address))
            };
            moved.extend(endpoints.filter(is_one).cloned());
        }
        Some(moved)
    }

    /// Notes whether the object is as desired.
    fn judge(&mut self, key: Key) {
        if self.differs(&key) {
            self.due.entry(key.clone()).or_default();
            self.queue(&key);
        } else if let Some(due) = self.due.remove(&key) {
            self.dequeue(&key, due);
        }
        self.count(&key);
    }

    /// Puts what is due in its place.
    fn queue(&mut self, key: &Key) {
        let Some(due) = self.due.get(key).copied() else { return };
        self.dequeue(key, due);
        match due.not_before {
            Some(at) => self.waiting.insert((at, key.clone())),
            None => self.ready.insert((self.class(key), key.clone())),
        };
    }

    fn dequeue(&mut self, key: &Key, due: Due) {
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
    fn count(&mut self, key: &Key) {
        let Some(wanted) = self.wanted.get(key) else { return };
        let group = (Arc::clone(&key.namespace), Arc::clone(&wanted.group));
        if self.due.contains_key(key) || self.busy.contains_key(key) {
            self.unmade.entry(group).or_default().insert(key.clone());
        } else {
            self.forget(key);
        }
    }

    fn forget(&mut self, key: &Key) {
        let Some(wanted) = self.wanted.get(key) else { return };
        let group = (Arc::clone(&key.namespace), Arc::clone(&wanted.group));
        if let Some(keys) = self.unmade.get_mut(&group) {
            keys.remove(key);
            if keys.is_empty() {
                self.unmade.remove(&group);
            }
        }
    }

    fn differs(&self, key: &Key) -> bool {
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

    fn request(&self, key: &Key) -> Option<Request> {
        let object = |wanted: &Wanted| serde_json::from_str::<Value>(&wanted.text).ok();
        let (wanted, actual) = (self.wanted.get(key), self.actual.get(key));
        Some(match (wanted, actual) {
            (Some(wanted), None) => Request::Create(object(wanted)?),
            (Some(wanted), Some(actual))
                if self.unsure.contains(key) || !is_same(wanted, actual) =>
            {
                let mut object = object(wanted)?;
                let moved = self.moved(key);
                if !moved.is_empty() {
                    object["endpoints"].as_array_mut()?.extend(moved);
                    // Nothing can be done before they are where they go.
                    if Content::of(&object) == actual.content {
                        return None;
                    }
                }
                Request::Update(over(object, actual))
            }
            (Some(wanted), Some(actual)) => Request::UpdateStatus(over(object(wanted)?, actual)),
            (None, Some(actual)) => Request::Delete { uid: Arc::clone(&actual.uid) },
            (None, None) => return None,
        })
    }
}

/// The object with what an update keeps of what there is.
fn over(mut object: Value, actual: &Actual) -> Value {
    if let Some(whole) = actual.whole.as_deref().and_then(|text| serde_json::from_str(text).ok()) {
        object = overlaid(&whole, &object);
    }
    let metadata = &mut object["metadata"];
    metadata["resourceVersion"] = Value::from(&*actual.version);
    if !actual.finalizers.is_empty() {
        metadata["finalizers"] = actual.finalizers.iter().map(|one| Value::from(&**one)).collect();
    }
    object
}

fn is_same(wanted: &Wanted, actual: &Actual) -> bool {
    match &actual.whole {
        None => wanted.content == actual.content,
        Some(whole) => {
            let read = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
            covers(&read(whole), &read(&wanted.text))
        }
    }
}

fn is_other_status(wanted: &Wanted, actual: &Actual) -> bool {
    wanted.status.is_some_and(|status| status != actual.status)
}

/// Versions are opaque by the letter, numbers in fact (KEP-5504).
fn is_older(one: &Actual, other: &Actual) -> bool {
    match (one.version.parse::<u128>(), other.version.parse::<u128>()) {
        (Ok(one), Ok(other)) => one < other,
        _ => false,
    }
}
