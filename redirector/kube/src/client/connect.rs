//! Connects to the API server: its address first, then the alternatives, under one TLS name.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use nix::sys::socket::{setsockopt, sockopt};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::{Error, access::Access};

/// A connection on which one request at a time is sent. Dropping it closes it.
pub(super) struct Connection {
    /// Where requests go.
    pub(super) sender: http1::SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Dials the server and then each alternative, `deadline` for each of them; says who answered.
pub(super) async fn connect(
    access: &Access,
    preferred: Option<SocketAddr>,
    alternatives: &[SocketAddr],
    deadline: Duration,
) -> Result<(Connection, SocketAddr), Error> {
    let mut candidates: Vec<SocketAddr> = preferred.into_iter().collect();
    let mut failure = match timeout(deadline, resolve(&access.host, access.port)).await {
        Ok(Ok(addresses)) => {
            candidates.extend(addresses);
            None
        }
        Ok(Err(source)) => Some(unreachable(&access.host, source)),
        Err(_) => Some(unreachable(&access.host, timed_out("its name did not resolve", deadline))),
    };
    candidates.extend(alternatives);
    let mut tried = Vec::new();
    for address in candidates {
        if tried.contains(&address) {
            continue;
        }
        tried.push(address);
        match timeout(deadline, connect_to(access, address)).await {
            Ok(Ok(connection)) => return Ok((connection, address)),
            Ok(Err(error)) => failure = Some(error),
            Err(_) => {
                let why = timed_out("no connection with TLS", deadline);
                failure = Some(unreachable(&address.to_string(), why));
            }
        }
    }
    Err(failure.unwrap_or_else(|| unreachable(&access.host, io::ErrorKind::NotFound.into())))
}

fn unreachable(server: &str, source: io::Error) -> Error {
    Error::Unreachable { server: server.to_owned(), source }
}

fn timed_out(what: &str, after: Duration) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("{what} in {after:?}"))
}

/// An address is taken as it is; only a name asks DNS.
async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    match host.parse::<IpAddr>() {
        Ok(address) => Ok(vec![SocketAddr::new(address, port)]),
        Err(_) => Ok(lookup_host((host, port)).await?.take(8).collect()),
    }
}

async fn connect_to(access: &Access, address: SocketAddr) -> Result<Connection, Error> {
    let failed = |source| unreachable(&address.to_string(), source);
    let stream = TcpStream::connect(address).await.map_err(failed)?;
    notice_silence(&stream).map_err(failed)?;
    let Some(tls) = &access.tls else { return handshake(stream).await };
    let connector = TlsConnector::from(tls.config.clone());
    let stream = connector.connect(tls.name.clone(), stream).await;
    handshake(stream.map_err(|source| Error::Tls { server: address, source })?).await
}

/// A peer that is gone is noticed within 30 s, idle or not.
fn notice_silence(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    setsockopt(stream, sockopt::KeepAlive, &true)?;
    setsockopt(stream, sockopt::TcpKeepIdle, &15)?;
    setsockopt(stream, sockopt::TcpKeepInterval, &5)?;
    setsockopt(stream, sockopt::TcpKeepCount, &3)?;
    setsockopt(stream, sockopt::TcpUserTimeout, &30_000)?;
    Ok(())
}

async fn handshake<S>(stream: S) -> Result<Connection, Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (sender, connection) = handshake.map_err(Error::Interrupted)?;
    // The request that waits for an answer is told how the connection ends.
    let driver = tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(Connection { sender, driver })
}
