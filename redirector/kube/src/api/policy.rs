//! FailoverPolicy, as the API server has it.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use redirector_policy::{FailoverPolicyObjectSpec, ValidPolicy};
use serde::Deserialize;
use serde_json::Value;

use super::{Object, ObjectRef, decode, object_ref};

/// What is kept of a FailoverPolicy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailoverPolicy {
    /// Which FailoverPolicy it is.
    pub object: ObjectRef,
    /// `metadata.uid`: another one is another object of the same name.
    pub uid: Arc<str>,
    /// `metadata.generation`: counts the versions of the spec, from 1.
    pub generation: i64,
    /// `metadata.creationTimestamp`, seconds since 1970; 0 if it is missing.
    pub created: i64,
    /// What it says, or everything that is wrong with it, for its owner: whatever admitted it, it is
    /// validated here again.
    pub spec: Result<Arc<ValidPolicy>, Arc<str>>,
}

impl Object for FailoverPolicy {
    const PATH: &'static str = "/apis/redirector.dev/v1alpha1/failoverpolicies";
    const KIND: &'static str = "FailoverPolicy";

    /// Only an object without a name, or with odd metadata, is an error: of any other it can be said
    /// in its status what is wrong with it.
    fn decode(json: &[u8]) -> Result<Self, String> {
        let Written { metadata, spec } = decode(json)?;
        let object = object_ref(&metadata)?;
        Ok(Self {
            object,
            uid: metadata.uid.unwrap_or_default().into(),
            generation: metadata.generation.unwrap_or_default(),
            created: metadata.creation_timestamp.map_or(0, |time| time.0.as_second()),
            spec: validated(&spec).map(Arc::new).map_err(Arc::from),
        })
    }
}

#[derive(Deserialize)]
struct Written {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: Value,
}

fn validated(spec: &Value) -> Result<ValidPolicy, String> {
    let spec = FailoverPolicyObjectSpec::read(spec)?;
    spec.validate().map_err(|invalid| invalid.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(object: &Value) -> Result<FailoverPolicy, String> {
        FailoverPolicy::decode(object.to_string().as_bytes())
    }

    #[test]
    fn a_policy_is_kept_with_what_decides_between_it_and_others() {
        let found = read(&json!({
            "apiVersion": "redirector.dev/v1alpha1",
            "kind": "FailoverPolicy",
            "metadata": {
                "namespace": "shop", "name": "checkout", "uid": "u-1", "generation": 3,
                "creationTimestamp": "2026-11-22T19:00:00Z",
                "managedFields": [{"manager": "kubectl"}],
            },
            "spec": {"targetRefs": [{"kind": "Service", "name": "checkout"}]},
            "status": {"conditions": []},
        }))
        .expect("a policy");
        assert_eq!(found.object.to_string(), "shop/checkout");
        assert_eq!((&*found.uid, found.generation, found.created), ("u-1", 3, 1_795_374_000));
        let spec = found.spec.expect("a valid one");
        assert_eq!(spec.targets().collect::<Vec<_>>(), ["checkout"]);
    }

    #[test]
    fn one_that_is_wrong_is_kept_with_its_problems() {
        let metadata = json!({"namespace": "shop", "name": "a", "uid": "u", "generation": 2});
        for (spec, why) in [
            (json!({"targetRefs": []}), "targetRefs names no Service; name at least one"),
            (
                json!({"targetRefs": [], "mode": "Spell"}),
                "mode: unknown variant `Spell`, expected one of `Spill`, `Threshold`, `LastResort`",
            ),
            (json!(null), "spec must be an object"),
        ] {
            let found = read(&json!({"metadata": metadata, "spec": spec})).expect("an object");
            assert_eq!(found.generation, 2);
            assert_eq!(found.spec.expect_err("its problems").as_ref(), why);
        }
        let none = read(&json!({"metadata": metadata})).expect("an object without a spec");
        assert_eq!(none.spec.expect_err("its problem").as_ref(), "spec must be an object");
    }

    #[test]
    fn without_a_name_or_with_odd_metadata_it_is_none() {
        assert_eq!(read(&json!({"metadata": {}})), Err("metadata.name is missing".to_owned()));
        let odd = json!({"metadata": {"name": "a", "creationTimestamp": "yesterday"}});
        assert!(read(&odd).is_err());
        assert!(FailoverPolicy::decode(b"[").is_err());
    }
}
