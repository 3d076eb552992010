//! Creating, replacing, patching and deleting: what the server does to a body before it is kept.

use std::{mem, sync::Arc};

use serde_json::{Value, json};

use super::{Inner, check};
use crate::api::{
    failure::{Cause, Failure},
    object::{self, Key, Stored, metadata, text},
    patch::{self, Owners, Patch},
    resources::{self, Resource},
};

/// Who writes, and what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Writer<'a> {
    /// `fieldManager`, or the first part of the user agent.
    pub manager: &'a str,
    /// `status`, or nothing for the object itself.
    pub subresource: &'a str,
    /// The test's own hand: status and spec are written at once.
    pub is_test: bool,
    /// `dryRun=All`.
    pub is_dry: bool,
    /// Server-side apply, which has decided already who owns what.
    pub is_apply: bool,
}

/// What must hold for a deletion.
#[derive(Debug, Clone, Default)]
pub(crate) struct Preconditions {
    pub uid: Option<String>,
    pub revision: Option<String>,
    /// `propagationPolicy` is `Orphan`: dependents stay.
    pub orphans: bool,
}

/// Metadata that clients cannot set.
const SYSTEM: [&str; 5] =
    ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"];

impl Inner {
    /// A new object, named or generating its name.
    pub fn create(
        &mut self,
        resource: &Resource,
        namespace: &str,
        mut value: Value,
        writer: Writer<'_>,
    ) -> Result<Arc<Stored>, Failure> {
        let name = self.name(resource, &mut value)?;
        let key = self.place(resource, namespace, &name, &mut value)?;
        if self.get(resource, &key).is_some() {
            return Err(Failure::exists(resource, &name));
        }
        if !text(&value, "/metadata/resourceVersion").is_empty() && !writer.is_test {
            let why = "resourceVersion should not be set on objects to be created";
            return Err(Failure::bad_request(why));
        }
        self.check_namespace(resource, &key, writer)?;
        if resource.has_status
            && !writer.is_test
            && resource.plural != "nodes"
            && let Some(object) = value.as_object_mut()
        {
            object.remove("status");
        }
        let uid = self.uid();
        let fields = metadata(&mut value);
        // What a test says is as old as it says.
        let said = fields.remove("creationTimestamp").filter(|_| writer.is_test);
        SYSTEM.iter().for_each(|field| drop(fields.remove(*field)));
        fields.insert("uid".into(), uid.into());
        let created = said.unwrap_or_else(|| object::timestamp().into());
        fields.insert("creationTimestamp".into(), created);
        if resource.has_generation {
            fields.insert("generation".into(), 1.into());
        }
        self.finish(resource, &key, None, value, writer)
    }

    /// Creates or replaces, whatever version there is: the test's own hand.
    pub fn put(
        &mut self,
        resource: &Resource,
        mut value: Value,
        writer: Writer<'_>,
    ) -> Result<Arc<Stored>, Failure> {
        let namespace = match text(&value, "/metadata/namespace") {
            "" if resource.is_namespaced => "default".to_owned(),
            namespace => namespace.to_owned(),
        };
        metadata(&mut value).remove("resourceVersion");
        metadata(&mut value).remove("uid");
        let key = (namespace, text(&value, "/metadata/name").to_owned());
        let Some(old) = self.get(resource, &key).cloned() else {
            return self.create(resource, &key.0, value, writer);
        };
        self.place(resource, &key.0, &key.1, &mut value)?;
        self.supersede(resource, &key, &old, value, writer)
    }

    /// The next version of an object that exists.
    pub fn replace(
        &mut self,
        resource: &Resource,
        key: &Key,
        mut value: Value,
        writer: Writer<'_>,
    ) -> Result<Arc<Stored>, Failure> {
        let name = text(&value, "/metadata/name").to_owned();
        if name != key.1 {
            let why = "the name of the object does not match the name on the URL";
            return Err(Failure::bad_request(format!("{why}: {name:?} and {:?}", key.1)));
        }
        self.place(resource, &key.0, &name, &mut value)?;
        let Some(old) = self.get(resource, key).cloned() else {
            return Err(Failure::not_found(resource, &key.1));
        };
        let revision = text(&value, "/metadata/resourceVersion");
        if revision.is_empty() && (resource.is_custom || resource.plural == "leases") {
            let cause =
                Cause::invalid("metadata.resourceVersion", "must be specified for an update");
            return Err(Failure::invalid(resource, &key.1, vec![cause]));
        }
        self.supersede(resource, key, &old, value, writer)
    }

    /// Applies `patch` to what there is; server-side apply also makes what there is not.
    pub fn patch(
        &mut self,
        resource: &Resource,
        key: &Key,
        patch: Patch,
        writer: Writer<'_>,
    ) -> Result<Arc<Stored>, Failure> {
        let writer = Writer { is_apply: matches!(patch, Patch::Apply { .. }), ..writer };
        let Some(old) = self.get(resource, key).cloned() else {
            let Patch::Apply { mut body, .. } = patch else {
                return Err(Failure::not_found(resource, &key.1));
            };
            if !writer.subresource.is_empty() {
                return Err(Failure::not_found(resource, &key.1));
            }
            metadata(&mut body).insert("name".into(), key.1.clone().into());
            let owners = Owners::applied(resource, &body, writer);
            owners.write(&mut body);
            return self.create(resource, &key.0, body, writer);
        };
        let live = old.value();
        let value = patch::apply(resource, &key.1, &live, patch, writer)?;
        if text(&value, "/metadata/name") != key.1 {
            return Err(Failure::bad_request("the patch changes the name of the object"));
        }
        self.supersede(resource, key, &old, value, writer)
    }

    /// Removes an object, or marks it while it has finalizers. Returns its last state, and
    /// whether it is gone.
    pub fn delete(
        &mut self,
        resource: &Resource,
        key: &Key,
        wanted: &Preconditions,
        is_dry: bool,
    ) -> Result<(Arc<Stored>, bool), Failure> {
        let Some(old) = self.get(resource, key).cloned() else {
            return Err(Failure::not_found(resource, &key.1));
        };
        let Preconditions { uid, revision, orphans } = wanted;
        let failed = |what: &str, wanted: &str, found: &str| {
            let why = format!(
                "Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {found}"
            );
            Failure::conflict(resource, &key.1, &why)
        };
        if let Some(uid) = uid.as_deref().filter(|uid| *uid != old.uid) {
            return Err(failed("UID", uid, &old.uid));
        }
        let found = old.revision.to_string();
        if let Some(revision) = revision.as_deref().filter(|revision| *revision != found) {
            return Err(failed("ResourceVersion", revision, &found));
        }
        let mut value = old.value();
        let finalizers = value.pointer("/metadata/finalizers").and_then(Value::as_array);
        let has_finalizers = finalizers.is_some_and(|list| !list.is_empty());
        if is_dry {
            return Ok((old, !has_finalizers));
        }
        if has_finalizers {
            let fields = metadata(&mut value);
            if fields.contains_key("deletionTimestamp") {
                return Ok((old, false));
            }
            fields.insert("deletionTimestamp".into(), object::timestamp().into());
            fields.insert("deletionGracePeriodSeconds".into(), 0.into());
            return Ok((self.keep(resource, key, value), false));
        }
        let last = self.remove(resource, key, value);
        self.collect(resource, &last, *orphans);
        Ok((last, true))
    }

    /// The name in the body, or one made from `generateName`.
    fn name(&mut self, resource: &Resource, value: &mut Value) -> Result<String, Failure> {
        let mut name = text(value, "/metadata/name").to_owned();
        let prefix = text(value, "/metadata/generateName").to_owned();
        if name.is_empty() && !prefix.is_empty() {
            name = format!("{prefix}{}", self.suffix());
            metadata(value).insert("name".into(), name.clone().into());
        }
        let is_allowed = |letter: char| {
            letter.is_ascii_lowercase() || letter.is_ascii_digit() || "-.".contains(letter)
        };
        let is_edge = |letter: char| letter.is_ascii_alphanumeric();
        // RBAC names may hold nearly everything: `system:node`.
        let is_good = !name.is_empty()
            && name.len() <= 253
            && (resource.group.starts_with("rbac.")
                || name.chars().all(is_allowed)
                    && name.starts_with(is_edge)
                    && name.ends_with(is_edge));
        if is_good {
            return Ok(name);
        }
        let why = if name.is_empty() {
            "Required value: name or generateName is required".to_owned()
        } else {
            format!(
                "Invalid value: {name:?}: a lowercase RFC 1123 subdomain must consist of lower \
                     case alphanumeric characters, '-' or '.'"
            )
        };
        Err(Failure::invalid(resource, &name, vec![Cause::invalid("metadata.name", &why)]))
    }

    /// Where the object lives; the body must not say otherwise.
    fn place(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        value: &mut Value,
    ) -> Result<Key, Failure> {
        for (field, wanted) in
            [("apiVersion", resource.api_version()), ("kind", resource.kind.into())]
        {
            let found = text(value, &format!("/{field}"));
            if !found.is_empty() && found != wanted {
                let why = format!(
                    "the {field} in the data ({found}) does not match the expected \
                                   {field} ({wanted})"
                );
                return Err(Failure::bad_request(why));
            }
            if let Some(object) = value.as_object_mut() {
                object.insert(field.into(), wanted.into());
            }
        }
        if !value.is_object() {
            return Err(Failure::bad_request("the body is no object"));
        }
        let found = text(value, "/metadata/namespace").to_owned();
        if !found.is_empty() && found != namespace {
            let why = "the namespace of the provided object does not match the namespace sent on \
                       the request";
            return Err(Failure::bad_request(why));
        }
        let fields = metadata(value);
        fields.remove("namespace");
        if resource.is_namespaced {
            fields.insert("namespace".into(), namespace.into());
        }
        Ok((namespace.to_owned(), name.to_owned()))
    }

    fn check_namespace(
        &mut self,
        resource: &Resource,
        (namespace, _): &Key,
        writer: Writer<'_>,
    ) -> Result<(), Failure> {
        let namespaces = resources::named("namespaces");
        let exists = self.get(namespaces, &(String::new(), namespace.clone())).is_some();
        if !resource.is_namespaced || exists {
            return Ok(());
        }
        if !writer.is_test {
            return Err(Failure::not_found(namespaces, namespace));
        }
        let value = json!({"metadata": {"name": namespace}});
        self.create(namespaces, "", value, Writer { is_dry: false, ..writer }).map(drop)
    }

    /// The common half of replacing and patching: what a client may not change stays.
    fn supersede(
        &mut self,
        resource: &Resource,
        key: &Key,
        old: &Arc<Stored>,
        mut value: Value,
        writer: Writer<'_>,
    ) -> Result<Arc<Stored>, Failure> {
        let live = old.value();
        let found = text(&value, "/metadata/resourceVersion");
        if !found.is_empty() && found != "0" && found != old.revision.to_string() {
            return Err(Failure::modified(resource, &key.1));
        }
        let uid = text(&value, "/metadata/uid");
        if !uid.is_empty() && uid != old.uid {
            let why = format!(
                "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
                old.uid
            );
            return Err(Failure::conflict(resource, &key.1, &why));
        }
        if writer.subresource == "status" {
            let status = value.get("status").cloned();
            let owners = value.pointer("/metadata/managedFields").cloned();
            value = live.clone();
            set(&mut value, "status", status);
            set(&mut value["metadata"], "managedFields", owners);
        } else if resource.has_status && !writer.is_test {
            set(&mut value, "status", live.get("status").cloned());
        }
        let before = live.pointer("/metadata").cloned().unwrap_or_default();
        let fields = metadata(&mut value);
        for field in SYSTEM {
            match before.get(field) {
                Some(kept) => drop(fields.insert(field.into(), kept.clone())),
                None => drop(fields.remove(field)),
            }
        }
        self.finish(resource, key, Some((old, &live)), value, writer)
    }

    /// Defaults, validation, ownership, generation; then the object is kept if it has changed.
    fn finish(
        &mut self,
        resource: &Resource,
        key: &Key,
        old: Option<(&Arc<Stored>, &Value)>,
        mut value: Value,
        writer: Writer<'_>,
    ) -> Result<Arc<Stored>, Failure> {
        self.default(resource, &mut value, old.map(|(_, live)| live))?;
        check::object(resource, key, old.map(|(_, live)| live), &value)?;
        self.check(resource, &mut value)
            .map_err(|causes| Failure::invalid(resource, &key.1, causes))?;
        let live = old.map(|(_, live)| live);
        Owners::track(resource, live, &mut value, writer);
        if let Some((stored, live)) = old {
            let new_fields = metadata(&mut value);
            new_fields.insert("resourceVersion".into(), stored.revision.to_string().into());
            if is_same(live, &value) {
                return Ok(Arc::clone(stored));
            }
            if resource.has_generation && is_new_generation(live, &value) {
                let generation = live.pointer("/metadata/generation").and_then(Value::as_u64);
                let next = generation.unwrap_or(0) + 1;
                metadata(&mut value).insert("generation".into(), next.into());
            }
        }
        if writer.is_dry {
            return Ok(Arc::new(Stored::new(resource, &value)));
        }
        let is_dying = value.pointer("/metadata/deletionTimestamp").is_some();
        let finalizers = value.pointer("/metadata/finalizers").and_then(Value::as_array);
        if is_dying && finalizers.is_none_or(Vec::is_empty) {
            let last = self.remove(resource, key, value);
            self.collect(resource, &last, false);
            return Ok(last);
        }
        Ok(self.keep(resource, key, value))
    }

    fn keep(&mut self, resource: &Resource, key: &Key, mut value: Value) -> Arc<Stored> {
        self.revision += 1;
        metadata(&mut value).insert("resourceVersion".into(), self.revision.to_string().into());
        let stored = Arc::new(Stored::new(resource, &value));
        self.kinds[resource.index()].commit(key, Arc::clone(&stored), self.revision);
        stored
    }

    fn remove(&mut self, resource: &Resource, key: &Key, mut value: Value) -> Arc<Stored> {
        self.revision += 1;
        metadata(&mut value).insert("resourceVersion".into(), self.revision.to_string().into());
        let last = Arc::new(Stored::new(resource, &value));
        self.release(resource, &value);
        self.kinds[resource.index()].remove_last(key, Arc::clone(&last), self.revision);
        last
    }

    /// What goes with an object: its dependents, all that is in a namespace, all of a CRD's kind.
    fn collect(&mut self, resource: &Resource, gone: &Stored, orphans: bool) {
        let is_namespace = resource.plural == "namespaces";
        let is_definition = resource.plural == "customresourcedefinitions";
        for row in resources::ALL {
            let follows = |stored: &Stored| {
                !orphans && stored.owners.contains(&gone.uid)
                    || is_namespace && stored.key.0 == gone.key.1
                    || is_definition && row.qualified() == gone.key.1
            };
            let objects = self.kind(row).objects.values();
            let keys: Vec<_> =
                objects.filter(|stored| follows(stored)).map(|stored| stored.key.clone()).collect();
            for key in keys {
                // It was there a line above, and nothing was asked of it.
                let _ = self.delete(row, &key, &Preconditions::default(), false);
            }
        }
    }
}

fn set(object: &mut Value, field: &str, value: Option<Value>) {
    let Some(object) = object.as_object_mut() else { return };
    match value {
        Some(value) => drop(object.insert(field.into(), value)),
        None => drop(object.remove(field)),
    }
}

/// Times at which managers wrote do not count.
fn is_same(live: &Value, value: &Value) -> bool {
    let without_times = |value: &Value| {
        let mut value = value.clone();
        let mut owners = mem::take(&mut value["metadata"]["managedFields"]);
        for entry in owners.as_array_mut().into_iter().flatten() {
            entry["time"] = Value::Null;
        }
        (value, owners)
    };
    without_times(live) == without_times(value)
}

fn is_new_generation(live: &Value, value: &Value) -> bool {
    let fields = |value: &Value| {
        let fields = value.as_object().into_iter().flatten();
        let counted = fields.filter(|(name, _)| !matches!(name.as_str(), "metadata" | "status"));
        counted.map(|(name, value)| (name.clone(), value.clone())).collect::<Vec<_>>()
    };
    fields(live) != fields(value)
}
