//! How an object is shown: as it is, as its metadata, or as a row of a table for kubectl.

use bytes::Bytes;
use hyper::Response;
use serde_json::{Value, json};

use super::{JSON, Server, body::Body, json as answer, list, response};
use crate::api::{
    events,
    object::Stored,
    resources::{self, Resource},
    table::{self, Columns},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    Whole,
    Metadata,
    Table,
}

/// Under which resource its objects are kept: both groups of events have the same, and all versions
/// of what a CRD defines.
pub(super) fn stored(resource: &'static Resource) -> &'static Resource {
    if resource.plural == "events" && resource.group.is_empty() {
        return resources::of("events.k8s.io", "events").unwrap_or(resource);
    }
    resource.kept()
}

impl View {
    /// The first of `Accept` that is known.
    pub fn of(accept: &str) -> Self {
        for kind in accept.split(',') {
            let has = |parameter: &str| kind.split(';').any(|found| found.trim() == parameter);
            if has("as=Table") {
                return Self::Table;
            }
            if has("as=PartialObjectMetadata") || has("as=PartialObjectMetadataList") {
                return Self::Metadata;
            }
            if kind.trim() == "application/json" {
                return Self::Whole;
            }
        }
        Self::Whole
    }

    pub fn one(
        self,
        server: &Server,
        resource: &'static Resource,
        object: &Stored,
        code: u16,
    ) -> Response<Body> {
        match self {
            Self::Whole => response(code, JSON, whole(resource, object)),
            Self::Metadata => answer(code, &metadata(&value(resource, object))),
            Self::Table => {
                let columns = Columns::of(server, resource);
                let version = json!({"resourceVersion": object.revision.to_string()});
                answer(code, &columns.table(&[value(resource, object)], &version))
            }
        }
    }

    pub fn list(
        self,
        server: &Server,
        resource: &'static Resource,
        items: &[std::sync::Arc<Stored>],
        list_metadata: &Value,
    ) -> Response<Body> {
        let values = || items.iter().map(|item| value(resource, item));
        match self {
            Self::Whole => {
                let kind = format!("{}List", resource.kind);
                let head = format!(
                    "{{\"kind\":\"{kind}\",\"apiVersion\":\"{}\",\"metadata\":{list_metadata},\"items\":[",
                    resource.api_version()
                );
                let garbled = server.faults.garbled(resource.plural);
                let is_kept = std::ptr::eq(stored(resource), resource);
                let size: usize = items.iter().map(|item| item.json.len() + 1).sum();
                let mut text = Vec::with_capacity(head.len() + size + 2);
                text.extend_from_slice(head.as_bytes());
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        text.push(b',');
                    }
                    match garbled.get(&item.key) {
                        Some(bytes) => text.extend_from_slice(bytes),
                        None if is_kept => item.push_item(resource, &mut text),
                        None => text.extend_from_slice(&whole(resource, item)),
                    }
                }
                text.extend_from_slice(b"]}");
                response(200, JSON, text)
            }
            Self::Metadata => {
                let items = values().map(|value| metadata(&value)).collect();
                let kind = "PartialObjectMetadataList";
                answer(200, &list::wrap(kind, "meta.k8s.io/v1", list_metadata, items))
            }
            Self::Table => {
                let items: Vec<_> = values().collect();
                answer(200, &Columns::of(server, resource).table(&items, list_metadata))
            }
        }
    }

    /// An object as it is in a watch's event.
    pub fn event(self, resource: &'static Resource, object: &Stored, columns: &Columns) -> Bytes {
        match self {
            Self::Whole => whole(resource, object),
            Self::Metadata => metadata(&value(resource, object)).to_string().into(),
            Self::Table => {
                let version = json!({"resourceVersion": object.revision.to_string()});
                columns.table(&[value(resource, object)], &version).to_string().into()
            }
        }
    }
}

fn whole(resource: &'static Resource, object: &Stored) -> Bytes {
    if std::ptr::eq(stored(resource), resource) {
        return object.json.clone();
    }
    value(resource, object).to_string().into()
}

fn value(resource: &'static Resource, object: &Stored) -> Value {
    let mut value = object.value();
    if std::ptr::eq(stored(resource), resource) {
        return value;
    }
    if !resource.is_custom {
        return events::as_core(value);
    }
    value["apiVersion"] = json!(resource.api_version());
    value
}

fn metadata(value: &Value) -> Value {
    table::partial(value)
}
