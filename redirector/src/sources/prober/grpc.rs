//! A gRPC probe: `grpc.health.v1.Health/Check` over HTTP/2 without TLS.
//!
//! Source: <https://github.com/grpc/grpc/blob/master/doc/health-checking.md>. Only `SERVING` is
//! healthy; a server without the health service is not.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use hyper::{Uri, client::conn::http2, rt::Executor};
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;
use tonic::{Code, Status};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tower::service_fn;

use super::{
    failure::{Failure, causes, system_error},
    limited::{LimitedStream, MAX_READ},
};
use crate::sources::shown;

/// Asks how `service` is; the empty name is the server as a whole.
pub(super) async fn check(
    connection: LimitedStream,
    peer: SocketAddr,
    service: &str,
) -> Result<(), Failure> {
    let tasks = Tasks::default();
    let (sender, connection) = http2::handshake(tasks.executor(), TokioIo::new(connection))
        .await
        .map_err(|error| blame_transport(&error))?;
    // Its end is the end of the exchange, which says why.
    tasks.executor().execute(async { _ = connection.await });
    let origin: Uri = format!("http://{peer}")
        .parse()
        .map_err(|error| Failure::Local(std::io::Error::other(error)))?;
    let sender = service_fn(move |request| sender.clone().send_request(request));
    let mut client =
        HealthClient::with_origin(sender, origin).max_decoding_message_size(MAX_READ.into());
    match client.check(HealthCheckRequest { service: service.to_owned() }).await {
        Ok(answer) => match answer.into_inner().status() {
            ServingStatus::Serving => Ok(()),
            other => Err(Failure::said(format!("says {}", other.as_str_name()))),
        },
        Err(status) => Err(blame(&status, service)),
    }
}

fn blame(status: &Status, service: &str) -> Failure {
    if let Some(error) = std::error::Error::source(status) {
        return blame_transport(error);
    }
    match status.code() {
        Code::Unimplemented => Failure::said("has no health service (grpc.health.v1.Health)"),
        Code::NotFound => Failure::said(format!("does not know the service {service:?}")),
        code => Failure::said(format!("answered {code:?}: {}", shown(status.message()))),
    }
}

fn blame_transport(error: &(dyn std::error::Error + 'static)) -> Failure {
    if let Some(error) = system_error(error) {
        return error.into();
    }
    let innermost = causes(error).last().unwrap_or(error);
    Failure::said(format!("does not answer in gRPC: {}", shown(&innermost.to_string())))
}

/// What the connection needs running beside the exchange; it ends with this.
#[derive(Default)]
struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl Tasks {
    fn executor(&self) -> Beside {
        Beside(Arc::downgrade(&self.0))
    }
}

/// Starts tasks as long as the exchange lasts.
#[derive(Clone)]
struct Beside(Weak<Mutex<JoinSet<()>>>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Beside {
    fn execute(&self, future: F) {
        if let Some(tasks) = self.0.upgrade() {
            tasks.lock().unwrap_or_else(PoisonError::into_inner).spawn(future);
        }
    }
}
