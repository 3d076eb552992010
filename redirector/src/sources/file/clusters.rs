//! Reads what the file states of other clusters: the same as a RemoteCluster, and a name.
//!
//! A cluster that is not stated may be named at a backend all the same: then nothing is checked. One
//! that is stated is held to it: its backends are in its ranges, nothing else is, and without a word
//! about encryption the file is refused.

use std::{collections::HashMap, net::IpAddr, sync::LazyLock};

use ipnet::IpNet;
use redirector_core::{
    remote_cluster::{ClusterPhase, OnSilence, RemoteCluster},
    service::Locality,
};
use redirector_kube::api::is_cluster_id;
use redirector_policy::{
    EncryptionMode, Field, OnSilenceWord, Reach, RemoteClusterSpec, ValidRemoteCluster,
    remote_cluster_schema,
};
use serde_json::{Value, json};

use super::{
    problems::Problems,
    schema::Reading,
    tree::{Position, Tree},
};

/// The fields of a RemoteCluster's spec, and its name.
static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let mut schema = remote_cluster_schema().clone();
    schema["properties"]["name"] = json!({"type": "string"});
    schema
});

/// A cluster that the file states.
pub(super) struct Stated {
    pub name: String,
    pub position: Position,
    pub valid: ValidRemoteCluster,
}

impl Stated {
    /// Whether the way there must be encrypted: nothing says that it is.
    pub fn is_out(&self) -> bool {
        self.valid.spec().encryption.mode == EncryptionMode::Required
    }

    /// Whether addresses in its ranges are its pods'.
    pub fn is_of_pods(&self) -> bool {
        self.valid.spec().reach == Reach::Pod
    }

    /// What the core is told. No importer works for a file, so whether it is heard is no question.
    pub fn told(&self) -> RemoteCluster {
        RemoteCluster {
            name: self.name.as_str().into(),
            phase: ClusterPhase::Live,
            on_silence: match self.valid.spec().on_silence {
                OnSilenceWord::KeepReachable => OnSilence::KeepReachable,
                OnSilenceWord::Drop => OnSilence::Drop,
            },
        }
    }
}

/// The cluster whose pods are at an address.
pub(super) fn pods_at(clusters: &[Stated], address: IpAddr) -> Option<&Stated> {
    clusters.iter().find(|stated| stated.is_of_pods() && stated.valid.has(address))
}

/// The clusters of the file that are valid; what is wrong with the others is added to the problems.
pub(super) fn read(list: &[Tree<'_>], node: &Locality, problems: &mut Problems) -> Vec<Stated> {
    let mut lines = HashMap::new();
    let mut stated: Vec<Stated> = Vec::new();
    for tree in list {
        let Some(name) = name(tree, node, problems) else { continue };
        if let Some(line) = lines.insert(name.clone(), tree.position.line) {
            let message =
                format_args!("cluster {name:?} is already at line {line}; put them together");
            problems.add(tree.position, message);
        }
        let Some(valid) = cluster(tree, &name, problems) else { continue };
        let one = Stated { name, position: tree.position, valid };
        overlaps(tree, &one, &stated, problems);
        stated.push(one);
    }
    stated
}

fn name(tree: &Tree<'_>, node: &Locality, problems: &mut Problems) -> Option<String> {
    if tree.entries().is_none() {
        problems.add(tree.position, "expected fields, each `name: value`");
        return None;
    }
    let Some(name) = tree.field("name").and_then(Tree::text) else {
        problems.add(tree.position, "a cluster has no name; give it one");
        return None;
    };
    if !is_cluster_id(name.value) {
        let why = "is no name of a cluster; use 1 to 63 lower-case letters, digits and, between them, \
                   dashes";
        problems.add(name.position, format_args!("{name:?} {why}"));
        return None;
    }
    if node.cluster.as_deref() == Some(name.value) {
        let why = "is the cluster of this node; list only others";
        problems.add(name.position, format_args!("cluster {name:?} {why}"));
    }
    Some(name.value.to_owned())
}

fn cluster(tree: &Tree<'_>, name: &str, problems: &mut Problems) -> Option<ValidRemoteCluster> {
    let label = format!("cluster {name:?}");
    let before = problems.count();
    let missing = [
        ("cidrs", "say where its backends are, such as cidrs: [10.2.0.0/16]"),
        ("encryption", "say encryption: {mode: Required}, {mode: Report} or {mode: Off}"),
    ];
    for (field, advice) in missing.into_iter().filter(|(field, _)| tree.field(field).is_none()) {
        problems.add(tree.position, format_args!("{label} has no {field}; {advice}"));
    }
    let mut reading = Reading { label: &label, whole: "it", skipped: Some("name"), problems };
    let root = Field::default();
    let value = reading.value(tree, &SCHEMA, &root);
    let spec = match serde_json::from_value::<RemoteClusterSpec>(value?) {
        Ok(spec) => spec,
        // Because of what was left out.
        Err(_) if reading.problems.count() > before => return None,
        Err(error) => {
            reading.add(tree.position, &root, format_args!("is none: {error}"));
            return None;
        }
    };
    if reading.problems.count() > before {
        return None;
    }
    spec.validate()
        .map_err(|invalid| {
            for problem in invalid.0 {
                let at = tree.at(&problem.field).position;
                reading.add(at, &problem.field, &problem.message);
            }
        })
        .ok()
}

/// An address must be one pod's.
fn overlaps(tree: &Tree<'_>, one: &Stated, before: &[Stated], problems: &mut Problems) {
    let overlap = |a: &IpNet, b: &IpNet| a.contains(&b.network()) || b.contains(&a.network());
    for other in before.iter().filter(|other| one.is_of_pods() && other.is_of_pods()) {
        for (at, cidr) in one.valid.cidrs().iter().enumerate() {
            let Some(theirs) = other.valid.cidrs().iter().find(|theirs| overlap(cidr, theirs))
            else {
                continue;
            };
            let field = Field::default().field("cidrs").index(at);
            let message = format_args!(
                "cluster {:?}: {cidr} overlaps {theirs} of cluster {:?} at line {}; with reach Pod an \
                 address must be one pod's",
                one.name, other.name, other.position.line
            );
            problems.add(tree.at(&field).position, message);
        }
    }
}
