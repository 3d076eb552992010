//! Where a backend runs, and how near that is to the node this agent runs on.

use std::sync::Arc;

/// Where something runs. `None` is unknown, and equal to nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Locality {
    /// Name of the node.
    pub node: Option<Arc<str>>,
    /// `topology.kubernetes.io/zone`.
    pub zone: Option<Arc<str>>,
    /// `topology.kubernetes.io/region`.
    pub region: Option<Arc<str>>,
    /// Name of the cluster; `None` is the client's own.
    pub cluster: Option<Arc<str>>,
}

/// What a source says of a backend beside its place: with it tiers begin and end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rank {
    /// A backend among those that kube-proxy on this node would choose from. Without rules they
    /// are the first tier of their service, wherever they are.
    Preferred,
    /// A backend that is ready; nothing else is known.
    #[default]
    Ready,
    /// A backend that serves, but is about to end: the last tier, after all rules.
    Terminating,
}

/// What a backend shares with the client's node: the tiers without a policy, nearest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The same node.
    Node,
    /// The same zone.
    Zone,
    /// The same region.
    Region,
    /// The same cluster, or nothing that is known.
    Cluster,
    /// Another cluster.
    Remote,
}

impl Place {
    /// Nearest first.
    pub const ALL: [Self; 5] = [Self::Node, Self::Zone, Self::Region, Self::Cluster, Self::Remote];

    /// The tier's name in logs and status.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Zone => "zone",
            Self::Region => "region",
            Self::Cluster => "cluster",
            Self::Remote => "remote",
        }
    }

    /// Where `backend` is, seen from `node`. In order: another cluster; the same node; the same
    /// zone, of no other region (zone names may repeat); the same region; the cluster. What is
    /// unknown equals nothing, so a backend of unknown place is the last choice in its cluster.
    #[must_use]
    pub fn of(node: &Locality, backend: &Locality) -> Self {
        fn same<T: PartialEq>(a: &Option<T>, b: &Option<T>) -> bool {
            a.is_some() && a == b
        }
        if backend.cluster.is_some() && backend.cluster != node.cluster {
            return Self::Remote;
        }
        let region = same(&node.region, &backend.region);
        let contradicts = node.region.is_some() && backend.region.is_some() && !region;
        if same(&node.node, &backend.node) {
            Self::Node
        } else if same(&node.zone, &backend.zone) && !contradicts {
            Self::Zone
        } else if region {
            Self::Region
        } else {
            Self::Cluster
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearer_wins_and_the_unknown_is_last_in_its_cluster() {
        let node = at("n1", "a", "eu", "home");
        for (backend, place) in [
            (at("n1", "a", "eu", "home"), Place::Node),
            (at("n2", "a", "eu", "home"), Place::Zone),
            (at("n2", "a", "", ""), Place::Zone),
            (at("n2", "a", "us", ""), Place::Cluster),
            (at("n2", "b", "eu", ""), Place::Region),
            (at("", "", "eu", ""), Place::Region),
            (at("n2", "b", "us", ""), Place::Cluster),
            (at("", "", "", ""), Place::Cluster),
            (at("", "", "", "home"), Place::Cluster),
            (at("n1", "a", "eu", "west"), Place::Remote),
            (at("", "", "", "west"), Place::Remote),
        ] {
            assert_eq!(Place::of(&node, &backend), place, "{backend:?}");
        }
    }

    #[test]
    fn a_node_that_knows_nothing_of_itself_has_no_neighbours() {
        let node = Locality::default();
        assert_eq!(Place::of(&node, &at("n1", "a", "eu", "")), Place::Cluster);
        assert_eq!(Place::of(&node, &Locality::default()), Place::Cluster);
        assert_eq!(Place::of(&node, &at("", "", "", "west")), Place::Remote);
    }

    fn at(node: &str, zone: &str, region: &str, cluster: &str) -> Locality {
        let [node, zone, region, cluster] =
            [node, zone, region, cluster].map(|name| (!name.is_empty()).then(|| name.into()));
        Locality { node, zone, region, cluster }
    }
}
