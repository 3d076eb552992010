//! The HTTP endpoint: `/livez`, `/readyz`, `/metrics`. It only reads.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context as _, Result};
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::net::TcpListener;
use tracing::info;

use super::Outputs;

/// Answers until the task is dropped.
///
/// # Errors
///
/// The address cannot be bound.
pub async fn serve(address: SocketAddr, outputs: Arc<Outputs>) -> Result<impl Future<Output = ()>> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}; pass another --admin"))?;
    let address = listener.local_addr().context("cannot tell the admin address")?;
    info!(%address, "admin endpoint");
    let router = Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(outputs);
    Ok(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the admin endpoint ended");
        }
    })
}

async fn livez(State(outputs): State<Arc<Outputs>>) -> Response {
    answer(outputs.is_alive(), "alive", "the main loop has been silent for 15 s")
}

async fn readyz(State(outputs): State<Arc<Outputs>>) -> Response {
    answer(outputs.is_ready(), "ready", "the sources have not been heard yet")
}

fn answer(is_good: bool, good: &'static str, bad: &'static str) -> Response {
    if is_good {
        (StatusCode::OK, format!("{good}\n")).into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("{bad}\n")).into_response()
    }
}

async fn metrics(State(outputs): State<Arc<Outputs>>) -> Response {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match outputs.metrics().render() {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the kernel's counters cannot be read\n")
            .into_response(),
    }
}
