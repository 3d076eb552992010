//! `--clusters`: a Service of three clusters. Each has an API server, nodes, and a process of the Deployment
//! `redirector-clusters`; they are installed and joined by the commands of docs/two-clusters.md.
//!
//! Nodes are as in the other demos, so that what is cut off is a node's cable: that of a cluster's API
//! server, or those of its pods' nodes. Nothing is scheduled here: what a kubelet would start (the agent on
//! n1, one replica of each Deployment, each with the token of its account) the demo starts.

mod fleet;
mod objects;
mod story;

use std::{net::Ipv4Addr, time::Duration};

use super::cluster::{Cast, Member, Tier};

pub(super) use self::{
    fleet::Fleet,
    objects::is_in,
    story::{MEANING, STORY},
};

/// The clusters; the client's is the first. So is the node called that has the API server.
pub(super) const NAMES: [&str; 3] = ["east", "west", "north"];
/// All nodes in the order of their addresses, 10.77.1.1, 10.77.2.1, …: those of one cluster's pods are in
/// a range of their own.
pub(super) const NODES: [&str; 12] = [
    "n1", "n2", "n3", "n4", "n5", "east", "west", "west-n2", "west-n3", "north-n2", "north-n3",
    "north",
];
/// Further arguments of the agent, those that the manifests give it. A demo is too short to wait for a
/// Lease of 15 s.
pub(super) const ARGUMENTS: [&str; 6] =
    ["--namespace", "redirector-system", "--cluster", "east", "--divide-timeouts", "10"];

/// From three clusters without Redirector to a failover between them it takes no longer.
pub(super) const FROM_NOTHING: Duration = Duration::from_secs(60);

/// How long it took, if there was one at all.
pub(super) fn from_nothing(took: Option<Duration>) -> String {
    let Some(took) = took else { return " WRONG: no other cluster ever served".to_owned() };
    let (mark, seconds, at_most) = (
        if took <= FROM_NOTHING { "" } else { "WRONG: " },
        took.as_secs_f64(),
        FROM_NOTHING.as_secs(),
    );
    format!(
        " {mark}from nothing to a failover to another cluster: {seconds:.1} s (at most {at_most} s)\n"
    )
}

/// All who take part. The nodes of other clusters have the names of the own ones behind a `-`.
pub(super) static CAST: Cast = Cast { tiers: &TIERS, members: &MEMBERS };

static TIERS: [Tier; 4] = [
    Tier { name: "zone a", locality: "zone: a, region: eu", zone: Some("a") },
    Tier { name: "zone b", locality: "zone: b, region: eu", zone: Some("b") },
    Tier { name: "cluster west", locality: "zone: a, region: us, cluster: west", zone: None },
    Tier { name: "cluster north", locality: "zone: a, region: eu, cluster: north", zone: None },
];

static MEMBERS: [Member; 8] = [
    member("a1", "n2", 2, 0),
    member("a2", "n3", 3, 0),
    member("b1", "n4", 4, 1),
    member("b2", "n5", 5, 1),
    member("w1", "west-n2", 8, 2),
    member("w2", "west-n3", 9, 2),
    member("o1", "north-n2", 10, 3),
    member("o2", "north-n3", 11, 3),
];

const fn member(name: &'static str, node: &'static str, number: u8, tier: usize) -> Member {
    Member { name, node, address: Ipv4Addr::new(10, 77, number, 1), tier }
}

pub(super) const INTRODUCTION: &str =
    "in three clusters. Nodes are network namespaces; each cluster has an
  API server, and exports the Service. Nothing is encrypted on this machine, and this build
  could not tell if it were: the clusters are joined with `--encryption off`, aloud.";

/// How the demo's clusters are installed: in each the kinds, the agents, and what exchanges Services.
pub(super) const INSTALLATION: [&str; 5] = [
    "kubectl config get-contexts -o name",
    "cat east/kustomization.yaml",
    "kubectl --context east apply -k deploy/crd/mcs && kubectl --context east apply -k east",
    "kubectl --context west apply -k deploy/crd/mcs && kubectl --context west apply -k west",
    "kubectl --context north apply -k deploy/crd/mcs && kubectl --context north apply -k north",
];

/// What a user does then, before the client begins.
pub(super) const FIRST_DAY: [&str; 10] = [
    "for c in east west north; do kubectl --context $c -n redirector-exports wait --for=create lease/redirector-heartbeat --timeout=20s || exit 1; done",
    "for c in west north; do kubectl --context $c apply -f deploy/examples/clusters/service-export.yaml; done",
    "redirector cluster join west --context east --remote-context west --cidr 10.77.8.0/23 --encryption off",
    "redirector cluster join north --context east --remote-context north --cidr 10.77.10.0/23 --encryption off",
    "kubectl wait --for=jsonpath={.status.phase}=Live remotecluster/west remotecluster/north --timeout=20s",
    "redirector cluster list --context east",
    "kubectl get serviceimports",
    "cat policy.yaml",
    "kubectl apply -f policy.yaml",
    "kubectl wait --for=condition=Programmed failoverpolicy/checkout --timeout=60s",
];

/// What there is to try besides.
pub(super) const TO_TRY: &str = "    ./on-n1 redirector cluster list --context east
    ./on-n1 redirector cluster check --context east
    ./on-n1 redirector cluster leave west --context east
    ./on-n1 kubectl get remoteclusters,serviceimports,endpointslices
    (each API server is a context: ./on-n1 kubectl --context west get exportedservices -A)
";
