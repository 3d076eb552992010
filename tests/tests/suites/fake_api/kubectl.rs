//! kubectl itself: discovery, tables, describe, create, apply, patch, label, delete.

use redirector_tests::{
    api::{
        self, Api, Options,
        builders::{Endpoint, EndpointSlice, Node},
    },
    place::Place,
};
use serde_json::json;

struct Kubectl {
    api: Api,
    cache: tempfile::TempDir,
}

impl Kubectl {
    fn new() -> Self {
        let api = Api::start(Options::default()).expect("a server");
        Self { api, cache: tempfile::tempdir().expect("a directory for its cache") }
    }

    /// Its output. Panics if it fails or warns.
    fn run(&self, arguments: &str, input: &str) -> String {
        let (is_good, out, error) = self.try_run(arguments, input);
        assert!(is_good, "kubectl {arguments}: {error}");
        assert_eq!(error, "", "kubectl {arguments}");
        out
    }

    fn try_run(&self, arguments: &str, input: &str) -> (bool, String, String) {
        let arguments: Vec<_> = arguments.split(' ').collect();
        let (kubeconfig, cache) = (self.api.kubeconfig(), self.cache.path());
        let output = api::kubectl(&kubeconfig, cache, Place::default(), &arguments, input);
        let output = output.expect("kubectl runs");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        (output.status.success(), text(output.stdout), text(output.stderr))
    }
}

const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: {name: checkout, labels: {app: checkout}}
spec: {selector: {app: checkout}, ports: [{name: http, port: 80, targetPort: 8080}]}
";

const POLICY: &str = "
apiVersion: redirector.dev/v1alpha1
kind: FailoverPolicy
metadata: {name: checkout}
spec: {targetRefs: [{kind: Service, name: checkout}], mode: Spill}
";

#[test]
fn services_live_through_kubectl() {
    let kubectl = Kubectl::new();
    assert!(kubectl.run("version", "").contains("v1.33.0-fake"));
    assert_eq!(kubectl.run("create -f -", SERVICE), "service/checkout created\n");
    let (is_good, _, error) = kubectl.try_run("create -f -", SERVICE);
    assert!(!is_good && error.contains("(AlreadyExists)"), "{error}");
    let table = kubectl.run("get services", "");
    let head: Vec<_> = table.lines().next().expect("a head").split_whitespace().collect();
    assert_eq!(head, ["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"]);
    assert!(table.contains("checkout   ClusterIP   10.96."), "{table}");

    kubectl.run("label svc checkout tier=web", "");
    kubectl.run("annotate svc checkout note=yes", "");
    kubectl.run("patch svc checkout -p {\"spec\":{\"sessionAffinity\":\"ClientIP\"}}", "");
    kubectl.run(
        "patch svc checkout --type=json -p [{\"op\":\"remove\",\"path\":\"/metadata/labels/app\"}]",
        "",
    );
    let kept = kubectl.api.get("services", "default", "checkout").expect("a service");
    assert_eq!(kept["metadata"]["labels"], json!({"tier": "web"}));
    assert_eq!(kept["metadata"]["annotations"]["note"], "yes");
    assert_eq!(kept["spec"]["sessionAffinity"], "ClientIP");
    assert_eq!(kept["spec"]["ports"].as_array().map(Vec::len), Some(1));
    let described = kubectl.run("describe service checkout", "");
    assert!(
        described.contains("Session Affinity:") && described.contains("tier=web"),
        "{described}"
    );

    assert_eq!(kubectl.run("delete svc checkout", ""), "service \"checkout\" deleted\n");
    let (is_good, _, error) = kubectl.try_run("get svc checkout", "");
    assert!(!is_good && error.contains("(NotFound)"), "{error}");
}

#[test]
fn apply_is_idempotent_on_both_sides() {
    let kubectl = Kubectl::new();
    for (object, name) in
        [(SERVICE, "service/checkout"), (POLICY, "failoverpolicy.redirector.dev/checkout")]
    {
        assert_eq!(kubectl.run("apply -f -", object), format!("{name} created\n"));
        assert_eq!(kubectl.run("apply -f -", object), format!("{name} unchanged\n"));
        let changed = object.replace("checkout}}", "other}}").replace("Spill", "LastResort");
        let changed = changed.replace("port: 80,", "port: 81,");
        assert_eq!(kubectl.run("apply -f -", &changed), format!("{name} configured\n"));
        let (is_good, _, error) = kubectl.try_run("apply --server-side -f -", object);
        assert!(!is_good && error.contains("conflict"), "{error}");
        let forced = kubectl.run("apply --server-side --force-conflicts -f -", object);
        assert_eq!(forced, format!("{name} serverside-applied\n"));
    }
    let service = kubectl.api.get("services", "default", "checkout").expect("a service");
    let ports = service["spec"]["ports"].as_array().expect("ports");
    assert!(ports.iter().any(|port| port["port"] == 80), "{service}");
}

#[test]
fn policies_are_listed_described_and_patched() {
    let kubectl = Kubectl::new();
    let crd = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "failoverpolicies.redirector.dev"},
        "spec": {"group": "redirector.dev", "scope": "Namespaced",
            "names": {"plural": "failoverpolicies", "singular": "failoverpolicy",
                      "kind": "FailoverPolicy", "listKind": "FailoverPolicyList"},
            "versions": [{"name": "v1alpha1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object"}},
                "additionalPrinterColumns": [
                    {"name": "Mode", "type": "string", "jsonPath": ".spec.mode"},
                    {"name": "Accepted", "type": "string",
                     "jsonPath": ".status.conditions[?(@.type==\"Accepted\")].status"},
                    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}]}]}});
    kubectl.run("apply -f -", &crd.to_string());
    kubectl.run("wait --for=condition=established crd/failoverpolicies.redirector.dev", "");
    kubectl.run("create -f -", POLICY);
    let status = json!({"status": {"conditions": [{"type": "Accepted", "status": "True"}]}});
    kubectl.api.patch("failoverpolicies", "default", "checkout", status).expect("a status");

    let table = kubectl.run("get failoverpolicies", "");
    let lines: Vec<Vec<_>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["NAME", "MODE", "ACCEPTED", "AGE"], "{table}");
    assert_eq!(lines[1][..3], ["checkout", "Spill", "True"], "{table}");
    let described = kubectl.run("describe failoverpolicy checkout", "");
    assert!(described.contains("Mode:") && described.contains("Accepted"), "{described}");
    kubectl.run(
        "patch failoverpolicy checkout --type=merge -p {\"spec\":{\"mode\":\"LastResort\"}}",
        "",
    );
    let kept = kubectl.api.get("failoverpolicies", "default", "checkout").expect("a policy");
    assert_eq!(
        (&kept["spec"]["mode"], &kept["metadata"]["generation"]),
        (&json!("LastResort"), &json!(2))
    );
    kubectl.run("delete failoverpolicy --all", "");
    assert_eq!(kubectl.api.list("failoverpolicies").len(), 0);
}

#[test]
fn slices_nodes_and_events_are_shown() {
    let kubectl = Kubectl::new();
    kubectl.api.put(Node::new("n1").zone("a").internal_ip("192.0.2.1")).expect("a node");
    let slice = EndpointSlice::new("shop", "one-a", "one").port("http", "TCP", 8080);
    let endpoint = Endpoint::new("10.1.0.5").ready(true).node("n1").zone("a");
    kubectl.api.put(slice.endpoint(endpoint)).expect("a slice");
    kubectl.run("create -f -", SERVICE);
    let service = kubectl.api.get("services", "default", "checkout").expect("a service");
    let event = json!({"apiVersion": "events.k8s.io/v1", "kind": "Event",
        "metadata": {"name": "e1", "namespace": "default"}, "type": "Normal", "reason": "FailedOver",
        "note": "to zone b", "regarding": {"kind": "Service", "namespace": "default", "name": "checkout",
            "uid": service["metadata"]["uid"]},
        "reportingController": "redirector.dev/agent", "eventTime": "2026-01-01T00:00:00.000000Z"});
    kubectl.api.put(event).expect("an event");

    let nodes = kubectl.run("get nodes -L topology.kubernetes.io/zone", "");
    assert!(nodes.contains("n1     Ready"), "{nodes}");
    let slices = kubectl.run("get endpointslices -A", "");
    assert!(slices.contains("one-a   IPv4          8080    10.1.0.5"), "{slices}");
    assert!(kubectl.run("describe endpointslice one-a -n shop", "").contains("10.1.0.5"));
    kubectl.run("label node n1 topology.kubernetes.io/zone=b --overwrite", "");
    let node = kubectl.api.get("nodes", "", "n1").expect("a node");
    assert_eq!(node["metadata"]["labels"]["topology.kubernetes.io/zone"], "b");
    assert!(kubectl.run("describe node n1", "").contains("InternalIP:  192.0.2.1"));
    assert!(kubectl.run("describe svc checkout", "").contains("to zone b"));
    assert!(kubectl.run("get events", "").contains("FailedOver"));
    kubectl.run("get all -A", "");
    // `create namespace` would send protobuf, which this server does not read.
    kubectl.run("create -f -", "{apiVersion: v1, kind: Namespace, metadata: {name: extra}}");
    kubectl.run("delete namespace extra", "");
}
