//! Renders kustomizations with kubectl and the chart with helm, as their users do.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

/// The ways of installing, by name; a component stands for the base with it.
pub(super) const VARIANTS: &[&str] = &[
    "base",
    "components/clusters",
    "components/network-policy",
    "components/priority-class",
    "components/resets",
    "components/selinux",
    "components/service-monitor",
    "overlays/cgroup-hybrid",
    "overlays/kind",
    "overlays/legacy-kernels",
    "overlays/scope-all",
];

pub(crate) fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

/// Every variant that is there, so that none is left out.
pub(super) fn variants_on_disk() -> Vec<String> {
    let mut variants = vec!["base".to_owned()];
    for kind in ["components", "overlays"] {
        for entry in fs::read_dir(deploy().join(kind)).expect("deploy/ is readable") {
            let name = entry.expect("an entry").file_name();
            variants.push(format!("{kind}/{}", name.display()));
        }
    }
    variants.sort();
    variants
}

/// The objects of a variant; `None` without kubectl.
pub(super) fn kustomize(variant: &str) -> Option<Vec<Value>> {
    if variant.starts_with("components/") {
        return kustomize_with(&[variant]);
    }
    rendered(kubectl()?.arg("kustomize").arg(deploy().join(variant)))
}

/// The objects of the base with components; `None` without kubectl.
pub(super) fn kustomize_with(components: &[&str]) -> Option<Vec<Value>> {
    kustomize_on("base", components)
}

/// The objects of the base or an overlay with components; `None` without kubectl.
pub(super) fn kustomize_on(below: &str, components: &[&str]) -> Option<Vec<Value>> {
    let mut kubectl = kubectl()?;
    // kustomize reads only below the folder of the kustomization, or relative to it.
    let copy = TempDir::new().expect("a temporary folder");
    for part in ["base", "components", "crd", "overlays"] {
        copy_folder(&deploy().join(part), &copy.path().join(part));
    }
    let overlay = copy.path().join("overlay");
    fs::create_dir(&overlay).expect("a folder");
    let mut kustomization = format!(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n\
         resources: [../{below}]\ncomponents:\n",
    );
    for component in components {
        kustomization += &format!("- ../{component}\n");
    }
    fs::write(overlay.join("kustomization.yaml"), kustomization).expect("a file");
    rendered(kubectl.arg("kustomize").arg(&overlay))
}

/// The objects of the chart with values as `--set` takes them; `None` without helm.
pub(super) fn helm(values: &[&str]) -> Option<Vec<Value>> {
    rendered(&mut template(values)?)
}

/// Why helm refuses values; `None` without helm.
pub(super) fn helm_refusal(values: &[&str]) -> Option<String> {
    let output = template(values)?.output().expect("helm runs");
    assert!(!output.status.success(), "helm accepts {values:?}");
    Some(String::from_utf8_lossy(&output.stderr).into_owned())
}

pub(super) fn kind(object: &Value) -> &str {
    object["kind"].as_str().expect("an object has a kind")
}

pub(super) fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().expect("an object has a name")
}

/// The only object of a kind.
pub(super) fn only<'a>(objects: &'a [Value], wanted: &str) -> &'a Value {
    let mut found = objects.iter().filter(|object| kind(object) == wanted);
    let object = found.next().unwrap_or_else(|| panic!("there is no {wanted}"));
    assert!(found.next().is_none(), "there is more than one {wanted}");
    object
}

/// The object of a kind and a name.
pub(super) fn named<'a>(objects: &'a [Value], wanted: &str, of: &str) -> &'a Value {
    let mut found = objects.iter().filter(|object| kind(object) == wanted && name(object) == of);
    let object = found.next().unwrap_or_else(|| panic!("there is no {wanted} {of}"));
    assert!(found.next().is_none(), "there is more than one {wanted} {of}");
    object
}

/// Of its pods, by name: the loader, then the agent.
pub(super) fn containers(objects: &[Value]) -> [(&'static str, Value); 2] {
    let (load, _) = split(objects, "initContainers", "load");
    let (agent, _) = split(objects, "containers", "agent");
    [("load", load), ("agent", agent)]
}

/// The loader that stands by, where one does.
pub(super) fn stand_by(objects: &[Value]) -> Option<Value> {
    let (_, rest) = split(objects, "containers", "agent");
    assert!(rest.len() < 2, "another container: {rest:?}");
    assert!(rest.iter().all(|container| container["name"] == "stand-by"), "{rest:?}");
    rest.into_iter().next()
}

/// The first container of a list, which has that name, and the rest.
fn split(objects: &[Value], list: &str, name: &str) -> (Value, Vec<Value>) {
    let pod = &only(objects, "DaemonSet")["spec"]["template"]["spec"];
    let (first, rest) =
        pod[list].as_array().and_then(|list| list.split_first()).expect("a pod has containers");
    assert_eq!(first["name"], name, "another container than {name}");
    (first.clone(), rest.to_vec())
}

pub(crate) fn documents(yaml: &str) -> Vec<Value> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(yaml).unwrap_or_else(|error| panic!("{error}\nin:\n{yaml}"));
    documents.into_iter().filter(|document| !document.is_null()).collect()
}

fn rendered(command: &mut Command) -> Option<Vec<Value>> {
    let output = command.stdin(Stdio::null()).output().expect("it runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed:\n{errors}");
    Some(documents(&String::from_utf8(output.stdout).expect("UTF-8")))
}

fn template(values: &[&str]) -> Option<Command> {
    let mut helm = program("helm", &["version", "--short"])?;
    helm.args(["template", "redirector", "--namespace", "redirector-system", "--include-crds"]);
    helm.arg(deploy().join("helm/redirector"));
    for value in values {
        helm.args(["--set", value]);
    }
    Some(helm)
}

/// kubectl, if it is there.
pub(super) fn kubectl() -> Option<Command> {
    program("kubectl", &["version", "--client"])
}

/// A program from `REDIRECTOR_<NAME>` or the PATH, if it runs. Without it the test is skipped.
fn program(name: &str, version: &[&str]) -> Option<Command> {
    let variable = format!("REDIRECTOR_{}", name.to_uppercase());
    let path = env::var_os(&variable).unwrap_or_else(|| name.into());
    let answers = Command::new(&path)
        .args(version)
        .stdin(Stdio::null())
        .output()
        .is_ok_and(|output| output.status.success());
    if !answers {
        println!("SKIP deploy::{name}: not on the PATH; {variable} may name it");
        return None;
    }
    Some(Command::new(path))
}

pub(crate) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a readable folder") {
        let entry = entry.expect("an entry");
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy_folder(&from, &to);
        } else {
            fs::copy(&from, &to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        }
    }
}
