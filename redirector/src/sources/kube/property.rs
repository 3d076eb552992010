//! Asks which id the own cluster has: what a ClusterProperty says of it (KEP-2149).
//!
//! An id is for life, so it is asked for, not watched, and only where it matters. A cluster that does not
//! know ClusterProperties, or an agent that may not read them, is as one without: then `--cluster` says it.

use std::time::Duration;

use redirector_kube::{
    api::{cluster_id, cluster_property_paths},
    client::{Client, Error},
    index::News,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tracing::{debug, warn};

/// How long is asked until the own cluster counts as one without an id.
const PATIENCE: Duration = Duration::from_secs(5);
/// The first wait after a failure; doubled with each.
const BACKOFF: Duration = Duration::from_millis(200);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(30);

/// Tells what is certain; while that is nothing, there is none after a while, and it is asked on.
pub(super) async fn ask(client: Client, heard: mpsc::Sender<News>) {
    let (began, mut wait, mut is_told) = (Instant::now(), BACKOFF, false);
    loop {
        match find(&client).await {
            // A feed that no longer listens needs no answer.
            Ok(id) => {
                let _ = heard.send(News::ClusterProperty(id.map(Into::into))).await;
                return;
            }
            Err(why) => debug!(%why, "not known yet how the own cluster is called"),
        }
        if !is_told && began.elapsed() >= PATIENCE {
            is_told = true;
            warn!(
                "the API server does not say whether there is a ClusterProperty; as if there were none"
            );
            if heard.send(News::ClusterProperty(None)).await.is_err() {
                return;
            }
        }
        sleep(wait).await;
        wait = (wait * 2).min(LONGEST);
    }
}

/// The id, `None` if certainly none is said. Errors: it is not known.
async fn find(client: &Client) -> Result<Option<String>, Error> {
    for path in cluster_property_paths() {
        let answer = match client.get(&path).await {
            Ok(answer) => answer,
            Err(Error::NotFound { .. }) => continue,
            Err(Error::Forbidden { .. }) => {
                debug!(
                    "may not read ClusterProperties; --cluster says how the own cluster is called"
                );
                return Ok(None);
            }
            Err(why) => return Err(why),
        };
        match cluster_id(&answer.body) {
            Ok(id) => return Ok(Some(id)),
            Err(why) => warn!("the ClusterProperty at {path} is not used: {why}"),
        }
    }
    Ok(None)
}
