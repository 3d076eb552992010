//! One Event of `events.k8s.io/v1`: created, or its count raised.

use std::sync::atomic::Ordering::Relaxed;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Job, Outcome, Regarding};
use crate::{
    client::Error,
    report::{
        Shared,
        text::{bounded, micro_time},
        wire::{Effect, decoded, effect, within},
    },
};

/// What the API allows.
const NOTE: usize = 1_024;
/// Of the name of an Event, what comes from its object's; an object's name may have 253 bytes.
const NAME: usize = 200;

#[derive(Deserialize)]
struct Existing {
    #[serde(default)]
    series: Option<Series>,
}

#[derive(Deserialize)]
struct Series {
    count: u32,
}

/// Writes it.
pub(in crate::report) async fn write(shared: &Shared, job: &Job) -> Outcome {
    let place = Place::of(shared, job);
    let collection = format!("/apis/events.k8s.io/v1/namespaces/{}/events", place.namespace);
    let path = format!("{collection}/{}", place.name);
    let deadline = shared.timing.request;
    let client = &shared.client;
    let result = if job.is_raise {
        let patch = json!({ "series": series(job) });
        within(deadline, client.patch(&path, &patch)).await
    } else {
        within(deadline, client.post(&collection, &event(shared, &place, job))).await
    };
    let Err(error) = result else {
        let stats = &shared.stats;
        let counter = if job.is_raise { &stats.events_counted } else { &stats.events };
        counter.fetch_add(1, Relaxed);
        return Outcome::Written;
    };
    match (&error, job.is_raise) {
        (Error::Conflict { .. }, false) => {
            let existing = within(deadline, client.get(&path)).await;
            return match existing.and_then(|answer| decoded::<Existing>(&answer)) {
                Ok(existing) => Outcome::Exists(existing.series.map_or(1, |series| series.count)),
                Err(error) => {
                    shared.failed(&format!("cannot read Event {}", place.name), &error);
                    Outcome::NotYet
                }
            };
        }
        (Error::NotFound { .. }, true) => return Outcome::Missing,
        _ => {}
    }
    shared.failed(&format!("cannot write Event {}/{}", place.namespace, place.name), &error);
    match effect(&error) {
        Effect::Never => {
            shared.stats.drop_one();
            Outcome::Moot
        }
        Effect::NotYet => Outcome::NotYet,
        Effect::Unknown => Outcome::Unknown,
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
        let uid = job.report.uid.as_deref();
        let (version, kind, namespace, object) = match &job.report.regarding {
            Regarding::Service(object) => {
                ("v1", "Service", Some(&*object.namespace), &*object.name)
            }
            Regarding::Policy(object) => {
                let version = "redirector.dev/v1alpha1";
                (version, "FailoverPolicy", Some(&*object.namespace), &*object.name)
            }
            Regarding::Node => ("v1", "Node", None, &*shared.identity.node),
        };
        let stem = &object[..object.floor_char_boundary(NAME)];
        let mut regarding = json!({ "apiVersion": version, "kind": kind, "name": object });
        if let Some(namespace) = namespace {
            regarding["namespace"] = namespace.into();
        }
        if let Some(uid) = uid {
            regarding["uid"] = uid.into();
        }
        Self {
            namespace: namespace.unwrap_or("default").to_owned(),
            name: format!("{}.{}", stem.trim_end_matches(['.', '-']), job.suffix),
            regarding,
        }
    }
}

fn event(shared: &Shared, place: &Place, job: &Job) -> Value {
    let mut event = json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": { "namespace": place.namespace, "name": place.name },
        "eventTime": micro_time(job.first),
        "reportingController": "redirector.dev/agent",
        "reportingInstance": bounded(&shared.identity.node, 128),
        "action": job.report.action,
        "reason": job.report.reason,
        "regarding": place.regarding,
        "note": bounded(&job.report.note, NOTE),
        "type": if job.report.is_warning { "Warning" } else { "Normal" },
    });
    if job.count > 1 {
        event["series"] = series(job);
    }
    event
}

fn series(job: &Job) -> Value {
    json!({ "count": job.count, "lastObservedTime": micro_time(job.last) })
}
