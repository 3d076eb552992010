//! The statuses of RemoteClusters: what the importer says of them, written at transitions only.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};
use redirector_kube::client::{Client, Error};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::timing::Timing;
use crate::{
    import::{ClusterCondition, ClusterStatus},
    write::FIELD_MANAGER,
};

/// Bytes of a message, at most.
const MAX_MESSAGE: usize = 1_024;
/// Statuses that are being written at once, at most.
const AT_ONCE: usize = 4;

/// Statuses that are to be written.
#[derive(Debug)]
pub(super) struct Statuses {
    client: Client,
    timing: Timing,
    due: BTreeMap<Arc<str>, Instant>,
    not_before: BTreeMap<Arc<str>, Instant>,
    busy: BTreeSet<Arc<str>>,
    writes: JoinSet<(Arc<str>, Result<(), Error>)>,
    is_failing: bool,
}

impl Statuses {
    pub(super) fn new(client: &Client, timing: &Timing) -> Self {
        Self {
            client: client.with_deadline(timing.request),
            timing: timing.clone(),
            due: BTreeMap::new(),
            not_before: BTreeMap::new(),
            busy: BTreeSet::new(),
            writes: JoinSet::new(),
            is_failing: false,
        }
    }

    /// The status of that cluster is another one.
    pub(super) fn doubt(&mut self, cluster: Arc<str>) {
        let at = self.not_before.get(&cluster).copied().unwrap_or_else(Instant::now);
        self.due.entry(cluster).or_insert(at);
    }

    /// Writes what is due and may be written.
    pub(super) fn act(&mut self, statuses: &BTreeMap<Arc<str>, ClusterStatus>) {
        let now = Instant::now();
        self.not_before.retain(|_, at| *at > now);
        let is_due =
            |(cluster, at): &(&Arc<str>, &Instant)| **at <= now && !self.busy.contains(*cluster);
        let room = AT_ONCE.saturating_sub(self.writes.len());
        let due: Vec<Arc<str>> =
            self.due.iter().filter(is_due).take(room).map(|(cluster, _)| cluster.clone()).collect();
        for cluster in due {
            self.due.remove(&cluster);
            let Some(status) = statuses.get(&cluster).cloned() else { continue };
            self.busy.insert(cluster.clone());
            let client = self.client.clone();
            self.writes.spawn(async move {
                let result = write(&client, &cluster, &status).await;
                (cluster, result)
            });
        }
    }

    /// When the next one is due.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let is_free = |(cluster, _): &(&Arc<str>, &Instant)| !self.busy.contains(*cluster);
        self.due.iter().filter(is_free).map(|(_, at)| *at).min()
    }

    /// Waits for a write to end, for ever if there is none. May be dropped at any time.
    pub(super) async fn next(&mut self) {
        let Some(written) = self.writes.join_next().await else {
            return std::future::pending().await;
        };
        let (cluster, result) = match written {
            Ok(written) => written,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        self.busy.remove(&cluster);
        let now = Instant::now();
        self.not_before.insert(cluster.clone(), now + self.timing.status);
        match result {
            Ok(()) => {
                if std::mem::take(&mut self.is_failing) {
                    info!("statuses of RemoteClusters can be written again");
                }
            }
            // It is gone: so is what was to be said of it.
            Err(Error::NotFound { .. }) => {}
            Err(error) => {
                if !std::mem::replace(&mut self.is_failing, true) {
                    warn!(%cluster, %error, "cannot write the status of a RemoteCluster; agents go by what it said last");
                }
                self.due.entry(cluster).or_insert(now + self.timing.status);
            }
        }
    }
}

/// Reads the status there is, and replaces it unless it says the same.
async fn write(client: &Client, cluster: &str, status: &ClusterStatus) -> Result<(), Error> {
    let path = format!("/apis/redirector.dev/v1alpha1/remoteclusters/{cluster}");
    let current: Value = client.get(&path).await?.object()?;
    let wanted = wanted(&current, status, Timestamp::now());
    if wanted == current["status"] {
        return Ok(());
    }
    let patch = json!({
        "metadata": {"resourceVersion": current["metadata"]["resourceVersion"]},
        "status": wanted,
    });
    let path = format!("{path}/status?fieldManager={FIELD_MANAGER}");
    client.patch(&path, &patch).await.map(drop)
}

/// The status that should stand there. A condition's time stays while its status does.
fn wanted(current: &Value, status: &ClusterStatus, now: Timestamp) -> Value {
    let ClusterStatus { phase, services, endpoints, generation, uid, local, conditions } = status;
    let before: Vec<Condition> =
        serde_json::from_value(current["status"]["conditions"].clone()).unwrap_or_default();
    let condition = |condition: &ClusterCondition| {
        let ClusterCondition { kind, status, reason, message } = condition;
        let status = match status {
            Some(true) => "True",
            Some(false) => "False",
            None => "Unknown",
        };
        let since = before.iter().find(|old| old.type_ == *kind && old.status == status);
        Condition {
            type_: (*kind).to_owned(),
            status: status.to_owned(),
            reason: (*reason).to_owned(),
            message: message[..message.floor_char_boundary(MAX_MESSAGE)].to_owned(),
            observed_generation: Some(*generation),
            last_transition_time: since
                .map_or(Time(whole(now)), |old| old.last_transition_time.clone()),
        }
    };
    let conditions: Vec<Condition> = conditions.iter().map(condition).collect();
    let counted = |count: &Option<usize>, field: &str| {
        count.map_or_else(
            || json!(current["status"][field].as_u64().unwrap_or(0)),
            |count| json!(count),
        )
    };
    let mut wanted = json!({
        "services": counted(services, "services"),
        "endpoints": counted(endpoints, "endpoints"),
        "observedGeneration": generation,
        "localCluster": local,
        "conditions": conditions,
    });
    if let Some(phase) = phase {
        wanted["phase"] = json!(phase);
    }
    if let Some(uid) = uid {
        wanted["uid"] = json!(uid);
    }
    wanted
}

/// In whole seconds, as the API keeps times.
fn whole(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use redirector_kube::api::Phase;

    use super::*;

    #[test]
    fn a_status_that_stands_there_is_equal_and_times_stay_while_a_condition_does() {
        let now: Timestamp = "2026-11-30T12:00:00.5Z".parse().expect("a time");
        let later: Timestamp = "2026-11-30T12:05:00Z".parse().expect("a time");
        let condition = |status, reason| ClusterCondition {
            kind: "Connected",
            status,
            reason,
            message: "heard".to_owned(),
        };
        let mut status = ClusterStatus {
            phase: Some(Phase::Live),
            services: Some(2),
            endpoints: Some(5),
            generation: 1,
            uid: Some("u".into()),
            local: "east".into(),
            conditions: vec![condition(Some(true), "Heard")],
        };
        let first = wanted(&json!({}), &status, now);
        assert_eq!(first["conditions"][0]["lastTransitionTime"], "2026-11-30T12:00:00Z");
        let stands = json!({"status": first});
        assert_eq!(wanted(&stands, &status, later), first);
        // An importer that begins does not know yet what is imported.
        status.conditions = vec![condition(Some(false), "Unreachable")];
        (status.services, status.endpoints) = (None, None);
        let second = wanted(&stands, &status, later);
        assert_eq!(second["conditions"][0]["lastTransitionTime"], "2026-11-30T12:05:00Z");
        assert_eq!((&second["services"], &second["endpoints"]), (&json!(2), &json!(5)));
        assert_eq!((&second["phase"], &second["uid"]), (&json!("Live"), &json!("u")));
        assert_eq!(second["localCluster"], "east");
    }
}
