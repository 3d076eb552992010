//! What surrounds the objects of an answer, and of an object what says which one it is.
//!
//! Objects are cut out as text first: one that cannot be decoded is its own problem.

use std::{borrow::Cow, sync::Arc};

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::version::Version;
use crate::{api::ObjectRef, client::Status};

/// One page of a list.
#[derive(Debug)]
pub(super) struct Page<'a> {
    /// `metadata.resourceVersion`.
    pub(super) version: Version,
    /// `metadata.continue`, if there is more.
    pub(super) next: Option<String>,
    /// The objects.
    pub(super) items: Vec<&'a RawValue>,
}

/// One event of a watch.
#[derive(Debug)]
pub(super) enum Event<'a> {
    /// `ADDED` or `MODIFIED`.
    Put(&'a RawValue),
    /// `DELETED`.
    Remove(&'a RawValue),
    /// Everything up to here has been said.
    Bookmark(&'a RawValue),
    /// The watch is over.
    Error(Status),
}

/// Which object, in which version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Which.
    pub(super) object: ObjectRef,
    /// Another one of the same name has another uid.
    pub(super) uid: Box<str>,
    /// Missing where the server left it out.
    pub(super) version: Option<Version>,
}

#[derive(Deserialize)]
struct RawPage<'a> {
    #[serde(default, borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    metadata: RawListMeta<'a>,
    // Go writes an empty list as null; a missing one is no list.
    #[serde(borrow, deserialize_with = "nullable")]
    items: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawListMeta<'a> {
    #[serde(default, borrow)]
    resource_version: Cow<'a, str>,
    #[serde(default, rename = "continue", borrow)]
    next: Cow<'a, str>,
}

#[derive(Deserialize)]
struct RawEvent<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct RawHead<'a> {
    #[serde(borrow)]
    metadata: RawMeta<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMeta<'a> {
    #[serde(default, borrow)]
    namespace: Cow<'a, str>,
    #[serde(default, borrow)]
    name: Cow<'a, str>,
    #[serde(default, borrow)]
    uid: Cow<'a, str>,
    #[serde(default, borrow)]
    resource_version: Cow<'a, str>,
}

impl<'a> Page<'a> {
    /// Reads a page of a list of objects of `kind`. Errors: what it is instead.
    pub(super) fn read(body: &'a str, kind: &str) -> Result<Self, String> {
        let page: RawPage = serde_json::from_str(body)
            .map_err(|why| format!("no list of {kind} objects: {why}"))?;
        if page.kind.strip_suffix("List") != Some(kind) {
            return Err(format!("the kind is {:.64?} instead of {kind}List", page.kind));
        }
        let Some(version) = Version::new(&page.metadata.resource_version) else {
            return Err(format!("a {kind}List without a resourceVersion"));
        };
        let next = (!page.metadata.next.is_empty()).then(|| page.metadata.next.into_owned());
        Ok(Self { version, next, items: page.items })
    }
}

impl<'a> Event<'a> {
    /// Reads one line. Errors: what it is instead.
    pub(super) fn read(line: &'a str) -> Result<Self, String> {
        let event: RawEvent =
            serde_json::from_str(line).map_err(|why| format!("no event: {why}"))?;
        Ok(match &*event.kind {
            "ADDED" | "MODIFIED" => Self::Put(event.object),
            "DELETED" => Self::Remove(event.object),
            "BOOKMARK" => Self::Bookmark(event.object),
            "ERROR" => Self::Error(Status::read(event.object.get().as_bytes())),
            other => return Err(format!("an event of the type {other:.64?}")),
        })
    }
}

impl Head {
    /// Reads which object it is. Errors: why nobody can tell.
    pub(super) fn read(object: &RawValue) -> Result<Self, String> {
        let head: RawHead = serde_json::from_str(object.get())
            .map_err(|why| format!("an object without readable metadata: {why}"))?;
        let RawMeta { namespace, name, uid, resource_version } = head.metadata;
        if name.is_empty() {
            return Err("an object without a name".to_owned());
        }
        let object = ObjectRef { namespace: Arc::from(&*namespace), name: Arc::from(&*name) };
        Ok(Self { object, uid: uid.into(), version: Version::new(&resource_version) })
    }
}

/// The version that a bookmark carries.
pub(super) fn bookmark(object: &RawValue) -> Option<Version> {
    let head: RawHead = serde_json::from_str(object.get()).ok()?;
    Version::new(&head.metadata.resource_version)
}

fn nullable<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<&'de RawValue>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_an_empty_list_and_nothing_is_none() {
        let null = r#"{"kind":"ServiceList","metadata":{"resourceVersion":"7"},"items":null}"#;
        assert_eq!(Page::read(null, "Service").expect("a list").items.len(), 0);
        let none = r#"{"kind":"ServiceList","metadata":{"resourceVersion":"7"}}"#;
        assert!(Page::read(none, "Service").expect_err("no list").contains("items"));
    }

    #[test]
    fn another_kind_is_refused() {
        let other = r#"{"kind":"PodList","metadata":{"resourceVersion":"7"},"items":[]}"#;
        let why = Page::read(other, "Service").expect_err("another kind");
        assert_eq!(why, "the kind is \"PodList\" instead of ServiceList");
    }

    #[test]
    fn metadata_is_read_from_objects_whose_rest_makes_no_sense() {
        let raw = r#"{"spec":[[[["\u00fc"]]]],"metadata":{"name":"a\u00e4","uid":"u","labels":3}}"#;
        let raw: &RawValue = serde_json::from_str(raw).expect("JSON");
        let head = Head::read(raw).expect("metadata");
        assert_eq!((&*head.object.name, &*head.uid, head.version), ("aä", "u", None));
    }
}
