//! The four ways to patch an object, and who owns which of its fields.

mod apply;
mod owners;
mod paths;
mod schema;
mod strategic;

use serde_json::Value;

pub(crate) use owners::Owners;

use super::{failure::Failure, resources::Resource, store::Writer};

/// A patch, by its content type.
#[derive(Debug, Clone)]
pub(crate) enum Patch {
    /// `application/merge-patch+json` (RFC 7396).
    Merge(Value),
    /// `application/json-patch+json` (RFC 6902).
    Json(Value),
    /// `application/strategic-merge-patch+json`.
    Strategic(Value),
    /// `application/apply-patch+yaml`.
    Apply { body: Value, is_forced: bool },
}

/// `live` as `patch` wants it.
pub(crate) fn apply(
    resource: &Resource,
    name: &str,
    live: &Value,
    patch: Patch,
    writer: Writer<'_>,
) -> Result<Value, Failure> {
    match patch {
        Patch::Merge(patch) => {
            let mut value = live.clone();
            json_patch::merge(&mut value, &patch);
            Ok(value)
        }
        Patch::Json(patch) => {
            let invalid =
                |why: String| Failure::new(422, "Invalid", format!("the patch is invalid: {why}"));
            let patch: json_patch::Patch =
                serde_json::from_value(patch).map_err(|why| invalid(why.to_string()))?;
            let mut value = live.clone();
            json_patch::patch(&mut value, &patch).map_err(|why| invalid(why.to_string()))?;
            Ok(value)
        }
        Patch::Strategic(patch) if resource.is_custom => {
            drop(patch);
            let why = "the body of the request was in an unknown format - accepted media types \
                       include: application/json-patch+json, application/merge-patch+json, \
                       application/apply-patch+yaml";
            Err(Failure::new(415, "UnsupportedMediaType", why))
        }
        Patch::Strategic(patch) => {
            let mut value = live.clone();
            strategic::merge(resource, &mut value, patch, "");
            Ok(value)
        }
        Patch::Apply { body, is_forced } => {
            apply::applied(resource, name, live, &body, is_forced, writer)
        }
    }
}
