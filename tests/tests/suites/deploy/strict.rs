//! Every object is one that the API server takes as it is written: a field that it does not know
//! would be dropped in silence.

use std::collections::BTreeSet;

use k8s_openapi::{
    api::{
        admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
        apps::v1::{DaemonSet, Deployment},
        core::v1::{Namespace, Service, ServiceAccount},
        networking::v1::NetworkPolicy,
        policy::v1::PodDisruptionBudget,
        rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding},
        scheduling::v1::PriorityClass,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::render::{VARIANTS, helm, kind, kustomize, name, only, variants_on_disk};

/// Of the Prometheus operator, as far as it is used here.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ServiceMonitor {
    api_version: String,
    kind: String,
    metadata: ObjectMeta,
    spec: MonitorSpec,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MonitorSpec {
    selector: LabelSelector,
    endpoints: Vec<Endpoint>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Endpoint {
    port: String,
    path: String,
    interval: String,
    relabelings: Vec<Relabeling>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Relabeling {
    source_labels: Vec<String>,
    target_label: String,
}

#[test]
fn every_rendered_object_is_kept_as_it_is_by_the_api_types() {
    assert_eq!(VARIANTS, variants_on_disk(), "a variant is not tested");
    for variant in VARIANTS {
        let Some(objects) = kustomize(variant) else { return };
        objects.iter().for_each(|object| decode(variant, object));
    }
}

#[test]
fn so_is_every_object_of_the_chart() {
    let all = [
        "scope=all",
        "externalIPs=true",
        "trustedCIDRs={10.0.0.0/8,fd00::/8}",
        "cluster=west",
        "apiServer=https://192.0.2.1:6443",
        "adminHost=[::]",
        "capacities.slots=4194304",
        "image.pullSecrets={one}",
        "podAnnotations.a=b",
        "resets=true",
        "networkPolicy.monitoringNamespace=observability",
        "priorityClassName=redirector",
        "serviceMonitor.enabled=true",
        "serviceMonitor.labels.release=prometheus",
        "multicluster.enabled=true",
        "multicluster.clusterSetIPs=false",
        "multicluster.exportCIDRs={10.0.0.0/8}",
    ];
    for values in [&[][..], &all] {
        let Some(objects) = helm(values) else { return };
        objects.iter().for_each(|object| decode("chart", object));
    }
}

#[test]
fn what_is_installed_is_this_and_no_more() {
    let Some(objects) = kustomize("base") else { return };
    let installed: BTreeSet<_> =
        objects.iter().map(|object| (kind(object), name(object))).collect();
    let wanted = [
        ("ClusterRole", "redirector"),
        ("ClusterRoleBinding", "redirector"),
        ("CustomResourceDefinition", "exportedservices.redirector.dev"),
        ("CustomResourceDefinition", "failoverpolicies.redirector.dev"),
        ("CustomResourceDefinition", "remoteclusters.redirector.dev"),
        ("DaemonSet", "redirector"),
        ("Namespace", "redirector-system"),
        ("NetworkPolicy", "redirector"),
        ("Role", "redirector"),
        ("RoleBinding", "redirector"),
        ("ServiceAccount", "redirector"),
    ];
    assert_eq!(installed, wanted.into_iter().collect());
    for object in &objects {
        let is_of_cluster = ["Namespace", "CustomResourceDefinition"].contains(&kind(object))
            || kind(object).starts_with("Cluster");
        let namespace = object["metadata"]["namespace"].as_str();
        assert_eq!(namespace, (!is_of_cluster).then_some("redirector-system"), "{}", kind(object));
    }
}

/// Go leaves these out where they are false, so the object that comes back is never the one that was
/// sent: `kubectl apply` says "configured" for ever.
const LEFT_OUT_IF_FALSE: &[&str] = &[
    "exclusiveMaximum",
    "exclusiveMinimum",
    "globalDefault",
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "nullable",
    "preserveUnknownFields",
    "publishNotReadyAddresses",
    "readOnly",
    "stdin",
    "stdinOnce",
    "tty",
    "uniqueItems",
    "x-kubernetes-embedded-resource",
    "x-kubernetes-int-or-string",
];

#[test]
fn what_is_applied_again_is_unchanged() {
    for variant in VARIANTS {
        let Some(objects) = kustomize(variant) else { return };
        for object in &objects {
            let mut found = Vec::new();
            left_out("", object, &mut found);
            assert!(found.is_empty(), "{variant}: {} {}: {found:?}", kind(object), name(object));
        }
    }
}

fn left_out(path: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = format!("{path}.{name}");
                if *value == false && LEFT_OUT_IF_FALSE.contains(&&**name) {
                    found.push(path.clone());
                }
                left_out(&path, value, found);
            }
        }
        Value::Array(list) => {
            list.iter().for_each(|value| left_out(&format!("{path}[]"), value, found));
        }
        _ => {}
    }
}

#[test]
fn a_misspelt_field_is_found() {
    let Some(objects) = kustomize("base") else { return };
    let mut daemon_set = only(&objects, "DaemonSet").clone();
    daemon_set["spec"]["template"]["spec"]["hostNetwrok"] = true.into();
    let lost = dropped::<DaemonSet>(&daemon_set).expect("it is decoded all the same");
    assert_eq!(lost, [".spec.template.spec.hostNetwrok"]);
}

pub(super) fn decode(variant: &str, object: &Value) {
    let dropped = match (object["apiVersion"].as_str().unwrap_or_default(), kind(object)) {
        ("v1", "Namespace") => dropped::<Namespace>(object),
        ("v1", "Service") => dropped::<Service>(object),
        ("v1", "ServiceAccount") => dropped::<ServiceAccount>(object),
        ("apps/v1", "DaemonSet") => dropped::<DaemonSet>(object),
        ("apps/v1", "Deployment") => dropped::<Deployment>(object),
        ("policy/v1", "PodDisruptionBudget") => dropped::<PodDisruptionBudget>(object),
        ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy") => {
            dropped::<ValidatingAdmissionPolicy>(object)
        }
        ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding") => {
            dropped::<ValidatingAdmissionPolicyBinding>(object)
        }
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition") => {
            dropped::<CustomResourceDefinition>(object)
        }
        ("monitoring.coreos.com/v1", "ServiceMonitor") => dropped::<ServiceMonitor>(object),
        ("networking.k8s.io/v1", "NetworkPolicy") => dropped::<NetworkPolicy>(object),
        ("rbac.authorization.k8s.io/v1", "ClusterRole") => dropped::<ClusterRole>(object),
        ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding") => {
            dropped::<ClusterRoleBinding>(object)
        }
        ("rbac.authorization.k8s.io/v1", "Role") => dropped::<Role>(object),
        ("rbac.authorization.k8s.io/v1", "RoleBinding") => dropped::<RoleBinding>(object),
        ("scheduling.k8s.io/v1", "PriorityClass") => dropped::<PriorityClass>(object),
        (version, kind) => panic!("{variant}: {version} {kind} is not expected"),
    };
    let (kind, name) = (kind(object), name(object));
    let dropped = dropped.unwrap_or_else(|error| panic!("{variant}: {kind} {name}: {error}"));
    assert!(dropped.is_empty(), "{variant}: {kind} {name}: unknown or changed: {dropped:?}");
}

/// The fields of `object` that the type does not know, or has otherwise.
pub(super) fn dropped<T: DeserializeOwned + Serialize>(
    object: &Value,
) -> Result<Vec<String>, serde_json::Error> {
    let typed: T = serde_json::from_value(object.clone())?;
    let mut dropped = Vec::new();
    compare("", object, &serde_json::to_value(typed)?, &mut dropped);
    Ok(dropped)
}

fn compare(path: &str, given: &Value, kept: &Value, dropped: &mut Vec<String>) {
    match (given, kept) {
        (Value::Object(given), Value::Object(kept)) => {
            for (name, value) in given {
                let kept = kept.get(name).unwrap_or(&Value::Null);
                compare(&format!("{path}.{name}"), value, kept, dropped);
            }
        }
        (Value::Array(given), Value::Array(kept)) if given.len() == kept.len() => {
            for (index, (given, kept)) in given.iter().zip(kept).enumerate() {
                compare(&format!("{path}[{index}]"), given, kept, dropped);
            }
        }
        (Value::Number(given), Value::Number(kept)) if given.as_f64() == kept.as_f64() => {}
        // An empty list is not written.
        (Value::Array(given), Value::Null) if given.is_empty() => {}
        _ if given == kept => {}
        _ => dropped.push(path.to_owned()),
    }
}
