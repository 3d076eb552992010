//! One ServiceImport of what several clusters export under one name (KEP-1645).
//!
//! The oldest export holds, then the first id: its type, affinity, policies, labels and annotations, and
//! its ports in a clash. Ports are the union of all.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

use super::desired::Conflict;
use crate::api::{ExportedPort, ExportedServiceSpec, ExportedType, ServiceImportSpec};

/// What a cluster exports.
pub(super) type Export<'e> = (&'e Arc<str>, &'e ExportedServiceSpec);

/// What follows of all exports of one Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Merged {
    /// Without addresses, which the derived Service has.
    pub spec: ServiceImportSpec,
    /// What the exports disagree about.
    pub conflict: Conflict,
}

impl Merged {
    /// Ports of an export that the import leads to it: of one name, protocol and number.
    pub fn ports_of(&self, spec: &ExportedServiceSpec) -> BTreeSet<(String, String)> {
        let is_led = |port: &&ExportedPort| {
            self.spec.ports.iter().any(|held| {
                (&held.name, &held.protocol, held.port) == (&port.name, &port.protocol, port.port)
            })
        };
        let name = |port: &ExportedPort| (port.name.clone(), port.protocol.clone());
        spec.ports.iter().filter(is_led).map(name).collect()
    }
}

/// Merges the exports of one Service, at least one.
pub(super) fn merge(exports: &[Export<'_>]) -> Option<Merged> {
    let mut exports = exports.to_vec();
    exports.sort_by_cached_key(|(cluster, spec)| (seconds(&spec.exported_at), *cluster));
    let (_, oldest) = *exports.first()?;
    let spec = ServiceImportSpec {
        kind: oldest.kind,
        ports: union(&exports),
        ips: Vec::new(),
        ip_families: oldest.ip_families.clone(),
        session_affinity: oldest.session_affinity.clone(),
        session_affinity_config: affinity(oldest),
        internal_traffic_policy: oldest.internal_traffic_policy.clone(),
        traffic_distribution: oldest.traffic_distribution.clone(),
        labels: oldest.labels.clone(),
        annotations: oldest.annotations.clone(),
    };
    Some(Merged { spec, conflict: conflict(&exports) })
}

/// When it was exported; what is no time is the newest.
fn seconds(exported_at: &str) -> i64 {
    let time: Option<Time> = serde_json::from_value(json!(exported_at)).ok();
    time.map_or(i64::MAX, |time| time.0.as_second())
}

/// By name, then by protocol and number: of two that clash the older holds. So do one with a name and
/// one without, since of several ports of a Service each has a name.
fn union(exports: &[Export<'_>]) -> Vec<ExportedPort> {
    let mut ports: Vec<ExportedPort> = Vec::new();
    for port in exports.iter().flat_map(|(_, spec)| &spec.ports) {
        let clashes = |held: &ExportedPort| {
            held.name == port.name
                || held.name.is_empty() != port.name.is_empty()
                || (&held.protocol, held.port) == (&port.protocol, port.port)
        };
        if !ports.iter().any(clashes) {
            ports.push(port.clone());
        }
    }
    ports
}

fn affinity(spec: &ExportedServiceSpec) -> Option<serde_json::Value> {
    let is_by_client = spec.session_affinity.as_deref() == Some("ClientIP");
    let seconds = spec.affinity_seconds.filter(|_| is_by_client)?;
    Some(json!({"clientIP": {"timeoutSeconds": seconds}}))
}

/// Reasons of KEP-1645 in its order, and a clause of each: who says what, and who holds.
fn conflict(exports: &[Export<'_>]) -> Conflict {
    let mut reasons: Vec<&str> = Vec::new();
    let mut clauses = Vec::new();
    if let Some(clause) = port_clause(exports) {
        reasons.push("PortConflict");
        clauses.push(clause);
    }
    let mut compare = |reason, field: &str, of: &dyn Fn(&ExportedServiceSpec) -> String| {
        if let Some(clause) = clause(exports, field, of) {
            reasons.push(reason);
            clauses.push(clause);
        }
    };
    let or_unset = |text: &Option<String>| text.clone().unwrap_or_else(|| "unset".to_owned());
    compare("TypeConflict", "type", &|spec| match spec.kind {
        ExportedType::ClusterSetIp => "ClusterSetIP".to_owned(),
        ExportedType::Headless => "Headless".to_owned(),
    });
    compare("SessionAffinityConflict", "sessionAffinity", &|spec| {
        spec.session_affinity.clone().unwrap_or_else(|| "None".to_owned())
    });
    compare("SessionAffinityConfigConflict", "sessionAffinityConfig", &|spec| {
        spec.affinity_seconds.map_or("unset".to_owned(), |seconds| format!("{seconds}s"))
    });
    compare("InternalTrafficPolicyConflict", "internalTrafficPolicy", &|spec| {
        spec.internal_traffic_policy.clone().unwrap_or_else(|| "Cluster".to_owned())
    });
    compare("TrafficDistributionConflict", "trafficDistribution", &|spec| {
        or_unset(&spec.traffic_distribution)
    });
    compare("IPFamilyConflict", "ipFamilies", &|spec| {
        let mut families = spec.ip_families.clone();
        families.sort_unstable();
        families.join("+")
    });
    compare("LabelsConflict", "exportedLabels", &|spec| written(&spec.labels));
    compare("AnnotationsConflict", "exportedAnnotations", &|spec| written(&spec.annotations));
    if reasons.is_empty() {
        return Conflict { reason: "NoConflicts".to_owned(), message: String::new() };
    }
    Conflict { reason: reasons.join(","), message: clauses.join("; ") }
}

/// `port http: west (older) says 80, east 8080; west's holds`, of the first port that differs.
fn port_clause(exports: &[Export<'_>]) -> Option<String> {
    let ((oldest, holds), others) = exports.split_first()?;
    for (cluster, spec) in others {
        let both = holds.ports.iter().chain(&spec.ports);
        for name in both.map(|port| &port.name) {
            let of = |spec: &ExportedServiceSpec| {
                let port = spec.ports.iter().find(|port| port.name == *name)?;
                let app = port.app_protocol.as_ref().map(|app| format!(" {app}"));
                let protocol = if port.protocol == "TCP" { "" } else { port.protocol.as_str() };
                let slash = if protocol.is_empty() { "" } else { "/" };
                Some(format!("{}{slash}{protocol}{}", port.port, app.unwrap_or_default()))
            };
            let shown = if name.is_empty() { "without a name" } else { name };
            match (of(holds), of(spec)) {
                (Some(held), Some(said)) if held != said => {
                    return Some(format!(
                        "port {shown}: {oldest} (older) says {held}, {cluster} {said}; {oldest}'s holds"
                    ));
                }
                (Some(_), None) => return Some(format!("port {shown}: only {oldest} has it")),
                (None, Some(_)) => return Some(format!("port {shown}: only {cluster} has it")),
                _ => {}
            }
        }
    }
    None
}

/// `type: west (older) says ClusterSetIP, east Headless; west's holds`, of the first that differs.
fn clause(
    exports: &[Export<'_>],
    field: &str,
    of: &dyn Fn(&ExportedServiceSpec) -> String,
) -> Option<String> {
    let ((oldest, holds), others) = exports.split_first()?;
    let held = of(holds);
    let (cluster, said) =
        others.iter().map(|(cluster, spec)| (cluster, of(spec))).find(|(_, said)| *said != held)?;
    Some(format!(
        "{field}: {oldest} (older) says {held:.200}, {cluster} {said:.200}; {oldest}'s holds"
    ))
}

fn written(pairs: &BTreeMap<String, String>) -> String {
    if pairs.is_empty() {
        return "none".to_owned();
    }
    let each: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    each.join(",")
}

#[cfg(test)]
mod tests;
