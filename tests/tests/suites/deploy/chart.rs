//! The chart and the kustomizations install the same objects, and the chart refuses what it does
//! not know.

use std::collections::BTreeMap;

use serde_json::Value;

use super::render::{helm, helm_refusal, kind, kustomize, kustomize_with, name};

/// Values of the chart, and the variant that they stand for.
const PAIRS: &[(&[&str], &str)] = &[
    (&[], "base"),
    (&["scope=all"], "overlays/scope-all"),
    (&["cgroupRoot=/sys/fs/cgroup/unified"], "overlays/cgroup-hybrid"),
    (&["legacyKernels=true"], "overlays/legacy-kernels"),
    (
        &[
            "scope=all",
            "image.repository=localhost/redirector",
            "image.pullPolicy=Never",
            "maxUnavailable=100%",
            "capacities.frontends=4096",
            "capacities.services=4096",
            "capacities.backends=16384",
            "capacities.slots=131072",
        ],
        "overlays/kind",
    ),
    (&["multicluster.enabled=true"], "components/clusters"),
    (&["resets=true"], "components/resets"),
    (&["priorityClassName=redirector"], "components/priority-class"),
    (&["seLinuxOptions.type=spc_t"], "components/selinux"),
    (&["networkPolicy.monitoringNamespace=monitoring"], "components/network-policy"),
    (&["serviceMonitor.enabled=true"], "components/service-monitor"),
];

#[test]
fn it_installs_what_kustomize_does_object_by_object() {
    for (values, variant) in PAIRS {
        let (Some(chart), Some(kustomization)) = (helm(values), kustomize(variant)) else { return };
        compare(variant, chart, kustomization);
    }
    let all = [
        "components/clusters",
        "components/network-policy",
        "components/priority-class",
        "components/resets",
        "components/selinux",
        "components/service-monitor",
    ];
    let values = [
        "multicluster.enabled=true",
        "priorityClassName=redirector",
        "resets=true",
        "seLinuxOptions.type=spc_t",
        "serviceMonitor.enabled=true",
    ];
    let (Some(chart), Some(kustomization)) = (helm(&values), kustomize_with(&all)) else { return };
    compare("all components", chart, kustomization);
}

fn compare(variant: &str, chart: Vec<Value>, kustomization: Vec<Value>) {
    let chart = by_name(chart);
    let mut kustomization = by_name(kustomization);
    // Helm makes the namespace itself.
    kustomization.remove("Namespace redirector-system").expect("the base has a namespace");
    let names = |objects: &BTreeMap<String, Value>| objects.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&chart), names(&kustomization), "{variant}");
    for (name, object) in &chart {
        assert_eq!(*object, kustomization[name], "{variant}: {name}, chart to kustomize");
    }
}

fn by_name(objects: Vec<Value>) -> BTreeMap<String, Value> {
    let count = objects.len();
    let named: BTreeMap<_, _> = objects
        .into_iter()
        .map(|object| (format!("{} {}", kind(&object), name(&object)), canonical(object)))
        .collect();
    assert_eq!(named.len(), count, "two objects with one name");
    named
}

/// Volumes and mounts are sets by name, which a patch may reorder.
fn canonical(mut value: Value) -> Value {
    match &mut value {
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                *field = canonical(field.take());
                if let (Value::Array(list), "volumes" | "volumeMounts") = (field, name.as_str()) {
                    list.sort_by_key(ToString::to_string);
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|entry| *entry = canonical(entry.take())),
        _ => {}
    }
    value
}

#[test]
fn values_that_it_does_not_know_are_refused() {
    for (value, said) in [
        ("scpoe=all", "scpoe"),
        ("scope=everything", "scope"),
        ("image.tga=1", "tga"),
        ("capacities.slots=1", "slots"),
        ("capacities.slot=100", "slot"),
        ("legacyKernels=maybe", "legacyKernels"),
        ("trustedCIDRs={10.0.0.1}", "trustedCIDRs"),
        ("apiServer=http://192.0.2.1", "apiServer"),
        ("cgroupRoot=sys/fs/cgroup", "cgroupRoot"),
        ("priorityClass=redirector", "priorityClass"),
        ("maxUnavailable=ten", "maxUnavailable"),
        ("resources.limit.memory=1Gi", "limit"),
        ("serviceMonitor.interval=fast", "interval"),
        ("seccompProfile.type=Default", "type"),
        ("appArmorProfile.type=Default", "type"),
        ("seLinuxOptions.tpye=spc_t", "tpye"),
        ("multicluster.enabled=maybe", "enabled"),
        ("multicluster.clusterSetIps=false", "clusterSetIps"),
        ("multicluster.exportCIDRs={10.0.0.1}", "exportCIDRs"),
        ("multicluster.apiServerPorts={0}", "apiServerPorts"),
        ("multicluster.replicas=0", "replicas"),
    ] {
        let Some(refusal) = helm_refusal(&[value]) else { return };
        assert!(refusal.contains(said), "{value}: {refusal}");
    }
}

#[test]
fn its_version_is_that_of_the_binary() {
    let path = super::render::deploy().join("helm/redirector/Chart.yaml");
    let chart = std::fs::read_to_string(&path).expect("Chart.yaml is readable");
    let chart = super::render::documents(&chart).remove(0);
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
}
