//! Reads a `spec` as the API server has it.

use serde::Deserialize;
use serde_json::Value;

use super::{
    super::{
        object_schema,
        read::{cleaned, fields},
    },
    FailoverPolicyObjectSpec, TargetRef,
};

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
