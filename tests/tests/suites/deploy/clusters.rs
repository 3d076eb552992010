//! The Deployment `redirector-clusters`: what it may do to its node, who reaches it, how it is spread.

use serde_json::{Value, json};

use super::render::{helm, kustomize, kustomize_with, named, only};

const NAME: &str = "redirector-clusters";

#[test]
fn its_pods_are_what_restricted_namespaces_take() {
    let check = |objects: &[Value]| {
        let pod = &only(objects, "Deployment")["spec"]["template"]["spec"];
        for absent in ["hostNetwork", "hostPID", "hostIPC", "volumes", "initContainers"] {
            assert!(pod[absent].is_null(), "{absent}");
        }
        let of_pod = json!({
            "runAsUser": 65532, "runAsGroup": 65532, "runAsNonRoot": true,
            "seccompProfile": {"type": "RuntimeDefault"},
        });
        assert_eq!(pod["securityContext"], of_pod);
        let container = container(objects);
        let own = json!({
            "privileged": false, "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
        });
        assert_eq!(container["securityContext"], own);
        let port = json!([{"name": "admin", "containerPort": 9648}]);
        assert_eq!(container["ports"], port, "a port of the host is open");
        for namespace in [NAME, "redirector-exports"] {
            let labels = &named(objects, "Namespace", namespace)["metadata"]["labels"];
            for mode in ["enforce", "audit", "warn"] {
                let label = format!("pod-security.kubernetes.io/{mode}");
                assert_eq!(labels[label], "restricted", "{namespace}");
            }
        }
    };
    for_both(check);
}

#[test]
fn two_replicas_on_two_nodes_of_which_a_drain_takes_one() {
    for_both(|objects| {
        let spec = &only(objects, "Deployment")["spec"];
        assert_eq!(spec["replicas"], 2);
        let labels = &spec["selector"]["matchLabels"];
        assert_eq!(labels, &spec["template"]["metadata"]["labels"]);
        let pod = &spec["template"]["spec"];
        assert_eq!(pod["priorityClassName"], "system-cluster-critical");
        let apart = &pod["affinity"]["podAntiAffinity"];
        let wishes = apart["preferredDuringSchedulingIgnoredDuringExecution"].as_array();
        let apart: Vec<_> =
            wishes.expect("wishes").iter().map(|one| &one["podAffinityTerm"]).collect();
        let keys: Vec<_> = apart.iter().map(|term| term["topologyKey"].as_str()).collect();
        let wanted = ["kubernetes.io/hostname", "topology.kubernetes.io/zone"];
        assert_eq!(keys, wanted.map(Some));
        assert!(apart.iter().all(|term| term["labelSelector"]["matchLabels"] == *labels));
        let budget = &only(objects, "PodDisruptionBudget")["spec"];
        assert_eq!(budget, &json!({"maxUnavailable": 1, "selector": {"matchLabels": labels}}));
        let container = container(objects);
        for (probe, path) in
            [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")]
        {
            let asked = json!({"path": path, "port": "admin"});
            assert_eq!(container[probe]["httpGet"], asked, "{probe}");
        }
        let resources =
            json!({"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}});
        assert_eq!(container["resources"], resources, "a limit of CPU makes a heartbeat late");
    });
}

#[test]
fn it_is_reached_by_the_kubelet_and_monitoring_and_reaches_api_servers_and_names() {
    for_both(|objects| {
        let spec = &named(objects, "NetworkPolicy", NAME)["spec"];
        let of_agents = &named(objects, "NetworkPolicy", "redirector")["spec"];
        assert_eq!(spec["podSelector"], only(objects, "Deployment")["spec"]["selector"]);
        assert_eq!(spec["policyTypes"], json!(["Ingress", "Egress"]));
        assert_eq!(spec["ingress"], of_agents["ingress"]);
        let open = |port: u16, protocol: &str| json!({"port": port, "protocol": protocol});
        let egress = json!([
            {"ports": [open(443, "TCP"), open(6443, "TCP"), open(8443, "TCP")]},
            {"ports": [open(53, "UDP"), open(53, "TCP")]},
        ]);
        assert_eq!(spec["egress"], egress);
    });
    let values = ["multicluster.enabled=true", "multicluster.apiServerPorts={16443}"];
    let Some(objects) = helm(&values) else { return };
    let spec = &named(&objects, "NetworkPolicy", NAME)["spec"];
    assert_eq!(spec["egress"][0]["ports"], json!([{"port": 16443, "protocol": "TCP"}]));
    let Some(objects) = helm(&["multicluster.enabled=true", "networkPolicy.enabled=false"]) else {
        return;
    };
    assert!(!objects.iter().any(|object| object["kind"] == "NetworkPolicy"));
}

#[test]
fn where_the_system_class_is_not_for_us_it_has_the_agents() {
    let Some(objects) = kustomize_with(&["components/clusters", "components/priority-class"])
    else {
        return;
    };
    let class = |objects: &[Value]| {
        only(objects, "Deployment")["spec"]["template"]["spec"]["priorityClassName"].clone()
    };
    assert_eq!(class(&objects), "redirector");
    let values = ["multicluster.enabled=true", "priorityClassName=redirector"];
    let Some(objects) = helm(&values) else { return };
    assert_eq!(class(&objects), "redirector");
}

#[test]
fn its_image_is_the_agents() {
    for_both(|objects| {
        let pods = &only(objects, "DaemonSet")["spec"]["template"]["spec"];
        assert_eq!(container(objects)["image"], pods["containers"][0]["image"]);
        assert_eq!(container(objects)["imagePullPolicy"], pods["containers"][0]["imagePullPolicy"]);
    });
}

fn container(objects: &[Value]) -> &Value {
    let pod = &only(objects, "Deployment")["spec"]["template"]["spec"];
    let [container] = pod["containers"].as_array().expect("containers").as_slice() else {
        panic!("more than one container");
    };
    container
}

/// Of kustomize and of the chart, as far as these are there.
pub(super) fn for_both(check: impl Fn(&[Value])) {
    if let Some(objects) = kustomize("components/clusters") {
        check(&objects);
    }
    if let Some(objects) = helm(&["multicluster.enabled=true"]) {
        check(&objects);
    }
}
