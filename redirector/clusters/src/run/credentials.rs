//! What is shown to another cluster's API server: read from a Secret, renewed at half its life.

use std::{sync::Arc, time::Duration};

use k8s_openapi::jiff::Timestamp;
use redirector_kube::client::{Client, Error};
use serde_json::Value;
use tracing::{info, warn};

use crate::api::{Credentials, OUTBOX, TOKEN_LIFE, importer_account, token_request};

/// A token is not renewed sooner than that after it was granted, however short its life is.
const LEAST: Duration = Duration::from_secs(1);
/// When a token is renewed of whose life nothing is known.
const UNKNOWN: Duration = Duration::from_hours(1);

/// Where the token of one cluster is.
#[derive(Clone, Debug)]
pub(super) struct Keeper {
    /// Of the own API server.
    pub(super) client: Client,
    /// Where the Secret is.
    pub(super) namespace: Arc<str>,
    /// Its name.
    pub(super) secret: Arc<str>,
    /// The other cluster.
    pub(super) cluster: Arc<str>,
    /// This cluster, which the account there is named after.
    pub(super) own: Arc<str>,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoToken {
    #[error("Secret {namespace}/{secret} is missing; run `redirector cluster join {cluster}`")]
    Missing { namespace: Arc<str>, secret: Arc<str>, cluster: Arc<str> },
    #[error("Secret {namespace}/{secret}: {why}; run `redirector cluster join {cluster}`")]
    Invalid { namespace: Arc<str>, secret: Arc<str>, cluster: Arc<str>, why: String },
    #[error("cannot read Secret {namespace}/{secret}: {error}")]
    Api { namespace: Arc<str>, secret: Arc<str>, error: Error },
}

impl Keeper {
    /// Reads the token.
    pub(super) async fn read(&self) -> Result<Credentials, NoToken> {
        let (namespace, secret) = (self.namespace.clone(), self.secret.clone());
        let cluster = self.cluster.clone();
        match self.client.get(&self.path()).await.and_then(|answer| answer.object::<Value>()) {
            Ok(object) => Credentials::read(&object).map_err(|why| NoToken::Invalid {
                namespace,
                secret,
                cluster,
                why,
            }),
            Err(Error::NotFound { .. }) => Err(NoToken::Missing { namespace, secret, cluster }),
            Err(error) => Err(NoToken::Api { namespace, secret, error }),
        }
    }

    /// How long the token need not be renewed. One that was just `granted` lasts for half its life, by
    /// whichever clocks; of one that was found both clocks have to agree on what is left. One of which
    /// nothing is known is renewed at once, but not again and again.
    pub(super) fn rests(credentials: &Credentials, was_granted: bool) -> Duration {
        let between = |from: Timestamp, to: Timestamp| {
            Duration::try_from(to.duration_since(from)).unwrap_or_default()
        };
        let life = credentials.issued.zip(credentials.expires).map(|(from, to)| between(from, to));
        match (life, credentials.renew_at()) {
            (Some(life), _) if was_granted => (life / 2).max(LEAST),
            (None, _) if was_granted => UNKNOWN,
            (Some(_), Some(at)) => between(Timestamp::now(), at),
            (_, None) | (None, _) => Duration::ZERO,
        }
    }

    /// Asks that cluster for a new token of its account, by the old one, and keeps it in the Secret.
    ///
    /// Errors: what could not be done, for people. The old token stays as it is.
    pub(super) async fn renew(&self, there: &Client) -> Result<(), String> {
        let account = importer_account(&self.own);
        let path = format!("/api/v1/namespaces/{OUTBOX}/serviceaccounts/{account}/token");
        let asked = Timestamp::now();
        let answer = there.post(&path, &token_request(TOKEN_LIFE)).await;
        let answer: Value = answer
            .and_then(|answer| answer.object())
            .map_err(|error| format!("cannot renew the token of {account} there: {error}"))?;
        let granted = Credentials::granted(&answer, asked)?;
        self.keep(&granted).await.map_err(|error| {
            format!("cannot write Secret {}/{}: {error}", self.namespace, self.secret)
        })
    }

    /// Writes the token into the Secret that there is, and leaves the rest of it as it is.
    async fn keep(&self, granted: &Credentials) -> Result<(), Error> {
        let mut object: Value = self.client.get(&self.path()).await?.object()?;
        let new = granted.secret(&self.secret, &self.cluster);
        object["data"]["token"] = new["data"]["token"].clone();
        let annotations = new["metadata"]["annotations"].as_object();
        for (name, value) in annotations.into_iter().flatten() {
            object["metadata"]["annotations"][name] = value.clone();
        }
        self.client.put(&self.path(), &object).await?;
        info!(cluster = %self.cluster, expires = ?granted.expires.map(|at| at.to_string()), "the token for another cluster was renewed");
        Ok(())
    }

    /// Says why the token was not renewed.
    pub(super) fn not_renewed(&self, why: &str) {
        warn!(cluster = %self.cluster, "{why}; the old token is used as long as it lasts");
    }

    fn path(&self) -> String {
        format!("/api/v1/namespaces/{}/secrets/{}", self.namespace, self.secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_rests_for_half_its_life_whatever_the_clocks_say() {
        let of = |issued: i64, expires: i64| Credentials {
            token: "t".to_owned(),
            issued: Timestamp::from_second(issued).ok(),
            expires: Timestamp::from_second(expires).ok(),
        };
        // Granted by a server whose clock is years behind.
        assert_eq!(Keeper::rests(&of(1_000, 5_000), true), Duration::from_secs(2_000));
        assert_eq!(Keeper::rests(&of(1_000, 5_000), false), Duration::ZERO);
        assert_eq!(Keeper::rests(&of(1_000, 1_000), true), LEAST);
        let now = Timestamp::now().as_second();
        let rests = Keeper::rests(&of(now - 100, now + 300), false);
        assert!((95..=100).contains(&rests.as_secs()), "{rests:?}");
        let unknown = Credentials { issued: None, ..of(0, 0) };
        assert_eq!(Keeper::rests(&unknown, false), Duration::ZERO);
        assert_eq!(Keeper::rests(&unknown, true), UNKNOWN);
    }
}
