//! The question on SIGTERM: does the DaemonSet that this agent belongs to stay?
//!
//! If it is deleted, or the agent's rights are, the agent takes its programs and pins with it; in an
//! update, or when there is no clear answer, it leaves them to its successor.
//!
//! Two ways to know the DaemonSet, and what each must be allowed in the agent's namespace:
//!
//! - by name ([`Origin::Daemonset`]): `get` of that DaemonSet (`resourceNames` can name it);
//! - by the pod ([`Origin::Pod`]): that, and `get` of pods, which cannot be limited by name since
//!   the names are generated.

use std::{
    fmt,
    net::IpAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use k8s_openapi::{
    api::apps::v1::DaemonSet,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use serde::Deserialize;
use tracing::debug;

use super::wire::Object;
use crate::client::{Client, Error};

/// The answer must have come within this time.
const ASK_WITHIN: Duration = Duration::from_secs(1);
/// Deadline of each request at the start, and the first wait between two; doubled up to 16 times that.
const LEARN_WITHIN: Duration = Duration::from_secs(5);

/// Whether the agent should take its programs with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No: everything stays in place.
    Stays(Stay),
    /// Yes: its programs go with it.
    Leaves(Leave),
}

/// Why it stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stay {
    /// The DaemonSet is there: this is a restart or an update.
    Lives,
    /// The API server has never answered the question, and forbids it: rights are missing.
    Denied,
    /// No answer in time, or one that says nothing.
    Silent,
    /// It is not known which DaemonSet to ask for.
    Unknown,
}

/// Why it leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// There is no such DaemonSet.
    Gone,
    /// The DaemonSet has a deletion timestamp.
    Deleting,
    /// The DaemonSet is another one of the same name.
    Replaced,
    /// The question was answered at the start, and is denied now: the rights to ask it are gone, as
    /// they are when everything is uninstalled at once.
    Revoked,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stays(Stay::Lives) => "the DaemonSet is there",
            Self::Stays(Stay::Denied) => "the API server denies the question",
            Self::Stays(Stay::Silent) => "no clear answer in time",
            Self::Stays(Stay::Unknown) => "the DaemonSet is not known",
            Self::Leaves(Leave::Gone) => "the DaemonSet is gone",
            Self::Leaves(Leave::Deleting) => "the DaemonSet is being deleted",
            Self::Leaves(Leave::Replaced) => "another DaemonSet has its name",
            Self::Leaves(Leave::Revoked) => "the right to ask for the DaemonSet was taken away",
        })
    }
}

/// How the DaemonSet is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// By its name, from a flag or the environment.
    Daemonset(Arc<str>),
    /// As the controller among the `ownerReferences` of the pod of that name.
    Pod(Arc<str>),
}

/// The DaemonSet that this agent belongs to.
#[derive(Debug)]
pub struct Owner {
    client: Client,
    namespace: Arc<str>,
    origin: Origin,
    known: OnceLock<OwnerRef>,
}

/// What was learned at the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerRef {
    /// Name of the DaemonSet.
    pub name: String,
    /// Its `metadata.uid`.
    pub uid: String,
    /// `status.desiredNumberScheduled`: how many agents there are, for [`Timing::poll`].
    ///
    /// [`Timing::poll`]: super::Timing::poll
    pub nodes: u32,
    /// `status.podIPs` of the pod, which the kubelet writes; empty if the pod is not known.
    pub pod_addresses: Vec<IpAddr>,
}

impl Owner {
    /// The DaemonSet in that namespace, the agent's own. Nothing is sent yet.
    #[must_use]
    pub fn new(client: Client, namespace: Arc<str>, origin: Origin) -> Self {
        Self { client, namespace, origin, known: OnceLock::new() }
    }

    /// Asks until name and UID are known; for a task of its own, from the start on.
    pub async fn learn(&self) -> &OwnerRef {
        let mut wait = LEARN_WITHIN;
        loop {
            match self.try_learn().await {
                Ok(known) => return self.known.get_or_init(|| known),
                Err(error) => debug!(%error, "the agent's DaemonSet is not known yet"),
            }
            tokio::time::sleep(wait.mul_f64(rand::random_range(0.5..1.0))).await;
            wait = (wait * 2).min(LEARN_WITHIN * 16);
        }
    }

    /// Asks the API server, for at most 1 s.
    pub async fn ask(&self) -> Verdict {
        let (name, uid) = match (self.known.get(), &self.origin) {
            (Some(known), _) => (&*known.name, Some(&*known.uid)),
            (None, Origin::Daemonset(name)) => (&**name, None),
            (None, Origin::Pod(_)) => return Verdict::Stays(Stay::Unknown),
        };
        ask(&self.client, &self.namespace, name, uid).await
    }

    async fn try_learn(&self) -> Result<OwnerRef, Error> {
        let (client, namespace) = (self.client.with_deadline(LEARN_WITHIN), &self.namespace);
        let (name, uid, pod_addresses) = match &self.origin {
            Origin::Daemonset(name) => (name.to_string(), None, Vec::new()),
            Origin::Pod(pod) => {
                let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}");
                let answer = client.get(&path).await?;
                let OwnPod { metadata, status } = answer.object()?;
                let references = metadata.owner_references;
                let is_owner =
                    |of: &OwnerReference| of.controller == Some(true) && of.kind == "DaemonSet";
                let Some(owner) = references.into_iter().flatten().find(is_owner) else {
                    let why = format!("pod {namespace}/{pod} belongs to no DaemonSet");
                    return Err(Error::Malformed(why));
                };
                let addresses = status.pod_ips.into_iter().flatten();
                (
                    owner.name,
                    Some(owner.uid),
                    addresses.filter_map(|it| it.ip.parse().ok()).collect(),
                )
            }
        };
        let answer = client.get(&path(namespace, &name)).await?;
        let DaemonSet { metadata, status, .. } = answer.object()?;
        let Some(uid) = uid.or(metadata.uid) else {
            return Err(Error::Malformed(format!("DaemonSet {name} has no UID")));
        };
        let nodes = status.map_or(0, |status| status.desired_number_scheduled);
        let nodes = nodes.try_into().unwrap_or_default();
        Ok(OwnerRef { name, uid, nodes, pod_addresses })
    }
}

/// What is read of the agent's own pod.
#[derive(Deserialize)]
struct OwnPod {
    metadata: ObjectMeta,
    #[serde(default)]
    status: PodStatus,
}

#[derive(Default, Deserialize)]
struct PodStatus {
    #[serde(rename = "podIPs")]
    pod_ips: Option<Vec<PodAddress>>,
}

#[derive(Deserialize)]
struct PodAddress {
    #[serde(default)]
    ip: String,
}

/// Asks for the DaemonSet of that name. In order:
///
/// - a 404 that names it, another UID than `uid`, or a deletion timestamp: it leaves;
/// - a 401 or 403 where `uid` is known, so that the question was answered before: the rights were
///   taken away since, and it leaves. `kubectl delete -k` and `helm uninstall` delete RBAC, the
///   ServiceAccount and the DaemonSet within the same second;
/// - anything else, or nothing within 1 s in total: it stays.
///
/// Without `uid`, the one seen at the start, only a 404 and a deletion timestamp count.
pub async fn ask(client: &Client, namespace: &str, name: &str, uid: Option<&str>) -> Verdict {
    let answer = client.with_deadline(ASK_WITHIN).get(&path(namespace, name)).await;
    match answer.and_then(|answer| answer.object::<Object>()).map(|object| object.metadata) {
        Ok(ObjectMeta { uid: Some(found), .. }) if uid.is_some_and(|uid| uid != found) => {
            Verdict::Leaves(Leave::Replaced)
        }
        Ok(ObjectMeta { uid: Some(_), deletion_timestamp: Some(_), .. }) => {
            Verdict::Leaves(Leave::Deleting)
        }
        Ok(ObjectMeta { uid: Some(_), .. }) => Verdict::Stays(Stay::Lives),
        // Every object of the API has one.
        Ok(_) => Verdict::Stays(Stay::Silent),
        // A proxy's 404, or that of a server without this API, does not name the object.
        Err(Error::NotFound { message, .. }) if message.contains(&format!("\"{name}\"")) => {
            Verdict::Leaves(Leave::Gone)
        }
        Err(Error::Forbidden { .. } | Error::Unauthorized { .. }) => match uid {
            Some(_) => Verdict::Leaves(Leave::Revoked),
            None => Verdict::Stays(Stay::Denied),
        },
        Err(error) => {
            debug!(%error, "the question for the agent's DaemonSet has no clear answer");
            Verdict::Stays(Stay::Silent)
        }
    }
}

fn path(namespace: &str, name: &str) -> String {
    format!("/apis/apps/v1/namespaces/{namespace}/daemonsets/{name}")
}
