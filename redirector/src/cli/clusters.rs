//! `redirector clusters`: the Deployment that exports this cluster's Services and imports others'.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use anyhow::{Context as _, Result};
use ipnet::IpNet;
use redirector_clusters::{
    api::NAMESPACE,
    run::{self, Board},
};
use redirector_kube::client;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use tracing::info;

use crate::outputs::clusters::Admin;

/// Flags of `clusters`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
One Deployment per cluster runs this, in two replicas of which one is elected; agents never talk to another
cluster. It writes what is exported (ServiceExport) into the namespace redirector-exports of its own API
server, and reads that namespace of every cluster that a RemoteCluster names. `redirector cluster join` makes
the account and the RemoteCluster that it needs.")]
pub(super) struct Args {
    /// What other clusters call this one, where no ClusterProperty cluster.clusterset.k8s.io says it
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// The Deployment's own namespace, with its Lease and the Secrets of other clusters
    #[arg(long, value_name = "NAME", env = "POD_NAMESPACE", default_value = NAMESPACE)]
    namespace: String,
    /// The name of this replica, which no other one has [default: the host's name]
    #[arg(long, value_name = "NAME", env = "POD_NAME")]
    pod: Option<String>,
    /// Export endpoints in this range too that no controller of Kubernetes has listed; may be repeated
    #[arg(long, value_name = "CIDR")]
    export_cidr: Vec<IpNet>,
    /// Give each import an address of its own, as clusterset.local needs it; kube-proxy serves it too
    #[arg(
        long, value_name = "BOOL", default_value_t = true, num_args = 0..=1,
        default_missing_value = "true", action = clap::ArgAction::Set
    )]
    cluster_set_ips: bool,
    /// Where to answer /livez, /readyz and /metrics
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9648")]
    admin: SocketAddr,
    /// Kubeconfig file [default: a pod's service account]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Dial the API server at this address; the name in its certificate stays
    #[arg(long, value_name = "URL")]
    api_server: Option<String>,
    /// Divides every timeout and interval: for tests
    #[arg(long, value_name = "N", default_value_t = 1, hide = true)]
    divide_timeouts: u32,
}

/// How long the tasks may take to end.
const STOPPING: Duration = Duration::from_secs(5);

/// Runs until SIGTERM or SIGINT.
pub(super) fn run(args: &Args) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(try_run(args));
    // A request that does not end must not hold up the end.
    runtime.shutdown_timeout(Duration::from_millis(100));
    result
}

async fn try_run(args: &Args) -> Result<()> {
    let mut terminated = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
    let mut interrupted = signal(SignalKind::interrupt()).context("cannot handle SIGINT")?;
    let board = Arc::new(Board::default());
    let is_ending = Arc::new(AtomicBool::new(false));
    tokio::spawn(Admin::listen(args.admin)?.serve(Arc::clone(&board), Arc::clone(&is_ending)));
    let (end, ended) = watch::channel(false);
    let running = run::run(options(args)?, board, ended);
    tokio::pin!(running);
    tokio::select! {
        result = &mut running => return result,
        _ = terminated.recv() => info!("SIGTERM"),
        _ = interrupted.recv() => info!("SIGINT"),
    }
    is_ending.store(true, std::sync::atomic::Ordering::Relaxed);
    end.send_replace(true);
    tokio::time::timeout(STOPPING, running).await.unwrap_or(Ok(()))
}

fn options(args: &Args) -> Result<run::Options> {
    let Args { cluster, namespace, pod, export_cidr, cluster_set_ips, .. } = args;
    let host = || std::fs::read_to_string("/proc/sys/kernel/hostname");
    let pod = match pod {
        Some(pod) => pod.clone(),
        None => host().context("--pod is missing, and the host's name cannot be read")?,
    };
    let timeouts = client::Timeouts::default().divided_by(args.divide_timeouts);
    Ok(run::Options {
        client: client::Options {
            kubeconfig: args.kubeconfig.clone(),
            context: args.context.clone(),
            api_server: args.api_server.clone(),
            timeouts,
            ..client::Options::default()
        },
        cluster: cluster.clone(),
        namespace: namespace.clone(),
        pod: pod.trim().to_owned(),
        export_cidrs: export_cidr.clone(),
        cluster_set_ips: *cluster_set_ips,
        divide_timeouts: args.divide_timeouts,
    })
}
