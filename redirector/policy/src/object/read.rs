//! Reads a `spec` as the API server has it.

use serde::Deserialize;
use serde_json::Value;
use serde_path_to_error::Error;

use super::{FailoverPolicyObjectSpec, TargetRef};

impl FailoverPolicyObjectSpec {
    /// The fields of a `spec`. Fields that nobody knows are ignored, as the API server prunes them.
    ///
    /// # Errors
    ///
    /// The first field that does not hold what it should, and what it should.
    pub fn read(spec: &Value) -> Result<Self, String> {
        // In two: one type with a flattened other would not know in which field it went wrong.
        let Targets { target_refs } = part(spec)?;
        Ok(Self { target_refs, policy: part(spec)? })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Targets {
    target_refs: Vec<TargetRef>,
}

fn part<'de, T: Deserialize<'de>>(spec: &'de Value) -> Result<T, String> {
    // serde takes a list for a struct: its elements in the order of the fields.
    if !spec.is_object() {
        return Err("spec must be an object".to_owned());
    }
    serde_path_to_error::deserialize(spec).map_err(|error: Error<serde_json::Error>| {
        let path = error.path().to_string();
        if path == "." {
            format!("spec: {}", error.inner())
        } else {
            format!("{path}: {}", error.inner())
        }
    })
}
