//! The conformance specs of mcs-api that need no network, as data: `conformance.yaml`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    exporter::{Export, Exporter, spec},
    here::Here,
    phases::SECOND,
};
use crate::api::{ExportedPort, ExportedType};

const SERVICE: &str = "shop/hello";
const NAMES: [&str; 3] = ["one", "two", "three"];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    label: Label,
    steps: Vec<Step>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
enum Label {
    Required,
    Optional,
}

/// One step: what happens, or what is so in every cluster.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Step {
    export: Option<Exported>,
    unexport: Option<String>,
    import: Option<Imported>,
    no_import: Option<bool>,
    conflict: Option<Conflicting>,
    slices_of: Option<Vec<String>>,
    reach: Option<Reached>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Exported {
    cluster: String,
    /// The minute of its ServiceExport.
    at: u8,
    #[serde(rename = "type")]
    kind: Option<ExportedType>,
    ports: Option<Vec<ExportedPort>>,
    session_affinity: Option<String>,
    affinity_seconds: Option<i32>,
    internal_traffic_policy: Option<String>,
    traffic_distribution: Option<String>,
    ip_families: Option<Vec<String>>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Imported {
    clusters: Option<Vec<String>>,
    /// How many addresses it has.
    ips: Option<usize>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    #[serde(rename = "type")]
    kind: Option<Value>,
    ports: Option<Value>,
    session_affinity: Option<Value>,
    session_affinity_config: Option<Value>,
    internal_traffic_policy: Option<Value>,
    traffic_distribution: Option<Value>,
    ip_families: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Conflicting {
    on: Vec<String>,
    reason: String,
    says: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reached {
    port: u16,
    clusters: Vec<String>,
}

/// Clusters that all export to and import of each other.
struct ClusterSet {
    exporters: Vec<Exporter>,
    /// What each cluster (first) has heard of each (second).
    watches: Vec<Vec<Exporter>>,
    heres: Vec<Here>,
}

impl ClusterSet {
    fn new(count: usize) -> Self {
        let names = &NAMES[..count];
        let exporters: Vec<Exporter> = names.iter().map(|name| Exporter::new(name)).collect();
        let mut heres: Vec<Here> = names.iter().map(|name| Here::named(name, true)).collect();
        for (here, own) in heres.iter_mut().zip(names) {
            for (number, name) in names.iter().enumerate().filter(|(_, name)| *name != own) {
                here.join(name, |object| {
                    object["spec"]["cidrs"] = json!([format!("10.{number}.0.0/16")]);
                });
            }
        }
        let watches = names.iter().map(|_| exporters.clone()).collect();
        let mut set = Self { exporters, watches, heres };
        for (here, watches) in set.heres.iter_mut().zip(&mut set.watches) {
            for watch in watches {
                let news = watch.list(&[].into());
                here.take_all(news);
            }
        }
        set.pass(5);
        set
    }

    /// So many seconds pass, with everything that is exported heard and written.
    fn pass(&mut self, seconds: usize) {
        for _ in 0..seconds {
            for (here, watches) in self.heres.iter_mut().zip(&mut self.watches) {
                for (watch, exporter) in watches.iter_mut().zip(&self.exporters) {
                    watch.exports = exporter.exports.clone();
                    watch.write_all();
                    let news = watch.deliver();
                    here.take_all(news);
                    let beat = watch.beat();
                    here.take(beat);
                }
                here.settle();
                here.pass(SECOND);
                here.settle();
            }
        }
    }

    fn export(&mut self, exported: &Exported) {
        let Exported { cluster, at, .. } = exported;
        let at = format!("2026-11-01T00:{at:02}:00Z");
        let mut spec = spec(SERVICE, &at);
        spec.kind = exported.kind.unwrap_or(ExportedType::ClusterSetIp);
        let default = || vec![super::exporter::port("tcp", "TCP", 42)];
        spec.ports = exported.ports.clone().unwrap_or_else(default);
        spec.session_affinity = exported.session_affinity.clone();
        spec.affinity_seconds = exported.affinity_seconds;
        spec.internal_traffic_policy = exported.internal_traffic_policy.clone();
        spec.traffic_distribution = exported.traffic_distribution.clone();
        spec.ip_families = exported.ip_families.clone().unwrap_or(vec!["IPv4".into()]);
        spec.labels = exported.labels.clone();
        spec.annotations = exported.annotations.clone();
        let number = number(cluster);
        let pods = [[10, number, 0, 1].into(), [10, number, 0, 2].into()];
        let export = Export::new(spec, &pods);
        self.exporters[usize::from(number)].exports.insert(SERVICE.to_owned(), export);
    }

    fn step(&mut self, step: &Step, said: &str) {
        if let Some(exported) = &step.export {
            self.export(exported);
        }
        if let Some(cluster) = &step.unexport {
            let exports = &mut self.exporters[usize::from(number(cluster))].exports;
            exports.remove(SERVICE).expect("it is exported");
        }
        if step.export.is_some() || step.unexport.is_some() {
            // A manifest that removes the only Service is believed the second time.
            self.pass(4);
        }
        for (here, name) in self.heres.iter().zip(NAMES) {
            let said = format!("{said}, in cluster {name}");
            if let Some(imported) = &step.import {
                imported.check(
                    here.import(SERVICE).unwrap_or_else(|| panic!("{said}: no import")),
                    &said,
                );
            }
            if step.no_import.is_some() {
                assert!(here.store.is_empty(), "{said}: {:?}", here.store.keys());
            }
            if let Some(conflict) = &step.conflict {
                conflict.check(here, name, &said);
            }
            if let Some(clusters) = &step.slices_of {
                assert_eq!(slices_of(here), clusters.iter().cloned().collect(), "{said}");
            }
            if let Some(reached) = &step.reach {
                let clusters = reached.clusters.iter().cloned().collect();
                assert_eq!(reach(here, reached.port), clusters, "{said}");
            }
        }
    }
}

fn number(cluster: &str) -> u8 {
    let at = NAMES.iter().position(|name| *name == cluster).expect("one, two or three");
    u8::try_from(at).expect("few")
}

impl Imported {
    fn check(&self, import: &Value, said: &str) {
        if let Some(clusters) = &self.clusters {
            let expected: Vec<_> = clusters.iter().map(|name| json!({"cluster": name})).collect();
            let mut found = import["status"]["clusters"].as_array().expect("clusters").clone();
            found.sort_by_key(|cluster| NAMES.iter().position(|name| cluster["cluster"] == *name));
            assert_eq!(found, expected, "{said}");
        }
        if let Some(count) = self.ips {
            let ips = import["spec"]["ips"].as_array().cloned().unwrap_or_default();
            assert_eq!(ips.len(), count, "{said}: {ips:?}");
            for (ip, family) in
                ips.iter().zip(import["spec"]["ipFamilies"].as_array().into_iter().flatten())
            {
                let is_v6 = ip.as_str().expect("an address").contains(':');
                assert_eq!(family == "IPv6", is_v6, "{said}: in the same order");
            }
        }
        for (field, expected) in [("labels", &self.labels), ("annotations", &self.annotations)] {
            let Some(expected) = expected else { continue };
            let mut found = import["metadata"][field].clone();
            // What is the importer's own.
            let found = found.as_object_mut().expect(field);
            found.retain(|name, _| {
                !name.contains("kubernetes.io/")
                    && !name.contains("k8s.io/")
                    && !name.contains("redirector.dev/")
            });
            assert_eq!(json!(found), json!(expected), "{said}: {field}");
        }
        for (field, expected) in [
            ("type", &self.kind),
            ("ports", &self.ports),
            ("sessionAffinity", &self.session_affinity),
            ("sessionAffinityConfig", &self.session_affinity_config),
            ("internalTrafficPolicy", &self.internal_traffic_policy),
            ("trafficDistribution", &self.traffic_distribution),
            ("ipFamilies", &self.ip_families),
        ] {
            if let Some(expected) = expected {
                assert_eq!(import["spec"][field], *expected, "{said}: {field}");
            }
        }
    }
}

impl Conflicting {
    /// On the ServiceExport of every cluster that is named, and on no other.
    fn check(&self, here: &Here, name: &str, said: &str) {
        let conflicts = &here.importer.desired().conflicts;
        let found: Vec<_> =
            conflicts.iter().map(|(object, conflict)| (object.to_string(), conflict)).collect();
        if !self.on.iter().any(|on| on == name) {
            assert!(found.is_empty(), "{said}: {found:?}");
            return;
        }
        let [(object, conflict)] = &found[..] else { panic!("{said}: {found:?}") };
        assert_eq!(
            (object.as_str(), conflict.reason.as_str()),
            (SERVICE, self.reason.as_str()),
            "{said}"
        );
        assert_eq!(conflict.is_conflict(), self.reason != "NoConflicts", "{said}");
        if let Some(says) = &self.says {
            assert!(conflict.message.contains(says), "{said}: {}", conflict.message);
        }
    }
}

/// The clusters that slices are of, by their labels.
fn slices_of(here: &Here) -> BTreeSet<String> {
    let of = |slice: &Value| {
        let labels = &slice["metadata"]["labels"];
        assert_eq!(labels["multicluster.kubernetes.io/service-name"], "hello");
        let managed_by = &labels["endpointslice.kubernetes.io/managed-by"];
        assert!(managed_by.is_string() && *managed_by != "endpointslice-controller.k8s.io");
        assert_eq!(slice["metadata"]["namespace"], "shop");
        labels["multicluster.kubernetes.io/source-cluster"].as_str().expect("a cluster").to_owned()
    };
    here.slices().into_values().map(of).collect()
}

/// The clusters whose pods a connection to the clusterset address gets to, as kube-proxy has it: the
/// derived Service's port of that number, and the slices' ports of its name.
fn reach(here: &Here, port: u16) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let services = here.store.iter().filter(|(of, _)| of.kind.name() == "Service");
    for (of, service) in services {
        let ports = service["spec"]["ports"].as_array().expect("ports");
        let Some(led) = ports.iter().find(|led| led["port"] == port) else { continue };
        for slice in here.slices().into_values() {
            let labels = &slice["metadata"]["labels"];
            let has = |listed: &&Value| {
                (&listed["name"], &listed["protocol"]) == (&led["name"], &led["protocol"])
            };
            if labels["kubernetes.io/service-name"] != *of.name
                || !slice["ports"].as_array().expect("ports").iter().any(|listed| has(&listed))
            {
                continue;
            }
            let endpoints = slice["endpoints"].as_array().expect("endpoints");
            if endpoints.iter().any(|endpoint| endpoint["conditions"]["ready"] == true) {
                let cluster = &labels["multicluster.kubernetes.io/source-cluster"];
                found.insert(cluster.as_str().expect("a cluster").to_owned());
            }
        }
    }
    found
}

#[test]
#[expect(clippy::print_stdout, reason = "which cases there are")]
fn the_cases_of_mcs_api_hold_with_two_and_with_three_clusters() {
    let cases: Vec<Case> = serde_saphyr::from_str(include_str!("conformance.yaml")).expect("cases");
    let mut counts: BTreeMap<Label, usize> = BTreeMap::new();
    for case in &cases {
        for clusters in [2, 3] {
            let mut set = ClusterSet::new(clusters);
            for (number, step) in case.steps.iter().enumerate() {
                set.step(step, &format!("{}: step {number}, {clusters} clusters", case.name));
            }
        }
        println!("{:?}: {}", case.label, case.name);
        *counts.entry(case.label).or_default() += 1;
    }
    assert_eq!(counts, [(Label::Required, 14), (Label::Optional, 7)].into());
}
