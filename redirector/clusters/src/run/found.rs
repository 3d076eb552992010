//! What the importer before this one has left: read whole before anything is desired.

use std::{sync::Arc, time::Duration};

use k8s_openapi::jiff::Timestamp;
use redirector_kube::{
    api::labels::{IMPORTER, MANAGED_BY},
    client::{Client, Error},
};
use serde_json::Value;
use tokio::time::sleep;
use tracing::warn;

use super::timing::Timing;
use crate::import::{Found, FoundCluster};

/// Objects of one answer.
const PAGE: usize = 500;
/// Pages of one list, at most: a server that sends empty pages for ever comes to an end too.
const PAGES: usize = 2_000;

const KINDS: [&str; 3] = [
    "/apis/multicluster.x-k8s.io/v1beta1/serviceimports",
    "/api/v1/services",
    "/apis/discovery.k8s.io/v1/endpointslices",
];
const CLUSTERS: &str = "/apis/redirector.dev/v1alpha1/remoteclusters";

/// Asks until it is known.
pub(super) async fn find(client: &Client, timing: &Timing) -> Found {
    let mut wait = timing.retry;
    let mut is_said = false;
    loop {
        match try_find(client).await {
            Ok(found) => return found,
            Err(error) if !is_said => {
                is_said = true;
                warn!(%error, "cannot read what was imported before; nothing is imported until it is known");
            }
            Err(_) => {}
        }
        sleep(wait).await;
        wait = (wait * 2).min(timing.retry * 8);
    }
}

async fn try_find(client: &Client) -> Result<Found, Error> {
    let mut objects = Vec::new();
    for path in KINDS {
        let query = format!("labelSelector={MANAGED_BY}%3D{IMPORTER}");
        objects.extend(list(client, path, &query).await?);
    }
    let now = Timestamp::now();
    let clusters = list(client, CLUSTERS, "").await?;
    let clusters = clusters.iter().filter_map(|cluster| found_cluster(cluster, now));
    Ok(Found { objects, clusters: clusters.collect() })
}

/// All objects of a list. Of a kind that the server does not know there are none.
async fn list(client: &Client, path: &str, query: &str) -> Result<Vec<Value>, Error> {
    let mut objects = Vec::new();
    let mut next = String::new();
    for _ in 0..PAGES {
        let cursor = if next.is_empty() { String::new() } else { format!("&continue={next}") };
        let answer = client.get(&format!("{path}?limit={PAGE}&{query}{cursor}")).await;
        let mut page: Value = match answer {
            Ok(answer) => answer.object()?,
            Err(Error::NotFound { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let Some(items) = page["items"].as_array_mut() else {
            return Err(Error::Malformed(format!("{path} is no list")));
        };
        objects.append(items);
        match page["metadata"]["continue"].as_str() {
            Some(cursor) if !cursor.is_empty() => next = encoded(cursor),
            _ => return Ok(objects),
        }
    }
    Err(Error::Malformed(format!("a list of {path} whose pages have no end")))
}

/// A text within a query.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// What the status of a RemoteCluster says; `None`: nothing yet.
fn found_cluster(cluster: &Value, now: Timestamp) -> Option<(Arc<str>, FoundCluster)> {
    let status = &cluster["status"];
    let phase = serde_json::from_value(status["phase"].clone()).ok()?;
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let connected = conditions.into_iter().find(|one| one["type"] == "Connected");
    let is_silent = connected.is_some_and(|one| one["status"] != "True");
    let since = connected
        .filter(|_| is_silent)
        .and_then(|one| one["lastTransitionTime"].as_str()?.parse::<Timestamp>().ok());
    let silent_for = since
        .and_then(|since| Duration::try_from(now.duration_since(since)).ok())
        .unwrap_or_default();
    let uid = status["uid"].as_str().filter(|uid| !uid.is_empty()).map(Arc::from);
    Some((cluster["metadata"]["name"].as_str()?.into(), FoundCluster { phase, silent_for, uid }))
}

#[cfg(test)]
mod tests {
    use redirector_kube::api::Phase;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cluster_that_was_silent_is_found_with_how_long() {
        let now: Timestamp = "2026-11-30T12:00:30Z".parse().expect("a time");
        let cluster = |status: &str| {
            json!({
                "metadata": {"name": "west"},
                "status": {"phase": "Silent", "uid": "u", "conditions": [
                    {"type": "Accepted", "status": "True", "lastTransitionTime": "2026-11-30T11:00:00Z"},
                    {"type": "Connected", "status": status, "lastTransitionTime": "2026-11-30T12:00:00Z"},
                ]},
            })
        };
        let (name, found) = found_cluster(&cluster("False"), now).expect("a status");
        assert_eq!((&*name, found.phase), ("west", Phase::Silent));
        assert_eq!((found.silent_for, found.uid.as_deref()), (Duration::from_secs(30), Some("u")));
        let (_, found) = found_cluster(&cluster("True"), now).expect("a status");
        assert_eq!(found.silent_for, Duration::ZERO);
        assert_eq!(found_cluster(&json!({"metadata": {"name": "west"}}), now), None);
        // A clock that was set back is no time in which a cluster was silent.
        let before: Timestamp = "2026-11-30T11:30:00Z".parse().expect("a time");
        let (_, found) = found_cluster(&cluster("False"), before).expect("a status");
        assert_eq!(found.silent_for, Duration::ZERO);
    }

    #[test]
    fn a_cursor_is_one_value_of_a_query() {
        assert_eq!(encoded("ab-1_.=&/+"), "ab-1_.%3D%26%2F%2B");
    }
}
