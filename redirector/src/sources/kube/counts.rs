//! What the Kubernetes source has done, as metrics.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::SystemTime,
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};
use redirector_kube::{
    report,
    watch::{Snapshot, State, Stats},
};

/// What is counted of the watches and of what is written back.
#[derive(Clone, Debug)]
pub struct Counts {
    pub(super) watches: [(&'static str, Arc<Stats>); 5],
    pub(super) reports: Option<Arc<report::Stats>>,
}

/// A family of counters, one per watch.
type OfWatch = (&'static str, &'static str, fn(&Snapshot) -> u64);

/// A family of gauges, one per watch.
type OfState = (&'static str, &'static str, fn(&Snapshot) -> f64);

const OF_WATCHES: [OfWatch; 5] = [
    ("kube_lists", "LISTs asked for", |now| now.lists),
    ("kube_watches", "WATCHes asked for", |now| now.watches),
    ("kube_events", "Events heard, bookmarks included", |now| now.events),
    ("kube_rejected_objects", "Versions of objects that could not be read", |now| now.rejected),
    ("kube_relist_differences", "Changes that full relists have found", |now| now.differences),
];

impl Collector for Counts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let now: Vec<_> =
            self.watches.iter().map(|(kind, stats)| (*kind, stats.snapshot())).collect();
        for (name, help, value) in OF_WATCHES {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (kind, snapshot) in &now {
                let labels = [("kind", *kind)];
                ConstCounter::new(value(snapshot)).encode(family.encode_family(&labels)?)?;
            }
        }
        let help = "Requests that failed";
        let mut family =
            encoder.encode_descriptor("kube_errors", help, None, MetricType::Counter)?;
        for (kind, snapshot) in &now {
            for (error, count) in &snapshot.errors {
                let labels = [("kind", *kind), ("error", error.name())];
                ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
            }
        }
        let gauges: [OfState; 2] = [
            ("kube_watching", "Whether changes are being heard", |now| {
                f64::from(u8::from(now.state == State::Watching))
            }),
            ("kube_silent_seconds", "Since the API server last said something useful", |now| {
                let since =
                    now.last_success.and_then(|at| SystemTime::now().duration_since(at).ok());
                since.map_or(0.0, |since| since.as_secs_f64())
            }),
        ];
        for (name, help, value) in gauges {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (kind, snapshot) in &now {
                let labels = [("kind", *kind)];
                ConstGauge::new(value(snapshot)).encode(family.encode_family(&labels)?)?;
            }
        }
        let Some(reports) = &self.reports else { return Ok(()) };
        let leads = ConstGauge::new(i64::from(reports.is_leader.load(Relaxed)));
        let help = "Whether this agent writes statuses and Events";
        leads.encode(encoder.encode_descriptor("kube_leads", help, None, MetricType::Gauge)?)?;
        let counters: [(_, _, &AtomicU64); 4] = [
            ("kube_statuses", "Statuses written", &reports.statuses),
            ("kube_reports", "Events written", &reports.events),
            (
                "kube_reports_dropped",
                "Reports that found no room or were refused",
                &reports.dropped,
            ),
            ("kube_report_errors", "Requests of the reporter that failed", &reports.errors),
        ];
        for (name, help, count) in counters {
            let count = ConstCounter::new(count.load(Relaxed));
            count.encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)?;
        }
        Ok(())
    }
}
