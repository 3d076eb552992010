//! What is stored in a cluster, and what a release was installed with, of the earlier commit.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::Path,
    process::{Command, Stdio},
};

use redirector_tests::programs::Earlier;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::deploy::render::{copy_folder, deploy, documents};

/// What CHANGELOG says of the manifests: paths that differ from those of the earlier chart, with the
/// values of that one.
const CHANGED: &[&str] = &[
    // system-node-critical; the class of the chart's own is gone.
    "DaemonSet redirector: spec.template.spec.priorityClassName",
    "PriorityClass redirector: ",
    // Nodes without AppArmor.
    "DaemonSet redirector: spec.template.spec.securityContext.appArmorProfile",
    // The loader that stands by.
    "DaemonSet redirector: spec.template.spec.containers.1",
    // The Lease belongs to the DaemonSet.
    "Role redirector: rules.1.verbs.2",
    // Events are not read any more.
    "ClusterRole redirector: rules.4.verbs",
    // Agents read RemoteClusters.
    "ClusterRole redirector: rules.2.resources.1",
];

/// Where the rule is that says of which kinds a tier is.
const TIER_RULE: &str = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/tiers/items\
                         /x-kubernetes-validations/0/rule";
/// As it was before clusters could stand beside a service: whatever it admits is admitted still.
const EARLIER_TIER_RULE: &str = "[has(self.locality), has(self.zones) || has(self.regions) || \
                                 has(self.clusters), has(self.service)].filter(kind, kind).size() == 1";

/// An object that was valid is valid, and is completed alike: they differ in texts, and in what tiers may
/// say beside a service.
pub(crate) fn the_definitions_say_the_same(earlier: &Earlier) {
    let read = |path: &Path| -> Value {
        let text = fs::read_to_string(path).expect("the definition");
        let mut found = without_texts(serde_saphyr::from_str(&text).expect("it is YAML"));
        let rule = found.pointer_mut(TIER_RULE).expect("the rule of tiers");
        if rule.as_str() == Some(EARLIER_TIER_RULE) {
            *rule = json!(
                "[has(self.locality), has(self.zones) || has(self.regions) || (has(self.clusters) && \
                 !has(self.service)), has(self.service)].filter(kind, kind).size() == 1"
            );
        }
        found
    };
    let before = read(&earlier.file("deploy/crd/failoverpolicies.yaml"));
    assert_eq!(before, read(&deploy().join("crd/failoverpolicies.yaml")));
    assert_eq!(before["spec"]["versions"][0]["name"], "v1alpha1");
}

fn without_texts(mut value: Value) -> Value {
    match &mut value {
        Value::Object(fields) => {
            fields.retain(|name, field| name != "description" || !field.is_string());
            fields.values_mut().for_each(|field| *field = without_texts(field.take()));
        }
        Value::Array(list) => list.iter_mut().for_each(|one| *one = without_texts(one.take())),
        _ => {}
    }
    value
}

/// Today's chart takes the earlier one's values, also where helm replaces its own by them
/// (`--reuse-values`), and makes the same of them but for what the change log says. False without helm.
pub(crate) fn the_values_are_understood(earlier: &Earlier) -> bool {
    let old_values = earlier.file("deploy/helm/redirector/values.yaml");
    let Some(before) = render(&earlier.file("deploy"), &[]) else { return false };
    let values = ["-f", old_values.to_str().expect("a path")];
    let now = render(&deploy(), &values).expect("helm is there");
    let copy = TempDir::new().expect("a folder");
    copy_folder(&deploy(), copy.path());
    fs::copy(&old_values, copy.path().join("helm/redirector/values.yaml")).expect("a copy");
    let reused = render(copy.path(), &[]).expect("helm is there");

    assert_eq!(now, reused, "--reuse-values leaves out what the earlier chart did not have");
    let differences = differences(&before, &now);
    for wanted in CHANGED {
        assert!(
            differences.iter().any(|one| one.starts_with(wanted)),
            "{wanted}: {differences:#?}"
        );
    }
    let others: Vec<_> = differences
        .iter()
        .filter(|one| !CHANGED.iter().any(|known| one.starts_with(known)))
        .collect();
    assert!(others.is_empty(), "not in the change log: {others:#?}");
    true
}

type Objects = BTreeMap<String, BTreeMap<String, Value>>;

/// The objects of a chart by kind and name, each as its leaves by their paths; `None` without helm.
fn render(deploy: &Path, values: &[&str]) -> Option<Objects> {
    let helm = env::var_os("REDIRECTOR_HELM").unwrap_or_else(|| "helm".into());
    let mut command = Command::new(helm);
    command.args(["template", "redirector", "--namespace", "redirector-system"]);
    command.arg(deploy.join("helm/redirector")).args(values).stdin(Stdio::null());
    let output = command.output().ok()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    let text = String::from_utf8(output.stdout).expect("text");
    let named = documents(&text).into_iter().map(|object| {
        let name = format!("{} {}", object["kind"], object["metadata"]["name"]).replace('"', "");
        let mut all = BTreeMap::new();
        leaves(&object, String::new(), &mut all);
        (name, all)
    });
    Some(named.collect())
}

fn leaves(value: &Value, path: String, all: &mut BTreeMap<String, Value>) {
    let below =
        |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            fields.iter().for_each(|(name, field)| leaves(field, below(name), all));
        }
        Value::Array(list) if !list.is_empty() => {
            list.iter().enumerate().for_each(|(at, one)| leaves(one, below(&at.to_string()), all));
        }
        _ => drop(all.insert(path, value.clone())),
    }
}

fn differences(before: &Objects, now: &Objects) -> BTreeSet<String> {
    let nothing = BTreeMap::new();
    let names: BTreeSet<_> = before.keys().chain(now.keys()).collect();
    let differing = names.into_iter().flat_map(|name| {
        let [old, new] = [before, now].map(|all| all.get(name).unwrap_or(&nothing));
        let paths: BTreeSet<_> = old.keys().chain(new.keys()).collect();
        let changed = paths.into_iter().filter(|path| old.get(*path) != new.get(*path));
        changed.map(move |path| format!("{name}: {path}")).collect::<Vec<_>>()
    });
    differing.collect()
}
