//! What is to be said of policies, from what the index and the agent's task know.

use std::sync::atomic::Ordering;

use redirector_kube::{index::Index, report::Handle};
use tokio::sync::{mpsc, oneshot};

use crate::control::Ask;

/// Hands the statuses of all policies to the reporter, if this agent writes them.
pub(super) async fn tell(index: &Index, handle: &Handle, asks: &mpsc::Sender<Ask>) {
    if !index.is_synced() || !handle.stats().is_leader.load(Ordering::Relaxed) {
        return;
    }
    let services = index.with_policy();
    let (answer, told) = oneshot::channel();
    if asks.send(Ask::Health(services.clone(), answer)).await.is_err() {
        return;
    }
    let Ok(told) = told.await else { return };
    let states = services
        .into_iter()
        .zip(told)
        .filter_map(|(service, state)| Some((service, state?)))
        .collect();
    handle.statuses(index.statuses(&states));
}
