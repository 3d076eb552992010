//! The HTTP endpoint and the metrics of `redirector clusters`. They only read.

use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use anyhow::Result;
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};
use redirector_clusters::run::{Board, Figures};
use redirector_kube::api::Phase;

use super::admin::{self, BOUNDS, OPEN_METRICS, Page, answer, peer};
use crate::serve::serve;

/// The endpoint, listening and not answering yet.
#[derive(Debug)]
pub struct Admin(tokio::net::TcpListener);

struct Served {
    board: Arc<Board>,
    is_ending: Arc<AtomicBool>,
    registry: Registry,
    page: Page,
}

/// All phases, each of which is a time series of a cluster.
const PHASES: [Phase; 5] =
    [Phase::Joining, Phase::Live, Phase::Silent, Phase::Lost, Phase::Leaving];

impl Admin {
    /// Listens there.
    ///
    /// # Errors
    ///
    /// The address cannot be bound.
    pub fn listen(address: SocketAddr) -> Result<Self> {
        admin::listening(address).map(Self)
    }

    /// Answers until the task is dropped; not ready any more from when `is_ending` is true.
    pub async fn serve(self, board: Arc<Board>, is_ending: Arc<AtomicBool>) {
        let mut registry = Registry::with_prefix("redirector");
        registry.register_collector(Box::new(Collected(Arc::clone(&board))));
        let served = Served { board, is_ending, registry, page: Page::default() };
        let router = Router::new()
            .route("/livez", get(livez))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .with_state(Arc::new(served));
        serve(self.0, BOUNDS, |address| peer(address.ip()), move |_| router.clone()).await;
    }
}

async fn livez(State(served): State<Arc<Served>>) -> Response {
    let is_alive = served.board.is_alive();
    answer(is_alive.then_some("alive").ok_or("the tasks have been silent for 15 s"))
}

async fn readyz(State(served): State<Arc<Served>>) -> Response {
    if served.is_ending.load(Ordering::Relaxed) {
        return answer(Err::<&str, _>("it is ending"));
    }
    answer(served.board.is_ready())
}

async fn metrics(State(served): State<Arc<Served>>) -> Response {
    let render = || {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &served.registry).map(|()| text)
    };
    match served.page.as_of(Instant::now(), render).await {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Reads the board whenever metrics are rendered.
#[derive(Debug)]
struct Collected(Arc<Board>);

impl Collector for Collected {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Figures { leads, exported_services, backlog, write_errors, clusters } =
            self.0.figures();
        for (name, help, value) in [
            (
                "clusters_leader",
                "1 in the replica that writes; 0 everywhere is that nothing is imported",
                i64::from(leads),
            ),
            ("clusters_exported_services", "Services in the outbox", number(exported_services)),
            ("clusters_backlog", "Objects that are not yet as they should be", number(backlog)),
        ] {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        let errors = ConstCounter::new(write_errors);
        errors.encode(encoder.encode_descriptor(
            "clusters_write_errors",
            "Requests to the own API server that failed",
            None,
            errors.metric_type(),
        )?)?;
        let mut family = encoder.encode_descriptor(
            "cluster_phase",
            "1 for the phase that a joined cluster is in",
            None,
            MetricType::Gauge,
        )?;
        for (cluster, figures) in &clusters {
            for phase in PHASES {
                let labels = [("cluster", &**cluster), ("phase", name(phase))];
                let gauge = ConstGauge::new(i64::from(figures.phase == Some(phase)));
                gauge.encode(family.encode_family(&labels)?)?;
            }
        }
        let mut family = encoder.encode_descriptor(
            "cluster_heard_seconds",
            "Since a joined cluster's heartbeat was last heard",
            None,
            MetricType::Gauge,
        )?;
        for (cluster, figures) in &clusters {
            let Some(heard) = figures.heard else { continue };
            let gauge = ConstGauge::new(heard.elapsed().as_secs_f64());
            gauge.encode(family.encode_family(&[("cluster", &**cluster)])?)?;
        }
        let mut family = encoder.encode_descriptor(
            "cluster_imported_endpoints",
            "Endpoints of a joined cluster that are imported",
            None,
            MetricType::Gauge,
        )?;
        for (cluster, figures) in &clusters {
            let gauge = ConstGauge::new(number(figures.endpoints));
            gauge.encode(family.encode_family(&[("cluster", &**cluster)])?)?;
        }
        Ok(())
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

const fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::Joining => "Joining",
        Phase::Live => "Live",
        Phase::Silent => "Silent",
        Phase::Lost => "Lost",
        Phase::Leaving => "Leaving",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_that_has_heard_nothing_is_alive_and_not_ready_and_has_figures() {
        let board = Arc::new(Board::default());
        assert!(board.is_alive());
        assert!(board.is_ready().is_err());
        let mut registry = Registry::with_prefix("redirector");
        registry.register_collector(Box::new(Collected(board)));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("a text");
        assert!(text.contains("redirector_clusters_leader 0\n"), "{text}");
        assert!(text.contains("# TYPE redirector_cluster_phase gauge"), "{text}");
    }
}
