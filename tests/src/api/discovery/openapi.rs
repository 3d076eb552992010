//! OpenAPI, as little as makes kubectl leave validation to the server.
//!
//! kubectl looks in version 3 for a PATCH of the kind that takes `fieldValidation`; finding it, it
//! sends its objects unchecked. The schemas say nothing, so `kubectl explain` has nothing to say.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::groups;
use crate::api::{resources::Resource, serve::Server};

/// Version 2: a document without definitions, in protobuf or JSON.
pub(super) fn v2(accept: &str) -> (&'static str, Bytes) {
    if accept.contains("application/com.github.proto-openapi.spec.v2") {
        // Field 1, `swagger`: "2.0"; field 2, `info`: title "Kubernetes", version "v1".
        let text = b"\x0a\x032.0\x12\x10\x0a\x0aKubernetes\x12\x02v1";
        // Asked for with an @, which old clients ask for and cannot read.
        let kind = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
        return (kind, Bytes::from_static(text));
    }
    let document = json!({"swagger": "2.0", "info": {"title": "Kubernetes", "version": "v1"},
                          "paths": {}, "definitions": {}});
    ("application/json", document.to_string().into())
}

/// `/openapi/v3`: where the document of each group and version is.
pub(super) fn index(server: &Server) -> Value {
    let mut paths = Map::new();
    for (group, version) in groups::names(server) {
        let path = match group {
            "" => format!("api/{version}"),
            group => format!("apis/{group}/{version}"),
        };
        let url = format!("/openapi/v3/{path}?hash=1");
        paths.insert(path, json!({"serverRelativeURL": url}));
    }
    json!({"paths": paths})
}

/// `/openapi/v3/…`: the document of a group and version.
pub(super) fn v3(server: &Server, group: &str, version: &str) -> Option<Value> {
    let (mut paths, mut schemas) = (Map::new(), Map::new());
    for row in groups::rows(server, group, version) {
        let namespace = if row.is_namespaced { "/namespaces/{namespace}" } else { "" };
        let path = format!("{}{namespace}/{}", row.prefix(), row.plural);
        let body = || json!({"content": {"application/json": {"schema": {"type": "object"}}}});
        let operation = |action: &str| {
            json!({
                "operationId": format!("{action}{}", row.kind),
                "parameters": [
                    {"name": "fieldValidation", "in": "query", "schema": {"type": "string"}},
                    {"name": "dryRun", "in": "query", "schema": {"type": "string"}},
                ],
                "requestBody": body(),
                "responses": {"200": {"description": "OK"}},
                "x-kubernetes-action": action,
                "x-kubernetes-group-version-kind": kind(row),
            })
        };
        paths.insert(path.clone(), json!({"post": operation("post")}));
        let one = json!({"patch": operation("patch"), "put": operation("put")});
        paths.insert(format!("{path}/{{name}}"), one);
        let schema = json!({"type": "object", "x-kubernetes-group-version-kind": [kind(row)]});
        schemas.insert(format!("{}.{}.{}", row.group, row.version, row.kind), schema);
    }
    let document = json!({
        "openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1"}, "paths": paths,
        "components": {"schemas": schemas},
    });
    (!schemas.is_empty()).then_some(document)
}

fn kind(row: &Resource) -> Value {
    json!({"group": row.group, "version": row.version, "kind": row.kind})
}
