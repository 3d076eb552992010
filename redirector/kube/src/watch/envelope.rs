//! What surrounds the objects of an answer, and of an object what says which one it is.
//!
//! Objects are cut out as text first: one that cannot be decoded is its own problem.

use std::{borrow::Cow, fmt, sync::Arc};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::version::Version;
use crate::api::ObjectRef;

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
#[derive(Debug, Deserialize)]
pub(super) struct Event<'a> {
    /// `ADDED`, `MODIFIED`, `DELETED`, `BOOKMARK` or `ERROR`.
    #[serde(rename = "type", borrow)]
    pub(super) kind: Cow<'a, str>,
    /// What it is about.
    #[serde(borrow)]
    pub(super) object: &'a RawValue,
}

/// Which object it is, and in which version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Which object it is.
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
    metadata: ListMeta,
    // Go writes an empty list as null; a missing one is no list.
    #[serde(borrow, deserialize_with = "nullable")]
    items: Vec<&'a RawValue>,
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
        let ListMeta { resource_version, continue_, .. } = page.metadata;
        let Some(version) = Version::new(&resource_version.unwrap_or_default()) else {
            return Err(format!("a {kind}List without a resourceVersion"));
        };
        let next = continue_.filter(|next| !next.is_empty());
        Ok(Self { version, next, items: page.items })
    }
}

impl Head {
    /// Reads which object it is. Errors: why the object does not tell.
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

/// What the beginning of an event says that is too long to be read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Beginning {
    /// The event's type.
    pub(super) kind: String,
    namespace: String,
    name: String,
    uid: String,
    version: String,
}

impl Beginning {
    /// Reads as far as it goes. A server writes the type first, then the object with its metadata,
    /// and of them the name, the UID and the version before what may be long.
    pub(super) fn read(line: &[u8]) -> Self {
        let mut beginning = Self::default();
        let text = String::from_utf8_lossy(line);
        let mut json = serde_json::Deserializer::from_str(&text);
        // The beginning ends in the middle of something: what came before has been noted by then.
        let _ = Within(Part::Event, &mut beginning).deserialize(&mut json);
        beginning
    }

    /// Which object the event is about; none if that comes only later.
    pub(super) fn head(&self) -> Option<Head> {
        let Self { kind: _, namespace, name, uid, version } = self;
        let object = ObjectRef { namespace: (**namespace).into(), name: (**name).into() };
        let head = Head { object, uid: (**uid).into(), version: Version::new(version) };
        (!name.is_empty()).then_some(head)
    }
}

/// Which part of an event is being read.
#[derive(Clone, Copy)]
enum Part {
    Event,
    Object,
    Metadata,
}

struct Within<'b>(Part, &'b mut Beginning);

impl<'de> DeserializeSeed<'de> for Within<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Within<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let Self(part, beginning) = self;
        while let Some(field) = fields.next_key::<String>()? {
            match (part, &*field) {
                (Part::Event, "object") => {
                    fields.next_value_seed(Within(Part::Object, &mut *beginning))?;
                }
                (Part::Object, "metadata") => {
                    fields.next_value_seed(Within(Part::Metadata, &mut *beginning))?;
                }
                (Part::Event, "type") => beginning.kind = fields.next_value()?,
                (Part::Metadata, "namespace") => beginning.namespace = fields.next_value()?,
                (Part::Metadata, "name") => beginning.name = fields.next_value()?,
                (Part::Metadata, "uid") => beginning.uid = fields.next_value()?,
                (Part::Metadata, "resourceVersion") => beginning.version = fields.next_value()?,
                _ => drop(fields.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
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

    #[test]
    fn of_what_is_cut_off_anywhere_is_known_what_came_before() {
        let line = r#"{"type":"MODIFIED","object":{"kind":"Service","metadata":{"name":"a",
            "namespace":"n","uid":"u","resourceVersion":"7","annotations":{"x":"yyyy"}},"spec":{}}}"#;
        let whole = Beginning::read(line.as_bytes());
        let object = ObjectRef { namespace: "n".into(), name: "a".into() };
        let head = Head { object, uid: "u".into(), version: Version::new("7") };
        assert_eq!((&*whole.kind, whole.head()), ("MODIFIED", Some(head.clone())));
        let behind = line.find("annotations").expect("annotations");
        for cut in 0..line.len() {
            let beginning = Beginning::read(&line.as_bytes()[..cut]);
            if cut > behind {
                assert_eq!(beginning.head(), Some(head.clone()), "cut at {cut}");
            }
            assert!(beginning.kind.is_empty() || beginning.kind == "MODIFIED", "cut at {cut}");
        }
        assert_eq!(Beginning::read(b"[[[[").head(), None);
    }
}
