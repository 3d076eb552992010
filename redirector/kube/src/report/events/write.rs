//! One Event of `events.k8s.io/v1`: created, or its count raised.

use std::sync::atomic::Ordering::Relaxed;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use serde_json::{Value, json};
use tracing::debug;

use super::{Job, Outcome, Regarding};
use crate::{
    api::ObjectRef,
    client::{Effect, Error},
    policies::{GROUP, KIND, VERSION},
    report::{
        Shared,
        wire::{Object, policy_path},
    },
    text::bounded,
};

/// Bytes of an Event's name that come from its object's name, which may have 253.
const NAME: usize = 200;

/// Writes it. What is created takes up to two requests: one asks for the object's UID.
pub(in crate::report) async fn write(shared: &Shared, job: &Job) -> Outcome {
    let place = Place::of(shared, job);
    let collection = format!("/apis/events.k8s.io/v1/namespaces/{}/events", place.namespace);
    let path = format!("{collection}/{}", place.name);
    let client = &shared.client;
    let result = if job.is_raise {
        let patch = json!({ "series": series(job) });
        client.patch(&path, &patch).await
    } else {
        let event = event(shared, &place, uid(shared, &job.report.regarding).await, job);
        // Asking may have taken what was left of the Lease.
        if !shared.is_leader() {
            return Outcome::NotYet;
        }
        client.post(&collection, &event).await
    };
    let Err(error) = result else {
        shared.stats.events.fetch_add(u64::from(!job.is_raise), Relaxed);
        return Outcome::Written;
    };
    match (&error, job.is_raise) {
        (Error::Conflict { .. }, false) => return Outcome::Exists,
        (Error::NotFound { .. }, true) => return Outcome::Missing,
        _ => {}
    }
    shared.failed(&format!("cannot write Event {}/{}", place.namespace, place.name), &error);
    match error.kind().effect() {
        Effect::Never => {
            shared.stats.drop_one();
            Outcome::Moot
        }
        Effect::NotYet => Outcome::NotYet,
        Effect::Unknown => Outcome::Unknown,
    }
}

/// The UID of that object, by which `kubectl describe` looks for Events about it. If it cannot be
/// read the Event goes without: then `kubectl get events` alone shows it.
///
/// A Node's is its name, as in what kubelet reports. Controllers report its real one; `kubectl
/// describe node` looks for both, and the name costs no request when many backends are ejected at
/// once.
async fn uid(shared: &Shared, regarding: &Regarding) -> Option<String> {
    let path = match regarding {
        Regarding::Service(ObjectRef { namespace, name }) => {
            format!("/api/v1/namespaces/{namespace}/services/{name}")
        }
        Regarding::Policy(policy) => policy_path(policy),
        Regarding::Node => return Some(shared.identity.node.to_string()),
    };
    match shared.client.get(&path).await.and_then(|answer| answer.object::<Object>()) {
        Ok(object) => object.metadata.uid,
        Err(error) => {
            debug!(%error, path, "an event is written without the uid of its object");
            None
        }
    }
}

/// Where an Event is, and its object.
struct Place {
    namespace: String,
    name: String,
    regarding: Value,
}

impl Place {
    fn of(shared: &Shared, job: &Job) -> Self {
        let node = &shared.identity.node;
        let (version, kind, namespace, object) = match &job.report.regarding {
            Regarding::Service(of) => ("v1".to_owned(), "Service", Some(&*of.namespace), &of.name),
            Regarding::Policy(of) => {
                (format!("{GROUP}/{VERSION}"), KIND, Some(&*of.namespace), &of.name)
            }
            Regarding::Node => ("v1".to_owned(), "Node", None, node),
        };
        let stem = &object[..object.floor_char_boundary(NAME)];
        let mut regarding = json!({ "apiVersion": version, "kind": kind, "name": **object });
        if let Some(namespace) = namespace {
            regarding["namespace"] = namespace.into();
        }
        Self {
            namespace: namespace.unwrap_or("default").to_owned(),
            name: format!("{}.{}", stem.trim_end_matches(['.', '-']), job.suffix),
            regarding,
        }
    }
}

fn event(shared: &Shared, place: &Place, uid: Option<String>, job: &Job) -> Value {
    let mut event = json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": { "namespace": place.namespace, "name": place.name },
        "eventTime": MicroTime(job.first),
        "reportingController": "redirector.dev/agent",
        "reportingInstance": bounded(&shared.identity.node, 128),
        "action": job.report.action,
        "reason": job.report.reason,
        "regarding": place.regarding,
        "note": job.report.note,
        "type": if job.report.is_warning { "Warning" } else { "Normal" },
    });
    if let Some(uid) = uid {
        event["regarding"]["uid"] = uid.into();
    }
    if job.count > 1 {
        event["series"] = series(job);
    }
    event
}

fn series(job: &Job) -> Value {
    json!({ "count": job.count, "lastObservedTime": MicroTime(job.last) })
}
