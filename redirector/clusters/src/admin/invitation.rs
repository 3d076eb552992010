//! An invitation: what the operator of one cluster hands to the one of another, when neither operator has both
//! contexts.
//!
//! Its token is the importer's own, for an hour. It may read the outbox and ask for the account's next
//! token, which is all that the account may do: the join on the other side exchanges it for one of 30
//! days, and needs no right beyond those that the importer needs to renew itself.

use std::{path::Path, time::Duration};

use ipnet::IpNet;
use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Error, Side,
    error::Refusal,
    identity::{annotations, heartbeat_path},
    plan::Exporting,
    side::Address,
};
use crate::api::Manifest;

/// How long an invitation's token lives.
pub const LIFE: Duration = Duration::from_hours(1);
/// `apiVersion` of the file.
const VERSION: &str = "redirector.dev/cli/v1";
/// `kind` of the file.
const KIND: &str = "ClusterInvitation";

/// The file. It is a secret until [`expires`](Self::expires).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Invitation {
    api_version: String,
    kind: String,
    /// The cluster that invites.
    pub from: String,
    /// The cluster that is invited.
    pub to: String,
    /// `metadata.uid` of the namespace kube-system there.
    pub uid: String,
    /// The URL of its API server.
    pub server: String,
    /// PEM in base64; absent is what the system trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<String>,
    /// Where its endpoints are, as its operator says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cidrs: Vec<String>,
    /// The token of the account, for an hour.
    pub token: String,
    /// When that ends, RFC 3339; absent is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

impl std::fmt::Debug for Invitation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { from, to, server, .. } = self;
        let mut shown = f.debug_struct("Invitation");
        shown.field("from", from).field("to", to).field("server", server).finish_non_exhaustive()
    }
}

impl Invitation {
    /// The invitation of `to` into `from`.
    #[must_use]
    pub fn new(
        (from, to): (&str, &str),
        uid: &str,
        address: Address,
        cidrs: Vec<String>,
        granted: crate::api::Credentials,
    ) -> Self {
        Self {
            api_version: VERSION.to_owned(),
            kind: KIND.to_owned(),
            from: from.to_owned(),
            to: to.to_owned(),
            uid: uid.to_owned(),
            server: address.server,
            ca_bundle: address.ca_bundle,
            cidrs,
            token: granted.token,
            expires: granted.expires.map(|at| at.to_string()),
        }
    }

    /// Whether this is an invitation, of a version that is understood, for the cluster `own`, and not
    /// over by `now`.
    ///
    /// # Errors
    ///
    /// What is wrong, and what to do.
    pub fn check(&self, path: &Path, own: &str, now: Timestamp) -> Result<(), Refusal> {
        let refused = |why| Err(Refusal::Invitation { path: path.to_owned(), why });
        let Self { api_version, kind, from, to, expires, .. } = self;
        if (api_version.as_str(), kind.as_str()) != (VERSION, KIND) {
            return refused(format!("it is a {kind} of {api_version}, not a {KIND} of {VERSION}"));
        }
        if to != own {
            return refused(format!(
                "it invites {to}, and this is {own}; run `redirector cluster invite {own}` on {from}"
            ));
        }
        let ends = expires.as_ref().and_then(|text| text.parse::<Timestamp>().ok());
        if let Some(ends) = ends.filter(|ends| *ends <= now) {
            return refused(format!(
                "it expired at {ends}; run `redirector cluster invite {own}` on {from} again"
            ));
        }
        Ok(())
    }

    /// The API server as it names it.
    #[must_use]
    pub fn address(&self) -> Address {
        Address { server: self.server.clone(), ca_bundle: self.ca_bundle.clone() }
    }

    /// Who exports, as far as the invitation's token may see.
    ///
    /// # Errors
    ///
    /// [`Error::Request`]; the manifest there is of another cluster than the invitation's.
    pub async fn exporting(&self, side: &Side, path: &Path) -> Result<Exporting, Error> {
        let lease = side.get(&heartbeat_path()).await?;
        let manifest = lease.as_ref().map(|lease| Manifest::read(&annotations(lease)));
        if let Some(Ok(manifest)) = &manifest
            && manifest.uid != self.uid
        {
            let why = format!(
                "it is of the cluster with the uid {}, and at {} is {} with the uid {}; ask for a new one",
                self.uid, self.server, manifest.cluster, manifest.uid
            );
            return Err(Refusal::Invitation { path: path.to_owned(), why }.into());
        }
        let pods = self.cidrs.iter().filter_map(|text| text.parse::<IpNet>().ok());
        Ok(Exporting {
            side: side.name().to_owned(),
            uid: self.uid.clone(),
            id: Some(self.from.clone()),
            address: self.address(),
            pods: pods.collect(),
            has_manifest: manifest.is_some(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invitation() -> Invitation {
        let address = Address { server: "https://west:6443".into(), ca_bundle: None };
        let granted = crate::api::Credentials {
            token: "secret".into(),
            issued: None,
            expires: "2026-11-30T23:00:00Z".parse().ok(),
        };
        Invitation::new(("west", "east"), "u-west", address, Vec::new(), granted)
    }

    #[test]
    fn an_invitation_is_for_one_cluster_and_an_hour() {
        let at = |text: &str| text.parse().expect("a time");
        let early = at("2026-11-30T22:00:00Z");
        let path = Path::new("invite.yaml");
        assert_eq!(invitation().check(path, "east", early), Ok(()));
        let why = |own: &str, now| {
            let refusal = invitation().check(path, own, now).expect_err("a refusal");
            refusal.to_string()
        };
        assert_eq!(
            why("north", early),
            "invite.yaml: it invites east, and this is north; run `redirector cluster invite north` on west"
        );
        let late = why("east", at("2026-11-30T23:00:00Z"));
        assert!(late.contains("expired") && late.contains("invite east"), "{late}");
        assert!(!format!("{:?}", invitation()).contains("secret"));
    }
}
