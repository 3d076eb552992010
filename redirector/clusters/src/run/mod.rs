//! The Deployment `redirector-clusters`: in every replica the exporter, in the one that leads the importer.
//!
//! Only here is I/O: watches of the own API server and of others' outboxes, requests, clocks. What follows
//! from what was heard is in [`export`](crate::export) and [`import`](crate::import).

mod board;
mod clusters;
mod credentials;
mod definitions;
mod exporting;
mod exports;
mod found;
mod heartbeat;
mod identity;
mod importing;
mod news;
mod places;
mod remote;
mod timing;
mod writing;

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use ipnet::IpNet;
use redirector_kube::{
    client::{self, Client},
    report::{Candidate, Standing},
    watch::Limits,
};
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
};
use tracing::{info, warn};

pub use self::board::{Board, ClusterFigures, Figures};
use self::{timing::Timing, writing::Newest};

/// The Lease of the election, in the Deployment's own namespace.
pub const LEASE: &str = "redirector-clusters";

/// How long giving the Lease back may take.
const GIVING_BACK: Duration = Duration::from_secs(3);

/// What the command line says.
#[derive(Clone, Debug)]
pub struct Options {
    /// How the own API server is reached.
    pub client: client::Options,
    /// `--cluster`: the own id, where no ClusterProperty says it.
    pub cluster: Option<String>,
    /// The own namespace, where the Lease and the Secrets are.
    pub namespace: String,
    /// The name of this replica: no other one has it.
    pub pod: String,
    /// `--export-cidr`: what is exported, whichever controller lists it.
    pub export_cidrs: Vec<IpNet>,
    /// Whether each import gets an address of its own.
    pub cluster_set_ips: bool,
    /// What all times are divided by.
    pub divide_timeouts: u32,
}

/// Runs until `ended` says true; what there is to tell is on the board.
///
/// # Errors
///
/// Environment, kubeconfig or flags do not say how the API server is reached.
///
/// # Panics
///
/// A task has panicked: another replica goes on.
pub async fn run(
    options: Options,
    board: Arc<Board>,
    mut ended: watch::Receiver<bool>,
) -> Result<()> {
    let timing = Timing::divided_by(options.divide_timeouts);
    let limits = Limits::default().divided_by(options.divide_timeouts);
    let client = Client::new(options.client.clone())
        .await
        .context("cannot tell how to reach the API server")?;
    let learn = identity::learn(&client, options.cluster.as_deref(), timing.retry, &board);
    let identity = tokio::select! {
        identity = learn => identity,
        _ = ended.wait_for(|ended| *ended) => return Ok(()),
    };
    let candidate =
        Candidate::new(&client, &options.namespace, LEASE, &options.pod, timing.election.clone());
    let standing = candidate.standing();
    let (conflicts, conflicting) = watch::channel(exporting::Conflicts::new());
    let mut tasks = JoinSet::new();
    let restored = watch::Sender::new(0);
    let newest = Newest::default();
    tasks.spawn(export(
        exporting::Options {
            client: client.clone(),
            limits: limits.clone(),
            timing: timing.clone(),
            identity: identity.clone(),
            pod: options.pod.as_str().into(),
            trusted: options.export_cidrs.clone(),
            standing: standing.clone(),
            conflicts: conflicting,
            board: Arc::clone(&board),
            newest: newest.clone(),
        },
        restored.clone(),
    ));
    tasks.spawn(lead(
        standing,
        restored.subscribe(),
        importing::Options {
            client,
            limits,
            timing,
            identity,
            namespace: options.namespace.as_str().into(),
            cluster_set_ips: options.cluster_set_ips,
            conflicts,
            board,
            newest,
        },
    ));
    let mut standing = tokio::spawn({
        let ended = ended.clone();
        async move { candidate.stand(ended).await }
    });
    tokio::select! {
        _ = ended.wait_for(|ended| *ended) => {}
        Some(task) = tasks.join_next() => task.context("a task of the exporter or importer has ended")?,
        task = &mut standing => task.context("the election has ended")?,
    }
    // What is being written is cut off, and is safe at any point; only then may another one begin.
    tasks.shutdown().await;
    give_back(standing).await;
    Ok(())
}

async fn give_back(standing: JoinHandle<()>) {
    if !standing.is_finished() && tokio::time::timeout(GIVING_BACK, standing).await.is_err() {
        warn!("the Lease could not be given back in time; it runs out by itself");
    }
}

/// Exports for ever; whenever the API server was restored from a backup, anew.
async fn export(options: exporting::Options, restored: watch::Sender<u64>) {
    loop {
        exporting::run(options.clone()).await;
        restored.send_modify(|times| *times += 1);
    }
}

/// Imports while this replica leads, and only then; whenever the own API server was restored from a
/// backup, anew.
async fn lead(
    mut standing: watch::Receiver<Standing>,
    mut restored: watch::Receiver<u64>,
    options: importing::Options,
) {
    while standing.wait_for(Standing::leads).await.is_ok() {
        // Dropped with this task, it ends with it.
        let mut importing = JoinSet::new();
        importing.spawn(importing::run(options.clone()));
        tokio::select! {
            () = over(&mut standing) => info!("imports nothing any more"),
            Ok(()) = restored.changed() => {}
            Some(Err(panic)) = importing.join_next() => {
                std::panic::resume_unwind(panic.into_panic())
            }
        }
        importing.shutdown().await;
        options.board.note(|figures| figures.clusters.clear());
    }
}

/// Waits until the term is over, as it is renewed again and again.
async fn over(standing: &mut watch::Receiver<Standing>) {
    loop {
        let Some(until) = standing.borrow_and_update().leads_until else { return };
        tokio::select! {
            changed = standing.changed() => if changed.is_err() { return },
            () = tokio::time::sleep_until(until.into()) => {
                if !standing.borrow().leads() {
                    return;
                }
            }
        }
    }
}
