//! Reads what the checks are about: this cluster as its operator, the others as the importer does.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use k8s_openapi::jiff::Timestamp;
use redirector_kube::api::{Object as _, RemoteCluster, labels::SOURCE_CLUSTER};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    Beat, Facts, Here, Outbox, Rights, There, Trouble, dial,
    here::GROUPS,
    rights::{LISTED, is_allowed, listed, questions, review},
    text,
};
use crate::{
    admin::{
        Address, Error, Identity, Ranges, Side,
        error::Refusal,
        identity::{annotations, heartbeat_path},
        list::exports,
    },
    api::{Credentials, Manifest, NAMESPACE, OUTBOX},
};

/// A heartbeat comes every second, or within 1.5 s after its writer has changed: a Lease that stands still
/// for longer has no writer.
const STILL: Duration = Duration::from_millis(3_500);
/// How often it is looked at.
const POLL: Duration = Duration::from_millis(200);
/// How often an outbox that changes while it is read is read again.
const READINGS: usize = 4;

/// Reads this cluster, and of the others the one of that name, or all. `operator` is the operator's side
/// of the other one, for what its importer may not see.
///
/// # Errors
///
/// This cluster cannot be read, or there is no cluster of that name. What is wrong with another one is
/// among the facts.
pub async fn read(
    here: &Side,
    given: Option<&str>,
    only: Option<&str>,
    operator: Option<&Side>,
) -> Result<Facts, Error> {
    let read = read_here(here, given).await?;
    let wanted: Vec<_> = read
        .clusters
        .iter()
        .filter(|cluster| only.is_none_or(|only| *cluster.name == *only))
        .cloned()
        .collect();
    if let (Some(only), true) = (only, wanted.is_empty()) {
        let known = read.clusters.iter().map(|cluster| cluster.name.to_string()).collect();
        return Err(Refusal::NotJoined { name: only.to_owned(), known }.into());
    }
    let own = read.identity.id(&read.side, given).unwrap_or_default();
    let mut there = Vec::new();
    for cluster in wanted {
        let policies = match operator {
            Some(operator) if only.is_some() => Some(policies(operator).await?),
            _ => None,
        };
        there.push(There { policies, ..read_there(here, &own, cluster).await? });
    }
    Ok(Facts { here: read, there, now: Timestamp::now().as_second() })
}

async fn read_here(here: &Side, given: Option<&str>) -> Result<Here, Error> {
    let list = async |path: &str| Ok::<_, Error>(here.list(path).await?.unwrap_or_default());
    let clusters = list(RemoteCluster::PATH).await?;
    let decode = |object: &Value| RemoteCluster::decode(object.to_string().as_bytes()).ok();
    let namespaces = list("/api/v1/namespaces").await?;
    let namespaces = namespaces.iter().map(|namespace| {
        let metadata = &namespace["metadata"];
        let labels = metadata["labels"].as_object().into_iter().flatten();
        let labels = labels.map(|(name, value)| (name.clone(), text(value).to_owned())).collect();
        (text(&metadata["name"]).to_owned(), labels)
    });
    let slices = format!(
        "/apis/discovery.k8s.io/v1/endpointslices?labelSelector={}",
        SOURCE_CLUSTER.replace('/', "%2F")
    );
    Ok(Here {
        side: here.name().to_owned(),
        identity: Identity::read(here).await?,
        given: given.map(str::to_owned),
        served: served(here).await?,
        ranges: Ranges::read(here).await?,
        clusters: clusters.iter().filter_map(decode).collect(),
        namespaces: namespaces.collect(),
        exports: exports(here).await?,
        policies: policies(here).await?,
        slices: list(&slices).await?,
        daemon_sets: list("/apis/apps/v1/daemonsets").await?,
        cilium: here.get("/api/v1/namespaces/kube-system/configmaps/cilium-config").await?,
    })
}

async fn policies(side: &Side) -> Result<Vec<Value>, Error> {
    let path = "/apis/redirector.dev/v1alpha1/failoverpolicies";
    Ok(side.list(path).await?.unwrap_or_default())
}

/// The resources of each group and version that is served.
async fn served(here: &Side) -> Result<BTreeMap<&'static str, Vec<String>>, Error> {
    let mut served = BTreeMap::new();
    for version in GROUPS {
        if let Some(list) = here.get(&format!("/apis/{version}")).await? {
            let resources = list["resources"].as_array().into_iter().flatten();
            served.insert(version, resources.map(|one| text(&one["name"]).to_owned()).collect());
        }
    }
    Ok(served)
}

async fn read_there(here: &Side, own: &str, cluster: RemoteCluster) -> Result<There, Error> {
    let mut there = There {
        credentials: Err("it has no server".to_owned()),
        answer: None,
        rights: None,
        beat: None,
        outbox: None,
        dials: Vec::new(),
        policies: None,
        cluster,
    };
    let Ok(valid) = there.cluster.spec.clone() else { return Ok(there) };
    let spec = valid.spec();
    let Some(server) = spec.server.clone() else { return Ok(there) };
    let secret = spec.credentials.as_ref().map_or("", |of| of.secret_name.as_str());
    let path = format!("/api/v1/namespaces/{NAMESPACE}/secrets/{secret}");
    let shown = format!("Secret {NAMESPACE}/{secret}");
    there.credentials = match here.get(&path).await? {
        None => Err(format!("there is no {shown}")),
        Some(secret) => Credentials::read(&secret).map_err(|why| format!("{shown}: {why}")),
    };
    let Ok(credentials) = &there.credentials else { return Ok(there) };
    let address = Address { server, ca_bundle: spec.ca_bundle.clone() };
    let side = match address.side(&there.cluster.name, &credentials.token).await {
        Ok(side) => side,
        Err(why) => {
            there.answer = Some(Err(Trouble::of(&why)));
            return Ok(there);
        }
    };
    let answer = side.get(&heartbeat_path()).await.map_err(|why| Trouble::of(&why));
    there.answer = Some(answer.clone().map(drop));
    // 403 is an answer too: what else may it not?
    if matches!(answer, Ok(_) | Err(Trouble::Forbidden(_))) {
        there.rights = rights(&side, own).await.ok();
    }
    if let Ok(lease) = answer {
        there.beat = beat(&side, lease).await.ok();
        there.outbox = outbox(&side).await.ok();
    }
    if let Some(outbox) = &there.outbox {
        there.dials = dial::all(dial::sample(spec.reach, outbox).await).await;
    }
    Ok(there)
}

async fn rights(side: &Side, own: &str) -> Result<Rights, Error> {
    let reviews = "/apis/authorization.k8s.io/v1";
    let mut rights = Rights::default();
    for question in questions(own) {
        let path = format!("{reviews}/selfsubjectaccessreviews");
        let answer = side.post(&path, &review(&question)).await?;
        rights.asked.insert(question, is_allowed(&answer));
    }
    for namespace in LISTED {
        let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview",
                            "spec": {"namespace": namespace}});
        let answer = side.post(&format!("{reviews}/selfsubjectrulesreviews"), &review).await?;
        rights.listed.extend(listed(&answer, namespace));
    }
    Ok(rights)
}

/// Watches the heartbeat until it moves.
async fn beat(side: &Side, first: Option<Value>) -> Result<Beat, Error> {
    let Some(first) = first else { return Ok(Beat { manifest: None, moved: false }) };
    let version = |lease: &Value| lease["metadata"]["resourceVersion"].clone();
    let begun = Instant::now();
    let (mut last, mut moved) = (first.clone(), false);
    while !moved && begun.elapsed() < STILL {
        sleep(POLL).await;
        let Some(lease) = side.get(&heartbeat_path()).await? else { break };
        moved = version(&lease) != version(&first);
        last = lease;
    }
    Ok(Beat { manifest: Some(Manifest::read(&annotations(&last))), moved })
}

/// Reads the outbox between two manifests of one digest, if it comes to rest.
async fn outbox(side: &Side) -> Result<Outbox, Error> {
    let digest = async || -> Result<Value, Error> {
        let lease = side.get(&heartbeat_path()).await?.unwrap_or_default();
        Ok(lease["metadata"]["annotations"].clone())
    };
    let list = async |group: &str, resource: &str| {
        let path = format!("/apis/{group}/namespaces/{OUTBOX}/{resource}");
        Ok::<_, Error>(side.list(&path).await?.unwrap_or_default())
    };
    let mut before = digest().await?;
    for reading in 1.. {
        let services = list("redirector.dev/v1alpha1", "exportedservices").await?;
        let slices = list("discovery.k8s.io/v1", "endpointslices").await?;
        let after = digest().await?;
        if before == after || reading == READINGS {
            return Ok(Outbox { services, slices });
        }
        before = after;
    }
    Ok(Outbox::default())
}
