//! The objects of the demo's cluster. Those of a cluster's own controllers, and those of a user.

use redirector_tests::api::builders::{Endpoint, EndpointSlice, Node, Service};
use serde_json::{Value, json};

use super::super::{
    cast::{self, CLIENT_NODE, MEMBERS, Member, PORT, SERVICE, TIERS},
    script::policy_lines,
};

/// Name of the Service in the other cluster, and of the tier that it is.
pub(super) const WEST: &str = "checkout-west";
/// Where the other cluster's replicas are: n6 and n7.
pub(super) const WEST_CIDR: &str = "10.77.6.0/23";

/// How the only replica that the rolling update replaces stands in its slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rolled {
    /// It is ready, as all others.
    Ready,
    /// Its pod is being deleted, and still serves.
    Terminating,
    /// Its pod is gone.
    Gone,
}

/// What there is before a user asks for Redirector: Nodes, a Service, and its slice as the
/// endpoint slice controller makes it.
pub(super) fn cluster() -> Vec<Value> {
    let name =
        |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    let mut objects = vec![name(cast::namespace()), name("redirector-system")];
    objects.push(node(CLIENT_NODE, "a"));
    let own = MEMBERS.iter().filter(|member| !is_west(member));
    objects.extend(own.map(|member| node(member.node, zone(member))));
    let service = Service::new(cast::namespace(), cast::service()).port("", "TCP", SERVICE.port());
    let service = service.cluster_ips(&[&SERVICE.ip().to_string()]);
    objects.push(service.spec("selector", json!({"app": cast::service()})).into());
    objects.push(slice(Rolled::Ready));
    objects
}

/// The slice of the Service with `a1` as it is.
pub(super) fn slice(a1: Rolled) -> Value {
    let name = format!("{}-1", cast::service());
    let slice = EndpointSlice::new(cast::namespace(), &name, cast::service());
    let own = MEMBERS.iter().filter(|member| !is_west(member));
    let slice = own.fold(slice.port("", "TCP", PORT), |slice, member| {
        let endpoint = Endpoint::new(&member.address().to_string()).node(member.node);
        let endpoint = endpoint.zone(zone(member)).pod(cast::namespace(), member.name);
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

/// What a user writes: the replicas of another cluster as a Service of this one, without a selector.
pub(super) fn west() -> String {
    let namespace = cast::namespace();
    let west = MEMBERS.iter().filter(|member| is_west(member));
    let endpoints: String =
        west.map(|member| format!("- addresses: [{}]\n", member.address())).collect();
    format!(
        "apiVersion: v1
kind: Service
metadata: {{name: {WEST}, namespace: {namespace}}}
spec: {{ports: [{{port: {}, targetPort: {PORT}}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: {WEST}-1
  namespace: {namespace}
  labels: {{kubernetes.io/service-name: {WEST}}}
addressType: IPv4
ports: [{{name: \"\", protocol: TCP, port: {PORT}}}]
endpoints:
{endpoints}",
        SERVICE.port()
    )
}

/// What a user writes: the tiers, from near to far, and how patient to be.
pub(super) fn policy() -> String {
    let (namespace, service) = (cast::namespace(), cast::service());
    format!(
        "apiVersion: redirector.dev/v1alpha1
kind: FailoverPolicy
metadata: {{name: {service}, namespace: {namespace}}}
spec:
  targetRefs: [{{kind: Service, name: {service}}}]
  tiers:
  - {{name: near, locality: Zone}}
  - {{name: region, locality: Region}}
  - {{name: west, service: {{name: {WEST}}}}}
  mode: LastResort
{}",
        policy_lines("  ")
    )
}

fn node(name: &str, zone: &str) -> Value {
    Node::new(name).zone(zone).region("eu").into()
}

fn is_west(member: &Member) -> bool {
    TIERS[member.tier].zone.is_none()
}

/// The zone of a member of this cluster.
fn zone(member: &Member) -> &'static str {
    TIERS[member.tier].zone.unwrap_or("")
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use redirector_tests::api::{Api, Options};

    use super::*;

    #[test]
    fn the_other_cluster_and_nobody_else_is_in_the_trusted_range() {
        let (base, bits) = WEST_CIDR.split_once('/').expect("a CIDR");
        let base = u32::from(base.parse::<Ipv4Addr>().expect("an address"));
        let mask = u32::MAX << (32 - bits.parse::<u32>().expect("a length"));
        for member in &MEMBERS {
            let is_inside = u32::from(member.address()) & mask == base;
            assert_eq!(is_inside, is_west(member), "{}", member.name);
        }
    }

    #[test]
    fn the_server_takes_every_object_and_the_slice_follows_a1() {
        let api = Api::start(Options { tls: false, ..Options::default() }).expect("a server");
        for object in cluster() {
            api.put(object.clone()).unwrap_or_else(|error| panic!("{object}: {error}"));
        }
        api.put_yaml(&west()).expect("the other cluster's");
        api.put_yaml(&policy()).expect("a policy");

        let ready = |a1| {
            let endpoints = slice(a1)["endpoints"].clone();
            let endpoints = endpoints.as_array().map(Vec::as_slice).unwrap_or_default().to_vec();
            endpoints
                .into_iter()
                .map(|endpoint| endpoint["conditions"]["ready"] == true)
                .collect::<Vec<_>>()
        };
        assert_eq!(ready(Rolled::Ready), [true; 4]);
        assert_eq!(ready(Rolled::Terminating), [false, true, true, true]);
        assert_eq!(ready(Rolled::Gone), [true; 3]);
    }
}
