//! Whether another cluster's addresses and namespaces can be used here.

use std::collections::BTreeSet;

use redirector_kube::api::labels::SOURCE_CLUSTER;
use redirector_policy::Reach;

use super::{Check, Finding, Here, There, count, some, text};

pub(super) fn cidrs(of: &There, here: &Here) -> Finding {
    let valid = match &of.cluster.spec {
        Ok(valid) => valid,
        Err(why) => {
            let fix = format!("`kubectl edit remotecluster {}`", of.name());
            return Check::Cidrs.failed(why, fix).of(of);
        }
    };
    if valid.spec().reach != Reach::Pod {
        return Check::Cidrs.ok("its gateways may have any address").of(of);
    }
    let mut used = here.ranges.clone();
    for other in here.clusters.iter().filter(|other| other.name != of.cluster.name) {
        if let Ok(valid) = &other.spec {
            used.add(&other.name, valid);
        }
    }
    if let Some(overlap) = used.overlap(of.name(), valid.cidrs()) {
        let overlap = overlap.to_string();
        let (what, fix) = overlap.split_once("; ").unwrap_or((&overlap, ""));
        return Check::Cidrs.failed(what, fix).of(of);
    }
    let slices = here.slices.iter();
    let of_it = slices.filter(|slice| slice["metadata"]["labels"][SOURCE_CLUSTER] == of.name());
    let imported = of_it.flat_map(|slice| slice["endpoints"].as_array().into_iter().flatten());
    let mut addresses: BTreeSet<_> =
        imported.filter_map(|one| text(&one["addresses"][0]).parse().ok()).collect();
    if let Some(outbox) = &of.outbox {
        let slices = outbox.slices();
        addresses
            .extend(slices.iter().flat_map(|slice| slice.endpoints.iter().map(|one| one.address)));
    }
    let outside: Vec<_> =
        addresses.iter().filter(|one| !valid.has(**one)).map(ToString::to_string).collect();
    if outside.is_empty() {
        return Check::Cidrs.ok(format!("disjoint; {} endpoints in them", addresses.len())).of(of);
    }
    Check::Cidrs
        .failed(
            format!(
                "{} of {} endpoints are outside, such as {}",
                outside.len(),
                addresses.len(),
                outside[0]
            ),
            format!("`redirector cluster join {} --cidr …` with all of its ranges", of.name()),
        )
        .of(of)
}

pub(super) fn namespaces(of: &There, here: &Here) -> Option<Finding> {
    let wanted = of.cluster.spec.as_ref().ok()?.spec().namespaces.clone();
    let Some(outbox) = &of.outbox else {
        return of
            .has_server()
            .then(|| Check::Namespaces.unknown("its outbox was not read", None).of(of));
    };
    let theirs: BTreeSet<_> = outbox.specs().into_iter().map(|(_, spec)| spec.namespace).collect();
    let missing: Vec<_> =
        theirs.iter().filter(|name| !here.namespaces.contains_key(*name)).cloned().collect();
    if !missing.is_empty() {
        let finding = Check::Namespaces.warning(
            format!("it exports from namespaces that are not here: {}", some(&missing)),
            format!(
                "`kubectl create namespace {}`, if they mean the same in both clusters",
                missing[0]
            ),
        );
        return Some(finding.of(of));
    }
    let is_wanted = |name: &&String| {
        let labels = &here.namespaces[*name];
        wanted
            .iter()
            .flat_map(|of| &of.match_labels)
            .all(|(key, value)| labels.get(key) == Some(value))
    };
    let unwanted: Vec<_> = theirs.iter().filter(|name| !is_wanted(name)).cloned().collect();
    let finding = if unwanted.is_empty() {
        Check::Namespaces.ok(format!("{}, here as well", count(theirs.len(), "namespace")))
    } else {
        Check::Namespaces.warning(
            format!("not imported, by spec.namespaces of the RemoteCluster: {}", some(&unwanted)),
            format!("label them, or edit remotecluster {}, if they should be", of.name()),
        )
    };
    Some(finding.of(of))
}
