//! Fields as server-side apply names them (`fieldsV1`): `f:NAME`, `k:{KEYS}` for an item of a list
//! with keys, `v:VALUE` for one of a set.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::schema::{self, List};
use crate::api::resources::Resource;

/// The way from the object to a field.
pub(super) type Path = Vec<String>;
/// Fields that a manager owns.
pub(super) type Set = BTreeSet<Path>;

/// Every leaf of `value`: scalars, wholes, empty maps; and every item of a list with keys.
pub(super) fn leaves(resource: &Resource, value: &Value) -> Set {
    let mut set = Set::new();
    let fields = value.as_object().into_iter().flatten();
    for (name, value) in fields.filter(|(name, _)| !matches!(name.as_str(), "apiVersion" | "kind"))
    {
        walk(resource, value, &mut vec![format!("f:{name}")], name, &mut set);
    }
    set.retain(|path| !is_system(path));
    set
}

/// Whether the server itself or the URL says a field: then no manager owns it.
fn is_system(path: &[String]) -> bool {
    const SYSTEM: [&str; 10] = [
        "f:name",
        "f:namespace",
        "f:uid",
        "f:resourceVersion",
        "f:generation",
        "f:creationTimestamp",
        "f:deletionTimestamp",
        "f:deletionGracePeriodSeconds",
        "f:managedFields",
        "f:selfLink",
    ];
    match path {
        [first] => first == "f:metadata",
        [first, second, ..] => first == "f:metadata" && SYSTEM.contains(&second.as_str()),
        [] => true,
    }
}

fn walk(resource: &Resource, value: &Value, path: &mut Path, dotted: &str, set: &mut Set) {
    match value {
        Value::Null => {}
        Value::Object(fields) if !fields.is_empty() && !schema::is_atomic_map(resource, dotted) => {
            for (name, value) in fields {
                path.push(format!("f:{name}"));
                walk(resource, value, path, &format!("{dotted}.{name}"), set);
                path.pop();
            }
        }
        Value::Array(items) if !items.is_empty() => match schema::list(resource, dotted) {
            List::Atomic => drop(set.insert(path.clone())),
            List::Set => {
                for item in items {
                    set.insert([path.as_slice(), &[format!("v:{item}")]].concat());
                }
            }
            List::Map(keys) => {
                for item in items {
                    path.push(item_name(item, keys));
                    set.insert(path.clone());
                    walk(resource, item, path, dotted, set);
                    path.pop();
                }
            }
        },
        _ => drop(set.insert(path.clone())),
    }
}

/// `k:{"port":80,"protocol":"TCP"}`.
pub(super) fn item_name(item: &Value, keys: &[&str]) -> String {
    let value = |key: &str| match item.get(key) {
        None if key == "protocol" => json!("TCP"),
        found => found.cloned().unwrap_or(Value::Null),
    };
    let keys: Map<_, _> = keys.iter().map(|key| ((*key).to_owned(), value(key))).collect();
    format!("k:{}", Value::Object(keys))
}

/// Whether a value is written so.
fn is_text(value: &Value, text: &str) -> bool {
    serde_json::from_str::<Value>(text).is_ok_and(|written| written == *value)
}

/// What is at `path`.
pub(super) fn get<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, part| match part.split_once(':')? {
        ("f", name) => value.get(name),
        ("k", _) => value.as_array()?.iter().find(|item| is_item(item, part)),
        ("v", text) => value.as_array()?.iter().find(|item| is_text(item, text)),
        _ => None,
    })
}

/// Whether `item` is the one that `k:{…}` names.
pub(super) fn is_item(item: &Value, part: &str) -> bool {
    let keys = part.strip_prefix("k:").and_then(|keys| serde_json::from_str::<Value>(keys).ok());
    let Some(Value::Object(keys)) = keys else { return false };
    let names: Vec<_> = keys.keys().map(String::as_str).collect();
    item_name(item, &names) == format!("k:{}", Value::Object(keys.clone()))
}

/// Takes what is at `path` away, and maps that are empty then.
pub(super) fn remove(value: &mut Value, path: &[String]) {
    let [first, rest @ ..] = path else { return };
    let is_last = rest.is_empty();
    match (first.split_once(':'), value) {
        (Some(("f", name)), Value::Object(fields)) => {
            if is_last {
                fields.remove(name);
            } else if let Some(below) = fields.get_mut(name) {
                remove(below, rest);
                let is_empty = match below {
                    Value::Object(below) => below.is_empty(),
                    Value::Array(below) => below.is_empty(),
                    _ => false,
                };
                if is_empty {
                    fields.remove(name);
                }
            }
        }
        (Some(("k", _)), Value::Array(items)) => {
            if is_last {
                items.retain(|item| !is_item(item, first));
            } else if let Some(item) = items.iter_mut().find(|item| is_item(item, first)) {
                // The keys of an item stay with it.
                let is_key = rest.len() == 1
                    && first.contains(&format!("\"{}\":", rest[0].trim_start_matches("f:")));
                if !is_key {
                    remove(item, rest);
                }
            }
        }
        (Some(("v", text)), Value::Array(items)) => items.retain(|item| !is_text(item, text)),
        _ => {}
    }
}

/// A path as conflicts name it: `.spec.ports[port=80,protocol="TCP"].name`.
pub(super) fn shown(path: &[String]) -> String {
    let part = |part: &String| match part.split_once(':') {
        Some(("f", name)) => format!(".{name}"),
        Some(("k", keys)) => {
            let keys: Map<_, _> = serde_json::from_str(keys).unwrap_or_default();
            let keys: Vec<_> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
            format!("[{}]", keys.join(","))
        }
        _ => format!("[={}]", part.trim_start_matches("v:")),
    };
    path.iter().map(part).collect()
}

/// A set as `fieldsV1`.
pub(super) fn to_fields(set: &Set) -> Value {
    let mut fields = Value::Object(Map::new());
    for path in set {
        let has_more = set.range(path.clone()..).nth(1).is_some_and(|next| next.starts_with(path));
        let mut at = &mut fields;
        for part in path {
            at = &mut at[part.as_str()];
            if at.is_null() {
                *at = json!({});
            }
        }
        if has_more {
            at["."] = json!({});
        }
    }
    fields
}

/// A set from `fieldsV1`.
pub(super) fn from_fields(fields: &Value) -> Set {
    fn walk(fields: &Map<String, Value>, path: &mut Path, set: &mut Set) {
        if !path.is_empty() && (fields.is_empty() || fields.contains_key(".")) {
            set.insert(path.clone());
        }
        for (part, below) in fields.iter().filter(|(part, _)| *part != ".") {
            path.push(part.clone());
            walk(below.as_object().unwrap_or(&Map::new()), path, set);
            path.pop();
        }
    }
    let mut set = Set::new();
    walk(fields.as_object().unwrap_or(&Map::new()), &mut Vec::new(), &mut set);
    set
}
