//! The HTTP endpoint: `/livez`, `/readyz`, `/metrics`. It only reads.
//!
//! Every pod that reaches the node's agent may ask. What all of them cost together is bounded, and
//! whether the agent lives is answered while the metrics of others are being made.

mod page;

use std::{
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::net::{TcpListener, TcpSocket};
use tracing::info;

pub(super) use self::page::Page;
use super::Outputs;
use crate::serve::{Bounds, serve};

/// The kubelet's probes and a few scrapes need a handful. So many are 5 MB when all of them are held
/// open, and let a request that is whole within some ten milliseconds be answered even if it comes
/// from the very address that opens 10,000 a second.
pub(super) const BOUNDS: Bounds = Bounds {
    connections: 256,
    head: Duration::from_secs(5),
    whole: Duration::from_secs(10),
    buffer: 8 << 10,
};

/// Connections that the kernel keeps until they are taken in. With fewer it drops a probe's SYN, which is
/// sent again after 1 s.
const BACKLOG: u32 = 4_096;

/// The endpoint, listening and not answering yet.
#[derive(Debug)]
pub struct Admin(TcpListener);

#[derive(Debug)]
struct Served {
    outputs: Arc<Outputs>,
    page: Page,
}

impl Admin {
    /// Listens there.
    ///
    /// # Errors
    ///
    /// The address cannot be bound.
    pub fn listen(address: SocketAddr) -> Result<Self> {
        listening(address).map(Self)
    }

    /// Answers until the task is dropped.
    pub async fn serve(self, outputs: Arc<Outputs>) {
        let router = Router::new()
            .route("/livez", get(livez))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .with_state(Arc::new(Served { outputs, page: Page::default() }));
        serve(self.0, BOUNDS, |address| peer(address.ip()), move |_| router.clone()).await;
    }
}

/// Listens there, and says where.
pub(super) fn listening(address: SocketAddr) -> Result<TcpListener> {
    let listener = listen(address)
        .with_context(|| format!("cannot listen on {address}; pass another --admin"))?;
    let address = listener.local_addr().context("cannot tell the admin address")?;
    info!(%address, "admin endpoint");
    Ok(listener)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // As `TcpListener::bind`: an address that was just left is free.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Whose connections are counted together: an IPv6 host has a whole /64.
pub(super) fn peer(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
        address => address,
    }
}

async fn livez(State(served): State<Arc<Served>>) -> Response {
    let is_alive = served.outputs.is_alive();
    answer(is_alive.then_some("alive").ok_or("the main loop has been silent for 15 s"))
}

async fn readyz(State(served): State<Arc<Served>>) -> Response {
    answer(served.outputs.is_ready())
}

pub(super) fn answer<T: std::fmt::Display, E: std::fmt::Display>(answer: Result<T, E>) -> Response {
    match answer {
        Ok(good) => (StatusCode::OK, format!("{good}\n")).into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

/// What the text of metrics is.
pub(super) const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

async fn metrics(State(served): State<Arc<Served>>) -> Response {
    let Served { outputs, page } = &*served;
    match page.as_of(Instant::now(), || outputs.metrics.render()).await {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the kernel's counters cannot be read\n")
            .into_response(),
    }
}
