//! Who owns which fields of an object: `metadata.managedFields`.

use serde_json::{Value, json};

use super::paths::{self, Set};
use crate::api::{object, resources::Resource, store::Writer};

/// All managers of an object.
#[derive(Debug, Clone, Default)]
pub(crate) struct Owners {
    pub(super) list: Vec<Owner>,
}

/// One manager's fields, of one operation on one subresource.
#[derive(Debug, Clone)]
pub(super) struct Owner {
    pub manager: String,
    pub is_apply: bool,
    pub subresource: String,
    pub api_version: String,
    pub time: String,
    pub fields: Set,
}

impl Owners {
    pub fn read(value: &Value) -> Self {
        let entries = value.pointer("/metadata/managedFields").and_then(Value::as_array);
        let owner = |entry: &Value| {
            let text = |field: &str| entry[field].as_str().unwrap_or_default().to_owned();
            Owner {
                manager: text("manager"),
                is_apply: entry["operation"] == "Apply",
                subresource: text("subresource"),
                api_version: text("apiVersion"),
                time: text("time"),
                fields: paths::from_fields(&entry["fieldsV1"]),
            }
        };
        Self { list: entries.into_iter().flatten().map(owner).collect() }
    }

    pub fn write(&self, value: &mut Value) {
        let entry = |owner: &Owner| {
            let Owner { manager, is_apply, subresource, api_version, time, fields } = owner;
            let mut entry = json!({
                "manager": manager, "operation": if *is_apply { "Apply" } else { "Update" },
                "apiVersion": api_version, "time": time, "fieldsType": "FieldsV1",
                "fieldsV1": paths::to_fields(fields),
            });
            if !subresource.is_empty() {
                entry["subresource"] = json!(subresource);
            }
            entry
        };
        let entries: Vec<_> =
            self.list.iter().filter(|owner| !owner.fields.is_empty()).map(entry).collect();
        let fields = object::metadata(value);
        if entries.is_empty() {
            fields.remove("managedFields");
        } else {
            fields.insert("managedFields".into(), entries.into());
        }
    }

    /// The managers of an object that server-side apply is about to create.
    pub fn applied(resource: &Resource, body: &Value, writer: Writer<'_>) -> Self {
        let mut owners = Self::default();
        let fields = within(paths::leaves(resource, body), resource, writer);
        owners.own(resource, writer, true).fields = fields;
        owners
    }

    /// Gives what has changed from `old` to `new` to its writer, unless an apply has just decided
    /// that, and takes what is gone from every manager.
    pub fn track(resource: &Resource, old: Option<&Value>, new: &mut Value, writer: Writer<'_>) {
        let was = old.map(Self::read).unwrap_or_default();
        let mut owners = Self::read(new);
        if writer.is_apply {
            return;
        }
        if owners.list.is_empty() {
            owners = was;
        }
        let after = paths::leaves(resource, new);
        let before = old.map(|old| paths::leaves(resource, old)).unwrap_or_default();
        let is_changed = |path: &&Vec<String>| {
            old.is_none_or(|old| paths::get(old, path) != paths::get(new, path))
                && !is_kept_item(old, path)
        };
        let changed: Set = after.iter().filter(is_changed).cloned().collect();
        for owner in &mut owners.list {
            owner.fields.retain(|path| {
                !changed.contains(path) && (after.contains(path) || !before.contains(path))
            });
        }
        if !changed.is_empty() {
            let mine = owners.own(resource, writer, false);
            mine.fields.extend(changed);
            mine.time = object::timestamp();
        }
        owners.write(new);
    }

    /// The entry of `writer`, made if there is none.
    pub(super) fn own(
        &mut self,
        resource: &Resource,
        writer: Writer<'_>,
        is_apply: bool,
    ) -> &mut Owner {
        let mine = Owner {
            manager: writer.manager.to_owned(),
            is_apply,
            subresource: writer.subresource.to_owned(),
            api_version: resource.api_version(),
            time: object::timestamp(),
            fields: Set::new(),
        };
        let index = self.list.iter().position(|owner| owner.is_same(&mine)).unwrap_or_else(|| {
            self.list.push(mine);
            self.list.len() - 1
        });
        &mut self.list[index]
    }
}

impl Owner {
    pub fn is_same(&self, other: &Self) -> bool {
        (&self.manager, self.is_apply, &self.subresource)
            == (&other.manager, other.is_apply, &other.subresource)
    }
}

/// An item of a list with keys is not another one because a field of it has changed.
fn is_kept_item(old: Option<&Value>, path: &[String]) -> bool {
    path.last().is_some_and(|part| part.starts_with("k:"))
        && old.is_some_and(|old| paths::get(old, path).is_some())
}

/// The fields that `writer` can set: status through its subresource only.
pub(super) fn within(mut set: Set, resource: &Resource, writer: Writer<'_>) -> Set {
    let is_status = |path: &Vec<String>| path.first().is_some_and(|part| part == "f:status");
    if writer.subresource == "status" {
        set.retain(is_status);
    } else if resource.has_status {
        set.retain(|path| !is_status(path));
    }
    set
}
