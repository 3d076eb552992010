//! Why a probe did not succeed, and who is to blame.
//!
//! What the `connect` call itself says is about this machine: the route, the ports, the policy.
//! What comes later was said by the backend or by a router, or nothing was said.

use std::{error::Error, io, iter};

use redirector_core::input::ProbeFailure;

/// Why a probe did not succeed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The backend's answer, or its silence.
    Backend(ProbeFailure),
    /// This machine could not ask: it says nothing about the backend.
    Local(io::Error),
}

impl Failure {
    /// The backend or a router said no.
    pub fn said(why: impl Into<std::sync::Arc<str>>) -> Self {
        Self::Backend(ProbeFailure::Failed(why.into()))
    }
}

/// Who said it, of an error that came after the `connect` call.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ETIMEDOUT) => Self::Backend(ProbeFailure::TimedOut),
            Some(
                libc::EMFILE
                | libc::ENFILE
                | libc::ENOBUFS
                | libc::ENOMEM
                | libc::EADDRNOTAVAIL
                | libc::EACCES
                | libc::EPERM,
            ) => Self::Local(error),
            _ => Self::said(match error.kind() {
                io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
                io::ErrorKind::ConnectionReset => "connection reset".to_owned(),
                io::ErrorKind::HostUnreachable => "host unreachable".to_owned(),
                io::ErrorKind::NetworkUnreachable => "network unreachable".to_owned(),
                _ => error.to_string(),
            }),
        }
    }
}

/// What the system said beneath an error of a protocol, if it is that.
pub(super) fn system_error(error: &(dyn Error + 'static)) -> Option<io::Error> {
    causes(error)
        .filter_map(|cause| cause.downcast_ref::<io::Error>()?.raw_os_error())
        .map(io::Error::from_raw_os_error)
        .next()
}

/// An error and what led to it, the innermost last.
pub(super) fn causes<'e>(
    error: &'e (dyn Error + 'static),
) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    iter::successors(Some(error), |&error| error.source())
}
