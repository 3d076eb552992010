//! Why a command did not do what it was told: which cluster, which object, and what to do.

use std::{fmt, io, path::PathBuf};

use redirector_kube::client::{self, SetupError};
use redirector_policy::Overlap;

/// Why a command failed. What it had written until then stays; the same command again goes on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A kubeconfig or a context of it that cannot be used.
    #[error("{side}: {source}; `kubectl config get-contexts` lists the contexts there are")]
    Login {
        /// Which one.
        side: String,
        /// What is wrong.
        source: SetupError,
    },
    /// A kubeconfig whose way to verify the server cannot be stated in a RemoteCluster.
    #[error("{side}: its kubeconfig {why}; {fix}")]
    Unverified {
        /// Which one.
        side: String,
        /// What it says.
        why: &'static str,
        /// What to do.
        fix: &'static str,
    },
    /// A file that cannot be read or written.
    #[error("cannot use {}: {source}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A request that the API server did not carry out.
    #[error("{side}: cannot {deed}: {}", Explained(source, *credentials))]
    Request {
        /// Which cluster.
        side: String,
        /// What was to be done to which object.
        deed: String,
        /// With whose credentials it was asked.
        credentials: Credentials,
        /// What came back.
        source: Box<client::Error>,
    },
    /// What was asked for cannot be: nothing has been written.
    #[error("{0}")]
    Refused(Refusal),
}

/// With whose credentials a request was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// The operator's.
    Operator,
    /// The importer's, or those of an invitation.
    Importer,
}

/// What cannot be, and what to do instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// No cluster id.
    #[error(
        "{0:?} is no cluster id: 1 to 63 lower-case letters, digits and hyphens, a letter or digit at \
         both ends (a DNS label)"
    )]
    Name(String),
    /// The own id is not known.
    #[error(
        "this cluster's own id is not known: it has no ClusterProperty cluster.clusterset.k8s.io and \
         its exporter has written no manifest; pass --cluster ID"
    )]
    NoOwnId,
    /// Two sources name the own cluster differently.
    #[error(
        "{side} is called {first:?} by {first_source} and {second:?} by {second_source}; a cluster has one id: \
         make them agree"
    )]
    Ids {
        /// Which cluster.
        side: String,
        /// One id.
        first: String,
        /// Who says so.
        first_source: &'static str,
        /// Another one.
        second: String,
        /// Who says so.
        second_source: &'static str,
    },
    /// The name of the own cluster.
    #[error(
        "{0:?} is the id of this cluster; a cluster does not join itself: give the other one's id"
    )]
    OwnName(String),
    /// A cluster that calls itself otherwise.
    #[error(
        "{side} calls itself {own:?}, not {given:?}; a cluster has one id everywhere: join {own}"
    )]
    OtherName {
        /// Which cluster.
        side: String,
        /// What it was called.
        given: String,
        /// Its id.
        own: String,
    },
    /// The own cluster under another name.
    #[error(
        "{name:?} has the uid {uid} of this very cluster (namespace kube-system); pass the other one's \
         --remote-context"
    )]
    OwnUid {
        /// What it was called.
        name: String,
        /// The uid.
        uid: String,
    },
    /// The same cluster under two names.
    #[error(
        "RemoteCluster {known} is this cluster already (uid {uid}); to rename it, `redirector cluster \
         leave {known}` first"
    )]
    KnownAs {
        /// Its name.
        known: String,
        /// The uid.
        uid: String,
    },
    /// Another cluster under the same name.
    #[error(
        "RemoteCluster {name} is pinned to the uid {pinned}, and the cluster there has {found}: it is \
         another one, or was made anew; if that is meant, `redirector cluster leave {name}` first"
    )]
    OtherUid {
        /// Its name.
        name: String,
        /// What is pinned.
        pinned: String,
        /// What is there.
        found: String,
    },
    /// A context of another cluster than the one that is left.
    #[error(
        "{side} is not {name}: its uid is {found}, and {name} is pinned to {pinned}; pass its own context"
    )]
    OtherCluster {
        /// Which context.
        side: String,
        /// The cluster that is meant.
        name: String,
        /// What is pinned.
        pinned: String,
        /// What is there.
        found: String,
    },
    /// A kind that the API server does not serve.
    #[error("{side}: it does not serve {kind}; {fix}")]
    NoKind {
        /// Which cluster.
        side: String,
        /// Which kind.
        kind: &'static str,
        /// What to do.
        fix: &'static str,
    },
    /// The spec of the RemoteCluster that would be written.
    #[error("RemoteCluster {name}: {problems}")]
    Invalid {
        /// Its name.
        name: String,
        /// Everything that is wrong.
        problems: String,
    },
    /// Ranges that are in use elsewhere.
    #[error("RemoteCluster {name}: {overlap}")]
    Overlap {
        /// Its name.
        name: String,
        /// What overlaps what.
        overlap: Overlap,
    },
    /// No ranges were given.
    #[error(
        "--{flag} is missing: say where endpoints of {cluster} are, such as 10.2.0.0/16; none counts \
         outside{}", .seen.as_ref().map(|seen| format!(" (its nodes say {seen})")).unwrap_or_default()
    )]
    NoCidrs {
        /// Which flag.
        flag: &'static str,
        /// Whose endpoints.
        cluster: String,
        /// `podCIDRs` of its nodes.
        seen: Option<String>,
    },
    /// `--encryption` is missing.
    #[error(
        "--encryption is missing, and has no default, because only you know what the way there is:\n  \
         required  endpoints count only with proof that the way is encrypted; without a guard there is \
         none, so they stay out\n  \
         report    endpoints count; the condition Secure of the RemoteCluster says what is known\n  \
         off       endpoints count; what is sent there may be read on the way"
    )]
    NoEncryption,
    /// An invitation that is for another cluster, or cannot be read.
    #[error("{}: {why}", path.display())]
    Invitation {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        why: String,
    },
    /// A cluster that is not joined, and of which nothing is left.
    #[error("there is no RemoteCluster {name}, and nothing of it is left here{}", there_are(.known))]
    NotJoined {
        /// Its name.
        name: String,
        /// Those there are.
        known: Vec<String>,
    },
    /// Services that would be left without a ready endpoint.
    #[error(
        "{} only ready endpoints there: {}; scale them up here first, or pass --force",
        if .services.len() == 1 { "a Service has its" } else { "Services have their" },
        .services.join(", ")
    )]
    LastEndpoints {
        /// `namespace/name` of each.
        services: Vec<String>,
    },
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

fn there_are(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!("; there are {}", names.join(", ")) }
}

/// What a failed request means for who runs the command.
#[derive(Debug)]
pub struct Explained<'a>(pub &'a client::Error, pub Credentials);

impl fmt::Display for Explained<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(error, credentials) = self;
        match (error, credentials) {
            (client::Error::Unreachable { server, source }, Credentials::Operator) => {
                write!(f, "no connection to {server}: {source}; is the server of that context up?")
            }
            (client::Error::Unreachable { server, source }, Credentials::Importer) => write!(
                f,
                "no connection to {server}: {source}; it must be reachable from pods of this cluster, see \
                 --server"
            ),
            (client::Error::Tls { server, source }, _) => write!(
                f,
                "no TLS with {server}: {source}; the CA bundle must vouch for the certificate, and the name \
                 in --server must be in it"
            ),
            (client::Error::Unauthorized(_), Credentials::Operator) => {
                f.write_str("the credentials of that context are not accepted (401); log in again")
            }
            (client::Error::Unauthorized(_), Credentials::Importer) => f.write_str(
                "the token is not accepted (401): it has expired or was revoked; `redirector cluster join` \
                 makes a new one",
            ),
            (client::Error::Forbidden { message, .. }, Credentials::Operator) => {
                write!(f, "forbidden (403): {message}; use a context whose user may do that")
            }
            (client::Error::Forbidden { message, .. }, Credentials::Importer) => write!(
                f,
                "forbidden (403): {message}; `redirector cluster join` makes the Roles of the importer anew"
            ),
            (other, _) => other.fmt(f),
        }
    }
}
