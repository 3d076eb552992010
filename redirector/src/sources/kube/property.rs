//! Asks which id the own cluster has: what a ClusterProperty says of it (KEP-2149).
//!
//! An id is for life, so it is asked for, not watched, and only where it matters. A cluster that does not
//! know ClusterProperties, or an agent that may not read them, is as one without: then `--cluster` says it.

use std::time::Duration;

use redirector_kube::{
    api::{cluster_id, cluster_property_paths},
    client::{Answer, Client, Error},
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
        match said(&path, client.get(&path).await)? {
            Said::Id(id) => return Ok(Some(id)),
            Said::Nothing => {}
            Said::Forbidden => {
                debug!(
                    "may not read ClusterProperties; --cluster says how the own cluster is called"
                );
                return Ok(None);
            }
        }
    }
    Ok(None)
}

/// What one version of the API says.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Id(String),
    /// It is not served, or there is no such property, or one that is none: others may say it.
    Nothing,
    /// Nor may others be read.
    Forbidden,
}

fn said(path: &str, answer: Result<Answer, Error>) -> Result<Said, Error> {
    match answer {
        Ok(answer) => Ok(cluster_id(&answer.body).map_or_else(
            |why| {
                warn!("the ClusterProperty at {path} is not used: {why}");
                Said::Nothing
            },
            Said::Id,
        )),
        Err(Error::NotFound { .. }) => Ok(Said::Nothing),
        Err(Error::Forbidden { .. }) => Ok(Said::Forbidden),
        Err(why) => Err(why),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use redirector_kube::client::ErrorKind;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_served_or_may_not_be_read_says_none_and_a_failure_says_nothing() {
        let [path, ..] = cluster_property_paths();
        let say = |answer| said(&path, answer).map_err(|why| why.kind());
        let property = |id: &str| {
            let name = "cluster.clusterset.k8s.io";
            let object = json!({"metadata": {"name": name}, "spec": {"value": id}});
            Ok(Answer { status: StatusCode::OK, body: object.to_string().into() })
        };
        assert_eq!(say(property("east")), Ok(Said::Id("east".to_owned())));
        assert_eq!(say(property("*")), Ok(Said::Nothing), "it is no id");
        let (path, message) = (|| path.clone(), String::new);
        let (missing, forbidden) = (
            Error::NotFound { path: path(), message: message() },
            Error::Forbidden { path: path(), message: message() },
        );
        assert_eq!(say(Err(missing)), Ok(Said::Nothing));
        assert_eq!(say(Err(forbidden)), Ok(Said::Forbidden));
        let failed = Error::Server { code: 503, retry_after: None, message: message() };
        assert_eq!(say(Err(failed)), Err(ErrorKind::Server));
    }
}
