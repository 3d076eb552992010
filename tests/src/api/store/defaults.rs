//! What the server fills in: cluster IPs, node ports, protocols, conditions of new CRDs.

use std::{collections::BTreeSet, net::Ipv4Addr};

use serde_json::{Value, json};

use super::Inner;
use crate::api::{
    base64,
    failure::{Cause, Failure},
    object::{child, metadata, text},
    resources::Resource,
};

/// What Services have been given, beside what they have asked for.
#[derive(Debug, Default)]
pub(super) struct Allocated {
    addresses: BTreeSet<String>,
    node_ports: BTreeSet<u64>,
}

/// As kubeadm's default `--service-cluster-ip-range`, 10.96.0.0/12. The first go to `kubernetes`
/// and to DNS.
const FIRST_ADDRESS: u32 = u32::from_be_bytes([10, 96, 1, 0]);
const FIRST_ADDRESS6: u128 = 0xfd00_0010_0096_0000_0000_0000_0001_0000;
/// The default `--service-node-port-range`.
const NODE_PORTS: std::ops::RangeInclusive<u64> = 30_000..=32_767;

impl Inner {
    pub(super) fn default(
        &mut self,
        resource: &Resource,
        value: &mut Value,
        live: Option<&Value>,
    ) -> Result<(), Failure> {
        match (resource.group, resource.plural) {
            ("", "services") => self.default_service(resource, value, live)?,
            ("", "namespaces") => {
                let name = text(value, "/metadata/name").to_owned();
                child(&mut value["metadata"], "labels")
                    .insert("kubernetes.io/metadata.name".into(), name.into());
                absent(child(value, "spec"), "finalizers", || json!(["kubernetes"]));
                absent(child(value, "status"), "phase", || json!("Active"));
            }
            ("", "secrets") => {
                let Some(texts) = value.as_object_mut().and_then(|all| all.remove("stringData"))
                else {
                    return Ok(());
                };
                let texts = texts.as_object().cloned().unwrap_or_default();
                let data = child(value, "data");
                for (name, text) in texts {
                    let text = base64::standard(text.as_str().unwrap_or_default().as_bytes());
                    data.insert(name, text.into());
                }
            }
            ("", "pods") => absent(child(value, "status"), "phase", || json!("Pending")),
            ("discovery.k8s.io", "endpointslices") => {
                for port in list(value, "ports") {
                    absent(port, "name", || json!(""));
                    absent(port, "protocol", || json!("TCP"));
                }
            }
            ("apiextensions.k8s.io", _) => {
                let at = crate::api::object::timestamp();
                let condition = |kind: &str, reason: &str| {
                    json!({"type": kind, "status": "True", "reason": reason,
                           "message": "the fake server checks nothing", "lastTransitionTime": at})
                };
                let names = value.pointer("/spec/names").cloned().unwrap_or_default();
                let status = child(value, "status");
                absent(status, "conditions", || {
                    json!([
                        condition("NamesAccepted", "NoConflicts"),
                        condition("Established", "InitialNamesAccepted")
                    ])
                });
                absent(status, "acceptedNames", || names);
            }
            _ => {}
        }
        if metadata(value).get("labels").is_some_and(Value::is_null) {
            metadata(value).remove("labels");
        }
        Ok(())
    }

    fn default_service(
        &mut self,
        resource: &Resource,
        value: &mut Value,
        live: Option<&Value>,
    ) -> Result<(), Failure> {
        let name = text(value, "/metadata/name").to_owned();
        let spec = child(value, "spec");
        absent(spec, "type", || json!("ClusterIP"));
        absent(spec, "sessionAffinity", || json!("None"));
        let kind = spec["type"].as_str().unwrap_or_default().to_owned();
        if spec["sessionAffinity"] == "ClientIP" {
            absent(
                spec,
                "sessionAffinityConfig",
                || json!({"clientIP": {"timeoutSeconds": 10_800}}),
            );
        }
        let is_open = matches!(kind.as_str(), "NodePort" | "LoadBalancer");
        let is_without_node_ports = kind == "LoadBalancer"
            && spec.get("allocateLoadBalancerNodePorts") == Some(&false.into());
        if kind != "ExternalName" {
            absent(spec, "internalTrafficPolicy", || json!("Cluster"));
            self.allocate_addresses(spec, live);
            if is_open {
                absent(spec, "externalTrafficPolicy", || json!("Cluster"));
            }
        }
        for port in list(&mut value["spec"], "ports") {
            absent(port, "protocol", || json!("TCP"));
            let Some(number @ 1..=65_535) = port.get("port").and_then(Value::as_u64) else {
                let cause =
                    Cause::invalid("spec.ports[].port", "must be between 1 and 65535, inclusive");
                return Err(Failure::invalid(resource, &name, vec![cause]));
            };
            absent(port, "targetPort", || json!(number));
            let wanted = port.get("nodePort").and_then(Value::as_u64).filter(|port| *port != 0);
            if let Some(wanted) = wanted {
                self.allocated.node_ports.insert(wanted);
            } else if is_open && !is_without_node_ports {
                let taken = &mut self.allocated.node_ports;
                let free = NODE_PORTS.into_iter().find(|port| !taken.contains(port)).unwrap_or(0);
                taken.insert(free);
                port.insert("nodePort".into(), free.into());
            }
        }
        Ok(())
    }

    /// `clusterIP` and `clusterIPs` agree, and have an address per family unless headless.
    fn allocate_addresses(
        &mut self,
        spec: &mut serde_json::Map<String, Value>,
        live: Option<&Value>,
    ) {
        let kept = |field: &str| live.and_then(|live| live["spec"].get(field)).cloned();
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            if let Some(kept) = kept(field) {
                absent(spec, field, || kept);
            }
        }
        let one = spec.get("clusterIP").and_then(Value::as_str).unwrap_or_default().to_owned();
        let addresses = spec.get("clusterIPs").and_then(Value::as_array).cloned();
        let mut addresses: Vec<String> = addresses
            .into_iter()
            .flatten()
            .filter_map(|address| address.as_str().map(str::to_owned))
            .collect();
        if addresses.is_empty() && !one.is_empty() {
            addresses.push(one);
        }
        let families =
            spec.get("ipFamilies").and_then(Value::as_array).cloned().unwrap_or_default();
        if addresses.is_empty() {
            // A cluster of both families, IPv4 first.
            let wants_both = spec.get("ipFamilyPolicy").and_then(Value::as_str);
            let wants_both = wants_both.is_some_and(|policy| policy.ends_with("DualStack"));
            let families = match (families.len(), wants_both) {
                (0, true) => vec![json!("IPv4"), json!("IPv6")],
                (0, false) => vec![json!("IPv4")],
                _ => families,
            };
            addresses = families.iter().map(|family| self.free_address(family == "IPv6")).collect();
        }
        let is_v6 = |address: &String| address.contains(':');
        let families: Vec<_> =
            addresses.iter().map(|address| if is_v6(address) { "IPv6" } else { "IPv4" }).collect();
        let policy = if families.len() > 1 { "RequireDualStack" } else { "SingleStack" };
        let first = addresses.first().cloned().unwrap_or_default();
        absent(spec, "ipFamilies", || json!(families));
        absent(spec, "ipFamilyPolicy", || json!(policy));
        self.allocated.addresses.extend(addresses.iter().cloned());
        spec.insert("clusterIP".into(), first.into());
        spec.insert("clusterIPs".into(), json!(addresses));
    }

    fn free_address(&self, is_v6: bool) -> String {
        let address = |number: u32| {
            if is_v6 {
                return std::net::Ipv6Addr::from(FIRST_ADDRESS6 + u128::from(number)).to_string();
            }
            Ipv4Addr::from(FIRST_ADDRESS + number).to_string()
        };
        // Most are given in order, so the search starts where they probably end.
        let start = u32::try_from(self.allocated.addresses.len()).unwrap_or(0);
        let all = (start..1 << 19).chain(0..start).map(address);
        all.into_iter().find(|found| !self.allocated.addresses.contains(found)).unwrap_or_default()
    }

    /// What a deleted Service had is free again.
    pub(super) fn release(&mut self, resource: &Resource, value: &Value) {
        if resource.plural != "services" {
            return;
        }
        let spec = &value["spec"];
        for address in spec["clusterIPs"].as_array().into_iter().flatten() {
            self.allocated.addresses.remove(address.as_str().unwrap_or_default());
        }
        for port in spec["ports"].as_array().into_iter().flatten() {
            self.allocated.node_ports.remove(&port["nodePort"].as_u64().unwrap_or(0));
        }
    }
}

fn absent(map: &mut serde_json::Map<String, Value>, field: &str, value: impl FnOnce() -> Value) {
    if map.get(field).is_none_or(Value::is_null) {
        map.insert(field.into(), value());
    }
}

fn list<'a>(
    object: &'a mut Value,
    field: &str,
) -> impl Iterator<Item = &'a mut serde_json::Map<String, Value>> {
    let list = object.get_mut(field).and_then(Value::as_array_mut);
    list.into_iter().flatten().filter_map(Value::as_object_mut)
}
