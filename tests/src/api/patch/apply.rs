//! Server-side apply: what a manager declares is merged, what it no longer declares goes, and what
//! another manager owns with another value is a conflict.

use serde_json::Value;

use super::{
    owners::{self, Owners},
    paths::{self, Set},
    schema::{self, List},
};
use crate::api::{
    failure::{Cause, Failure},
    object::text,
    resources::Resource,
    store::Writer,
};

/// `live` with `body` applied by `writer`.
pub(super) fn applied(
    resource: &Resource,
    name: &str,
    live: &Value,
    body: &Value,
    is_forced: bool,
    writer: Writer<'_>,
) -> Result<Value, Failure> {
    if body.pointer("/metadata/managedFields").is_some_and(|fields| !fields.is_null()) {
        return Err(Failure::bad_request("metadata.managedFields must be nil"));
    }
    let revision = text(body, "/metadata/resourceVersion");
    if !revision.is_empty() && revision != text(live, "/metadata/resourceVersion") {
        return Err(Failure::modified(resource, name));
    }
    let body = &restricted(resource, body, writer);
    let declared = owners::within(paths::leaves(resource, body), resource, writer);
    let mut all = Owners::read(live);
    let before = all.own(resource, writer, true).clone();
    let conflicts = take(&mut all, &before, &declared, live, body);
    if !conflicts.is_empty() && !is_forced {
        return Err(refused(resource, name, conflicts));
    }
    let others: Set = all
        .list
        .iter()
        .filter(|owner| !owner.is_same(&before))
        .flat_map(|owner| owner.fields.iter().cloned())
        .collect();
    let mut value = live.clone();
    merge(resource, &mut value, body, "");
    let is_wanted = |path: &Vec<String>| {
        declared.range(path.clone()..).next().is_some_and(|next| next.starts_with(path))
            || others.range(path.clone()..).next().is_some_and(|next| next.starts_with(path))
    };
    // Fields before the items that hold them.
    for path in before.fields.iter().rev().filter(|path| !is_wanted(path)) {
        paths::remove(&mut value, path);
    }
    let mine = all.own(resource, writer, true);
    if mine.fields != declared || value != *live {
        mine.time = crate::api::object::timestamp();
    }
    mine.fields = declared;
    all.write(&mut value);
    Ok(value)
}

/// The part of a body that counts: status for its subresource, all else for the object itself.
fn restricted(resource: &Resource, body: &Value, writer: Writer<'_>) -> Value {
    let mut body = body.clone();
    let Some(fields) = body.as_object_mut() else { return body };
    if writer.subresource == "status" {
        fields.retain(|name, _| matches!(name.as_str(), "apiVersion" | "kind" | "status"));
    } else if resource.has_status {
        fields.remove("status");
    }
    body
}

/// Removes from the others what this apply sets to another value; returns from whom and what.
fn take(
    all: &mut Owners,
    mine: &owners::Owner,
    declared: &Set,
    live: &Value,
    body: &Value,
) -> Vec<(String, String)> {
    let mut conflicts = Vec::new();
    for owner in all.list.iter_mut().filter(|owner| !owner.is_same(mine)) {
        let is_taken = |path: &Vec<String>| {
            let is_item = path.last().is_some_and(|part| part.starts_with("k:"));
            declared.contains(path)
                && !is_item
                && paths::get(live, path).is_some_and(|live| Some(live) != paths::get(body, path))
        };
        let taken: Vec<_> = owner.fields.iter().filter(|path| is_taken(path)).cloned().collect();
        for path in taken {
            owner.fields.remove(&path);
            let by = format!("conflict with {:?} using {}", owner.manager, owner.api_version);
            conflicts.push((by, paths::shown(&path)));
        }
    }
    conflicts
}

fn refused(resource: &Resource, name: &str, conflicts: Vec<(String, String)>) -> Failure {
    let list: Vec<_> = conflicts.iter().map(|(by, field)| format!("{by}: {field}")).collect();
    let count = conflicts.len();
    let noun = if count == 1 { "conflict" } else { "conflicts" };
    let message = format!("Apply failed with {count} {noun}: {}", list.join(", "));
    let causes = conflicts.into_iter().map(|(message, field)| Cause {
        reason: "FieldManagerConflict",
        message,
        field,
    });
    let mut failure = Failure::conflict(resource, name, "");
    failure.message = message;
    failure.causes = causes.collect();
    failure
}

/// Puts everything that `body` says into `value`.
fn merge(resource: &Resource, value: &mut Value, body: &Value, path: &str) {
    match (value, body) {
        (Value::Object(value), Value::Object(body)) if !schema::is_atomic_map(resource, path) => {
            for (name, wanted) in body.iter().filter(|(_, wanted)| !wanted.is_null()) {
                let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                match value.get_mut(name) {
                    Some(found) => merge(resource, found, wanted, &below),
                    None => drop(value.insert(name.clone(), wanted.clone())),
                }
            }
        }
        (Value::Array(value), Value::Array(body)) => match schema::list(resource, path) {
            List::Atomic => value.clone_from(body),
            List::Set => {
                for item in body {
                    if !value.contains(item) {
                        value.push(item.clone());
                    }
                }
            }
            List::Map(keys) => {
                for item in body {
                    let name = paths::item_name(item, keys);
                    match value.iter_mut().find(|found| paths::is_item(found, &name)) {
                        Some(found) => merge(resource, found, item, path),
                        None => value.push(item.clone()),
                    }
                }
            }
        },
        (value, body) => *value = body.clone(),
    }
}
