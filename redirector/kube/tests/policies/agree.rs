//! Schema and agent agree about every policy of `table.yaml`.

use std::{collections::BTreeSet, fs, path::Path};

use redirector_core::service::{Policy, ServiceRef};
use redirector_kube::{
    api::{FailoverPolicy, Object as _},
    policies::{GROUP, KIND, VERSION},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::server::{Refusal, Server};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    accepted: Vec<Accepted>,
    refused: Vec<Refused>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Accepted {
    name: String,
    spec: Option<Value>,
    policy: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refused {
    name: String,
    field: String,
    by: String,
    spec: Option<Value>,
    policy: Option<Value>,
}

fn table() -> Table {
    let table: Table = serde_saphyr::from_str(include_str!("table.yaml")).expect("a table");
    let names = table.accepted.iter().map(|row| &row.name);
    let names: Vec<_> = names.chain(table.refused.iter().map(|row| &row.name)).collect();
    let unique: BTreeSet<_> = names.iter().collect();
    assert_eq!(unique.len(), names.len(), "a row of the table has the name of another one");
    assert!(names.len() >= 70, "{}", names.len());
    table
}

/// The whole spec of a row.
fn spec(spec: Option<Value>, policy: Option<Value>) -> Value {
    match (spec, policy) {
        (Some(spec), None) => spec,
        (None, Some(mut policy)) => {
            policy["targetRefs"] = json!([{"kind": "Service", "name": "checkout"}]);
            policy
        }
        _ => panic!("a row has either a spec or a policy"),
    }
}

/// What the agent makes of it: the policy of its first target, or what is wrong.
pub fn agent(spec: &Value) -> Result<Policy, String> {
    let object = json!({
        "apiVersion": "redirector.dev/v1alpha1",
        "kind": "FailoverPolicy",
        "metadata": {"namespace": "shop", "name": "checkout", "uid": "u", "generation": 1},
        "spec": spec,
    });
    let policy = FailoverPolicy::decode(object.to_string().as_bytes()).expect("an object");
    let valid = policy.spec.map_err(|why| why.to_string())?;
    let own = ServiceRef("shop/checkout:http".into());
    Ok(valid.policy(&own, |tier| ServiceRef(format!("shop/{}", tier.name).into())))
}

#[test]
fn what_the_api_server_accepts_the_agent_accepts_and_means_the_same_with_the_defaults_filled_in() {
    let server = Server::new();
    for row in table().accepted {
        let name = row.name;
        let spec = spec(row.spec, row.policy);
        let stored = server.admit(&spec).unwrap_or_else(|why| panic!("{name}: {why}"));
        let meant = agent(&spec).unwrap_or_else(|why| panic!("{name}: {why}"));
        let defaulted = agent(&stored).unwrap_or_else(|why| panic!("{name}, stored: {why}"));
        assert_eq!(meant, defaulted, "{name}: a default of the schema is none of the agent");
    }
}

#[test]
fn what_the_api_server_refuses_the_agent_refuses_for_the_same_field() {
    let server = Server::new();
    for Refused { name, field, by, spec: whole, policy } in table().refused {
        let spec = spec(whole, policy);
        let refusal = server.admit(&spec).expect_err(&name);
        assert_eq!(refusal.by(), by, "{name}: {refusal}");
        let path = refusal.path();
        let is_near = field == "spec" || field.starts_with(path) || path.starts_with(&field);
        assert!(is_near, "{name}: {refusal}");
        assert!(!path.is_empty() || by == "rule" || !field.contains('.'), "{name}: {refusal}");
        let why = agent(&spec).expect_err(&name);
        assert!(why.split("; ").any(|problem| problem.starts_with(&field)), "{name}: {why}");
    }
}

#[test]
fn the_example_policies_are_accepted() {
    let server = Server::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/examples/policies");
    let mut seen = 0;
    for file in fs::read_dir(folder).expect("the examples") {
        let path = file.expect("a file").path();
        let text = fs::read_to_string(&path).expect("an example");
        let object: Value = serde_saphyr::from_str(&text).expect("one YAML document");
        assert_eq!(object["apiVersion"], format!("{GROUP}/{VERSION}"), "{}", path.display());
        assert_eq!(object["kind"], KIND, "{}", path.display());
        let spec = &object["spec"];
        server.admit(spec).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        agent(spec).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        seen += 1;
    }
    assert!(seen > 0, "there are examples");
}

#[test]
fn every_rule_of_the_definition_refuses_a_policy_of_the_table() {
    let server = Server::new();
    let mut unused: BTreeSet<String> = server.all_rules().cloned().collect();
    // Nothing is below 0.
    let from_zero = "duration(self) >= duration('0ms') && duration(self) <= duration('3600000ms')";
    assert!(unused.contains(from_zero));
    for Refused { spec: whole, policy, .. } in table().refused {
        if let Err(Refusal::Rule { rule, .. }) = server.admit(&spec(whole, policy)) {
            unused.remove(&rule);
        }
    }
    assert!(unused.is_empty(), "no row shows what these are for: {unused:#?}");
}
