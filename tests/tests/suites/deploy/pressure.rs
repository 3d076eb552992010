//! A node without memory: what the kernel and the kubelet kill before the agent.

use serde_json::Value;

use super::render::{VARIANTS, helm, kustomize, only};

/// Of a pod of which the kubelet says so, and of kube-proxy's.
const PROTECTED: i64 = -997;
/// Bytes, of a small node: the larger it is, the earlier a pod that asks for little is killed.
const NODE: i64 = 4 << 30;
/// Where others have the class that protects for themselves.
const UNPROTECTED: [&str; 2] = ["components/priority-class", "priorityClassName=redirector"];

#[test]
fn the_agent_is_not_the_first_to_be_killed() {
    for variant in VARIANTS {
        let Some(objects) = kustomize(variant) else { return };
        check(variant, &objects);
    }
    for value in ["scope=all", "resets=true", "legacyKernels=true", "priorityClassName=redirector"]
    {
        let Some(objects) = helm(&[value]) else { return };
        check(value, &objects);
    }
}

fn check(variant: &str, objects: &[Value]) {
    let pod = &only(objects, "DaemonSet")["spec"]["template"]["spec"];
    let is_protected = !UNPROTECTED.contains(&variant);
    for container in pod["containers"].as_array().expect("containers") {
        let adjustment = oom_score_adjustment(pod, container);
        assert_eq!(adjustment == PROTECTED, is_protected, "{variant}: {adjustment}: {container:#}");
    }
}

/// kubelet, `pkg/kubelet/qos/policy.go`.
fn oom_score_adjustment(pod: &Value, container: &Value) -> i64 {
    let asks = &container["resources"];
    if pod["priorityClassName"] == "system-node-critical" {
        return PROTECTED;
    }
    assert_ne!(asks["limits"], asks["requests"], "a guaranteed pod has limits of CPU");
    let memory = asks["requests"]["memory"].as_str().and_then(|text| text.strip_suffix("Mi"));
    let memory = memory.and_then(|text| text.parse::<i64>().ok()).expect("a request in Mi") << 20;
    (1_000 - 1_000 * memory / NODE).max(3)
}
