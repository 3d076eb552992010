//! Prometheus metrics: the kernel's counters as they stand, and what the agent has done.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{
        counter::ConstCounter, counter::Counter, family::Family, gauge::Gauge, histogram::Histogram,
    },
    registry::{Metric, Registry},
};
use redirector_common::{MAX_TIERS, Reason, TIER_COUNTERS};
use redirector_core::{Transition, input::ClusterEvent, plan::Installed};

use super::room;
use crate::{
    datapath::Counters,
    sources::{kube::Counts, prober::LocalFailures},
};

/// Everything that is exported.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    transitions: Family<Label, Counter>,
    writes: Counter,
    plans: Histogram,
    used: Family<Label, Gauge>,
    capacity: Family<Label, Gauge>,
    rejected: Gauge,
    lost: Gauge,
    unapplied: Gauge,
}

/// The label of a family, and its value.
type Label = [(&'static str, &'static str); 1];

impl Metrics {
    /// All zero; `counters` are the kernel's, `reload_failures` the file source's,
    /// `local_failures` the prober's, `kube` the Kubernetes source's.
    #[must_use]
    pub fn new(
        counters: Counters,
        reload_failures: Arc<AtomicU64>,
        local_failures: Arc<LocalFailures>,
        kube: Option<Counts>,
    ) -> Self {
        let mut registry = Registry::with_prefix("redirector");
        registry.register_collector(Box::new(PulledMetrics {
            counters,
            reload_failures,
            local_failures,
        }));
        if let Some(kube) = kube {
            registry.register_collector(Box::new(kube));
        }
        let to = &mut registry;
        Self {
            transitions: registered(
                to,
                "transitions",
                "Ejections, re-admissions, clients that probes contradicted, fail-overs, rejections, \
                 and what became of other clusters",
                Family::default(),
            ),
            writes: registered(
                to,
                "map_writes",
                "Stores and system calls that changed a map",
                Counter::default(),
            ),
            plans: registered(
                to,
                "plan_seconds",
                "Time to apply a plan, grace periods included",
                // 10 µs to 2.6 s.
                Histogram::new((0..10).map(|power| 1e-5 * 4_f64.powi(power))),
            ),
            used: registered(to, "map_entries_used", "Entries in use", Family::default()),
            capacity: registered(
                to,
                "map_entries_capacity",
                "Entries there is room for",
                Family::default(),
            ),
            rejected: registered(
                to,
                "services_rejected",
                "Services that stay as they were because a limit is reached",
                Gauge::default(),
            ),
            lost: registered(
                to,
                "pins_lost",
                "Maps without their pin, hooks without a program and emptied program arrays; 0 is whole",
                Gauge::default(),
            ),
            unapplied: registered(
                to,
                "maps_behind",
                "1 while the maps cannot be changed, so that no service is as the sources say",
                Gauge::default(),
            ),
            registry,
        }
    }

    /// The text exposition.
    ///
    /// # Errors
    ///
    /// Never in practice: writing to a string.
    pub fn render(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }

    /// Counts a transition.
    pub fn count(&self, transition: &Transition) {
        let kind = match transition {
            Transition::Ejected { .. } => "ejected",
            Transition::Readmitted { .. } => "readmitted",
            Transition::Contradicted { .. } => "contradicted",
            Transition::FailedOver { .. } => "failed_over",
            Transition::Rerouted { .. } => "rerouted",
            Transition::NodeSuspect(_) => "node_suspect",
            Transition::Cluster { event, .. } => match event {
                ClusterEvent::Silent { .. } => "cluster_silent",
                ClusterEvent::Lost { .. } => "cluster_lost",
                ClusterEvent::Live => "cluster_live",
                ClusterEvent::Unreachable { .. } => "cluster_unreachable",
                ClusterEvent::Reachable => "cluster_reachable",
            },
            Transition::Ramped { .. } => "ramped",
            Transition::Ordered(_) => "ordered",
            Transition::Rejected { .. } => "rejected",
        };
        self.transitions.get_or_create(&[("kind", kind)]).inc();
    }

    pub(super) fn lost(&self, count: usize) {
        self.lost.set(count as i64);
    }

    pub(super) fn unapplied(&self, is_so: bool) {
        self.unapplied.set(i64::from(is_so));
    }

    /// Single stores were made outside of a plan.
    pub fn wrote(&self, writes: u64) {
        self.writes.inc_by(writes);
    }

    /// A plan was applied.
    pub fn applied(&self, writes: u64, took: Duration) {
        self.writes.inc_by(writes);
        self.plans.observe(took.as_secs_f64());
    }

    pub(super) fn reconciled(&self, installed: &Installed, rejected: usize) {
        self.rejected.set(rejected as i64);
        for (map, used, capacity) in room(installed) {
            self.used.get_or_create(&[("map", map)]).set(i64::from(used));
            self.capacity.get_or_create(&[("map", map)]).set(i64::from(capacity));
        }
    }
}

fn registered<M: Metric + Clone>(to: &mut Registry, name: &str, help: &str, metric: M) -> M {
    to.register(name, help, metric.clone());
    metric
}

/// Reads what others count whenever the metrics are rendered.
struct PulledMetrics {
    counters: Counters,
    reload_failures: Arc<AtomicU64>,
    local_failures: Arc<LocalFailures>,
}

impl fmt::Debug for PulledMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PulledMetrics")
    }
}

impl Collector for PulledMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let sums = self.counters.read().map_err(|_| fmt::Error)?;
        let (reasons, tiers) = sums.split_at(TIER_COUNTERS as usize);
        let mut family = encoder.encode_descriptor(
            "dials",
            "How dials ended, and what the programs met on the way",
            None,
            prometheus_client::metrics::MetricType::Counter,
        )?;
        for (reason, count) in Reason::ALL.iter().zip(reasons) {
            let labels = [("reason", reason.name())];
            ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
        }
        let mut family = encoder.encode_descriptor(
            "selections",
            "New choices of a backend, by tier",
            None,
            prometheus_client::metrics::MetricType::Counter,
        )?;
        for (tier, count) in (0..MAX_TIERS).zip(tiers) {
            let labels = [("tier", tier.to_string())];
            ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
        }
        let mut family = encoder.encode_descriptor(
            "probe_local_errors",
            "Probes that this machine could not make, by what the system said",
            None,
            prometheus_client::metrics::MetricType::Counter,
        )?;
        for (errno, count) in self.local_failures.by_error() {
            ConstCounter::new(count).encode(family.encode_family(&[("errno", errno)])?)?;
        }
        for (name, help, count) in [
            (
                "config_reload_failures",
                "Files that were not taken over",
                self.reload_failures.load(Ordering::Relaxed),
            ),
            (
                "probe_local_failures",
                "Probes that this machine could not make; they count against no backend",
                self.local_failures.total(),
            ),
        ] {
            let count = ConstCounter::new(count);
            let kind = count.metric_type();
            count.encode(encoder.encode_descriptor(name, help, None, kind)?)?;
        }
        Ok(())
    }
}
