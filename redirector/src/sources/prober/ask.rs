//! One probe: connects, asks, and judges the answer, all within the timeout.

use std::{net::SocketAddr, time::Duration};

use redirector_core::{
    input::ProbeFailure,
    service::{BackendRef, Probe, ProbeKind},
};
use tokio::time;

use super::{
    dial::{self, Failure},
    frugal::Frugal,
    grpc, http,
};

/// Characters of a foreign text that a message shows.
const SHOWN: usize = 80;

/// Asks `backend` once. Errors: it said no, said nothing in time, or could not be asked.
pub(super) async fn ask(backend: BackendRef, probe: &Probe) -> Result<(), Failure> {
    let Probe { kind, port, timeout_ms, .. } = probe;
    let peer = SocketAddr::new(backend.address, port.unwrap_or(backend.port));
    let stream = dial::begin(peer)?;
    let exchange = async {
        dial::finish(&stream, peer).await?;
        // On the heap: most of the time a task is a timer, and should be as small as one.
        match kind {
            ProbeKind::Tcp => Ok(()),
            ProbeKind::Http { path, host, status } => {
                let question = http::Question { peer, path, host: host.as_deref() };
                Box::pin(http::get(Frugal::new(stream), question, *status)).await
            }
            ProbeKind::Grpc { service } => {
                Box::pin(grpc::check(Frugal::new(stream), peer, service)).await
            }
        }
    };
    let timeout = Duration::from_millis((*timeout_ms).into());
    let silent = Err(Failure::Backend(ProbeFailure::TimedOut));
    time::timeout(timeout, exchange).await.unwrap_or(silent)
}

/// A text that the backend chose, on one line and not too long for a message.
pub(super) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

/// What the system said beneath an error of a protocol, if it is that.
pub(super) fn system_error(
    mut error: &(dyn std::error::Error + 'static),
) -> Option<std::io::Error> {
    loop {
        if let Some(found) = error.downcast_ref::<std::io::Error>()
            && let Some(number) = found.raw_os_error()
        {
            return Some(std::io::Error::from_raw_os_error(number));
        }
        error = error.source()?;
    }
}
