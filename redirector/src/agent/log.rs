//! What happened, as log lines: INFO is a transition, WARN may need a person.

use std::sync::Arc;

use redirector_common::HealthByte;
use redirector_core::Transition;
use tracing::{info, warn};

pub(super) fn log(transition: &Transition) {
    match transition {
        Transition::Ejected { backend, by, why } => {
            info!(%backend, by = by.name(), %why, "ejected");
        }
        Transition::Readmitted { backend, by } => {
            let by: HealthByte = *by;
            info!(%backend, by = by.name(), "re-admitted");
        }
        Transition::FailedOver { service, from, to } => {
            let name = |tier: &Option<(u8, Arc<str>)>| {
                tier.as_ref().map_or_else(|| "none".into(), |(_, name)| Arc::clone(name))
            };
            let is_back = matches!((from, to), (Some((from, _)), Some((to, _))) if to < from);
            let (from, to) = (name(from), name(to));
            if is_back {
                info!(%service, %from, %to, "failed back");
            } else {
                warn!(%service, %from, %to, "failed over");
            }
        }
        Transition::NodeSuspect(true) => {
            warn!("nothing answers this node; its own network is suspected");
        }
        Transition::NodeSuspect(false) => info!("this node's network answers again"),
        Transition::Ramped { service, tier, percent } => {
            info!(%service, %tier, percent, "the tier gets its traffic back");
        }
        Transition::Ordered(verb) => info!(?verb, "an operator's wish is in force"),
        Transition::Rejected { object, why } => {
            warn!(%object, %why, "rejected; its last good version stays in force");
        }
    }
}
