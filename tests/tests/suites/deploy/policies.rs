//! The example policies are ones that the agent accepts.

use std::fs;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use redirector_core::service::ServiceRef;
use redirector_policy::FailoverPolicySpec;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    render::{deploy, documents},
    strict::dropped,
};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Policy {
    api_version: String,
    kind: String,
    metadata: ObjectMeta,
    spec: Spec,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    target_refs: Vec<Target>,
    #[serde(flatten)]
    policy: FailoverPolicySpec,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    kind: String,
    name: String,
}

#[test]
fn the_agent_accepts_every_example_policy() {
    let folder = deploy().join("examples/policies");
    let mut count = 0;
    for entry in fs::read_dir(folder).expect("there are examples") {
        let path = entry.expect("an entry").path();
        let file = path.display();
        let text = fs::read_to_string(&path).expect("a readable example");
        for document in documents(&text) {
            accept(&document).unwrap_or_else(|why| panic!("{file}: {why}"));
            count += 1;
        }
    }
    assert!(count >= 5, "only {count} examples were found");
}

#[test]
fn a_misspelt_or_impossible_field_of_one_is_found() {
    let good = &documents(
        "{apiVersion: redirector.dev/v1alpha1, kind: FailoverPolicy, metadata: {name: a, namespace: b},
          spec: {targetRefs: [{kind: Service, name: a}], mode: Spill}}",
    )[0];
    assert_eq!(accept(good), Ok(()));
    for (field, value, said) in [
        ("mod", "Spill", ".spec.mod"),
        ("connectTimeout", "1ms", "connectTimeout"),
        ("mode", "Spills", "unknown variant"),
    ] {
        let mut bad = good.clone();
        bad["spec"][field] = value.into();
        let why = accept(&bad).expect_err(field);
        assert!(why.contains(said), "{field}: {why}");
    }
}

pub(super) fn accept(document: &Value) -> Result<(), String> {
    let unknown = dropped::<Policy>(document).map_err(|error| error.to_string())?;
    if !unknown.is_empty() {
        return Err(format!("unknown fields {unknown:?}"));
    }
    let Policy { api_version, kind, metadata, spec } =
        serde_json::from_value(document.clone()).map_err(|error| error.to_string())?;
    assert_eq!(
        (api_version.as_str(), kind.as_str()),
        ("redirector.dev/v1alpha1", "FailoverPolicy")
    );
    let namespace = metadata.namespace.ok_or("it has no namespace")?;
    for Target { kind, name } in &spec.target_refs {
        assert_eq!(kind, "Service");
        let own = ServiceRef(format!("{namespace}/{name}").into());
        let refer = |tier: &redirector_policy::TierServiceSpec| {
            Ok(ServiceRef(format!("{namespace}/{}", tier.name).into()))
        };
        let (_, problems) = spec.policy.convert(&own, refer);
        problems.first().map_or(Ok(()), |problem| Err(problem.to_string()))?;
    }
    Ok(())
}
