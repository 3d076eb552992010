//! What the server refuses of an object's content, as far as clients here could be wrong about it.

use serde_json::Value;

use crate::api::{
    failure::{Cause, Failure},
    object::{Key, text},
    resources::Resource,
};

/// The longest value of a label (`validation.IsValidLabelValue`).
const LONGEST_LABEL: usize = 63;
/// The most endpoints of a slice (`apis/discovery/validation`).
const MOST_ENDPOINTS: usize = 1_000;

/// Whether a new version of an object may be kept.
pub(super) fn object(
    resource: &Resource,
    key: &Key,
    live: Option<&Value>,
    value: &Value,
) -> Result<(), Failure> {
    let causes = match (resource.group, resource.plural) {
        ("discovery.k8s.io", "endpointslices") => slice(live, value),
        _ => Vec::new(),
    };
    let causes: Vec<_> = maps(value).into_iter().chain(owners(value)).chain(causes).collect();
    if causes.is_empty() { Ok(()) } else { Err(Failure::invalid(resource, &key.1, causes)) }
}

/// Labels and annotations.
fn maps(value: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    for field in ["labels", "annotations"] {
        let Some(map) = value.pointer(&format!("/metadata/{field}")) else { continue };
        let field = format!("metadata.{field}");
        let entries = map.as_object().map(|map| map.values().all(Value::is_string));
        if entries != Some(true) && !map.is_null() {
            let why = format!("Invalid value: {map}: must be a map of strings");
            causes.push(Cause::invalid(&field, &why));
        }
        for value in map.as_object().into_iter().flatten().filter_map(|(_, value)| value.as_str()) {
            if field == "metadata.labels" && !is_label(value) {
                let why = format!(
                    "Invalid value: {value:?}: a valid label must be an empty string or consist of \
                     alphanumeric characters, '-', '_' or '.', no more than 63 of them"
                );
                causes.push(Cause::invalid(&field, &why));
            }
        }
    }
    causes
}

fn is_label(value: &str) -> bool {
    let is_edge = |letter: char| letter.is_ascii_alphanumeric();
    let is_inner = |letter: char| is_edge(letter) || "-_.".contains(letter);
    value.is_empty()
        || value.len() <= LONGEST_LABEL
            && value.chars().all(is_inner)
            && value.starts_with(is_edge)
            && value.ends_with(is_edge)
}

fn owners(value: &Value) -> Vec<Cause> {
    let owners = value.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    let is_whole = |owner: &Value| {
        ["apiVersion", "kind", "name", "uid"].iter().all(|at| owner[at].is_string())
    };
    let wrong = owners.into_iter().flatten().filter(|owner| !is_whole(owner));
    wrong
        .map(|owner| {
            let why =
                format!("Invalid value: {owner}: apiVersion, kind, name and uid are required");
            Cause::invalid("metadata.ownerReferences", &why)
        })
        .collect()
}

fn slice(live: Option<&Value>, value: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let kind = text(value, "/addressType");
    if !matches!(kind, "IPv4" | "IPv6" | "FQDN") {
        causes.push(Cause::invalid("addressType", &format!("Unsupported value: {kind:?}")));
    }
    if live.is_some_and(|live| text(live, "/addressType") != kind) {
        causes.push(Cause::invalid("addressType", "field is immutable"));
    }
    let endpoints = value["endpoints"].as_array().map(Vec::as_slice).unwrap_or_default();
    if endpoints.len() > MOST_ENDPOINTS {
        let why = format!("Too many: {}: must have at most 1000 items", endpoints.len());
        causes.push(Cause::invalid("endpoints", &why));
    }
    if endpoints.iter().any(|endpoint| endpoint["addresses"].as_array().is_none_or(Vec::is_empty)) {
        let why = "Required value: must contain at least 1 address";
        causes.push(Cause::invalid("endpoints[].addresses", why));
    }
    causes
}
