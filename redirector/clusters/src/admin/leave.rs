//! Leaves: no new connections first, then the objects, then the credentials, at last the account there.
//!
//! No finalizer holds anything, and nothing waits for the importer or for the other cluster: both may be
//! dead. What cannot be reached is said as commands.

mod sweep;

use std::time::{Duration, Instant};

use redirector_kube::api::{
    Object as _, RemoteCluster,
    labels::{IMPORTER, LEAVING, MANAGED_BY, SOURCE_CLUSTER},
};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    Error, Identity, Side,
    error::Refusal,
    join::{Outcome, Step, Tell},
    kinds, objects,
};
use crate::api::{CLUSTER, NAMESPACE};
use sweep::{SERVICE_IMPORTS, Sweep};

/// An importer that lives may still carry out what it decided before: objects are looked for until none
/// has come for that long.
const QUIET: Duration = Duration::from_secs(1);
/// The longest time of looking.
const LONGEST: Duration = Duration::from_secs(60);

/// How to leave.
#[derive(Clone, Debug)]
pub struct Leave {
    /// The cluster that is left.
    pub name: String,
    /// How long agents may take to give it no new connections before its objects go.
    pub drain: Duration,
    /// Without a drain, and also if Services are left without a ready endpoint.
    pub is_forced: bool,
}

/// Takes everything of the cluster out of this one.
///
/// # Errors
///
/// There is nothing of it; Services would be left without a ready endpoint; [`Error::Request`].
pub async fn leave(here: &Side, leave: &Leave, tell: Tell<'_>) -> Result<(), Error> {
    let Leave { name, drain, is_forced } = leave;
    let path = format!("{}/{name}", RemoteCluster::PATH);
    let found = here.get(&path).await?;
    let slices = all_slices(here).await?;
    if !is_forced {
        let services = sweep::last_endpoints(&slices, name);
        if !services.is_empty() {
            return Err(Refusal::LastEndpoints { services }.into());
        }
    }
    let mut secrets = labelled_secrets(here, name).await?;
    if let Some(cluster) = &found {
        let named = cluster["spec"]["credentials"]["secretName"].as_str();
        secrets.extend(named.map(str::to_owned).filter(|named| !secrets.contains(named)));
        if !is_forced {
            begin(here, &path, cluster).await?;
            sleep(*drain).await;
        }
        let uid = cluster["metadata"]["uid"].as_str();
        if here.delete(&path, uid).await? {
            tell(deleted(here, format!("RemoteCluster {name}")));
        }
    }
    let swept = sweep_all(here, name, tell).await?;
    let mut gone = 0;
    for secret in secrets {
        let path = format!("/api/v1/namespaces/{NAMESPACE}/secrets/{secret}");
        if here.delete(&path, None).await? {
            gone += 1;
            tell(deleted(here, format!("Secret {NAMESPACE}/{secret}")));
        }
    }
    if found.is_none() && swept + gone == 0 {
        let known = here.list(RemoteCluster::PATH).await?.unwrap_or_default();
        let known = known.iter().filter_map(|object| object["metadata"]["name"].as_str());
        let known = known.map(str::to_owned).collect();
        return Err(Refusal::NotJoined { name: name.clone(), known }.into());
    }
    Ok(())
}

/// That `there` is the cluster `name`: by the pinned uid, or once nothing pins one any more, by its id.
///
/// # Errors
///
/// [`Refusal::OtherCluster`], [`Refusal::OtherName`]: it is another one; [`Error::Request`].
pub async fn must_be(here: &Side, there: &Side, name: &str) -> Result<(), Error> {
    let known = here.get(&format!("{}/{name}", RemoteCluster::PATH)).await?;
    let pinned = known.as_ref().and_then(|known| known["spec"]["uid"].as_str());
    let identity = Identity::read(there).await?;
    let (name, found) = (name.to_owned(), identity.uid.clone());
    match (pinned, identity.id(there.name(), None)) {
        (Some(pinned), _) if pinned == found => Ok(()),
        (Some(pinned), _) => {
            let (side, pinned) = (there.name().to_owned(), pinned.to_owned());
            Err(Refusal::OtherCluster { side, name, pinned, found }.into())
        }
        (None, Ok(own)) if own != name => {
            Err(Refusal::OtherName { side: there.name().to_owned(), given: name, own }.into())
        }
        (None, _) => Ok(()),
    }
}

/// Takes the account of `importer` out of the cluster that it read.
///
/// # Errors
///
/// [`Error::Request`].
pub async fn forget_account(there: &Side, importer: &str, tell: Tell<'_>) -> Result<(), Error> {
    for object in objects::remote_deleted(importer) {
        if there.delete(&kinds::path(&object), None).await? {
            tell(deleted(there, kinds::shown(&object)));
        }
    }
    Ok(())
}

/// The same as commands for the operator there.
#[must_use]
pub fn forget_commands(importer: &str) -> Vec<String> {
    objects::remote_deleted(importer).iter().map(kinds::kubectl_delete).collect()
}

/// Says that it is about to go: agents and importer give it no new connections.
async fn begin(here: &Side, path: &str, cluster: &Value) -> Result<(), Error> {
    let uid = &cluster["metadata"]["uid"];
    let leaving = json!({"metadata": {"uid": uid, "annotations": {LEAVING: "true"}}});
    here.patch(path, &leaving).await?;
    // For those that read the phase alone; an importer that lives says the same.
    here.patch(&format!("{path}/status"), &json!({"status": {"phase": "Leaving"}})).await?;
    Ok(())
}

/// Deletes what importers have written of the cluster; how many objects that were.
async fn sweep_all(here: &Side, name: &str, tell: Tell<'_>) -> Result<usize, Error> {
    let (begun, mut last, mut count) = (Instant::now(), Instant::now(), 0);
    while last.elapsed() < QUIET && begun.elapsed() < LONGEST {
        let slices = ours(here, "/apis/discovery.k8s.io/v1/endpointslices").await?;
        let mut imports = Vec::new();
        for (version, path) in SERVICE_IMPORTS {
            let found = ours(here, path).await?;
            imports.extend(found.into_iter().map(|mut import| {
                import["apiVersion"] = json!(version);
                import["kind"] = json!("ServiceImport");
                import
            }));
            if !imports.is_empty() {
                break;
            }
        }
        let Sweep { delete, forget } = sweep::sweep(&slices, &imports, name);
        for object in delete {
            if here.delete(&kinds::path(&object), None).await? {
                (last, count) = (Instant::now(), count + 1);
                tell(deleted(here, kinds::shown(&object)));
            }
        }
        for (import, clusters) in forget {
            let path = format!("{}/status", kinds::path(&import));
            if here.patch(&path, &json!({"status": {"clusters": clusters}})).await? {
                (last, count) = (Instant::now(), count + 1);
                let (side, what) = (here.name().to_owned(), kinds::shown(&import));
                tell(Step { side, what, outcome: Outcome::Changed });
            }
        }
        sleep(QUIET / 4).await;
    }
    Ok(count)
}

async fn ours(here: &Side, path: &str) -> Result<Vec<Value>, Error> {
    let selected = format!("{path}?labelSelector={}%3D{IMPORTER}", MANAGED_BY.replace('/', "%2F"));
    Ok(here.list(&selected).await?.unwrap_or_default())
}

async fn all_slices(here: &Side) -> Result<Vec<Value>, Error> {
    Ok(here.list("/apis/discovery.k8s.io/v1/endpointslices").await?.unwrap_or_default())
}

async fn labelled_secrets(here: &Side, name: &str) -> Result<Vec<String>, Error> {
    let selector = format!("{}%3D{name}", CLUSTER.replace('/', "%2F"));
    let path = format!("/api/v1/namespaces/{NAMESPACE}/secrets?labelSelector={selector}");
    let found = here.list(&path).await?.unwrap_or_default();
    let names = found.iter().filter_map(|secret| secret["metadata"]["name"].as_str());
    Ok(names.map(str::to_owned).collect())
}

fn deleted(side: &Side, what: String) -> Step {
    Step { side: side.name().to_owned(), what, outcome: Outcome::Deleted }
}

/// The cluster that a slice of another cluster is of.
fn source(slice: &Value) -> Option<&str> {
    slice["metadata"]["labels"][SOURCE_CLUSTER].as_str()
}
