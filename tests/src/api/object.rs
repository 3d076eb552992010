//! An object as the server keeps it: its text, made once, and the little that lists, watches and
//! selectors ask of it.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use serde_json::{Map, Value};

use super::resources::Resource;

/// Namespace (empty for objects that have none) and name.
pub(crate) type Key = (String, String);

/// One version of an object. It never changes.
#[derive(Debug)]
pub(crate) struct Stored {
    pub key: Key,
    pub revision: u64,
    pub uid: String,
    pub labels: BTreeMap<String, String>,
    /// What field selectors may ask, beside the key.
    pub fields: BTreeMap<&'static str, String>,
    /// `metadata.ownerReferences[].uid`.
    pub owners: Vec<String>,
    /// The whole object; `apiVersion` and `kind` come first.
    pub json: Bytes,
    /// Where `json` goes on after them.
    tail: usize,
}

impl Stored {
    /// Keeps `value`, whose metadata is complete.
    pub fn new(resource: &Resource, value: &Value) -> Self {
        let text = |path: &str| value.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let (json, tail) = render(resource, value);
        let labels = value.pointer("/metadata/labels").and_then(Value::as_object);
        let labels = labels.into_iter().flatten();
        let owners = value.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        let owners = owners.into_iter().flatten().filter_map(|owner| owner["uid"].as_str());
        let fields = resource
            .selectable
            .iter()
            .map(|field| (*field, text(&format!("/{}", field.replace('.', "/"))).to_owned()));
        Self {
            key: (text("/metadata/namespace").into(), text("/metadata/name").into()),
            revision: text("/metadata/resourceVersion").parse().unwrap_or(0),
            uid: text("/metadata/uid").into(),
            labels: labels
                .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().into()))
                .collect(),
            fields: fields.collect(),
            owners: owners.map(str::to_owned).collect(),
            json,
            tail,
        }
    }

    /// The object as a tree.
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.json).expect("what was written as JSON can be read as JSON")
    }

    /// Adds it as an item of a list: built-in kinds leave `apiVersion` and `kind` out there.
    pub fn push_item(&self, resource: &Resource, text: &mut Vec<u8>) {
        if resource.is_custom {
            return text.extend_from_slice(&self.json);
        }
        text.push(b'{');
        text.extend_from_slice(&self.json[self.tail..]);
    }
}

fn render(resource: &Resource, value: &Value) -> (Bytes, usize) {
    let mut text =
        format!("{{\"apiVersion\":\"{}\",\"kind\":\"{}\",", resource.api_version(), resource.kind)
            .into_bytes();
    let tail = text.len();
    let fields = value.as_object().into_iter().flatten();
    for (name, value) in fields.filter(|(name, _)| !matches!(name.as_str(), "apiVersion" | "kind"))
    {
        if text.len() > tail {
            text.push(b',');
        }
        write_json(&mut text, name);
        text.push(b':');
        write_json(&mut text, value);
    }
    text.push(b'}');
    (text.into(), tail)
}

fn write_json(text: &mut Vec<u8>, value: &impl serde::Serialize) {
    serde_json::to_writer(text, value).expect("JSON can be written to memory");
}

/// `object.metadata`, made if it is missing.
pub(crate) fn metadata(object: &mut Value) -> &mut Map<String, Value> {
    child(object, "metadata")
}

/// The map `object.name`, made if it is missing or no map.
pub(crate) fn child<'a>(object: &'a mut Value, name: &str) -> &'a mut Map<String, Value> {
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    let slot = &mut object[name];
    if !slot.is_object() {
        *slot = Value::Object(Map::new());
    }
    slot.as_object_mut().expect("it was just made a map")
}

/// Text at a JSON pointer, or nothing.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Now, as `metadata.creationTimestamp` has it.
pub(crate) fn timestamp() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

/// How long ago a timestamp was, as kubectl's columns say it.
pub(crate) fn age(timestamp: &str) -> String {
    let Ok(then) = humantime::parse_rfc3339_weak(timestamp) else { return "<unknown>".into() };
    let ago = SystemTime::now().duration_since(then).unwrap_or(Duration::ZERO).as_secs();
    match ago {
        0..120 => format!("{ago}s"),
        120..7_200 => format!("{}m", ago / 60),
        7_200..172_800 => format!("{}h", ago / 3_600),
        _ => format!("{}d", ago / 86_400),
    }
}
