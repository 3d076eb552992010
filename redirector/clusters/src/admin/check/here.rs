//! Questions about this cluster alone.

use std::collections::{BTreeMap, BTreeSet};

use redirector_kube::api::labels::SOURCE_CLUSTER;
use serde_json::Value;

use super::{Check, Finding, Here, count, some, text};
use crate::admin::list::condition;

/// Group and version, the resources that are used of it, and how they are installed.
const KINDS: [(&str, &[&str], &str); 2] = [
    (
        "redirector.dev/v1alpha1",
        &["exportedservices", "failoverpolicies", "remoteclusters"],
        "kubectl apply -k deploy/crd",
    ),
    (
        "multicluster.x-k8s.io/v1beta1",
        &["serviceexports", "serviceimports"],
        "kubectl apply -k deploy/crd/mcs, or install mcs-api 0.5.0",
    ),
];

/// The groups and versions of which is asked what is served.
pub(super) const GROUPS: [&str; 3] = [KINDS[0].0, KINDS[1].0, "multicluster.x-k8s.io/v1alpha1"];

pub(super) fn crds(here: &Here) -> Finding {
    for (version, wanted, fix) in KINDS {
        let served = here.served.get(version).map(Vec::as_slice).unwrap_or_default();
        let missing: Vec<_> =
            wanted.iter().filter(|one| !served.contains(&(**one).to_owned())).collect();
        if missing.is_empty() {
            continue;
        }
        let missing: Vec<_> = missing.iter().map(|one| (**one).to_owned()).collect();
        let older = here.served.contains_key(GROUPS[2]) && version == KINDS[1].0;
        let older = if older { "; only the older v1alpha1 is" } else { "" };
        return Check::Crds.failed(format!("{version} serves no {}{older}", some(&missing)), fix);
    }
    Check::Crds.ok(format!("{} and {}", KINDS[0].0, KINDS[1].0))
}

pub(super) fn identity(here: &Here) -> Finding {
    let own = match here.identity.id(&here.side, here.given.as_deref()) {
        Ok(own) => own,
        Err(why) => {
            let fix = "give the cluster one id: the ClusterProperty cluster.clusterset.k8s.io, and the same \
                       in --cluster of the Deployment";
            return Check::Identity.failed(why, fix);
        }
    };
    let mut by_uid: BTreeMap<&str, &str> = BTreeMap::new();
    for cluster in &here.clusters {
        let name: &str = &cluster.name;
        if name == own {
            return Check::Identity.failed(
                format!("RemoteCluster {name} has the id of this cluster"),
                format!("`redirector cluster leave {name}`, or give this cluster another id"),
            );
        }
        let Some(uid) = cluster.spec.as_ref().ok().and_then(|valid| valid.spec().uid.as_deref())
        else {
            continue;
        };
        if uid == here.identity.uid {
            return Check::Identity.failed(
                format!("RemoteCluster {name} is this very cluster (uid {uid})"),
                format!("`redirector cluster leave {name}`"),
            );
        }
        if let Some(other) = by_uid.insert(uid, name) {
            return Check::Identity.failed(
                format!("RemoteClusters {other} and {name} are one cluster (uid {uid})"),
                format!("`redirector cluster leave` one of {other} and {name}"),
            );
        }
    }
    Check::Identity.ok(format!("{own}, uid {}", here.identity.uid))
}

pub(super) fn conflicts(here: &Here) -> Finding {
    let in_conflict = here.exports.iter().filter_map(|export| {
        let conflict = condition(export, "Conflict").filter(|of| of["status"] == "True")?;
        let metadata = &export["metadata"];
        Some((
            format!("{}/{}", text(&metadata["namespace"]), text(&metadata["name"])),
            text(&conflict["message"]),
        ))
    });
    let in_conflict: Vec<_> = in_conflict.collect();
    let Some((first, message)) = in_conflict.first() else {
        return Check::Conflicts
            .ok(format!("none among {}", count(here.exports.len(), "ServiceExport")));
    };
    let more = match in_conflict.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    Check::Conflicts.warning(
        format!("ServiceExport {first}{more} differs between clusters: {message}"),
        "make the Services alike in all clusters: the oldest export holds",
    )
}

pub(super) fn datapath(here: &Here) -> Finding {
    let agents: Vec<_> = here
        .daemon_sets
        .iter()
        .filter(|set| set["metadata"]["labels"]["app.kubernetes.io/name"] == "redirector")
        .map(|set| {
            let metadata = &set["metadata"];
            format!("{}/{}", text(&metadata["namespace"]), text(&metadata["name"]))
        })
        .collect();
    if agents.len() > 1 {
        let fix = "keep one of them: two agents redirect the same connections";
        return Check::Datapath.failed(format!("DaemonSets {}", some(&agents)), fix);
    }
    let setting = |name: &str| here.cilium.as_ref().map(|map| text(&map["data"][name]));
    let replaces = setting("kube-proxy-replacement");
    let is_on = setting("bpf-lb-sock") == Some("true")
        || matches!(replaces, Some("true" | "strict" | "probe"));
    let host_only = setting("bpf-lb-sock-hostns-only") == Some("true");
    if is_on && !host_only {
        return Check::Datapath.failed(
            "Cilium's socket load balancing redirects connections of pods too (kube-system/cilium-config)",
            "set socketLB.hostNamespaceOnly=true in Cilium, or leave failover to it",
        );
    }
    Check::Datapath.ok(match (here.cilium.is_some(), agents.first()) {
        (true, _) => "Cilium leaves pods' sockets alone".to_owned(),
        (false, Some(agent)) => format!("DaemonSet {agent} alone"),
        (false, None) => "no other socket load balancer found".to_owned(),
    })
}

pub(super) fn policies(here: &Here) -> Finding {
    let mut known: BTreeSet<String> =
        here.clusters.iter().map(|cluster| cluster.name.to_string()).collect();
    known.extend(here.own());
    known.extend(here.slices.iter().filter_map(|slice| {
        slice["metadata"]["labels"][SOURCE_CLUSTER].as_str().map(str::to_owned)
    }));
    let mut unknown = Vec::new();
    for policy in &here.policies {
        for name in clusters(policy).filter(|name| *name != "*" && !known.contains(*name)) {
            unknown.push(format!("{} names {name}", shown(policy)));
        }
    }
    if unknown.is_empty() {
        return Check::Policies
            .ok(format!("of {} none names a cluster that is not there", here.policies.len()));
    }
    let known: Vec<_> = known.into_iter().collect();
    Check::Policies.failed(
        format!("a tier that stays empty: {}", some(&unknown)),
        format!("join that cluster, or name one of {}", known.join(", ")),
    )
}

/// The clusters that tiers of a policy name.
pub(super) fn clusters(policy: &Value) -> impl Iterator<Item = &str> {
    let tiers = policy["spec"]["tiers"].as_array().into_iter().flatten();
    let names = tiers.flat_map(|tier| tier["clusters"].as_array().into_iter().flatten());
    names.filter_map(Value::as_str)
}

/// `FailoverPolicy shop/web`.
pub(super) fn shown(policy: &Value) -> String {
    let metadata = &policy["metadata"];
    format!("FailoverPolicy {}/{}", text(&metadata["namespace"]), text(&metadata["name"]))
}
