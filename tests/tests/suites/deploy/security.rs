//! What the containers may do to their node: exactly this, in every way of installing.

use serde_json::{Value, json};

use super::render::{VARIANTS, containers, helm, kustomize, named, only, stand_by};

const LOADER: &[&str] = &["BPF", "NET_ADMIN", "PERFMON"];
/// 5.10 counts maps against a limit that only it may raise.
const OLD_LOADER: &[&str] = &["BPF", "NET_ADMIN", "PERFMON", "SYS_RESOURCE"];
/// Of the bounding set alone, unless it runs as root.
const AGENT: &[&str] = &["BPF"];
const RESETTING: &[&str] = &["NET_ADMIN", "SYS_ADMIN", "SYS_PTRACE"];

/// What is not the same everywhere.
struct Expected {
    loader: &'static [&'static str],
    agent: &'static [&'static str],
    agent_is_root: bool,
    resets: bool,
    selinux_type: Option<&'static str>,
}

fn expected(variant: &str) -> Expected {
    let base = Expected {
        loader: LOADER,
        agent: AGENT,
        agent_is_root: false,
        resets: false,
        selinux_type: None,
    };
    match variant {
        "overlays/legacy-kernels" => Expected { loader: OLD_LOADER, agent_is_root: true, ..base },
        "components/resets" => {
            Expected { agent: RESETTING, agent_is_root: true, resets: true, ..base }
        }
        "components/selinux" => Expected { selinux_type: Some("spc_t"), ..base },
        _ => base,
    }
}

#[test]
fn each_container_has_these_privileges_and_no_others() {
    for variant in VARIANTS {
        let Some(objects) = kustomize(variant) else { return };
        check(variant, &objects);
    }
    for (value, variant) in [
        ("resets=false", "base"),
        ("resets=true", "components/resets"),
        ("legacyKernels=true", "overlays/legacy-kernels"),
        ("seLinuxOptions.type=spc_t", "components/selinux"),
    ] {
        let Some(objects) = helm(&[value]) else { return };
        check(variant, &objects);
    }
}

fn check(variant: &str, objects: &[Value]) {
    let Expected { loader, agent, agent_is_root, resets, selinux_type } = expected(variant);
    let pod = &only(objects, "DaemonSet")["spec"]["template"]["spec"];
    for absent in ["hostNetwork", "hostIPC", "shareProcessNamespace", "hostUsers"] {
        assert!(pod[absent].is_null(), "{variant}: {absent}");
    }
    assert_eq!(pod["hostPID"], if resets { json!(true) } else { Value::Null }, "{variant}");
    let mut of_pod = json!({"seccompProfile": {"type": "RuntimeDefault"}});
    if let Some(name) = selinux_type {
        of_pod["seLinuxOptions"] = json!({"type": name});
    }
    assert_eq!(pod["securityContext"], of_pod, "{variant}");

    let [(_, load), (_, main)] = containers(objects);
    assert_eq!(load["securityContext"], context(0, loader), "{variant}: load");
    let mut of_agent = context(if agent_is_root { 0 } else { 65532 }, agent);
    if resets {
        of_agent["allowPrivilegeEscalation"] = true.into();
        of_agent["appArmorProfile"] = json!({"type": "Unconfined"});
    }
    assert_eq!(main["securityContext"], of_agent, "{variant}: agent");
    let port = json!([{"name": "admin", "containerPort": 9648}]);
    assert_eq!(main["ports"], port, "{variant}: a port of the host is open");

    let pins = json!({"name": "pins", "mountPath": "/bpf/redirector"});
    let run = json!({"name": "run", "mountPath": "/run/redirector"});
    let bpffs = json!({"name": "bpffs", "mountPath": "/bpf"});
    let cgroup = json!({"name": "cgroup", "mountPath": "/host/cgroup", "readOnly": true});
    assert_eq!(sorted(&load["volumeMounts"]), sorted(&json!([bpffs, cgroup, run])), "{variant}");
    // One that may load itself needs nobody to stand by; else it is the loader once more.
    assert_eq!(stand_by(objects).is_none(), resets, "{variant}: stand-by");
    if let Some(other) = stand_by(objects) {
        for field in ["securityContext", "image", "imagePullPolicy", "volumeMounts"] {
            assert_eq!(other[field], load[field], "{variant}: {field} of load and stand-by");
        }
        assert!(other["ports"].is_null(), "{variant}: stand-by listens");
    }
    let mounts = if resets { json!([bpffs, cgroup, run]) } else { json!([pins, run]) };
    assert_eq!(sorted(&main["volumeMounts"]), sorted(&mounts), "{variant}");
    let cgroups = match variant {
        "overlays/cgroup-hybrid" => "/sys/fs/cgroup/unified",
        _ => "/sys/fs/cgroup",
    };
    let volumes = json!([
        {"name": "bpffs", "hostPath": {"path": "/sys/fs/bpf", "type": "Directory"}},
        {"name": "pins", "hostPath": {"path": "/sys/fs/bpf/redirector", "type": "DirectoryOrCreate"}},
        {"name": "cgroup", "hostPath": {"path": cgroups, "type": "Directory"}},
        {"name": "run", "hostPath": {"path": "/run/redirector", "type": "DirectoryOrCreate"}},
    ]);
    assert_eq!(sorted(&pod["volumes"]), sorted(&volumes), "{variant}");
}

fn context(user: u32, capabilities: &[&str]) -> Value {
    json!({
        "runAsUser": user,
        "runAsGroup": 65532,
        "runAsNonRoot": user != 0,
        "privileged": false,
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": {"drop": ["ALL"], "add": capabilities},
    })
}

fn sorted(list: &Value) -> Vec<String> {
    let mut list: Vec<_> =
        list.as_array().expect("a list").iter().map(ToString::to_string).collect();
    list.sort();
    list
}

#[test]
fn every_node_gets_an_agent_and_is_updated_gently() {
    let Some(objects) = kustomize("base") else { return };
    let spec = &only(&objects, "DaemonSet")["spec"];
    let update = json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}});
    assert_eq!(spec["updateStrategy"], update);
    let pod = &spec["template"]["spec"];
    assert_eq!(pod["tolerations"], json!([{"operator": "Exists"}]));
    assert_eq!(pod["nodeSelector"], json!({"kubernetes.io/os": "linux"}));
    assert_eq!(pod["dnsPolicy"], "Default");
    assert_eq!(pod["terminationGracePeriodSeconds"], 10);
    let [_, (_, agent)] = containers(&objects);
    for (probe, path) in
        [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")]
    {
        assert_eq!(agent[probe]["httpGet"], json!({"path": path, "port": "admin"}), "{probe}");
    }
    let labels = &spec["template"]["metadata"]["labels"];
    assert_eq!(&spec["selector"]["matchLabels"], labels);
}

/// A pod that can reach the endpoint can occupy it, within its bounds.
#[test]
fn only_the_kubelet_and_monitoring_reach_the_admin_endpoint() {
    let admin = json!([{
        "from": [{"namespaceSelector": {
            "matchLabels": {"kubernetes.io/metadata.name": "monitoring"},
        }}],
        "ports": [{"port": 9648, "protocol": "TCP"}],
    }]);
    let check = |variant: &str, objects: &[Value]| {
        let policy = named(objects, "NetworkPolicy", "redirector");
        let (spec, pods) = (&policy["spec"], only(objects, "DaemonSet")["spec"].clone());
        assert_eq!(spec["podSelector"], pods["selector"], "{variant}");
        assert_eq!(spec["policyTypes"], json!(["Ingress", "Egress"]), "{variant}");
        assert_eq!(spec["ingress"], admin, "{variant}");
        assert_eq!(spec["egress"], json!([{}]), "{variant}: probes go to every backend");
    };
    for variant in VARIANTS {
        let Some(objects) = kustomize(variant) else { return };
        check(variant, &objects);
    }
    let Some(objects) = helm(&[]) else { return };
    check("chart", &objects);
}
