//! Reads the `spec` of an object as the API server has it.

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Error;

/// `value` without fields that are null, as if they were not there. Refuses lists and others in
/// place of objects: to serde a list is a struct too, its elements the fields in their order.
pub(super) fn cleaned(schema: &Value, value: &Value, path: &str) -> Result<Value, String> {
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

/// The fields of a cleaned `spec`. Errors: the first that does not hold what it should.
pub(super) fn fields<T: DeserializeOwned>(spec: &Value) -> Result<T, String> {
    serde_path_to_error::deserialize(spec).map_err(|error: Error<serde_json::Error>| {
        let path = error.path().to_string();
        let path = if path == "." { "spec" } else { path.as_str() };
        format!("{path}: {}", error.inner())
    })
}
