//! `--kube`: an API server with the objects of a cluster's own controllers, and those of a user.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use redirector_tests::{
    api::{Api, Options, builders},
    lab,
};
use serde_json::{Value, json};

use super::{
    cluster::{CAST, CLIENT_NODE, NAMESPACE, PORT, SERVICE, SERVICE_NAME},
    script::policy_lines,
};

/// What a user writes: the replicas of another cluster as a Service of this one, without a selector.
const WEST: &str = include_str!("west.yaml");
/// Where the other cluster's replicas are: n6 and n7.
const WEST_CIDR: &str = "10.77.6.0/23";
/// The agent's own namespace.
const AGENT_NAMESPACE: &str = "redirector-system";
/// Further arguments of the agent. A demo is too short to wait for a Lease of 15 s.
pub(super) const ARGUMENTS: [&str; 6] =
    ["--namespace", AGENT_NAMESPACE, "--trusted-cidr", WEST_CIDR, "--divide-timeouts", "10"];
/// What a user does on the first day, before the client begins.
pub(super) const FIRST_DAY: [&str; 8] = [
    "redirector crd | kubectl apply -f -",
    "kubectl get nodes -L topology.kubernetes.io/zone",
    "kubectl get services,endpointslices",
    "kubectl label service checkout redirector.dev/failover=true",
    "kubectl apply -f west.yaml",
    "cat policy.yaml",
    "kubectl apply -f policy.yaml",
    "kubectl wait --for=condition=Programmed failoverpolicy/checkout --timeout=60s",
];

/// How the only replica that the rolling update replaces stands in its slice.
#[derive(Debug, Clone, Copy)]
enum Rolled {
    /// It is ready, as all others.
    Ready,
    /// Its pod is being deleted, and still serves.
    Terminating,
    /// Its pod is gone.
    Gone,
}

/// An API server with the objects that a cluster has anyway, in the network of `node`, and files
/// for kubectl in `directory`, among them `kubeconfig` for the namespace of the demo.
pub(super) fn start(node: &lab::Node, directory: &Path) -> Result<Api> {
    let options =
        Options { netns: Some(node.netns().clone()), needs_crd: true, ..Options::default() };
    let api = Api::start(options)?;
    let text = fs::read_to_string(api.kubeconfig()).context("the API server's kubeconfig")?;
    let mut kubeconfig: Value = serde_json::from_str(&text).context("a kubeconfig")?;
    kubeconfig["contexts"][0]["context"]["namespace"] = NAMESPACE.into();
    for object in cluster() {
        api.put(object).context("the demo's cluster")?;
    }
    for (name, text) in [
        ("kubeconfig", kubeconfig.to_string()),
        ("west.yaml", WEST.to_owned()),
        ("policy.yaml", policy()),
        ("a1-terminating.json", format!("{:#}", slice(Rolled::Terminating))),
        ("a1-gone.json", format!("{:#}", slice(Rolled::Gone))),
        ("a1-ready.json", format!("{:#}", slice(Rolled::Ready))),
    ] {
        let path = directory.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(api)
}

/// What there is before a user asks for Redirector: Nodes, a Service, and its slice as the
/// endpoint slice controller makes it.
fn cluster() -> Vec<Value> {
    let namespace =
        |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let node = |name: &str, zone: &str| builders::Node::new(name).zone(zone).region("eu").into();
    let nodes = CAST.own().map(|(member, zone)| node(member.node, zone));
    let others = [namespace(NAMESPACE), namespace(AGENT_NAMESPACE), node(CLIENT_NODE, "a")];
    others.into_iter().chain(nodes).chain([service(), slice(Rolled::Ready)]).collect()
}

/// The Service that is dialled.
pub(super) fn service() -> Value {
    let service = builders::Service::new(NAMESPACE, SERVICE_NAME).port("", "TCP", SERVICE.port());
    let service = service.cluster_ips(&[&SERVICE.ip().to_string()]);
    service.spec("selector", json!({"app": SERVICE_NAME})).into()
}

/// The slice of the Service with `a1` as it is.
fn slice(a1: Rolled) -> Value {
    let slice = builders::EndpointSlice::new(NAMESPACE, &format!("{SERVICE_NAME}-1"), SERVICE_NAME);
    let slice = CAST.own().fold(slice.port("", "TCP", PORT), |slice, (member, zone)| {
        let endpoint = builders::Endpoint::new(&member.address.to_string()).node(member.node);
        let endpoint = endpoint.zone(zone).pod(NAMESPACE, member.name);
        match a1 {
            Rolled::Gone if member.name == "a1" => slice,
            Rolled::Terminating if member.name == "a1" => {
                slice.endpoint(endpoint.conditions(false, true, true))
            }
            _ => slice.endpoint(endpoint.ready(true)),
        }
    });
    slice.into()
}

/// What a user writes: the tiers, from near to far, and how patient to be.
fn policy() -> String {
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
  - {{name: west, service: {{name: checkout-west}}}}
  mode: LastResort
{lines}"
    )
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn only_the_other_cluster_is_in_the_trusted_range_and_in_its_file() {
        let (base, bits) = WEST_CIDR.split_once('/').expect("a CIDR");
        let base = u32::from(base.parse::<Ipv4Addr>().expect("an address"));
        let mask = u32::MAX << (32 - bits.parse::<u32>().expect("a length"));
        for member in CAST.members {
            let is_west = CAST.tier(member).zone.is_none();
            assert_eq!(u32::from(member.address) & mask == base, is_west, "{}", member.name);
            assert_eq!(WEST.contains(&member.address.to_string()), is_west, "{}", member.name);
        }
    }

    #[test]
    fn the_server_takes_every_object_and_the_slice_follows_a1() {
        let api = Api::start(Options { tls: false, ..Options::default() }).expect("a server");
        for object in cluster() {
            api.put(object.clone()).unwrap_or_else(|error| panic!("{object}: {error}"));
        }
        api.put_yaml(WEST).expect("the other cluster's");
        api.put_yaml(&policy()).expect("a policy");

        let ready = |a1| {
            let slice = slice(a1);
            let endpoints = slice["endpoints"].as_array().expect("endpoints").iter();
            endpoints.map(|one| one["conditions"]["ready"] == true).collect::<Vec<_>>()
        };
        assert_eq!(ready(Rolled::Ready), [true; 4]);
        assert_eq!(ready(Rolled::Terminating), [false, true, true, true]);
        assert_eq!(ready(Rolled::Gone), [true; 3]);
    }
}
