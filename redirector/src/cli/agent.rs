//! `redirector agent`: wires the sources, the agent's task and the outputs together.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use aya_log::EbpfLogger;
use tokio::{
    io::{Interest, unix::AsyncFd},
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, watch},
    task::{JoinHandle, JoinSet},
};
use tracing::{info, warn};

use super::{
    kube::KubeArgs,
    options::{LoadArgs, RunArgs, holder},
};
use crate::{
    agent::{Agent, Guard, QUEUE},
    control::{self, LongNames, Orders, SocketFile, ask_loader},
    datapath::{self, Counters, Datapath, Events, Heart, Lock, Loss, Pinned, Pins, Resets, check},
    outputs::{Metrics, Outputs, admin::Admin},
    sources::{
        file,
        kube::{self, Kube},
        prober::Prober,
    },
};

/// Flags of `agent`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The file with this node, the services and their backends; reloaded when it changes
    #[arg(long, value_name = "FILE", required_unless_present = "kube", conflicts_with = "kube")]
    config: Option<PathBuf>,
    /// How long addresses that kube-proxy serves too are redirected without an agent; 0s is for
    /// ever [default with --kube: 15m]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    stale_after: Option<Duration>,
    /// Where to answer /livez, /readyz and /metrics
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9648")]
    admin: SocketAddr,
    /// Probes under way at once
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    max_probes: u32,
    /// Probes a second to each other cluster, in turn to those of its backends that get no connections
    /// from this node; all nodes together ask that often, so many times as there are nodes
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    remote_probes: u32,
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    load: LoadArgs,
    /// The last: its heading holds for what follows
    #[command(flatten)]
    kube: KubeArgs,
}

/// docs/adr/008: pins without an agent must not steer to addresses that other pods have by now.
const STALE_AFTER: Duration = Duration::from_mins(15);
/// How long a stopping agent may take: plans are short, and nothing is detached.
const STOPPING: Duration = Duration::from_secs(1);

/// How a life of the agent went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// It has stopped for good.
    Stopped,
    /// What was pinned is gone, and something else is pinned by now: as if it were started anew.
    BeginsAgain,
}

/// What asks the agent to end. One that begins again must not miss it.
struct Signals {
    terminated: Signal,
    interrupted: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        Ok(Self {
            terminated: signal(SignalKind::terminate()).context("cannot handle SIGTERM")?,
            interrupted: signal(SignalKind::interrupt()).context("cannot handle SIGINT")?,
        })
    }
}

/// Runs until SIGTERM or SIGINT.
pub(super) fn run(args: &Args) -> Result<()> {
    let mut signals = None;
    loop {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .context("cannot start the runtime")?;
        let result = runtime.block_on(async {
            if signals.is_none() {
                signals = Some(Signals::new()?);
            }
            let signals = signals.as_mut().context("they have just been made")?;
            serve(args, signals).await
        });
        runtime.shutdown_timeout(STOPPING);
        if result? == Ended::Stopped {
            return Ok(());
        }
    }
}

async fn serve(args: &Args, signals: &mut Signals) -> Result<Ended> {
    let Signals { terminated, interrupted } = signals;
    // A bad file or kubeconfig at the start is the caller's mistake; later it is a warning.
    if let Some(config) = &args.config {
        file::read(config)?;
    }
    let run = args.run.directory();
    let kube = match args.kube.options(&args.load.options()?.capacities, &run)? {
        Some(options) => Some(Kube::new(options).await?),
        None => None,
    };

    let pins = args.load.pins.pins();
    let (lock, admin) = tokio::select! {
        prepared = prepare(args, &pins) => prepared?,
        _ = terminated.recv() => return Ok(Ended::Stopped),
        _ = interrupted.recv() => return Ok(Ended::Stopped),
    };
    let pinned = Pinned::look(&pins);

    let (news, inbox) = mpsc::channel(QUEUE);
    let prober =
        Prober::new(news.clone(), args.max_probes as usize).with_remote_probes(args.remote_probes);
    let reload_failures = Arc::new(AtomicU64::new(0));
    let metrics = Metrics::new(
        Counters::open(&pins)?,
        Arc::clone(&reload_failures),
        prober.local_failures(),
        kube.as_ref().map(Kube::counts),
    );
    let reports = kube.as_ref().and_then(|kube| kube.handle.clone());
    let left = kube.as_ref().map(|kube| Arc::clone(&kube.left)).unwrap_or_default();
    let outputs = Arc::new(Outputs::new(metrics, Arc::clone(&left), reports));
    let (wanted, wanted_probes) = watch::channel(Arc::default());
    let (stop, stopped) = watch::channel(false);
    let orders = Orders::new(&run.orders());
    let names = LongNames::new(&run.long_names());
    let options = args.load.options()?;
    let resets = args.load.cgroup().and_then(|cgroup| Resets::open(&pins, &options, &cgroup));
    let datapath = Datapath::open(&pins)?;
    let stale_after = args.stale_after.or(kube.is_some().then_some(STALE_AFTER));
    datapath.set_stale_after(stale_after.filter(|after| !after.is_zero()))?;
    let heart = Heart::open(&pins)?;
    let agent = Agent::adopt(datapath, heart, Arc::clone(&outputs), wanted, orders, names, resets)?;

    let mut tasks = JoinSet::new();
    tasks.spawn(admin.serve(Arc::clone(&outputs)));
    tasks.spawn(prober.run(wanted_probes));
    let (ask, asks) = mpsc::channel(QUEUE);
    match run.create().and_then(|()| control::Server::listen(&run.socket())) {
        Ok(server) => drop(tasks.spawn(server.serve(ask.clone()))),
        Err(error) => warn!(error = format!("{error:#}"), "operators cannot reach this agent"),
    }
    if let Some(log) = datapath::program_log(&pins) {
        tasks.spawn(follow(log)?);
    }
    let owner = kube.as_ref().and_then(|kube| kube.owner.clone());
    if let Some(config) = &args.config {
        tasks.spawn(file::watch(config.clone(), news, reload_failures, left));
    } else if let Some(kube) = kube {
        // What is pinned is in force, whether or not the API server can be reached.
        outputs.is_served();
        kube.start(news, ask, &mut tasks);
    }
    let mut running = tokio::spawn(agent.run(inbox, Events::open(&pins)?, asks, stopped));
    let (cgroup, loader) = (args.load.cgroup_path(), run.loader());
    let guard = Guard { pins: pins.clone(), pinned, outputs, options, cgroup, loader };
    let mut lock = Some(lock);
    // Declared after the lock, it goes before: a successor makes its own.
    let socket = SocketFile::at(&run.socket());

    let leaves = tokio::select! {
        _ = terminated.recv() => {
            info!("SIGTERM");
            kube::leaves(owner.as_deref()).await
        }
        _ = interrupted.recv() => {
            info!("SIGINT");
            false
        }
        ended = &mut running => {
            drop(lock);
            end(&mut tasks).await;
            ended.context("the agent's task ended by a panic")?;
            return Ok(Ended::Stopped);
        }
        ended = guard.watch(&mut lock) => {
            let _ = stop.send(true);
            stopped_in_time(running).await;
            end(&mut tasks).await;
            return ended.map(|()| Ended::BeginsAgain);
        }
    };
    let _ = stop.send(true);
    stopped_in_time(running).await;
    drop(socket);
    if leaves {
        // An agent that is installed again has no orders yet, even if what is pinned cannot go.
        let forgotten = Orders::new(&run.orders()).remove();
        let forgotten = forgotten.and(LongNames::new(&run.long_names()).write(&BTreeSet::new()));
        let forgotten = forgotten.and(run.forget_api_servers());
        let lock = match lock {
            Some(lock) => lock,
            None => pins.try_lock()?.context("another process is loading")?,
        };
        let removed = datapath::unload(&pins, lock)?;
        info!(links = removed.links, maps = removed.maps, "unloaded: the DaemonSet is gone");
        forgotten?;
    }
    end(&mut tasks).await;
    Ok(Ended::Stopped)
}

async fn stopped_in_time(running: JoinHandle<()>) {
    if tokio::time::timeout(STOPPING, running).await.is_err() {
        warn!("the agent's task did not end in time");
    }
}

/// Ends sources and servers before the runtime goes: a task that made a timer meanwhile would panic.
async fn end(tasks: &mut JoinSet<()>) {
    if tokio::time::timeout(STOPPING, tasks.shutdown()).await.is_err() {
        warn!("sources and servers did not end in time");
    }
}

/// Passes the programs' log lines on.
fn follow<L: log::Log + 'static>(log: EbpfLogger<L>) -> Result<impl Future<Output = ()>> {
    // SAFETY: the log owns its descriptor, and always answers with the same one.
    let mut log = unsafe { AsyncFd::register_with_interest(log, Interest::READABLE) }
        .context("cannot follow the programs' log")?;
    Ok(async move {
        while let Ok(mut ready) = log.readable_mut().await {
            ready.get_inner_mut().flush();
            ready.clear_ready();
        }
    })
}

/// Asks a loader that stands by for what is not there, and this process may not make.
async fn have_loaded(args: &Args, pins: &Pins, loss: &Loss) -> Result<()> {
    let root = pins.root().display();
    let missing = || {
        format!(
            "{loss} (below {root}), and this process has no capability to load; `redirector load` \
             as root makes it"
        )
    };
    ask_loader(&args.run.directory().loader()).await.with_context(missing)?;
    info!(pins = %root, "a loader that stands by has loaded");
    match Pinned::look(pins).lost() {
        Some(left) if left.is_of_maps() => {
            bail!(
                "{left} (below {root}), though a loader has just loaded: it sees another BPF file system"
            )
        }
        _ => Ok(()),
    }
}

/// Waits for the pins to be free, and loads what is missing or older than this binary. Whatever may
/// fail is tried before: an agent that cannot run leaves no programs attached beside another's.
async fn prepare(args: &Args, pins: &Pins) -> Result<(Lock, Admin)> {
    let may_load = check::may_load();
    if may_load {
        pins.create()?;
    } else if let Some(loss) = Pinned::look(pins).lost().filter(Loss::is_of_maps) {
        have_loaded(args, pins, &loss).await?;
    }
    let lock = match pins.try_lock()? {
        Some(lock) => lock,
        None => {
            warn!(holder = %holder(pins), pins = %pins.root().display(), "another agent is running; waiting for it to end");
            let pins = pins.clone();
            tokio::task::spawn_blocking(move || pins.lock())
                .await
                .context("waiting for the lock")??
        }
    };
    // Not before the lock: the agent that is waited for may listen at the same address.
    let admin = Admin::listen(args.admin)?;
    if may_load {
        let cgroup = args.load.cgroup()?;
        tokio::task::block_in_place(|| {
            datapath::load(pins, &lock, &cgroup, &args.load.options()?)
        })?;
    } else {
        info!(pins = %pins.root().display(), "no capability to load programs; using what is pinned");
    }
    Ok((lock, admin))
}
