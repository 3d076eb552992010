//! What has been said of every object, so that only differences are said again.

use std::collections::{BTreeMap, btree_map::Entry};

use super::{
    envelope::Head,
    list::{List, ListItem},
    version::Version,
};
use crate::api::{Change, ObjectRef};

/// The objects of which a version has been said, also one that could not be decoded.
#[derive(Debug, Default)]
pub(super) struct ObjectCache {
    objects: BTreeMap<ObjectRef, SeenObject>,
}

#[derive(Debug)]
struct SeenObject {
    uid: Box<str>,
    version: Option<Version>,
}

/// What a complete list says anew.
#[derive(Debug)]
pub(super) struct Differences<T> {
    pub(super) changes: Vec<Change<T>>,
    /// How many of them the watch should have said before.
    pub(super) missed: usize,
}

impl ObjectCache {
    pub(super) fn len(&self) -> usize {
        self.objects.len()
    }

    /// An object was added or changed. Returns whether that is news: not so for a version that is
    /// not newer than the one said, nor for an object that is not known in a version that is not
    /// newer than what has been heard, because then its removal has been heard too.
    pub(super) fn put(&mut self, head: &Head, heard: Option<&Version>) -> bool {
        let before = match self.objects.get(&head.object) {
            Some(seen) => seen.version.as_ref(),
            None => heard,
        };
        if let (Some(version), Some(before)) = (&head.version, before)
            && version.is_not_newer_than(before)
        {
            return false;
        }
        self.remember(head.clone());
        true
    }

    /// An object was removed. Returns whether that is news: not so for one that is not known, nor
    /// for an earlier one of that name.
    pub(super) fn remove(&mut self, head: &Head) -> bool {
        let Entry::Occupied(seen) = self.objects.entry(head.object.clone()) else { return false };
        if let (Some(version), Some(before)) = (&head.version, &seen.get().version)
            && version.is_older_than(before)
        {
            return false;
        }
        seen.remove();
        true
    }

    /// Takes in a complete list; `heard` is what the watches have said until then. Nothing vanishes by
    /// a list in which an object could not be named.
    pub(super) fn replace<T>(&mut self, list: List<T>, heard: Option<&Version>) -> Differences<T> {
        let List { version, items, unnamed, .. } = list;
        // A list that is older, of a state that was restored, shows nothing that a watch has missed.
        let heard = heard.filter(|heard| !version.is_older_than(heard));
        let was_due = |of: Option<&Version>| {
            usize::from(of.zip(heard).is_some_and(|(of, heard)| of.is_not_newer_than(heard)))
        };
        let mut differences = Differences { changes: Vec::new(), missed: 0 };
        if unnamed == 0 {
            let vanished = self.objects.extract_if(.., |object, _| !items.contains_key(object));
            for (object, _) in vanished {
                differences.missed += was_due(Some(&version));
                differences.changes.push(Change::Remove(object));
            }
        }
        for ListItem { head, decoded } in items.into_values() {
            let seen = self.objects.get(&head.object);
            let is_same = seen.is_some_and(|seen| {
                head.version.is_some() && head.version == seen.version && head.uid == seen.uid
            });
            if is_same {
                continue;
            }
            differences.missed += was_due(head.version.as_ref());
            let object = head.object.clone();
            self.remember(head);
            differences.changes.push(change(object, decoded));
        }
        differences
    }

    fn remember(&mut self, head: Head) {
        let Head { object, uid, version } = head;
        self.objects.insert(object, SeenObject { uid, version });
    }
}

/// What is said of an object that was read.
pub(super) fn change<T>(object: ObjectRef, decoded: Result<T, String>) -> Change<T> {
    match decoded {
        Ok(value) => Change::Put(value),
        Err(why) => Change::Rejected { object, why },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn head(name: &str, version: &str) -> Head {
        let object = ObjectRef { namespace: Arc::from("n"), name: Arc::from(name) };
        Head { object, uid: "u".into(), version: Version::new(version) }
    }

    fn version(text: &str) -> Version {
        Version::new(text).expect(text)
    }

    fn list(at: &str, heads: &[Head]) -> List<&'static str> {
        let listed = |head: &Head| ListItem { head: head.clone(), decoded: Ok("value") };
        let items = heads.iter().map(|head| (head.object.clone(), listed(head))).collect();
        List { version: version(at), items, unnamed: 0, bytes: 0 }
    }

    #[test]
    fn what_is_not_newer_is_no_news() {
        let mut cache = ObjectCache::default();
        let heard = version("5");
        assert!(!cache.put(&head("a", "4"), Some(&heard)), "a removed object came back");
        assert!(cache.put(&head("a", "6"), Some(&heard)));
        assert!(!cache.put(&head("a", "6"), Some(&heard)), "a duplicate");
        assert!(cache.put(&head("a", ""), Some(&heard)), "without a version: better said twice");
        assert!(cache.put(&head("a", "7"), Some(&heard)));
        assert!(!cache.remove(&head("a", "6")), "the removal of an earlier one");
        assert!(cache.remove(&head("a", "8")));
        assert!(!cache.remove(&head("a", "8")));
    }

    #[test]
    fn what_the_watch_should_have_said_is_counted() {
        let mut cache = ObjectCache::default();
        for name in ["lost-change", "lost-removal"] {
            assert!(cache.put(&head(name, "5"), None));
        }
        let now = [head("lost-change", "7"), head("fresh", "11")];
        let heard = version("10");
        let differences = cache.replace(list("10", &now[..1]), Some(&heard));
        assert_eq!((differences.changes.len(), differences.missed), (2, 2));
        let differences = cache.replace(list("11", &now), Some(&heard));
        assert_eq!((differences.changes.len(), differences.missed), (1, 0));
    }

    #[test]
    fn a_list_with_an_unnamed_object_removes_nothing() {
        let mut cache = ObjectCache::default();
        assert!(cache.put(&head("a", "5"), None));
        let list = List { unnamed: 1, ..list("10", &[]) };
        assert_eq!(cache.replace(list, None).changes, []);
        assert_eq!(cache.len(), 1);
    }

    #[test]
    fn after_a_restore_older_versions_are_taken() {
        let mut cache = ObjectCache::default();
        assert!(cache.put(&head("a", "50"), None));
        assert!(cache.put(&head("b", "60"), None));
        let differences = cache.replace(list("10", &[head("a", "5")]), Some(&version("60")));
        assert_eq!(differences.changes.len(), 2, "a in its old version, b gone");
        assert_eq!(differences.missed, 0);
    }
}
