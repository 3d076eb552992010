//! An HTTP probe: one `GET` over HTTP/1.1, judged by its status.
//!
//! No redirect is followed and no body is needed, but a body that breaks off is a failure.

use std::{error::Error as _, net::SocketAddr};

use http_body_util::{BodyExt as _, Empty};
use hyper::{
    Request, StatusCode,
    body::Bytes,
    client::conn::http1,
    header::{ACCEPT, CONNECTION, HOST, USER_AGENT},
};
use hyper_util::rt::TokioIo;

use super::{
    failure::{Failure, system_error},
    limited::{LimitedStream, MAX_READ},
};

/// Asks, and reads the answer to its end or to [`MAX_READ`] bytes: `healthy` are the first and the last
/// status that is a success.
pub(super) async fn get(
    connection: LimitedStream,
    request: Request<Empty<Bytes>>,
    healthy: (u16, u16),
) -> Result<(), Failure> {
    let (mut sender, mut connection) =
        http1::handshake(TokioIo::new(connection)).await.map_err(|error| blame(&error))?;
    let mut status = None;
    let ended = {
        let exchange = async {
            let response = sender.send_request(request).await?;
            status = Some(response.status());
            let mut body = response.into_body();
            while let Some(frame) = body.frame().await {
                frame?;
            }
            Ok(())
        };
        let mut exchange = std::pin::pin!(exchange);
        tokio::select! {
            biased;
            ended = &mut exchange => ended,
            // The exchange then has its end, or its error, too.
            _ = &mut connection => exchange.await,
        }
    };
    let is_all_read = connection.into_parts().io.into_inner().is_all_read();
    match (ended, status) {
        (Ok(()), Some(status)) => judge(status, healthy),
        (Err(_), Some(status)) if is_all_read => judge(status, healthy),
        (Err(_), None) if is_all_read => {
            Err(Failure::said(format!("the head of its answer is longer than {MAX_READ} bytes")))
        }
        (Err(error), Some(_)) if system_error(&error).is_none() => {
            Err(Failure::said("its answer breaks off"))
        }
        (Err(error), _) => Err(blame(&error)),
        (Ok(()), None) => Err(Failure::said("closed the connection without an answer")),
    }
}

/// What is asked: `path` begins with `/`, and without a `host` the `Host` header is the address.
pub(super) fn request(
    peer: SocketAddr,
    path: &str,
    host: Option<&str>,
) -> Result<Request<Empty<Bytes>>, Failure> {
    let host = match host {
        Some(host) => host.to_owned(),
        None if peer.port() == 80 && peer.is_ipv6() => format!("[{}]", peer.ip()),
        None if peer.port() == 80 => peer.ip().to_string(),
        None => peer.to_string(),
    };
    Request::get(path)
        .header(HOST, host)
        .header(USER_AGENT, concat!("redirector-probe/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT, "*/*")
        .header(CONNECTION, "close")
        .body(Empty::new())
        // The sources refuse such paths and hosts.
        .map_err(|error| Failure::Local(std::io::Error::other(error)))
}

fn judge(status: StatusCode, (first, last): (u16, u16)) -> Result<(), Failure> {
    if (first..=last).contains(&status.as_u16()) {
        return Ok(());
    }
    Err(Failure::said(format!("answered {status}")))
}

fn blame(error: &hyper::Error) -> Failure {
    if let Some(error) = system_error(error) {
        return error.into();
    }
    // What ended the connection before the question was on its way.
    if let Some(cause) = error.source().and_then(|source| source.downcast_ref())
        && error.is_canceled()
    {
        return blame(cause);
    }
    if error.is_incomplete_message() || error.is_canceled() {
        return Failure::said("closed the connection without an answer");
    }
    Failure::said(format!("answered, but not in HTTP/1.1: {error}"))
}
