//! Which cluster this is: its id and its UID.

use std::{sync::Arc, time::Duration};

use redirector_kube::{
    api::{cluster_property_paths, is_cluster_id},
    client::{Client, Error},
};
use serde_json::Value;
use tracing::{info, warn};

use super::board::Board;

/// The ClusterProperty with a cluster's id (KEP-2149), for people.
const PROPERTY: &str = "cluster.clusterset.k8s.io";

/// Which cluster this is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// Its id.
    pub(super) cluster: Arc<str>,
    /// `metadata.uid` of its namespace kube-system.
    pub(super) uid: Arc<str>,
}

/// Why it is not known which cluster this is.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unknown {
    #[error(
        "the id of this cluster is not known; pass --cluster, or make a ClusterProperty {PROPERTY}"
    )]
    NoId,
    #[error(
        "ClusterProperty {PROPERTY} says {property:?} and --cluster says {flag:?}; nothing is exported or imported \
         before they agree"
    )]
    Contradiction { property: String, flag: String },
    #[error("{id:?} is no id of a cluster: it must be a DNS label, such as east")]
    NoLabel { id: String },
    #[error("namespace kube-system has no UID")]
    NoUid,
    #[error(transparent)]
    Api(#[from] Error),
}

/// Asks until it is known; what is wrong is said once for each reason.
pub(super) async fn learn(
    client: &Client,
    flag: Option<&str>,
    retry: Duration,
    board: &Board,
) -> Identity {
    let mut wait = retry;
    let mut said = String::new();
    loop {
        board.beat();
        match try_learn(client, flag).await {
            Ok(identity) => {
                info!(cluster = %identity.cluster, uid = %identity.uid, "this cluster");
                return identity;
            }
            Err(unknown) => {
                let why = unknown.to_string();
                if why != said {
                    warn!("{why}");
                    board.set_ready(Err(why.as_str().into()));
                    said = why;
                }
            }
        }
        tokio::time::sleep(wait).await;
        // Less than what makes a silent task a dead one.
        wait = (wait * 2).min(retry * 8);
    }
}

async fn try_learn(client: &Client, flag: Option<&str>) -> Result<Identity, Unknown> {
    let cluster = agreed(property(client).await?, flag.map(str::to_owned))?;
    let path = "/api/v1/namespaces/kube-system";
    let namespace: Value = client.get(path).await?.object()?;
    let uid = namespace["metadata"]["uid"].as_str().filter(|uid| !uid.is_empty());
    Ok(Identity { cluster: cluster.into(), uid: uid.ok_or(Unknown::NoUid)?.into() })
}

/// What the ClusterProperty says, in whichever version the server has.
async fn property(client: &Client) -> Result<Option<String>, Error> {
    for path in cluster_property_paths() {
        match client.get(&path).await {
            Ok(answer) => {
                let object: Value = answer.object()?;
                return Ok(object["spec"]["value"].as_str().map(str::to_owned));
            }
            Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// In order: both agree; the one that is given; nothing is known.
fn agreed(property: Option<String>, flag: Option<String>) -> Result<String, Unknown> {
    let id = match (property, flag) {
        (Some(property), Some(flag)) if property != flag => {
            return Err(Unknown::Contradiction { property, flag });
        }
        (Some(id), _) | (None, Some(id)) => id,
        (None, None) => return Err(Unknown::NoId),
    };
    if is_cluster_id(&id) { Ok(id) } else { Err(Unknown::NoLabel { id }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_what_both_say_or_the_one_that_says_something() {
        let of = |property: Option<&str>, flag: Option<&str>| {
            let text = |text: Option<&str>| text.map(str::to_owned);
            agreed(text(property), text(flag)).map_err(|why| why.to_string())
        };
        for (property, flag) in
            [(Some("east"), None), (None, Some("east")), (Some("east"), Some("east"))]
        {
            assert_eq!(of(property, flag), Ok("east".to_owned()));
        }
        let why = of(Some("east"), Some("west")).expect_err("they contradict each other");
        assert!(why.contains("says \"east\" and --cluster says \"west\""), "{why}");
        assert!(of(None, None).expect_err("nothing is known").contains("pass --cluster"));
        for id in ["", "East", "-a", "a-", "a.b", &"a".repeat(64)] {
            assert!(of(None, Some(id)).expect_err(id).contains("DNS label"), "{id}");
        }
    }
}
