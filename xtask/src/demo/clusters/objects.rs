//! What there is in a cluster before the demo, and what its users write.

use redirector_tests::{api::builders, lab::Lab};
use serde_json::{Value, json};

use super::{
    super::{
        cluster::{CLIENT_NODE, Member, NAMESPACE, PORT, SERVICE_NAME},
        kube,
        script::policy_lines,
    },
    CAST, NAMES,
};

/// Whether a node with replicas is one of that cluster.
pub(in super::super) fn is_in(cluster: &str, node: &str) -> bool {
    match node.split_once('-') {
        Some((of, _)) => of == cluster,
        None => cluster == NAMES[0],
    }
}

/// What there is in a cluster before a user asks for Redirector: Nodes, a Service, and its slice as the
/// endpoint slice controller makes it.
pub(super) fn objects(cluster: &str, lab: &Lab) -> Vec<Value> {
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE},
    });
    let region = if cluster == "west" { "us" } else { "eu" };
    let node = |name: &'static str, zone: &str| -> Value {
        let address = lab.node(name).ipv4().to_string();
        let node = builders::Node::new(short(name)).zone(zone).region(region);
        node.internal_ip(&address).into()
    };
    let client = (cluster == NAMES[0]).then(|| node(CLIENT_NODE, "a"));
    let nodes = members(cluster).map(|member| node(member.node, zone(member)));
    let rest = [kube::service(), slice(cluster)];
    [namespace].into_iter().chain(client).chain(nodes).chain(rest).collect()
}

/// The slice of a cluster's Service.
fn slice(cluster: &str) -> Value {
    let slice = builders::EndpointSlice::new(NAMESPACE, &format!("{SERVICE_NAME}-1"), SERVICE_NAME);
    let add = |slice: builders::EndpointSlice, member: &Member| {
        let endpoint =
            builders::Endpoint::new(&member.address.to_string()).node(short(member.node));
        slice.endpoint(endpoint.zone(zone(member)).pod(NAMESPACE, member.name).ready(true))
    };
    members(cluster).fold(slice.port("", "TCP", PORT), add).into()
}

/// The replicas of a cluster.
fn members(cluster: &str) -> impl Iterator<Item = &'static Member> {
    CAST.members.iter().filter(move |member| is_in(cluster, member.node))
}

fn zone(member: &Member) -> &'static str {
    CAST.tier(member).zone.unwrap_or("a")
}

/// The name of a node in its cluster: names repeat between clusters.
fn short(node: &str) -> &str {
    node.rsplit('-').next().unwrap_or(node)
}

/// How Redirector is installed in a cluster: with what exchanges Services, and under its name.
pub(super) fn kustomization(cluster: &str) -> String {
    format!(
        "apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [../deploy/base]
components: [../deploy/components/clusters]
patches:
- target: {{kind: DaemonSet|Deployment}}
  patch: |
    - {{op: add, path: /spec/template/spec/containers/0/args/-, value: --cluster={cluster}}}
"
    )
}

/// What a user writes: the tiers, from near to far, and how patient to be.
pub(super) fn policy() -> String {
    let lines = policy_lines("  ");
    format!(
        "apiVersion: redirector.dev/v1alpha1
kind: FailoverPolicy
metadata: {{name: {SERVICE_NAME}, namespace: {NAMESPACE}}}
spec:
  targetRefs: [{{kind: Service, name: {SERVICE_NAME}}}]
  tiers:
  - {{name: near, locality: Zone}}
  - {{name: region, locality: Region}}
  - {{name: west, clusters: [west]}}
  - {{name: north, clusters: [north]}}
  mode: LastResort
{lines}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cluster_has_its_replicas_and_nodes_of_the_same_names() {
        let nodes = |name: &str| {
            let slice = slice(name);
            let endpoints = slice["endpoints"].as_array().expect("endpoints").iter();
            let node = |endpoint: &Value| endpoint["nodeName"].as_str().map(str::to_owned);
            endpoints.filter_map(node).collect::<Vec<_>>()
        };
        assert_eq!(nodes("east"), ["n2", "n3", "n4", "n5"]);
        assert_eq!(nodes("west"), ["n2", "n3"]);
        assert_eq!(nodes("north"), ["n2", "n3"]);
    }
}
