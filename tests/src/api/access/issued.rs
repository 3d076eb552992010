//! Tokens that the server has made of ServiceAccounts: `TokenRequest`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::Token;
use crate::api::{base64, object::Key, resources, store::Inner};

/// How long a token lives.
#[derive(Debug, Clone, Copy)]
pub(in crate::api) struct Life {
    pub from: SystemTime,
    pub length: Duration,
}

/// A token that the server has made.
#[derive(Debug, Clone)]
pub(in crate::api) struct Issued {
    pub token: String,
    account: Key,
    uid: String,
    until: SystemTime,
}

impl Issued {
    /// A token of an account, in the form that clients may look into (RFC 7519). `secret` is what no
    /// client can guess; the server knows its tokens by heart and checks no signature.
    pub fn new(account: &Key, uid: &str, life: Life, secret: &str) -> Self {
        let seconds =
            |time: SystemTime| time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let until = life.from + life.length;
        let (namespace, name) = account;
        let head = json!({"alg": "RS256", "kid": "fake"});
        let claims = json!({
            "iss": "https://kubernetes.default.svc.cluster.local",
            "sub": user(account), "iat": seconds(life.from), "exp": seconds(until),
            "kubernetes.io": {
                "namespace": namespace, "serviceaccount": {"name": name, "uid": uid},
            },
        });
        let part = |value: &serde_json::Value| base64::url(value.to_string().as_bytes());
        let token = format!("{}.{}.{}", part(&head), part(&claims), base64::url(secret.as_bytes()));
        Self { token, account: account.clone(), uid: uid.to_owned(), until }
    }

    /// Whose it is, unless it has run out or its account has gone.
    pub fn is_of(&self, store: &Inner, now: SystemTime) -> Option<Token> {
        let account = store.get(resources::named("serviceaccounts"), &self.account);
        let is_good = now < self.until && account.is_some_and(|found| found.uid == self.uid);
        is_good.then(|| Token::bound(&self.token, &user(&self.account)))
    }
}

fn user((namespace, name): &Key) -> String {
    format!("system:serviceaccount:{namespace}:{name}")
}
