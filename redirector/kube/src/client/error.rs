//! Why a request to the API server failed.

use std::{io, net::SocketAddr, path::PathBuf, time::Duration};

use http::StatusCode;

/// Why one request failed. Messages of the server are cut to 512 bytes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No connection: refused, no route, no answer in time, or a name that does not resolve.
    #[error("cannot connect to the API server at {server}: {source}; check --api-server")]
    Unreachable {
        /// The address that was tried last.
        server: String,
        /// What the system says.
        source: io::Error,
    },
    /// Connected, but without a trusted certificate of the expected name.
    #[error("no TLS with the API server at {server}: {source}; check the CA file and the name")]
    Tls {
        /// The address that was tried last.
        server: SocketAddr,
        /// What rustls says.
        source: io::Error,
    },
    /// The credentials could not be made: a token file that is gone, an exec plugin that fails.
    #[error("no credentials for the API server: {0}")]
    Credentials(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// 401. The credentials are read again before the next request.
    #[error("the API server does not accept our credentials (401): {message}")]
    Unauthorized {
        /// The server's words.
        message: String,
    },
    /// The server answered 403.
    #[error("the API server forbids {path} (403): {message}; apply the RBAC rules of deploy/")]
    Forbidden {
        /// What was asked for.
        path: String,
        /// The server's words.
        message: String,
    },
    /// The server answered 404.
    #[error("the API server knows no {path} (404): {message}")]
    NotFound {
        /// What was asked for.
        path: String,
        /// The server's words.
        message: String,
    },
    /// The server answered 409.
    #[error("somebody else has changed {path} (409): {message}")]
    Conflict {
        /// What was asked for.
        path: String,
        /// The server's words.
        message: String,
    },
    /// 410, as a status, as an event of a watch, or as the answer to `continue`.
    #[error("the resourceVersion or page asked for is gone (410): {message}")]
    Gone {
        /// The server's words.
        message: String,
    },
    /// The server answered 429.
    #[error("the API server asks us to slow down (429)")]
    TooManyRequests {
        /// `Retry-After`, if given in seconds.
        retry_after: Option<Duration>,
    },
    /// A server that has not yet seen the resourceVersion that was asked for.
    #[error("the API server is behind the resourceVersion asked for: {message}")]
    Behind {
        /// The server's words.
        message: String,
    },
    /// The server answered 5xx.
    #[error("the API server fails ({code}): {message}")]
    Server {
        /// The status.
        code: u16,
        /// `Retry-After`, if given in seconds.
        retry_after: Option<Duration>,
        /// The server's words.
        message: String,
    },
    /// Any other status that is no success.
    #[error("the API server refuses {path} ({code}): {message}")]
    Refused {
        /// The status.
        code: u16,
        /// What was asked for.
        path: String,
        /// The server's words.
        message: String,
    },
    /// An answer, or a line of it, longer than allowed.
    #[error("the API server's {what} is longer than {limit} bytes")]
    TooLarge {
        /// What is too long.
        what: &'static str,
        /// The limit, in bytes.
        limit: usize,
    },
    /// A compressed answer, which was not asked for and is not inflated.
    #[error("the API server's answer is compressed ({encoding}), which was not asked for")]
    Encoded {
        /// `Content-Encoding`.
        encoding: String,
    },
    /// Nothing came for too long.
    #[error("the API server gave {what} in {after:?}")]
    TimedOut {
        /// What was missing: `no answer`, `no complete answer`, `no event`.
        what: &'static str,
        /// How long it was waited for.
        after: Duration,
    },
    /// The connection broke before the answer was complete.
    #[error("the connection to the API server broke: {0}")]
    Interrupted(#[source] hyper::Error),
    /// An answer that is not what was asked for.
    #[error("the API server's answer is malformed: {why}")]
    Malformed {
        /// What is wrong with it.
        why: String,
    },
}

/// Which kind of failure, for counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "one for each variant of `Error`, explained there")]
pub enum ErrorKind {
    Unreachable,
    Tls,
    Credentials,
    Unauthorized,
    Forbidden,
    NotFound,
    Conflict,
    Gone,
    TooManyRequests,
    Behind,
    Server,
    Refused,
    TooLarge,
    Encoded,
    TimedOut,
    Interrupted,
    Malformed,
}

impl ErrorKind {
    /// Every kind, in the order of their numbers.
    pub const ALL: [Self; 17] = [
        Self::Unreachable,
        Self::Tls,
        Self::Credentials,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::Conflict,
        Self::Gone,
        Self::TooManyRequests,
        Self::Behind,
        Self::Server,
        Self::Refused,
        Self::TooLarge,
        Self::Encoded,
        Self::TimedOut,
        Self::Interrupted,
        Self::Malformed,
    ];

    /// Its name as a label of a metric.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Tls => "tls",
            Self::Credentials => "credentials",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Gone => "gone",
            Self::TooManyRequests => "too_many_requests",
            Self::Behind => "behind",
            Self::Server => "server",
            Self::Refused => "refused",
            Self::TooLarge => "too_large",
            Self::Encoded => "encoded",
            Self::TimedOut => "timed_out",
            Self::Interrupted => "interrupted",
            Self::Malformed => "malformed",
        }
    }
}

impl Error {
    /// Which kind of failure this is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Unreachable { .. } => ErrorKind::Unreachable,
            Self::Tls { .. } => ErrorKind::Tls,
            Self::Credentials(_) => ErrorKind::Credentials,
            Self::Unauthorized { .. } => ErrorKind::Unauthorized,
            Self::Forbidden { .. } => ErrorKind::Forbidden,
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Conflict { .. } => ErrorKind::Conflict,
            Self::Gone { .. } => ErrorKind::Gone,
            Self::TooManyRequests { .. } => ErrorKind::TooManyRequests,
            Self::Behind { .. } => ErrorKind::Behind,
            Self::Server { .. } => ErrorKind::Server,
            Self::Refused { .. } => ErrorKind::Refused,
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::Encoded { .. } => ErrorKind::Encoded,
            Self::TimedOut { .. } => ErrorKind::TimedOut,
            Self::Interrupted(_) => ErrorKind::Interrupted,
            Self::Malformed { .. } => ErrorKind::Malformed,
        }
    }

    /// How long the server asks to wait.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TooManyRequests { retry_after } | Self::Server { retry_after, .. } => {
                *retry_after
            }
            _ => None,
        }
    }

    /// What a status that is no success means, with the `Status` object that came with it.
    pub(crate) fn of_status(
        code: StatusCode,
        path: &str,
        retry_after: Option<Duration>,
        status: &Status,
    ) -> Self {
        let path = path.split('?').next().unwrap_or_default().to_owned();
        let message = shorten(&status.message);
        if status.is_too_large_a_version() {
            return Self::Behind { message };
        }
        match code.as_u16() {
            401 => Self::Unauthorized { message },
            403 => Self::Forbidden { path, message },
            404 => Self::NotFound { path, message },
            409 => Self::Conflict { path, message },
            410 => Self::Gone { message },
            429 => Self::TooManyRequests { retry_after },
            code if code >= 500 => Self::Server { code, retry_after, message },
            code => Self::Refused { code, path, message },
        }
    }
}

/// What is read of a `Status` object of the API.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(crate) struct Status {
    /// An HTTP status.
    pub(crate) code: u16,
    message: String,
    details: Option<Details>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Details {
    causes: Option<Vec<Cause>>,
    retry_after_seconds: Option<u64>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct Cause {
    reason: String,
}

impl Status {
    /// Reads a `Status`; what is none is a message.
    pub(crate) fn read(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_else(|_| Self {
            message: String::from_utf8_lossy(&body[..body.len().min(512)]).into_owned(),
            ..Self::default()
        })
    }

    /// How long the server asks to wait.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        self.details.as_ref()?.retry_after_seconds.map(Duration::from_secs)
    }

    /// The same test as client-go's `IsTooLargeResourceVersion`, for servers with and without the cause.
    fn is_too_large_a_version(&self) -> bool {
        let causes = self.details.as_ref().and_then(|details| details.causes.as_deref());
        let named =
            causes.unwrap_or_default().iter().any(|c| c.reason == "ResourceVersionTooLarge");
        named || self.message.contains("Too large resource version")
    }
}

/// Why no client could be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// Neither a kubeconfig nor the environment of a pod.
    #[error(
        "not in a pod (KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set); pass \
         --kubeconfig or --api-server"
    )]
    NotInCluster,
    /// An address that is none, or a name where names are not resolved.
    #[error("{what} is {value:?}, which is no address of an API server: {why}")]
    Address {
        /// Where it was written.
        what: &'static str,
        /// What was written.
        value: String,
        /// What is wrong.
        why: &'static str,
    },
    /// A file that cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which file it is.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A CA file without a certificate, or with one that is none.
    #[error("{} holds no usable certificate: {why}", path.display())]
    Certificates {
        /// Which file it is.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A kubeconfig that cannot be used.
    #[error("the kubeconfig cannot be used: {0}")]
    Kubeconfig(#[from] Box<kube::config::KubeconfigError>),
    /// A kubeconfig that names a proxy.
    #[error("the kubeconfig names the proxy {0:?}; proxies are not supported, connect directly")]
    Proxy(String),
    /// Keys, certificates or credentials that cannot be used.
    #[error("the credentials of the API server cannot be used: {0}")]
    Credentials(#[from] Box<kube::Error>),
}

/// At most 512 bytes of a text that the server wrote.
fn shorten(text: &str) -> String {
    let mut end = text.len().min(512);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_behind_is_told_from_one_that_fails() {
        let status = Status::read(
            br#"{"code":504,"message":"Timeout","details":{"causes":[{"reason":"ResourceVersionTooLarge"}]}}"#,
        );
        let error = Error::of_status(StatusCode::GATEWAY_TIMEOUT, "/api", None, &status);
        assert_eq!(error.kind(), ErrorKind::Behind);
        let status = Status::read(b"<html>bad gateway</html>");
        let error = Error::of_status(StatusCode::BAD_GATEWAY, "/api", None, &status);
        assert_eq!(error.kind(), ErrorKind::Server);
    }

    #[test]
    fn the_servers_words_are_cut_between_characters() {
        assert_eq!(shorten(&"ü".repeat(300)).len(), 512);
        assert_eq!(shorten(&format!("a{}", "ü".repeat(300))).len(), 511);
    }

    #[test]
    fn every_kind_has_its_place_and_name() {
        let names: std::collections::BTreeSet<_> =
            ErrorKind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), ErrorKind::ALL.len());
        for (index, kind) in ErrorKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index, "{}", kind.name());
        }
    }
}
