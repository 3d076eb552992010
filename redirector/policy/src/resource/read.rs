//! Reads a `spec` as the API server has it.

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use serde_path_to_error::Error;

use super::{super::object_schema, FailoverPolicyObjectSpec, TargetRef};

impl FailoverPolicyObjectSpec {
    /// The fields of a `spec`. Unknown fields are ignored, as the API server prunes them.
    ///
    /// # Errors
    ///
    /// The first field that does not hold what it should, and what it should hold.
    pub fn read(spec: &Value) -> Result<Self, String> {
        let spec = cleaned(object_schema(), spec, "spec")?;
        // Two reads: one type with a flattened other would not know in which field it went wrong.
        let Targets { target_refs } = fields(&spec)?;
        Ok(Self { target_refs, policy: fields(&spec)? })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Targets {
    target_refs: Vec<TargetRef>,
}

/// `value` without fields that are null, as if they were not there. Refuses lists and others in
/// place of objects: to serde a list is a struct too, its elements the fields in their order.
fn cleaned(schema: &Value, value: &Value, path: &str) -> Result<Value, String> {
    match (schema["type"].as_str(), value) {
        (Some("object"), Value::Object(fields)) => {
            let given = fields.iter().filter(|(_, inner)| !inner.is_null());
            let cleaned = given.map(|(name, inner)| {
                let path = if path == "spec" { name.clone() } else { format!("{path}.{name}") };
                let schema = &schema["properties"][name];
                Ok((name.clone(), cleaned(schema, inner, &path)?))
            });
            cleaned.collect()
        }
        (Some("object"), _) => Err(format!("{path} must be an object")),
        (Some("array"), Value::Array(list)) => {
            let list = list.iter().enumerate();
            list.map(|(at, inner)| cleaned(&schema["items"], inner, &format!("{path}[{at}]")))
                .collect()
        }
        _ => Ok(value.clone()),
    }
}

fn fields<T: DeserializeOwned>(spec: &Value) -> Result<T, String> {
    serde_path_to_error::deserialize(spec).map_err(|error: Error<serde_json::Error>| {
        let path = error.path().to_string();
        let path = if path == "." { "spec" } else { path.as_str() };
        format!("{path}: {}", error.inner())
    })
}
