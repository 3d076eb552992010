//! `redirector load`: the privileged half of the agent, once.

use std::{
    fs::DirBuilder,
    io::ErrorKind,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

use super::options::{LoadArgs, holder};
use crate::{
    control::{Loader, RunDirectory, SocketFile},
    datapath::{self, Access, Lock, Pins, check, verifier},
};

/// How long an agent or a loader that was killed may take to be gone: who starts its successor at
/// once, as kubelet does, should not have to try again.
const AGENT_EXIT_TIMEOUT: Duration = Duration::from_secs(2);

/// Flags of `load`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    load: LoadArgs,
    /// Also make the agent's run directory, for those who may use the pins: an agent that may not
    /// make it itself keeps its orders there
    #[arg(long, value_name = "DIR")]
    run_dir: Option<PathBuf>,
    /// Load nothing yet: wait for an agent that may not load and has lost its pins or programs, load
    /// when it asks (by `loader.sock` in the run directory), and end, so that who starts this again
    /// gives it the mounts of that time
    #[arg(long, requires = "run_dir", conflicts_with = "verifier_stats")]
    stand_by: bool,
    /// Print for each program how many instructions the verifier processed
    #[arg(long)]
    verifier_stats: bool,
}

pub(super) fn run(args: &Args) -> Result<()> {
    match &args.run_dir {
        Some(directory) if args.stand_by => stand_by(args, directory),
        _ => load(args),
    }
}

/// Loads once an agent asks for it; before, SIGTERM and SIGINT are the end.
fn stand_by(args: &Args, directory: &Path) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let mut terminated = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
        let mut interrupted = signal(SignalKind::interrupt()).context("cannot handle SIGINT")?;
        check::require_capabilities()?;
        let access = Access::new(args.load.options()?.owner);
        prepare(directory, access)?;
        let socket = RunDirectory::new(directory).loader();
        let loader = Loader::listen(&socket, access)?;
        let file = SocketFile::at(&socket);
        info!(socket = %socket.display(), "standing by");
        tokio::select! {
            loaded = loader.serve_one(|| load(args)) => loaded,
            () = removed(&file) => {
                bail!("{} was removed: no agent can ask any more", socket.display())
            }
            _ = terminated.recv() => Ok(()),
            _ = interrupted.recv() => Ok(()),
        }
    })
}

/// Waits until another file, or none, is where this one is now.
async fn removed(socket: &SocketFile) {
    const LOOKS: Duration = Duration::from_secs(10);
    while socket.is_there() {
        tokio::time::sleep(LOOKS).await;
    }
}

fn load(args: &Args) -> Result<()> {
    let pins = args.load.pins.pins();
    pins.create()?;
    let lock = lock(&pins)?;
    let options = args.load.options()?;
    if let Some(directory) = &args.run_dir {
        prepare(directory, Access::new(options.owner))?;
    }
    datapath::load(&pins, &lock, &args.load.cgroup()?, &options)?;
    if args.verifier_stats {
        for (program, processed) in verifier::processed(&pins, &options)? {
            println!("{program} {processed}");
        }
    }
    println!("loaded; pinned below {}", pins.root().display());
    Ok(())
}

/// Waits for a process that is about to let go of the pins.
fn lock(pins: &Pins) -> Result<Lock> {
    let deadline = Instant::now() + AGENT_EXIT_TIMEOUT;
    loop {
        if let Some(lock) = pins.try_lock()? {
            return Ok(lock);
        }
        if Instant::now() > deadline {
            bail!(
                "{} is in use by process {}; an agent that may load does it itself, stop it to \
                 load by hand",
                pins.root().display(),
                holder(pins),
            );
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Makes a directory, or takes the one that is there, for those who may use the pins.
fn prepare(directory: &Path, access: Access) -> Result<()> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(error).with_context(|| format!("cannot make {}", directory.display()))
        }
        _ => access.grant(directory),
    }
}
