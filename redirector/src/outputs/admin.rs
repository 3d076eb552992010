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
    let is_alive = outputs.is_alive();
    answer(is_alive.then_some("alive").ok_or("the main loop has been silent for 15 s"))
}

async fn readyz(State(outputs): State<Arc<Outputs>>) -> Response {
    answer(outputs.is_ready())
}

fn answer<T: std::fmt::Display, E: std::fmt::Display>(answer: Result<T, E>) -> Response {
    match answer {
        Ok(good) => (StatusCode::OK, format!("{good}\n")).into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
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
