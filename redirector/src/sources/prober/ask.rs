//! One probe: connects, asks, and judges the answer, all within the timeout.

use std::{net::SocketAddr, time::Duration};

use redirector_core::{
    input::ProbeFailure,
    service::{BackendRef, Probe, ProbeKind},
};
use tokio::time;

use super::{connect, failure::Failure, grpc, http, limited::LimitedStream};

/// Asks `backend` once. Errors: it said no, said nothing in time, or could not be asked.
pub(super) async fn ask(backend: BackendRef, probe: &Probe) -> Result<(), Failure> {
    let Probe { kind, port, timeout_ms, .. } = probe;
    let peer = SocketAddr::new(backend.address, port.unwrap_or(backend.port));
    let stream = connect::begin(peer)?;
    let exchange = async {
        connect::finish(&stream, peer).await?;
        // On the heap: most of the time a task is a timer, and should be as small as one.
        match kind {
            ProbeKind::Tcp => Ok(()),
            ProbeKind::Http { path, host, status } => {
                let request = http::request(peer, path, host.as_deref())?;
                Box::pin(http::get(LimitedStream::new(stream), request, *status)).await
            }
            ProbeKind::Grpc { service } => {
                Box::pin(grpc::check(LimitedStream::new(stream), peer, service)).await
            }
        }
    };
    let timeout = Duration::from_millis((*timeout_ms).into());
    let silent = Err(Failure::Backend(ProbeFailure::TimedOut));
    time::timeout(timeout, exchange).await.unwrap_or(silent)
}
