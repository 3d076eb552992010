//! Schedules in virtual time: what is asked when, while others take what they can.

mod backoff;
mod doubt;
mod fairness;
mod resting;
mod simulation;
mod urgency;

use std::time::Duration;

use redirector_core::service::Probe;

use self::simulation::{Answer, Simulation, backend, order};

const PROBE: Probe = Probe {
    kind: redirector_core::service::ProbeKind::Tcp,
    port: None,
    interval_ms: 1_000,
    fast_interval_ms: 200,
    timeout_ms: 500,
    unhealthy: 2,
    healthy: 3,
};
const SILENT: Answer = Answer { after: Duration::from_millis(500), is_well: false };
const WELL: Answer = Answer { after: Duration::from_millis(1), is_well: true };
