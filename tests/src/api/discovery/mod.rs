//! What kubectl asks before anything else: versions, groups, resources, schemas. Also health.

mod groups;
mod openapi;

use bytes::Bytes;
use serde_json::json;

use super::{failure::Failure, serve::Server};

const JSON: &str = "application/json";

/// The answer at a path that is no resource's, and its content type.
pub(crate) fn answer(
    server: &Server,
    path: &str,
    accept: &str,
) -> Result<(&'static str, Bytes), Failure> {
    let json = |value: serde_json::Value| Ok((JSON, Bytes::from(value.to_string())));
    let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        ["healthz" | "livez" | "readyz", ..] => Ok(("text/plain", Bytes::from_static(b"ok"))),
        ["version"] => json(json!({
            "major": "1", "minor": "33", "gitVersion": "v1.33.0-fake", "gitCommit": "",
            "gitTreeState": "clean", "buildDate": "2025-01-01T00:00:00Z", "goVersion": "",
            "compiler": "", "platform": "linux/amd64",
        })),
        [root @ ("api" | "apis")] => {
            if let Some(kind) = groups::aggregated(accept) {
                let list = groups::aggregate(server, root, kind);
                return Ok((kind.content_type(), Bytes::from(list.to_string())));
            }
            json(if *root == "api" { groups::core_versions() } else { groups::groups(server) })
        }
        ["api", version] => groups::resources(server, "", version).map_or_else(unknown, json),
        ["apis", group] => groups::group(server, group).map_or_else(unknown, json),
        ["apis", group, version] => {
            groups::resources(server, group, version).map_or_else(unknown, json)
        }
        ["openapi", "v2"] => Ok(openapi::v2(accept)),
        ["openapi", "v3"] => json(openapi::index(server)),
        ["openapi", "v3", "api", version] => {
            openapi::v3(server, "", version).map_or_else(unknown, json)
        }
        ["openapi", "v3", "apis", group, version] => {
            openapi::v3(server, group, version).map_or_else(unknown, json)
        }
        _ => unknown(),
    }
}

fn unknown<T>() -> Result<T, Failure> {
    Err(Failure::of_code(404))
}
