//! Groups, versions and resources, one by one and all at once (aggregated discovery).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::api::{
    resources::{ALL, Resource},
    serve::Server,
};

/// A version of aggregated discovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aggregated {
    V2,
    V2Beta1,
}

impl Aggregated {
    pub fn content_type(self) -> &'static str {
        match self {
            Self::V2 => "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
            Self::V2Beta1 => {
                "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
            }
        }
    }
}

/// Whether the client wants all at once.
pub(super) fn aggregated(accept: &str) -> Option<Aggregated> {
    accept.split(',').find_map(|kind| {
        let has = |wanted: &str| kind.split(';').any(|part| part.trim() == wanted);
        let is_list = has("as=APIGroupDiscoveryList") && has("g=apidiscovery.k8s.io");
        match (is_list, has("v=v2"), has("v=v2beta1")) {
            (true, true, _) => Some(Aggregated::V2),
            (true, _, true) => Some(Aggregated::V2Beta1),
            _ => None,
        }
    })
}

/// All groups below `/api` or `/apis`, with their resources.
pub(super) fn aggregate(server: &Server, root: &str, kind: Aggregated) -> Value {
    let version = match kind {
        Aggregated::V2 => "apidiscovery.k8s.io/v2",
        Aggregated::V2Beta1 => "apidiscovery.k8s.io/v2beta1",
    };
    let groups = served(server).into_iter().filter(|group| group.is_empty() == (root == "api"));
    let items: Vec<_> = groups
        .map(|group| {
            let version = |version: &'static str| {
                let resources: Vec<_> = rows(server, group, version).map(aggregated_row).collect();
                json!({"version": version, "resources": resources, "freshness": "Current"})
            };
            let versions: Vec<_> = versions(server, group).into_iter().map(version).collect();
            json!({
                "metadata": {"name": group, "creationTimestamp": null}, "versions": versions,
            })
        })
        .collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": version, "metadata": {}, "items": items})
}

fn aggregated_row(row: &Resource) -> Value {
    let kind = json!({"group": row.group, "version": row.version, "kind": row.kind});
    let mut resource = json!({
        "resource": row.plural, "responseKind": kind, "singularResource": row.singular,
        "scope": if row.is_namespaced { "Namespaced" } else { "Cluster" },
        "verbs": verbs(row),
    });
    if !row.short.is_empty() {
        resource["shortNames"] = json!(row.short);
    }
    if row.is_in_all {
        resource["categories"] = json!(["all"]);
    }
    if row.has_status {
        resource["subresources"] = json!([
            {"subresource": "status", "responseKind": kind, "verbs": ["get", "patch", "update"]}
        ]);
    }
    resource
}

const VERBS: [&str; 8] =
    ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// The answer at `/api`.
pub(super) fn core_versions() -> Value {
    json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
}

/// The answer at `/apis`.
pub(super) fn groups(server: &Server) -> Value {
    let named = served(server).into_iter().filter(|group| !group.is_empty());
    let groups: Vec<_> = named.map(|group| one(server, group)).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// The answer at `/apis/GROUP`.
pub(super) fn group(server: &Server, group: &str) -> Option<Value> {
    let group = served(server).into_iter().find(|name| *name == group)?;
    let mut found = one(server, group);
    found["kind"] = json!("APIGroup");
    found["apiVersion"] = json!("v1");
    Some(found)
}

/// The answer at `/api/v1` and `/apis/GROUP/VERSION`.
pub(super) fn resources(server: &Server, group: &str, version: &str) -> Option<Value> {
    let mut list = Vec::new();
    for row in rows(server, group, version) {
        let mut entry = json!({
            "name": row.plural, "singularName": row.singular, "namespaced": row.is_namespaced,
            "kind": row.kind, "verbs": verbs(row),
        });
        if !row.short.is_empty() {
            entry["shortNames"] = json!(row.short);
        }
        if row.is_in_all {
            entry["categories"] = json!(["all"]);
        }
        list.push(entry);
        if row.has_status {
            list.push(json!({
                "name": format!("{}/status", row.plural), "singularName": "", "kind": row.kind,
                "namespaced": row.is_namespaced, "verbs": ["get", "patch", "update"],
            }));
        }
    }
    let name = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let value = json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name,
                       "resources": list});
    (!list.is_empty()).then_some(value)
}

pub(super) fn rows<'a>(
    server: &'a Server,
    group: &'a str,
    version: &'a str,
) -> impl Iterator<Item = &'static Resource> + 'a {
    let rows = ALL.iter().filter(move |row| row.group == group && row.version == version);
    rows.filter(|row| server.serves(row))
}

/// Group and version of all that is served.
pub(super) fn names(server: &Server) -> BTreeSet<(&'static str, &'static str)> {
    ALL.iter().filter(|row| server.serves(row)).map(|row| (row.group, row.version)).collect()
}

fn served(server: &Server) -> BTreeSet<&'static str> {
    names(server).into_iter().map(|(group, _)| group).collect()
}

/// Versions of a group, the preferred one first.
fn versions(server: &Server, group: &str) -> Vec<&'static str> {
    let mut versions = Vec::new();
    for row in ALL.iter().filter(|row| row.group == group && server.serves(row)) {
        if !versions.contains(&row.version) {
            versions.push(row.version);
        }
    }
    versions
}

fn one(server: &Server, group: &str) -> Value {
    let version =
        |version: &str| json!({"groupVersion": format!("{group}/{version}"), "version": version});
    let versions: Vec<_> = versions(server, group).into_iter().map(version).collect();
    json!({"name": group, "versions": versions, "preferredVersion": versions[0]})
}

fn verbs(row: &Resource) -> &'static [&'static str] {
    if row.is_question { &["create"] } else { &VERBS }
}
