//! Requests with this module's own deadlines, and what their failures mean for a write.

use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::client::{Answer, Error, ErrorKind};

/// Waits for an answer that long at most.
///
/// # Errors
///
/// As the client's, or [`Error::TimedOut`].
pub(super) async fn within(
    after: Duration,
    request: impl Future<Output = Result<Answer, Error>>,
) -> Result<Answer, Error> {
    let answer = tokio::time::timeout(after, request).await;
    answer.unwrap_or(Err(Error::TimedOut { what: "no complete answer", after }))
}

/// The answer's body as an object.
///
/// # Errors
///
/// [`Error::Malformed`]: it is none of that kind.
pub(super) fn decoded<T: DeserializeOwned>(answer: &Answer) -> Result<T, Error> {
    let object = serde_json::from_slice(&answer.body);
    object.map_err(|why| Error::Malformed { why: why.to_string() })
}

/// What a write that failed has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing, and it never will: the same request would fail again.
    Never,
    /// Nothing; later it may.
    NotYet,
    /// It may have been carried out, or may yet be.
    Unknown,
}

/// What the write that failed so has done.
pub(super) fn effect(error: &Error) -> Effect {
    match error.kind() {
        ErrorKind::Forbidden | ErrorKind::NotFound | ErrorKind::Gone | ErrorKind::Refused => {
            Effect::Never
        }
        ErrorKind::Unreachable
        | ErrorKind::Tls
        | ErrorKind::Credentials
        | ErrorKind::Unauthorized
        | ErrorKind::Conflict
        | ErrorKind::TooManyRequests => Effect::NotYet,
        ErrorKind::Behind
        | ErrorKind::Server
        | ErrorKind::TooLarge
        | ErrorKind::Encoded
        | ErrorKind::TimedOut
        | ErrorKind::Interrupted
        | ErrorKind::Malformed => Effect::Unknown,
    }
}
