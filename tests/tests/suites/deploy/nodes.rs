//! What a field demands of a node: no way of installing asks for what some kind of node refuses, or
//! for what cannot work there.

use serde_json::{Value, json};

use super::render::{VARIANTS, helm, kustomize_on, only};

/// A kind of node that the same manifest may meet.
#[derive(Clone, Copy)]
struct Node {
    name: &'static str,
    has_apparmor: bool,
    enforces_selinux: bool,
    /// cgroup v1 at /sys/fs/cgroup, cgroup2 below it.
    is_hybrid: bool,
}

const NODES: [Node; 4] = [
    Node { name: "AppArmor", has_apparmor: true, enforces_selinux: false, is_hybrid: false },
    Node { name: "no AppArmor", has_apparmor: false, enforces_selinux: false, is_hybrid: false },
    Node { name: "hybrid cgroups", has_apparmor: false, enforces_selinux: false, is_hybrid: true },
    Node { name: "SELinux", has_apparmor: false, enforces_selinux: true, is_hybrid: false },
];

/// For hybrid nodes alone: on others its path does not exist. The base does for both.
const OF_HYBRID_NODES: [&str; 2] = ["overlays/cgroup-hybrid", "cgroupRoot=/sys/fs/cgroup/unified"];

const VALUES: &[&[&str]] = &[
    &[],
    &["scope=all", "externalIPs=true", "adminHost=[::]", "capacities.slots=4194304"],
    &["cgroupRoot=/sys/fs/cgroup/unified"],
    &["legacyKernels=true"],
    &["resets=true"],
    &["resets=true", "legacyKernels=true"],
    &["seccompProfile.type=Unconfined"],
    &["appArmorProfile.type=Unconfined"],
    &["networkPolicy.enabled=true", "serviceMonitor.enabled=true", "podAnnotations.a=b"],
];

#[test]
fn every_kustomization_runs_on_every_kind_of_node() {
    for variant in VARIANTS {
        for node in NODES.iter().filter(|node| node.is_meant_by(variant)) {
            let (below, component) = match variant.starts_with("components/") {
                true => ("base", Some(*variant)),
                false => (*variant, None),
            };
            let mut components: Vec<_> = component.into_iter().collect();
            if node.enforces_selinux && !components.contains(&"components/selinux") {
                components.push("components/selinux");
            }
            let Some(objects) = kustomize_on(below, &components) else { return };
            node.assert_runs(variant, &objects);
        }
    }
}

#[test]
fn so_does_the_chart_with_every_value() {
    for values in VALUES {
        for node in NODES.iter().filter(|node| values.iter().all(|value| node.is_meant_by(value))) {
            let of_node = node.enforces_selinux.then_some("seLinuxOptions.type=spc_t");
            let values: Vec<_> = values.iter().copied().chain(of_node).collect();
            let Some(objects) = helm(&values) else { return };
            node.assert_runs(&values.join(","), &objects);
        }
    }
}

#[test]
fn what_some_node_refuses_is_found() {
    const POD: &str = "/spec/template/spec";
    const CONTEXT: &str = "/spec/template/spec/securityContext";
    const LOADER: &str = "/spec/template/spec/initContainers/0/securityContext";
    const AGENT: &str = "/spec/template/spec/containers/0/securityContext";
    let default = json!({"type": "RuntimeDefault"});
    let local = json!({"type": "Localhost", "localhostProfile": "redirector"});
    let hybrid = json!({"path": "/sys/fs/cgroup/unified", "type": "Directory"});
    for (place, field, value, node, said) in [
        (CONTEXT, "appArmorProfile", default.clone(), "no AppArmor", "AppArmor is not enabled"),
        (LOADER, "appArmorProfile", default, "hybrid cgroups", "AppArmor is not enabled"),
        (AGENT, "appArmorProfile", local.clone(), "AppArmor", "the profile has to be there"),
        (CONTEXT, "seccompProfile", local, "AppArmor", "the profile has to be there"),
        (CONTEXT, "seLinuxOptions", json!({"type": "super_t"}), "SELinux", "no type of"),
        (
            CONTEXT,
            "seLinuxOptions",
            json!({"type": "container_t"}),
            "SELinux",
            "may not use bpf(2)",
        ),
        (CONTEXT, "sysctls", json!([{"name": "net.core.somaxconn"}]), "AppArmor", "unsafe"),
        (AGENT, "procMount", json!("Unmasked"), "AppArmor", "user namespace"),
        (AGENT, "runAsUser", json!(0), "AppArmor", "root, and may not be"),
        (AGENT, "windowsOptions", json!({}), "AppArmor", "nobody has said"),
        (POD, "hostUsers", json!(false), "AppArmor", "user namespace"),
        (POD, "shareProcessNamespace", json!(true), "AppArmor", "nobody has said"),
        (POD, "runtimeClassName", json!("gvisor"), "AppArmor", "nobody has said"),
        ("/spec/template/spec/volumes/2", "hostPath", hybrid, "no AppArmor", "is not there"),
        (
            "/spec/template/metadata/annotations",
            "container.apparmor.security.beta.kubernetes.io/agent",
            json!("runtime/default"),
            "no AppArmor",
            "AppArmor is not enabled",
        ),
    ] {
        let Some(objects) = kustomize_on("base", &["components/selinux"]) else { return };
        let mut daemon_set = only(&objects, "DaemonSet").clone();
        daemon_set.pointer_mut(place).expect(place)[field] = value;
        let node = NODES.iter().find(|other| other.name == node).expect("a node");
        let objections = node.objections(&daemon_set);
        assert!(objections.iter().any(|one| one.contains(said)), "{field}: {objections:?}");
    }
    // The last kind: what is there and should not be missing.
    let Some(objects) = kustomize_on("base", &[]) else { return };
    let objections = NODES[3].objections(only(&objects, "DaemonSet"));
    assert!(objections.iter().any(|one| one.contains("may not use bpf(2)")), "{objections:?}");
}

impl Node {
    fn is_meant_by(&self, variant: &str) -> bool {
        self.is_hybrid || !OF_HYBRID_NODES.contains(&variant)
    }

    fn assert_runs(&self, variant: &str, objects: &[Value]) {
        let objections = self.objections(only(objects, "DaemonSet"));
        assert!(objections.is_empty(), "{variant} on a node with {}: {objections:#?}", self.name);
    }

    /// Why the pods of a DaemonSet do not run here, or cannot do there what they are for.
    fn objections(&self, daemon_set: &Value) -> Vec<String> {
        let template = &daemon_set["spec"]["template"];
        let pod = &template["spec"];
        let mut objections = Vec::new();
        self.judge_annotations(&template["metadata"]["annotations"], &mut objections);
        self.judge_pod(pod, &mut objections);
        for volume in list(&pod["volumes"]) {
            self.judge_volume(volume, &mut objections);
        }
        self.judge_context("pod", &pod["securityContext"], &mut objections);
        for container in list(&pod["initContainers"]).chain(list(&pod["containers"])) {
            self.judge_container(pod, container, &mut objections);
        }
        objections
    }

    /// kubelet, `pkg/security/apparmor/validate.go`: the annotations from before 1.30.
    fn judge_annotations(&self, annotations: &Value, objections: &mut Vec<String>) {
        for (name, value) in fields(annotations) {
            let is_apparmor = name.starts_with("container.apparmor.security.beta.kubernetes.io/");
            if is_apparmor && value != "unconfined" && !self.has_apparmor {
                objections.push(format!("{name}: AppArmor is not enabled"));
            }
        }
    }

    fn judge_pod(&self, pod: &Value, objections: &mut Vec<String>) {
        for (field, value) in fields(pod) {
            match field.as_str() {
                // Judged by themselves.
                "containers" | "initContainers" | "securityContext" | "volumes" => {}
                // Scheduling, names and times, alike on all nodes.
                "automountServiceAccountToken"
                | "dnsPolicy"
                | "enableServiceLinks"
                | "imagePullSecrets"
                | "nodeSelector"
                | "priorityClassName"
                | "serviceAccountName"
                | "terminationGracePeriodSeconds"
                | "tolerations" => {}
                // Every runtime can; whether a namespace may is for PodSecurity, not the node.
                "hostPID" => {}
                // Needs idmapped mounts of every volume, which bpffs and cgroup2 have not.
                "hostUsers" if value == false => {
                    objections
                        .push("hostUsers: false: no user namespace can have the bpffs".into());
                }
                _ => objections.push(format!("nobody has said what {field} demands of a node")),
            }
        }
    }

    /// kubelet, `pkg/volume/hostpath`: what is to be there is; what is to be made can be.
    fn judge_volume(&self, volume: &Value, objections: &mut Vec<String>) {
        let (path, kind) = (&volume["hostPath"]["path"], &volume["hostPath"]["type"]);
        let is_there = match path.as_str() {
            Some("/sys/fs/bpf" | "/sys/fs/cgroup") => kind == "Directory",
            Some("/sys/fs/cgroup/unified") => kind == "Directory" && self.is_hybrid,
            // The BPF file system and the tmpfs of every distribution let root make directories.
            Some("/sys/fs/bpf/redirector" | "/run/redirector") => kind == "DirectoryOrCreate",
            _ => false,
        };
        if !is_there {
            objections.push(format!("{volume}: it is not there, or not of that kind"));
        }
    }

    fn judge_context(&self, whose: &str, context: &Value, objections: &mut Vec<String>) {
        for (field, value) in fields(context) {
            let kind = value["type"].as_str().unwrap_or_default();
            let objection = match (field.as_str(), kind) {
                ("appArmorProfile" | "seccompProfile", "Localhost") => {
                    "the profile has to be there"
                }
                // kubelet, `pkg/security/apparmor/validate.go`: any but Unconfined.
                ("appArmorProfile", "Unconfined") => continue,
                ("appArmorProfile", _) if !self.has_apparmor => "AppArmor is not enabled",
                ("appArmorProfile", _) => continue,
                // CONFIG_SECCOMP, which the kernels of all distributions have.
                ("seccompProfile", "RuntimeDefault" | "Unconfined") => continue,
                // Runtimes ignore it on other nodes. Types of container-selinux.
                ("seLinuxOptions", "container_t" | "spc_t") => continue,
                ("seLinuxOptions", _) if !self.enforces_selinux => continue,
                ("seLinuxOptions", _) => "no type of container-selinux",
                // kubelet, `pkg/kubelet/sysctl`: unsafe ones only where a flag allows them.
                ("sysctls", _) => "an unsafe sysctl, or one of another network namespace",
                ("procMount", _) if value == "Default" => continue,
                ("procMount", _) => "wants a user namespace of its own",
                (
                    "allowPrivilegeEscalation"
                    | "capabilities"
                    | "privileged"
                    | "readOnlyRootFilesystem"
                    | "runAsGroup"
                    | "runAsNonRoot"
                    | "runAsUser",
                    _,
                ) => continue,
                _ => "nobody has said what it demands of a node",
            };
            objections.push(format!("{whose}: {field}: {objection}"));
        }
    }

    fn judge_container(&self, pod: &Value, container: &Value, objections: &mut Vec<String>) {
        let name = container["name"].as_str().expect("a name");
        let own = &container["securityContext"];
        self.judge_context(name, own, objections);
        let mut object = |what: &str| objections.push(format!("{name}: {what}"));
        // Of the container, else of the pod.
        let setting = |field: &str| match &own[field] {
            Value::Null => &pod["securityContext"][field],
            set => set,
        };
        if setting("runAsNonRoot") == true && setting("runAsUser") == 0 {
            object("it is root, and may not be");
        }
        let added = list(&own["capabilities"]["add"]).filter_map(Value::as_str);
        let added: Vec<_> = added.collect();
        // Before 5.8 there was no CAP_BPF; a runtime refuses names that it does not know.
        let known = ["BPF", "NET_ADMIN", "PERFMON", "SYS_ADMIN", "SYS_PTRACE", "SYS_RESOURCE"];
        if added.iter().any(|capability| !known.contains(capability)) {
            object("a capability that nobody has looked at");
        }
        // The API server, `pkg/apis/core/validation`.
        if own["allowPrivilegeEscalation"] == false && added.contains(&"SYS_ADMIN") {
            object("CAP_SYS_ADMIN beside allowPrivilegeEscalation: false");
        }
        let is_spc = setting("seLinuxOptions")["type"] == "spc_t";
        if self.enforces_selinux && !is_spc {
            object("container_t may not use bpf(2), nor see the BPF file system");
        }
        // The runtimes' default profile of AppArmor.
        if self.has_apparmor && setting("appArmorProfile")["type"] != "Unconfined" {
            let writes = |mount: &&Value| mount["readOnly"] != true;
            let below = |path: &str| path.starts_with("/sys") || path.starts_with("/proc");
            let mounts = list(&container["volumeMounts"]).filter(writes);
            if mounts.filter_map(|mount| mount["mountPath"].as_str()).any(below) {
                object("AppArmor denies writing below /sys and /proc");
            }
            if added.contains(&"SYS_PTRACE") {
                object("AppArmor denies looking at other processes");
            }
        }
        self.judge_cgroup(pod, container, &mut object);
    }

    /// The loader takes a cgroup2 directory, or one with cgroup2 mounted somewhere in it: runtimes bind
    /// a path with what is mounted below (`rbind`).
    fn judge_cgroup(&self, pod: &Value, container: &Value, object: &mut impl FnMut(&str)) {
        let words = list(&container["args"]).filter_map(Value::as_str);
        for at in words.filter_map(|word| word.strip_prefix("--cgroup=")) {
            let mount = list(&container["volumeMounts"]).find(|mount| mount["mountPath"] == at);
            let volume = mount.and_then(|mount| {
                list(&pod["volumes"]).find(|volume| volume["name"] == mount["name"])
            });
            let path = volume.and_then(|volume| volume["hostPath"]["path"].as_str());
            let is_right = match path {
                Some("/sys/fs/cgroup") => true,
                Some("/sys/fs/cgroup/unified") => self.is_hybrid,
                _ => false,
            };
            if !is_right {
                object("there is no cgroup2 at --cgroup");
            }
        }
    }
}

fn fields(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
