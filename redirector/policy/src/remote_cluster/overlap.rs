//! Which clusters cannot be reached at their pods, because their ranges are in use elsewhere.
//!
//! Addresses of pods tell clusters apart only if no two networks share any: one that overlaps is
//! refused as a whole, never merged. Reach `LoadBalancer` and `NodePort` do not ask.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use ipnet::IpNet;
use thiserror::Error;

/// Ranges of a cluster with reach `Pod`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim<'c> {
    /// Its id.
    pub name: &'c Arc<str>,
    /// `metadata.creationTimestamp` of its RemoteCluster, seconds since 1970: of two that overlap the
    /// older has the range, then the one whose name is first.
    pub created: i64,
    /// Its `cidrs`.
    pub cidrs: &'c [IpNet],
}

/// What this cluster uses itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Single addresses: of Nodes and of Services.
    pub addresses: BTreeMap<IpAddr, RangeOwner>,
    /// Ranges: `podCIDRs` of Nodes.
    pub ranges: Vec<(IpNet, RangeOwner)>,
}

/// Whose a range is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Error)]
pub enum RangeOwner {
    /// Pods of a Node of this cluster.
    #[error("pods of node {0} of this cluster")]
    Pods(Arc<str>),
    /// A Node of this cluster.
    #[error("node {0} of this cluster")]
    Node(Arc<str>),
    /// A Service of this cluster, as `namespace/name`.
    #[error("Service {0} of this cluster")]
    Service(Arc<str>),
    /// A range of Services of this cluster, by its ServiceCIDR.
    #[error("ServiceCIDR {0} of this cluster")]
    ServiceRange(Arc<str>),
    /// Another RemoteCluster.
    #[error("RemoteCluster {0}")]
    Cluster(Arc<str>),
}

/// Why a cluster is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "cidr {cidr} overlaps {with} of {owner}; give the clusters ranges of their own, or use reach \
     LoadBalancer or NodePort"
)]
pub struct Overlap {
    /// Its range.
    pub cidr: IpNet,
    /// The range, or the address as a range, that it overlaps.
    pub with: IpNet,
    /// Whose that is.
    pub owner: RangeOwner,
}

/// The clusters that are refused, and why. Claims are judged from the oldest on: one that is refused
/// takes nothing from those after it.
#[must_use]
pub fn overlaps(claims: &[Claim<'_>], taken: &Taken) -> BTreeMap<Arc<str>, Overlap> {
    let mut in_order: Vec<&Claim<'_>> = claims.iter().collect();
    in_order.sort_by_key(|claim| (claim.created, claim.name));
    let mut accepted: Vec<&Claim<'_>> = Vec::new();
    let mut refused = BTreeMap::new();
    for claim in in_order {
        let found = claim.cidrs.iter().find_map(|cidr| overlap(*cidr, taken, &accepted));
        match found {
            Some(overlap) => {
                refused.insert(Arc::clone(claim.name), overlap);
            }
            None => accepted.push(claim),
        }
    }
    refused
}

fn overlap(cidr: IpNet, taken: &Taken, accepted: &[&Claim<'_>]) -> Option<Overlap> {
    let found = |with, owner| Overlap { cidr, with, owner };
    let first = taken.addresses.range(cidr.network()..=cidr.broadcast()).next();
    if let Some((address, owner)) = first {
        return Some(found((*address).into(), owner.clone()));
    }
    let share = |other: &IpNet| cidr.contains(other) || other.contains(&cidr);
    if let Some((range, owner)) = taken.ranges.iter().find(|(range, _)| share(range)) {
        return Some(found(*range, owner.clone()));
    }
    accepted.iter().find_map(|other| {
        let range = other.cidrs.iter().find(|range| share(range))?;
        Some(found(*range, RangeOwner::Cluster(Arc::clone(other.name))))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidrs(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().expect("a range")).collect()
    }

    fn why(cidr: &str, taken: &Taken) -> Option<String> {
        let (name, cidrs) = ("west".into(), cidrs(&[cidr]));
        let claim = Claim { name: &name, created: 0, cidrs: &cidrs };
        overlaps(&[claim], taken).into_values().next().map(|overlap| overlap.to_string())
    }

    #[test]
    fn what_this_cluster_uses_is_refused_whichever_of_both_is_larger() {
        let address = |text: &str, owner| (text.parse().expect("an address"), owner);
        let range = |text: &str| text.parse().expect("a range");
        let taken = Taken {
            addresses: [
                address("10.96.0.1", RangeOwner::Service("default/kubernetes".into())),
                address("192.0.2.7", RangeOwner::Node("n-7".into())),
                address("fd00:96::1", RangeOwner::Service("default/kubernetes".into())),
            ]
            .into(),
            ranges: vec![(range("10.1.4.0/24"), RangeOwner::Pods("n-1".into()))],
        };
        for (cidr, with) in [
            ("10.96.0.0/12", "10.96.0.1/32 of Service default/kubernetes of this cluster"),
            ("192.0.2.0/24", "192.0.2.7/32 of node n-7 of this cluster"),
            ("fd00::/16", "fd00:96::1/128 of Service default/kubernetes of this cluster"),
            ("10.1.0.0/16", "10.1.4.0/24 of pods of node n-1 of this cluster"),
            ("10.1.4.128/25", "10.1.4.0/24 of pods of node n-1 of this cluster"),
        ] {
            let why = why(cidr, &taken).expect("it overlaps");
            assert!(why.starts_with(&format!("cidr {cidr} overlaps {with}; ")), "{why}");
        }
        for cidr in ["10.2.0.0/16", "fd01::/16", "192.0.2.8/29"] {
            assert_eq!(why(cidr, &taken), None, "{cidr}");
        }
    }

    #[test]
    fn of_two_clusters_the_older_has_the_range_and_a_refused_one_takes_none() {
        let names: Vec<Arc<str>> = ["north", "south", "west"].map(Arc::from).into();
        let (wide, narrow) = (cidrs(&["10.2.0.0/15"]), cidrs(&["10.3.0.0/16", "fd00:3::/48"]));
        let other = cidrs(&["10.2.0.0/16"]);
        let claim = |at: usize, created, cidrs| Claim { name: &names[at], created, cidrs };
        let claims = [claim(0, 5, &wide), claim(1, 4, &narrow), claim(2, 6, &other)];
        let refused = overlaps(&claims, &Taken::default());
        let names: Vec<_> = refused.keys().map(|name| &**name).collect();
        assert_eq!(names, ["north"], "south is older; west overlaps north, which is refused");
        assert_eq!(refused["north"].owner, RangeOwner::Cluster("south".into()));
        let mut reversed = claims.to_vec();
        reversed.reverse();
        assert_eq!(overlaps(&reversed, &Taken::default()), refused, "whatever their order");
    }
}
