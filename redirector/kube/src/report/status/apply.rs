//! One policy's status, by server-side apply on its `status` subresource: never the policy.

use std::sync::atomic::Ordering::Relaxed;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition as Written, ObjectMeta, Time};
use serde::Deserialize;
use serde_json::json;

use super::WriteOutcome;
use crate::{
    api::ObjectRef,
    client::Error,
    policies::{Condition, MAX_MESSAGE, PolicyStatus},
    report::{
        Shared,
        wire::{policy_path, wall},
    },
    text::bounded,
};

/// The policy as it is, as far as its status concerns.
#[derive(Deserialize)]
struct Current {
    metadata: ObjectMeta,
    #[serde(default)]
    status: CurrentStatus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct CurrentStatus {
    observed_generation: i64,
    conditions: Vec<Written>,
}

/// Reads the status there is, and replaces it unless it says the same.
pub(in crate::report) async fn write(
    shared: &Shared,
    object: &ObjectRef,
    status: &PolicyStatus,
) -> WriteOutcome {
    match try_write(shared, object, status).await {
        Ok(outcome) => {
            let counter = match outcome {
                WriteOutcome::Written => &shared.stats.statuses,
                WriteOutcome::Equal | WriteOutcome::Moot | WriteOutcome::Failed => {
                    &shared.stats.statuses_equal
                }
            };
            counter.fetch_add(1, Relaxed);
            outcome
        }
        Err(Error::NotFound { .. }) => WriteOutcome::Moot,
        Err(error) => {
            shared.failed(&format!("cannot write the status of FailoverPolicy {object}"), &error);
            // Whatever refuses it may be mended: RBAC, a webhook, an older definition.
            WriteOutcome::Failed
        }
    }
}

async fn try_write(
    shared: &Shared,
    object: &ObjectRef,
    status: &PolicyStatus,
) -> Result<WriteOutcome, Error> {
    let ObjectRef { namespace, name } = object;
    let path = policy_path(object);
    let Current { metadata, status: current } = shared.client.get(&path).await?.object()?;
    let conditions = written(status, &current.conditions);
    if current.observed_generation == status.generation
        && current.conditions.len() == conditions.len()
        && conditions.iter().all(|condition| current.conditions.contains(condition))
    {
        return Ok(WriteOutcome::Equal);
    }
    let body = json!({
        "apiVersion": "redirector.dev/v1alpha1",
        "kind": "FailoverPolicy",
        // The UID keeps the apply from another policy of that name, and from creating one.
        "metadata": { "namespace": namespace, "name": name, "uid": metadata.uid },
        "status": { "observedGeneration": status.generation, "conditions": conditions },
    });
    if !shared.is_leader() {
        return Ok(WriteOutcome::Failed);
    }
    let path = format!("{path}/status?fieldManager=redirector&force=true");
    shared.client.apply(&path, &body).await?;
    Ok(WriteOutcome::Written)
}

/// The wanted conditions as the API has them; a time stays while the condition's status does.
fn written(wanted: &PolicyStatus, current: &[Written]) -> Vec<Written> {
    let PolicyStatus { generation, conditions } = wanted;
    let written = |condition: &Condition| {
        let Condition { kind, status: _, reason, message } = condition;
        let status = status_of(condition);
        let before = current.iter().find(|old| old.type_ == kind.name() && old.status == status);
        Written {
            last_transition_time: before
                .map_or_else(|| Time(wall()), |old| old.last_transition_time.clone()),
            message: bounded(message, MAX_MESSAGE),
            observed_generation: Some(*generation),
            reason: (*reason).to_owned(),
            status: status.to_owned(),
            type_: kind.name().to_owned(),
        }
    };
    conditions.iter().map(written).collect()
}

fn status_of(condition: &Condition) -> &'static str {
    match condition.status {
        Some(true) => "True",
        Some(false) => "False",
        None => "Unknown",
    }
}
