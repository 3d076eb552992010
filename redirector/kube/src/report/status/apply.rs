//! One policy's status, by server-side apply on its `status` subresource: never the policy.

use std::sync::atomic::Ordering::Relaxed;

use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Said;
use crate::{
    api::ObjectRef,
    client::Error,
    policies::{Condition, PolicyStatus},
    report::{
        Shared,
        text::{bounded, second_time, wall},
        wire::{decoded, within},
    },
};

/// Longer messages are cut.
const MESSAGE: usize = 1_024;

/// The policy as it is, as far as its status concerns.
#[derive(Deserialize)]
struct Current {
    metadata: Metadata,
    #[serde(default)]
    status: CurrentStatus,
}

#[derive(Deserialize)]
struct Metadata {
    uid: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct CurrentStatus {
    observed_generation: i64,
    conditions: Vec<CurrentCondition>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct CurrentCondition {
    r#type: String,
    status: String,
    reason: String,
    message: String,
    observed_generation: i64,
    last_transition_time: String,
}

/// Reads the status there is, and replaces it unless it says the same.
pub(in crate::report) async fn write(
    shared: &Shared,
    object: &ObjectRef,
    status: &PolicyStatus,
) -> Said {
    match try_write(shared, object, status).await {
        Ok(said) => {
            let counter = match said {
                Said::Written => &shared.stats.statuses,
                Said::Equal | Said::Moot | Said::Failed => &shared.stats.statuses_equal,
            };
            counter.fetch_add(1, Relaxed);
            said
        }
        Err(Error::NotFound { .. }) => Said::Moot,
        Err(error) => {
            shared.failed(&format!("cannot write the status of FailoverPolicy {object}"), &error);
            // Whatever refuses it may be mended: RBAC, a webhook, an older definition.
            Said::Failed
        }
    }
}

async fn try_write(
    shared: &Shared,
    object: &ObjectRef,
    status: &PolicyStatus,
) -> Result<Said, Error> {
    let ObjectRef { namespace, name } = object;
    let path =
        format!("/apis/redirector.dev/v1alpha1/namespaces/{namespace}/failoverpolicies/{name}");
    let deadline = shared.timing.request;
    let current = within(deadline, shared.client.get(&path)).await?;
    let current: Current = decoded(&current)?;
    if current.status.says(status) {
        return Ok(Said::Equal);
    }
    let body = json!({
        "apiVersion": "redirector.dev/v1alpha1",
        "kind": "FailoverPolicy",
        // The UID keeps the apply from another policy of that name, and from creating one.
        "metadata": { "namespace": namespace, "name": name, "uid": current.metadata.uid },
        "status": {
            "observedGeneration": status.generation,
            "conditions": current.status.followed_by(status, wall()),
        },
    });
    if !shared.is_leader() {
        return Ok(Said::Failed);
    }
    let path = format!("{path}/status?fieldManager=redirector&force=true");
    within(deadline, shared.client.apply(&path, &body)).await?;
    Ok(Said::Written)
}

impl CurrentStatus {
    fn says(&self, wanted: &PolicyStatus) -> bool {
        let PolicyStatus { generation, conditions } = wanted;
        self.observed_generation == *generation
            && self.conditions.len() == conditions.len()
            && conditions.iter().all(|condition| {
                self.of_type(condition.kind.name()).is_some_and(|current| {
                    current.status == status_of(condition)
                        && current.reason == condition.reason
                        && current.message == bounded(&condition.message, MESSAGE)
                        && current.observed_generation == *generation
                })
            })
    }

    /// The wanted conditions; a time stays while the condition's status does.
    fn followed_by(&self, wanted: &PolicyStatus, now: Timestamp) -> Vec<Value> {
        let PolicyStatus { generation, conditions } = wanted;
        let value = |condition: &Condition| {
            let Condition { kind, status: _, reason, message } = condition;
            let status = status_of(condition);
            let since = self.of_type(kind.name()).filter(|current| {
                current.status == status && !current.last_transition_time.is_empty()
            });
            let since = since.map(|current| current.last_transition_time.clone());
            json!({
                "type": kind.name(),
                "status": status,
                "reason": reason,
                "message": bounded(message, MESSAGE),
                "observedGeneration": generation,
                "lastTransitionTime": since.unwrap_or_else(|| second_time(now)),
            })
        };
        conditions.iter().map(value).collect()
    }

    fn of_type(&self, name: &str) -> Option<&CurrentCondition> {
        self.conditions.iter().find(|condition| condition.r#type == name)
    }
}

fn status_of(condition: &Condition) -> &'static str {
    match condition.status {
        Some(true) => "True",
        Some(false) => "False",
        None => "Unknown",
    }
}
