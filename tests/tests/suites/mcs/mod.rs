//! MCS conformance: the cases of mcs-api's suite that need no DNS, over clusters that run
//! `redirector clusters`, two of them and three.
//!
//! What its suite does by pods is done by what kube-proxy would choose: the ready endpoints of the
//! derived Service's slices. Its Go original is for clusters with pods and DNS.

mod conflicts;
mod connectivity;
mod headless;
mod services;
mod world;

use std::panic::{self, AssertUnwindSafe};

use world::World;

/// One of the suite's specs: its label, what it asserts, how.
type Case = (Label, &'static str, fn(&World, &str));

/// Whether an implementation may leave it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Label {
    Required,
    Optional,
}

const CASES: [Case; 21] = [
    (Label::Required, "a Service that is not exported is inaccessible", connectivity::not_exported),
    (Label::Required, "an import lives as long as one export", services::last_export),
    (Label::Required, "ClusterIP: an import in each cluster, none after", services::cluster_ip),
    (Label::Required, "session affinity matches", services::affinity),
    (Label::Required, "internal traffic policy matches", services::internal_traffic_policy),
    (Label::Required, "traffic distribution matches", services::traffic_distribution),
    (Label::Required, "an address for each family", services::families),
    (Label::Required, "ports match", services::ports),
    (Label::Required, "two clusters: the union of their ports, and a conflict", conflicts::union),
    (Label::Required, "two clusters: of conflicting ports the oldest wins", conflicts::ports),
    (Label::Required, "headless: an import in each cluster, none after", headless::import_and_none),
    (Label::Required, "headless: no address", headless::no_address),
    (Label::Required, "ExternalName is refused", headless::external_name),
    (Label::Required, "headless against ClusterIP: the oldest wins", conflicts::headlessness),
    (Label::Optional, "only exported labels and annotations propagate", services::labels),
    (Label::Optional, "conflicting labels: the oldest's", conflicts::labels),
    (Label::Optional, "slices in each cluster, gone after", services::slices_everywhere),
    (Label::Optional, "an exported ClusterIP is accessible", connectivity::accessible),
    (Label::Optional, "of two clusters only the exporter's pods", connectivity::exporter_only),
    (Label::Optional, "same port name, other numbers", connectivity::same_name),
    (Label::Optional, "other port names", connectivity::other_names),
];

#[test]
fn two_clusters_conform() {
    conform(2);
}

#[test]
fn three_clusters_conform() {
    conform(3);
}

fn conform(clusters: usize) {
    let world = World::new(clusters);
    let mut failed = Vec::new();
    for (number, (label, what, run)) in CASES.iter().enumerate() {
        let service = format!("case-{number}");
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| run(&world, &service)));
        println!("{clusters} clusters, {label:?}: {what}: {}", outcome.is_ok());
        if outcome.is_err() {
            failed.push(what);
        }
        world.clean(&service);
    }
    let required = CASES.iter().filter(|(label, ..)| *label == Label::Required).count();
    assert_eq!((required, CASES.len() - required), (14, 7));
    assert!(failed.is_empty(), "{failed:#?}\n{}", world.context());
}
