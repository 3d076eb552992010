//! Which addresses a cluster uses itself, and whether another one's ranges keep clear of them.
//!
//! Addresses of pods tell clusters apart only if no two share any: with reach `Pod` a range that overlaps
//! refuses the cluster as a whole.

use std::{net::IpAddr, sync::Arc};

use ipnet::IpNet;
use redirector_policy::{Claim, Overlap, RangeOwner, Reach, Taken, ValidRemoteCluster, overlaps};
use serde_json::Value;

use super::{Error, Side};

/// What a cluster uses, and what for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges {
    taken: Taken,
    others: Vec<(Arc<str>, Vec<IpNet>)>,
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
            let name: Arc<str> = name(node).into();
            for range in texts(&node["spec"]["podCIDRs"]).filter_map(|text| text.parse().ok()) {
                ranges.pods.push(range);
                ranges.taken.ranges.push((range, RangeOwner::Pods(name.clone())));
            }
            for address in node["status"]["addresses"].as_array().into_iter().flatten() {
                let text = address["address"].as_str().unwrap_or_default();
                ranges.address(text, RangeOwner::Node(name.clone()));
            }
        }
        for of in service_ranges {
            let owner = RangeOwner::ServiceRange(name(of).into());
            let all = texts(&of["spec"]["cidrs"]).filter_map(|text| text.parse().ok());
            ranges.taken.ranges.extend(all.map(|range| (range, owner.clone())));
        }
        for service in services {
            let namespace = service["metadata"]["namespace"].as_str().unwrap_or_default();
            let owner = RangeOwner::Service(format!("{namespace}/{}", name(service)).into());
            for text in texts(&service["spec"]["clusterIPs"]) {
                ranges.address(text, owner.clone());
            }
        }
        ranges
    }

    /// Adds ranges with reach `Pod` of another RemoteCluster.
    pub fn add(&mut self, name: &Arc<str>, cluster: &ValidRemoteCluster) {
        if cluster.spec().reach == Reach::Pod {
            self.others.push((name.clone(), cluster.cidrs().to_vec()));
        }
    }

    /// `podCIDRs` of its Nodes, aggregated.
    #[must_use]
    pub fn pods(&self) -> Vec<IpNet> {
        IpNet::aggregate(&self.pods)
    }

    /// Which of `cidrs` of the cluster `name` overlaps what is used; all others were there before it.
    #[must_use]
    pub fn overlap(&self, name: &str, cidrs: &[IpNet]) -> Option<Overlap> {
        let name: Arc<str> = name.into();
        let claim = |(name, cidrs)| Claim { name, created: 0, cidrs };
        let others = self.others.iter().map(|(name, cidrs)| claim((name, cidrs)));
        let last = Claim { name: &name, created: i64::MAX, cidrs };
        let claims: Vec<_> = others.chain([last]).collect();
        overlaps(&claims, &self.taken).remove(&name)
    }

    fn address(&mut self, text: &str, owner: RangeOwner) {
        // Hostnames, and `None` of headless Services, are no addresses.
        if let Ok(address) = text.parse::<IpAddr>() {
            self.taken.addresses.insert(address, owner);
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
            let why = ranges.overlap("west", &[range]).expect("it overlaps").to_string();
            assert!(why.contains(owner), "{cidr}: {why}");
        }
        assert_eq!(ranges.overlap("west", &["10.2.0.0/16".parse().expect("a range")]), None);
    }
}
