//! Why a request to the API server failed.

use std::{io, net::SocketAddr, path::PathBuf, time::Duration};

use http::StatusCode;
use kube::core::Status;

use crate::text::bounded;

/// Longest message of the server that is kept, in bytes.
const MAX_MESSAGE: usize = 512;

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
    #[error("the API server does not accept our credentials (401): {0}")]
    Unauthorized(String),
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
    #[error("the resourceVersion or page asked for is gone (410): {0}")]
    Gone(String),
    /// The server answered 429.
    #[error("the API server asks us to slow down (429)")]
    TooManyRequests {
        /// `Retry-After`, if given in seconds.
        retry_after: Option<Duration>,
    },
    /// A server that has not yet seen the resourceVersion that was asked for.
    #[error("the API server is behind the resourceVersion asked for: {0}")]
    Behind(String),
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
    #[error("the API server's answer is compressed ({0}), which was not asked for")]
    Encoded(String),
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
    #[error("the API server's answer is malformed: {0}")]
    Malformed(String),
}

/// What a write that failed has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing, and it never will: the same request would fail again.
    Never,
    /// Nothing; later it may.
    NotYet,
    /// It may have been carried out, or may yet be.
    Unknown,
}

/// What a watch does that has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    /// It goes on from where it was: load, outages and credentials pass.
    Resume,
    /// It lists again: this very question gets no useful answer.
    Relist,
}

/// Makes [`ErrorKind`] of one table: the variant of [`Error`], its label, and what it means for a
/// watch and for a write.
macro_rules! kinds {
    ($($kind:ident $name:literal $again:ident $effect:ident),+ $(,)?) => {
        /// Which kind of failure, for counters.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[expect(missing_docs, reason = "one for each variant of `Error`, explained there")]
        pub enum ErrorKind { $($kind),+ }

        impl ErrorKind {
            /// Its name as a label of a metric.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name),+ }
            }

            /// Whether a watch cannot be resumed from where it was.
            pub(crate) const fn needs_a_relist(self) -> bool {
                let again = match self { $(Self::$kind => Again::$again),+ };
                matches!(again, Again::Relist)
            }

            /// What the write that failed so has done.
            pub(crate) const fn effect(self) -> Effect {
                match self { $(Self::$kind => Effect::$effect),+ }
            }
        }

        impl Error {
            /// Which kind of failure this is.
            #[must_use]
            pub const fn kind(&self) -> ErrorKind {
                match self { $(Self::$kind { .. } => ErrorKind::$kind),+ }
            }
        }
    };
}

kinds! {
    Unreachable "unreachable" Resume NotYet,
    Tls "tls" Resume NotYet,
    Credentials "credentials" Resume NotYet,
    Unauthorized "unauthorized" Resume NotYet,
    Forbidden "forbidden" Resume Never,
    NotFound "not_found" Relist Never,
    Conflict "conflict" Relist NotYet,
    Gone "gone" Relist Never,
    TooManyRequests "too_many_requests" Resume NotYet,
    Behind "behind" Relist Unknown,
    Server "server" Resume Unknown,
    Refused "refused" Relist Never,
    TooLarge "too_large" Relist Unknown,
    Encoded "encoded" Resume Unknown,
    TimedOut "timed_out" Resume Unknown,
    Interrupted "interrupted" Resume Unknown,
    Malformed "malformed" Relist Unknown,
}

impl Error {
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
        let message = bounded(&status.message, MAX_MESSAGE);
        if is_too_large_a_version(status) {
            return Self::Behind(message);
        }
        match code.as_u16() {
            401 => Self::Unauthorized(message),
            403 => Self::Forbidden { path, message },
            404 => Self::NotFound { path, message },
            409 => Self::Conflict { path, message },
            410 => Self::Gone(message),
            429 => Self::TooManyRequests { retry_after },
            code if code >= 500 => Self::Server { code, retry_after, message },
            code => Self::Refused { code, path, message },
        }
    }
}

/// Reads a `Status` object of the API; what is none is a message. Of one that is not quite as it should
/// be (a proxy's, an aggregated server's) code, reason and message are read.
pub(crate) fn read_status(body: &[u8]) -> Status {
    serde_json::from_slice(body).unwrap_or_else(|_| {
        let odd: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |name: &str| odd[name].as_str().map(str::to_owned);
        let shown = || String::from_utf8_lossy(&body[..body.len().min(MAX_MESSAGE)]).into_owned();
        Status {
            code: odd["code"].as_u64().and_then(|code| code.try_into().ok()).unwrap_or_default(),
            reason: text("reason").unwrap_or_default(),
            message: text("message").unwrap_or_else(shown),
            ..Status::default()
        }
    })
}

/// How long the server asks to wait.
pub(crate) fn retry_after(status: &Status) -> Option<Duration> {
    let seconds = status.details.as_ref()?.retry_after_seconds;
    (seconds > 0).then(|| Duration::from_secs(seconds.into()))
}

/// The same test as client-go's `IsTooLargeResourceVersion`, for servers with and without the cause.
fn is_too_large_a_version(status: &Status) -> bool {
    let mut causes = status.details.iter().flat_map(|details| &details.causes);
    causes.any(|cause| cause.reason == "ResourceVersionTooLarge")
        || status.message.contains("Too large resource version")
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
    /// Certificates of an object that hold none, or one that is none.
    #[error("the CA bundle for {server} holds no usable certificate: {why}")]
    CaBundle {
        /// For which API server.
        server: String,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_behind_is_told_from_one_that_fails() {
        let status = read_status(
            br#"{"code":504,"message":"Timeout","details":{"causes":[{"reason":"ResourceVersionTooLarge"}]}}"#,
        );
        let error = Error::of_status(StatusCode::GATEWAY_TIMEOUT, "/api", None, &status);
        assert_eq!(error.kind(), ErrorKind::Behind);
        let status = read_status(b"<html>bad gateway</html>");
        let error = Error::of_status(StatusCode::BAD_GATEWAY, "/api", None, &status);
        assert_eq!(error.kind(), ErrorKind::Server);
    }
}
