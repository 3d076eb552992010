//! The manifests and the binary agree: every flag is one that it knows, with a value that it takes.

use std::{collections::BTreeMap, ffi::OsStr};

use serde_json::Value;

use super::render::{VARIANTS, containers, helm, kind, kustomize, only, stand_by};

const ALL_VALUES: &[&str] = &[
    "scope=all",
    "externalIPs=true",
    "trustedCIDRs={10.0.0.0/8,fd00::/8}",
    "cluster=west",
    "apiServer=https://192.0.2.1:6443",
    "adminHost=[::]",
    "capacities.frontends=4096",
    "capacities.services=4096",
    "capacities.backends=16384",
    "capacities.nodes=1024",
    "capacities.slots=4194304",
    "multicluster.enabled=true",
    "multicluster.clusterSetIPs=false",
    "multicluster.exportCIDRs={10.0.0.0/8,fd00::/8}",
];

#[test]
fn the_binary_takes_what_the_manifests_give_it() {
    for variant in VARIANTS {
        let Some(objects) = kustomize(variant) else { return };
        check(variant, &objects);
    }
    for values in [&[][..], ALL_VALUES, &["resets=true"]] {
        let Some(objects) = helm(values) else { return };
        check("chart", &objects);
    }
}

fn check(variant: &str, objects: &[Value]) {
    let stand_by = stand_by(objects).map(|container| ("load", container));
    let deployment = objects.iter().find(|object| kind(object) == "Deployment");
    let clusters = deployment
        .map(|object| ("clusters", object["spec"]["template"]["spec"]["containers"][0].clone()));
    for (name, container) in containers(objects).into_iter().chain(stand_by).chain(clusters) {
        let arguments = arguments(&container);
        assert_eq!(arguments[0], name, "{variant}: another subcommand");
        assert!(container["command"].is_null(), "{variant}: the image says what is run");
        let called = ["redirector".to_owned()].into_iter().chain(arguments);
        let parsed =
            redirector::cli::command(OsStr::new("redirector")).try_get_matches_from(called);
        if let Err(error) = parsed {
            panic!("{variant}: {name}: {error}");
        }
    }
}

/// With `$(NAME)` replaced as the kubelet does.
fn arguments(container: &Value) -> Vec<String> {
    let of_pod = BTreeMap::from([
        ("spec.nodeName", "node-1"),
        ("metadata.namespace", "redirector-system"),
        ("metadata.name", "redirector-x7k2p"),
    ]);
    let mut arguments: Vec<String> =
        serde_json::from_value(container["args"].clone()).expect("a list of strings");
    for variable in container["env"].as_array().into_iter().flatten() {
        let name = variable["name"].as_str().expect("a name");
        let field = variable["valueFrom"]["fieldRef"]["fieldPath"].as_str().expect("a field");
        let before = arguments.clone();
        for argument in &mut arguments {
            *argument = argument.replace(&format!("$({name})"), of_pod[field]);
        }
        assert_ne!(arguments, before, "nothing uses {name}");
    }
    let left = arguments.iter().find(|argument| argument.contains("$("));
    assert_eq!(left, None, "a variable that is not set");
    arguments
}

#[test]
fn loader_and_agent_speak_of_the_same_pins() {
    for variant in VARIANTS {
        let Some(objects) = kustomize(variant) else { return };
        let [(_, load), (_, agent)] = containers(&objects);
        let pins = "--pin-path=/bpf/redirector".to_owned();
        for container in [&load, &agent] {
            assert!(arguments(container).contains(&pins), "{variant}");
        }
        // Who stands by loads as the loader does.
        if let Some(stand_by) = stand_by(&objects) {
            let mut words = arguments(&load);
            words.insert(1, "--stand-by".to_owned());
            assert_eq!(arguments(&stand_by), words, "{variant}");
            assert!(arguments(&agent).contains(&"--run-dir=/run/redirector".to_owned()));
        }
        // The agent's group is whose the loader makes the pins.
        let owner = format!("--owner=0:{}", agent["securityContext"]["runAsGroup"]);
        assert!(arguments(&load).contains(&owner), "{variant}");
    }
}

#[test]
fn everything_names_the_image_of_this_version() {
    let version = env!("CARGO_PKG_VERSION");
    for variant in VARIANTS {
        let Some(objects) = kustomize(variant) else { return };
        let repository = match *variant {
            "overlays/kind" => "localhost/redirector",
            _ => "redirector",
        };
        for (name, container) in containers(&objects) {
            assert_eq!(container["image"], format!("{repository}:{version}"), "{variant}: {name}");
        }
    }
    let Some(objects) = helm(&["image.repository=example.test/team/redirector"]) else { return };
    assert_eq!(only(&objects, "DaemonSet")["metadata"]["name"], "redirector");
    for (name, container) in containers(&objects) {
        let image = format!("example.test/team/redirector:{version}");
        assert_eq!(container["image"], image, "{name}");
    }
}
