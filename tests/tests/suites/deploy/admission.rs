//! The example of an admission policy: whose slices of other clusters it lets pass, by its own rules in CEL.

use std::sync::Arc;

use cel::{Context, Env, Program, Value as Cel};
use serde_json::{Value, json};

use super::{
    render::{deploy, documents, kind},
    strict::decode,
};

const IMPORTER: &str = "system:serviceaccount:redirector-clusters:redirector-clusters";
const CONTROLLER: &str = "system:serviceaccount:kube-system:endpointslice-controller";
const MIRROR: &str = "system:serviceaccount:kube-system:endpointslicemirroring-controller";
const COLLECTOR: &str = "system:serviceaccount:kube-system:generic-garbage-collector";
const USER: &str = "alice";

#[test]
fn only_the_importer_writes_slices_of_other_clusters() {
    let ours = json!({"kubernetes.io/service-name": "web"});
    let west = json!({"multicluster.kubernetes.io/source-cluster": "west"});
    let managed = json!({"endpointslice.kubernetes.io/managed-by": "clusters.redirector.dev"});
    let of_controller =
        json!({"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"});
    let admission = Admission::read();
    for (user, before, after, is_admitted) in [
        (IMPORTER, None, Some(&west), true),
        (IMPORTER, Some(&west), Some(&managed), true),
        (USER, None, Some(&west), false),
        (USER, None, Some(&managed), false),
        // The controllers copy labels of Services and Endpoints, which users write.
        (CONTROLLER, None, Some(&west), false),
        (MIRROR, None, Some(&west), false),
        // To take the label away first would be a way round.
        (USER, Some(&west), Some(&ours), false),
        (USER, Some(&ours), Some(&west), false),
        (COLLECTOR, Some(&west), Some(&west), true),
        (USER, None, Some(&ours), true),
        (CONTROLLER, Some(&of_controller), Some(&of_controller), true),
        (USER, None, None, true),
    ] {
        let found = admission.admits(user, before, after);
        assert_eq!(found, is_admitted, "{user}: {before:?} to {after:?}");
    }
}

#[test]
fn it_is_one_that_the_api_server_takes_and_is_in_force() {
    let objects = objects();
    objects.iter().for_each(|object| decode("admission", object));
    let [policy, binding] = &objects[..] else { panic!("a policy and its binding") };
    assert_eq!(
        [kind(policy), kind(binding)],
        ["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"]
    );
    assert_eq!(binding["spec"]["policyName"], policy["metadata"]["name"]);
    assert_eq!(binding["spec"]["validationActions"], json!(["Deny"]));
    let rules = &policy["spec"]["matchConstraints"]["resourceRules"];
    assert_eq!(rules[0]["operations"], json!(["CREATE", "UPDATE"]));
    assert_eq!(rules[0]["resources"], json!(["endpointslices"]));
}

/// The policy's expressions, compiled.
struct Admission {
    is_of_another_cluster: Program,
    validation: Program,
    env: Arc<Env>,
}

impl Admission {
    fn read() -> Self {
        let env = Env::stdlib();
        let spec = objects().remove(0)["spec"].take();
        let only = |list: &Value| match list.as_array().expect("a list").as_slice() {
            [one] => one.clone(),
            more => panic!("{} expressions", more.len()),
        };
        let compile = |value: &Value| {
            let text = value["expression"].as_str().expect("an expression");
            env.compile(text).unwrap_or_else(|why| panic!("{text}: {why}"))
        };
        let variable = only(&spec["variables"]);
        assert_eq!(variable["name"], "isOfAnotherCluster");
        let is_of_another_cluster = compile(&variable);
        let validation = compile(&only(&spec["validations"]));
        Self { is_of_another_cluster, validation, env: Arc::new(env) }
    }

    /// Whether a user may make of a slice with the labels `before`, if it is there, one with those `after`,
    /// if it has any.
    fn admits(&self, user: &str, before: Option<&Value>, after: Option<&Value>) -> bool {
        let slice = |labels: Option<&Value>| match labels {
            Some(labels) => json!({"metadata": {"name": "web-1", "labels": labels}}),
            None => json!({"metadata": {"name": "web-1"}}),
        };
        let old = before.map_or(Value::Null, |labels| slice(Some(labels)));
        let run = |program: &Program, variables: Value| {
            let mut context = Context::with_env(Arc::clone(&self.env));
            for (name, value) in [
                ("object", slice(after)),
                ("oldObject", old.clone()),
                ("request", json!({"userInfo": {"username": user}})),
                ("variables", variables),
            ] {
                context.add_variable_from_value(name, cel::to_value(value).expect("JSON"));
            }
            match program.execute(&context) {
                Ok(Cel::Bool(holds)) => holds,
                other => panic!("{user}, {before:?} to {after:?}: {other:?}"),
            }
        };
        let is_of_another_cluster = run(&self.is_of_another_cluster, json!({}));
        run(&self.validation, json!({"isOfAnotherCluster": is_of_another_cluster}))
    }
}

fn objects() -> Vec<Value> {
    let path = deploy().join("examples/clusters/only-the-importer.yaml");
    documents(&std::fs::read_to_string(path).expect("the example"))
}
