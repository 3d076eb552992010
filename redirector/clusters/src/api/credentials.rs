//! Credentials: the Secret that holds what the importer shows to another cluster's API server.

use std::{collections::BTreeMap, fmt, time::Duration};

use k8s_openapi::{ByteString, jiff::Timestamp};
use serde_json::{Value, json};

use super::{CLUSTER, NAMESPACE};

/// An annotation: when the token was made, RFC 3339.
pub const TOKEN_ISSUED: &str = "clusters.redirector.dev/token-issued";
/// An annotation: when the token ends, RFC 3339.
pub const TOKEN_EXPIRES: &str = "clusters.redirector.dev/token-expires";
/// The longest life that is asked for; the server may grant less.
pub const TOKEN_LIFE: Duration = Duration::from_hours(30 * 24);

/// A token of the ServiceAccount `importer-<own id>` of another cluster. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// What is sent as `Authorization: Bearer`.
    pub token: String,
    /// When it was made, by the clock of the API server that made it; `None` is not known.
    pub issued: Option<Timestamp>,
    /// When it ends, by the same clock; `None` is not known.
    pub expires: Option<Timestamp>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { token: _, issued, expires } = self;
        let mut shown = f.debug_struct("Credentials");
        shown.field("issued", issued).field("expires", expires).finish_non_exhaustive()
    }
}

impl Credentials {
    /// What the answer to a TokenRequest grants. `now` is when it was asked for.
    ///
    /// # Errors
    ///
    /// It grants no token.
    pub fn granted(answer: &Value, now: Timestamp) -> Result<Self, String> {
        let token = answer["status"]["token"].as_str().filter(|token| !token.is_empty());
        let token = token.ok_or("the answer to the TokenRequest has no status.token")?.to_owned();
        let (issued, ends) = of_jwt(&token);
        let expires = answer["status"]["expirationTimestamp"].as_str();
        let expires = expires.and_then(|text| text.parse().ok()).or(ends);
        Ok(Self { token, issued: issued.or(Some(now)), expires })
    }

    /// Those of a Secret as the API server has it. What a token that is a JWT says of itself holds, else
    /// the annotations.
    ///
    /// # Errors
    ///
    /// Why it holds no token, for people.
    pub fn read(secret: &Value) -> Result<Self, String> {
        let token = secret["data"].get("token").ok_or("it has no data.token")?;
        let token: ByteString = serde_json::from_value(token.clone())
            .map_err(|_| "its data.token is not base64".to_owned())?;
        let token = String::from_utf8(token.0).map_err(|_| "its data.token is no text")?;
        let token = token.trim().to_owned();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("its data.token is no token".to_owned());
        }
        let (issued, expires) = of_jwt(&token);
        let annotation =
            |name: &str| secret["metadata"]["annotations"][name].as_str()?.parse().ok();
        let issued = issued.or_else(|| annotation(TOKEN_ISSUED));
        let expires = expires.or_else(|| annotation(TOKEN_EXPIRES));
        Ok(Self { token, issued, expires })
    }

    /// The Secret that keeps them for `cluster`.
    #[must_use]
    pub fn secret(&self, name: &str, cluster: &str) -> Value {
        let Self { token, issued, expires } = self;
        let times = [(TOKEN_ISSUED, issued), (TOKEN_EXPIRES, expires)];
        let times =
            times.into_iter().filter_map(|(name, at)| Some((name, at.as_ref()?.to_string())));
        let annotations: BTreeMap<_, _> = times.collect();
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": name,
                "namespace": NAMESPACE,
                "labels": {CLUSTER: cluster},
                "annotations": annotations,
            },
            "type": "Opaque",
            "data": {"token": ByteString(token.clone().into_bytes())},
        })
    }

    /// When to ask for new ones: after half of their life. `None`: nothing is known of it, so at once.
    #[must_use]
    pub fn renew_at(&self) -> Option<Timestamp> {
        let (issued, expires) = (self.issued?, self.expires?);
        let middle = i64::midpoint(issued.as_second(), expires.as_second());
        Timestamp::from_second(middle).ok()
    }
}

/// The body of a TokenRequest for that long.
#[must_use]
pub fn token_request(life: Duration) -> Value {
    json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": life.as_secs()},
    })
}

/// `iat` and `exp` of a JWT, unverified: its API server verifies it.
fn of_jwt(token: &str) -> (Option<Timestamp>, Option<Timestamp>) {
    let claims = || {
        let payload = token.split('.').nth(1)?.replace('-', "+").replace('_', "/");
        let padded = format!("{payload}{}", "=".repeat((4 - payload.len() % 4) % 4));
        let ByteString(json) = serde_json::from_value(padded.into()).ok()?;
        serde_json::from_slice::<Value>(&json).ok()
    };
    let Some(claims) = claims() else { return (None, None) };
    let at = |name: &str| Timestamp::from_second(claims[name].as_i64()?).ok();
    (at("iat"), at("exp"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_read_as_they_were_written() {
        let given = Credentials {
            token: "opaque".into(),
            issued: "2026-11-01T00:00:00Z".parse().ok(),
            expires: "2026-11-03T00:00:00Z".parse().ok(),
        };
        let secret = given.secret("west", "west");
        assert_eq!(secret["data"]["token"], "b3BhcXVl");
        assert_eq!(Credentials::read(&secret), Ok(given.clone()));
        let middle = given.renew_at().expect("both ends are known");
        assert_eq!(middle.to_string(), "2026-11-02T00:00:00Z");
        assert!(!format!("{given:?}").contains("opaque"));
    }

    #[test]
    fn a_jwt_says_itself_when_it_ends() {
        // {"alg":"none"} . {"iat":1000,"exp":3000} . nothing
        let token = "eyJhbGciOiJub25lIn0.eyJpYXQiOjEwMDAsImV4cCI6MzAwMH0.";
        let now = Timestamp::UNIX_EPOCH;
        let answer = json!({"status": {"token": token}});
        let granted = Credentials::granted(&answer, now).expect("a token");
        assert_eq!(granted.expires.map(Timestamp::as_second), Some(3_000));
        assert_eq!(granted.renew_at().map(Timestamp::as_second), Some(2_000));
        assert!(Credentials::granted(&json!({"status": {}}), now).is_err());
    }

    #[test]
    fn a_secret_without_a_usable_token_says_why() {
        for (secret, why) in [
            (json!({}), "it has no data.token"),
            (json!({"data": {"token": "%"}}), "its data.token is not base64"),
            (json!({"data": {"token": ""}}), "its data.token is no token"),
            (json!({"data": {"token": "YSBi"}}), "its data.token is no token"),
        ] {
            assert_eq!(Credentials::read(&secret), Err(why.to_owned()), "{secret}");
        }
    }
}
