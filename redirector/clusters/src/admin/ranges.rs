//! Which addresses a cluster uses itself, and whether another one's ranges keep clear of them.
//!
//! Addresses of pods tell clusters apart only if no two share any: with reach `Pod` a range that overlaps
//! refuses the cluster as a whole.

use std::net::IpAddr;

use ipnet::IpNet;
use redirector_policy::{Reach, ValidRemoteCluster};
use serde_json::Value;

use super::{Error, Side};

/// What a cluster uses, and what for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges {
    used: Vec<(IpNet, String)>,
    pods: Vec<IpNet>,
}

impl Ranges {
    /// Reads Nodes and Services: `podCIDRs`, addresses of Nodes, ServiceCIDRs where they are served,
    /// cluster addresses of all Services.
    ///
    /// # Errors
    ///
    /// [`Error::Request`].
    pub async fn read(side: &Side) -> Result<Self, Error> {
        let nodes = side.list("/api/v1/nodes").await?.unwrap_or_default();
        let services = side.list("/api/v1/services").await?.unwrap_or_default();
        let ranges = side.list("/apis/networking.k8s.io/v1/servicecidrs").await?;
        Ok(Self::of(&nodes, &services, &ranges.unwrap_or_default()))
    }

    /// What these objects use.
    #[must_use]
    pub fn of(nodes: &[Value], services: &[Value], service_ranges: &[Value]) -> Self {
        let mut ranges = Self::default();
        for node in nodes {
            let name = name(node);
            for range in texts(&node["spec"]["podCIDRs"]).filter_map(|text| text.parse().ok()) {
                ranges.pods.push(range);
                ranges.used.push((range, format!("pods of node {name}")));
            }
            for address in node["status"]["addresses"].as_array().into_iter().flatten() {
                let text = address["address"].as_str().unwrap_or_default();
                ranges.address(text, || format!("node {name}"));
            }
        }
        for of in service_ranges {
            let all = texts(&of["spec"]["cidrs"]).filter_map(|text| text.parse().ok());
            ranges.used.extend(all.map(|range| (range, format!("ServiceCIDR {}", name(of)))));
        }
        for service in services {
            let namespace = service["metadata"]["namespace"].as_str().unwrap_or_default();
            for text in texts(&service["spec"]["clusterIPs"]) {
                ranges.address(text, || format!("Service {namespace}/{}", name(service)));
            }
        }
        ranges
    }

    /// Adds ranges with reach `Pod` of another RemoteCluster.
    pub fn add(&mut self, name: &str, cluster: &ValidRemoteCluster) {
        if cluster.spec().reach == Reach::Pod {
            let all = cluster.cidrs().iter();
            self.used.extend(all.map(|range| (*range, format!("RemoteCluster {name}"))));
        }
    }

    /// `podCIDRs` of its Nodes, aggregated.
    #[must_use]
    pub fn pods(&self) -> Vec<IpNet> {
        IpNet::aggregate(&self.pods)
    }

    /// The first of `cidrs` that overlaps what is used, and how to get out of it.
    #[must_use]
    pub fn overlap(&self, cidrs: &[IpNet]) -> Option<String> {
        let share = |one: &IpNet, other: &IpNet| one.contains(other) || other.contains(one);
        cidrs.iter().find_map(|cidr| {
            let (with, owner) = self.used.iter().find(|(range, _)| share(cidr, range))?;
            Some(format!(
                "cidr {cidr} overlaps {with} of {owner}; give the clusters ranges of their own, or use \
                 --reach LoadBalancer or NodePort"
            ))
        })
    }

    fn address(&mut self, text: &str, owner: impl Fn() -> String) {
        // Hostnames, and `None` of headless Services, are no addresses.
        if let Ok(address) = text.parse::<IpAddr>() {
            self.used.push((address.into(), owner()));
        }
    }
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pods_nodes_services_and_other_clusters_are_kept_clear_of() {
        let nodes = [json!({
            "metadata": {"name": "n1"},
            "spec": {"podCIDRs": ["10.1.0.0/24", "fd00:1::/64"]},
            "status": {"addresses": [{"address": "192.168.0.7"}, {"address": "n1.example"}]},
        })];
        let services = [json!({
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"clusterIPs": ["10.96.0.10", "None"]},
        })];
        let service_ranges =
            [json!({"metadata": {"name": "kubernetes"}, "spec": {"cidrs": ["10.97.0.0/16"]}})];
        let ranges = Ranges::of(&nodes, &services, &service_ranges);
        for (cidr, owner) in [
            ("10.1.0.0/16", "10.1.0.0/24 of pods of node n1"),
            ("fd00:1::/48", "fd00:1::/64 of pods of node n1"),
            ("192.168.0.0/16", "192.168.0.7/32 of node n1"),
            ("10.96.0.0/16", "10.96.0.10/32 of Service shop/web"),
            ("10.97.8.0/24", "10.97.0.0/16 of ServiceCIDR kubernetes"),
        ] {
            let range = cidr.parse().expect("a range");
            let why = ranges.overlap(&[range]).unwrap_or_default();
            assert!(why.contains(owner), "{cidr}: {why}");
        }
        assert_eq!(ranges.overlap(&["10.2.0.0/16".parse().expect("a range")]), None);
    }
}
