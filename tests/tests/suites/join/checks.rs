//! Acceptance statement 19: `check` finds each of its seeded defects and names the fix.

use redirector_tests::api::{Fault, base64};
use serde_json::json;

use super::well::{Well, policy};

#[test]
fn between_two_clusters_that_are_well_all_fifteen_questions_are_answered_well() {
    let well = Well::new();
    let (findings, code) = well.check(&[]);
    let bad: Vec<_> = findings.iter().filter(|finding| finding["verdict"] != "ok").collect();
    assert!(bad.is_empty(), "{bad:#?}");
    assert_eq!((findings.len(), code), (15, 0));
    let text = well.run(&["check", "--context", "east"]).good().stdout;
    assert!(text.ends_with("15 ok, 0 failed, 0 warnings, 0 unknown\n"), "{text}");
    assert!(text.contains("1400 bytes arrive whole at 4 hosts"), "of both families: {text}");
    println!("{text}");
}

/// A defect: the question that finds it, how bad it is, a part of the fix, how it comes about, and
/// further arguments of the check.
type Defect = (&'static str, &'static str, &'static str, fn(&mut Well), &'static [&'static str]);

const DEFECTS: [Defect; 17] = [
    ("crds", "failed", "deploy/crd", no_definitions, &[]),
    ("identity", "failed", "ClusterProperty", no_id, &[]),
    ("reachable", "failed", "--server", |well| well.world.api("west").stop(), &[]),
    ("tls", "failed", "takes the CA", other_ca, &[]),
    ("token", "failed", "makes a new one", revoked, &[]),
    ("rights", "failed", "stolen token", more_rights, &[]),
    ("rights", "failed", "Roles anew", fewer_rights, &[]),
    ("manifest", "failed", "redirector-clusters running in west", |well| well.beats = false, &[]),
    ("manifest", "failed", "one writer", incomplete, &[]),
    ("cidrs", "failed", "ranges of their own", overlap, &[]),
    ("namespaces", "warning", "create namespace shop", no_namespace, &[]),
    ("conflicts", "warning", "alike", conflict, &[]),
    ("dial", "failed", "firewalls", |well| well.listeners.clear(), &[]),
    ("mtu", "failed", "MTU", narrow, &[]),
    ("datapath", "failed", "hostNamespaceOnly", cilium, &[]),
    ("loops", "warning", "LastResort", back_and_forth, &["--remote-context", "west"]),
    ("policies", "failed", "join that cluster", unknown_cluster, &[]),
];

#[test]
fn each_seeded_defect_is_found_and_its_fix_is_named() {
    for (question, verdict, fix, seed, further) in DEFECTS {
        let mut well = Well::new();
        seed(&mut well);
        let (findings, code) = well.check(further);
        let of_it = findings.iter().find(|finding| finding["check"] == question);
        let of_it = of_it.unwrap_or_else(|| panic!("{question} is not answered: {findings:#?}"));
        assert_eq!(of_it["verdict"], verdict, "{of_it:#}");
        let said = of_it["fix"].as_str().unwrap_or_default();
        assert!(said.contains(fix), "{fix:?} is not in {of_it:#}");
        let has_failed = findings.iter().any(|finding| finding["verdict"] == "failed");
        assert_eq!(code, i32::from(has_failed), "{findings:#?}");
        println!("{question:<11} {verdict:<8} {}", of_it["found"].as_str().unwrap_or_default());
        println!("            fix: {said}");
    }
}

fn no_definitions(well: &mut Well) {
    // What is no resource: discovery.
    well.world.api("east").faults().add(Fault::status(404).of(""));
}

fn no_id(well: &mut Well) {
    let east = well.world.api("east");
    east.delete("clusterproperties", "", "cluster.clusterset.k8s.io").expect("it had an id");
}

fn other_ca(well: &mut Well) {
    let ca = base64::standard(well.world.api("north").ca().as_bytes());
    change_west(well, json!({"spec": {"caBundle": ca}}));
}

fn revoked(well: &mut Well) {
    let west = well.world.api("west");
    west.delete("serviceaccounts", "redirector-exports", "importer-east").expect("it was there");
}

fn more_rights(well: &mut Well) {
    let role = "
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: wide}, rules: [
  {apiGroups: [''], resources: [secrets], verbs: [get]}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: wide}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: wide}
subjects: [{kind: ServiceAccount, name: importer-east, namespace: redirector-exports}]
";
    well.world.api("west").put_yaml(role).expect("a role");
}

fn fewer_rights(well: &mut Well) {
    let west = well.world.api("west");
    west.delete("rolebindings", "redirector-exports", "importer-east-token").expect("it was there");
}

fn incomplete(well: &mut Well) {
    let west = well.world.api("west");
    west.delete("endpointslices", "redirector-exports", "web-ipv6").expect("it was there");
}

fn overlap(well: &mut Well) {
    change_west(well, json!({"spec": {"cidrs": ["10.0.0.0/8"]}}));
}

fn no_namespace(well: &mut Well) {
    well.world.api("east").delete("failoverpolicies", "shop", "web").expect("it was there");
    well.world.api("east").delete("namespaces", "", "shop").expect("it was there");
}

fn conflict(well: &mut Well) {
    let message = "port http: west (older) says 80, east 8080; west's holds";
    let export = json!({
        "apiVersion": "multicluster.x-k8s.io/v1beta1", "kind": "ServiceExport",
        "metadata": {"namespace": "shop", "name": "web"},
        "status": {"conditions": [{"type": "Conflict", "status": "True", "message": message}]},
    });
    well.world.api("east").put(export).expect("a ServiceExport");
}

fn narrow(well: &mut Well) {
    well.netns.ip("link set lo mtu 1300").expect("an MTU");
}

fn cilium(well: &mut Well) {
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"namespace": "kube-system", "name": "cilium-config"},
        "data": {"kube-proxy-replacement": "true"},
    });
    well.world.api("east").put(map).expect("a ConfigMap");
}

fn back_and_forth(well: &mut Well) {
    change_west(well, json!({"spec": {"reach": "LoadBalancer"}}));
    well.world.api("west").put(policy(&["east"])).expect("a policy");
}

fn unknown_cluster(well: &mut Well) {
    well.world.api("east").put(policy(&["wets"])).expect("a policy");
}

fn change_west(well: &Well, patch: serde_json::Value) {
    well.world.api("east").patch("remoteclusters", "", "west", patch).expect("a RemoteCluster");
}

#[test]
fn a_check_of_a_cluster_that_is_not_joined_names_those_that_are() {
    let well = Well::new();
    well.run(&["check", "wets", "--context", "east"])
        .failed(&["there is no RemoteCluster wets", "there are west"]);
    well.run(&["check", "--context", "east", "--remote-context", "west"]).failed(&["check west"]);
}
