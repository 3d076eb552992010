//! `cargo xtask demo`: replicas, a zone and a cluster fail under a client that dials one address.
//!
//! Nodes are network namespaces without a way out, replicas are processes, the agent is the real
//! one. It attaches to one child cgroup and removes everything at the end.

mod cluster;
mod clusters;
mod kube;
mod leave_up;
mod run;
mod screen;
mod script;
mod summary;
mod tally;
mod testbed;

use std::{fs, path::PathBuf, process::ExitCode, time::Instant};

use anyhow::{Context as _, Result};
use redirector_tests::programs;

use self::{
    cluster::Cast,
    run::Run,
    script::Act,
    testbed::{Mode, Testbed},
};
use crate::{
    build, interrupts,
    setup::{self, Group, InstallArgs},
    workspace,
};

/// Show failovers: a replica, a zone and a cluster fail in every way, and return, in a minute
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Feed the agent from an API server (a small one, that comes along), and drive it by kubectl
    #[arg(long)]
    kube: bool,
    /// Fail over to two other clusters, each with an API server and a way to be cut off
    #[arg(long, conflicts_with = "kube")]
    clusters: bool,
    /// Leave everything up afterwards and print commands to try, until Enter or Ctrl-C
    #[arg(long)]
    keep: bool,
    /// Show this redirector instead of building one
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    #[command(flatten)]
    install: InstallArgs,
}

/// Green if the story came out as told.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    setup::require_root("demo")?;
    let binary = binary(args)?;
    programs::are_own_subcommands();
    interrupts::remember()?;
    let mode = args.mode();
    println!("{}", introduction(mode));
    let begin = Instant::now();
    let mut testbed = Testbed::set_up(binary, mode)?;
    let prepared = begin.elapsed();
    let mut run = Run::begin(&testbed)?;
    let outcomes = run.perform(&mut testbed, mode.story())?;
    println!("{}{}", summary::text(outcomes), mode.meaning());
    let mut is_right = outcomes.iter().all(|outcome| outcome.faults.is_empty());
    if mode == Mode::Clusters {
        let first = run.first_elsewhere().map(|first| prepared + first);
        is_right &= first.is_some_and(|first| first <= clusters::FROM_NOTHING);
        println!("{}", clusters::from_nothing(first));
    }
    if args.keep {
        println!("{}", leave_up::offer(&testbed)?);
        run.go_on(&testbed)?;
    }
    drop(run);
    testbed.agent.finish()?;
    Ok(if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Absolute, because the agent and the visitor's commands run elsewhere.
fn binary(args: &Args) -> Result<PathBuf> {
    let mut groups = vec![Group::Demo];
    groups.extend((args.kube || args.clusters).then_some(Group::Kube));
    let Some(path) = &args.binary else {
        groups.push(Group::Build);
        setup::ensure(&groups, args.install)?;
        build::release(args.install)?;
        return Ok(workspace::redirector_binary(true));
    };
    setup::ensure(&groups, args.install)?;
    fs::canonicalize(path).with_context(|| format!("there is no {}", path.display()))
}

impl Args {
    fn mode(&self) -> Mode {
        match (self.kube, self.clusters) {
            (false, false) => Mode::File,
            (true, _) => Mode::Kube,
            (false, true) => Mode::Clusters,
        }
    }
}

impl Mode {
    fn cast(self) -> &'static Cast {
        match self {
            Self::File | Self::Kube => &cluster::CAST,
            Self::Clusters => &clusters::CAST,
        }
    }

    fn story(self) -> Vec<&'static Act> {
        match self {
            Self::File | Self::Kube => script::story(self == Self::Kube).collect(),
            Self::Clusters => clusters::STORY.iter().collect(),
        }
    }

    /// What the table's reader has to know besides.
    fn meaning(self) -> &'static str {
        match self {
            Self::File | Self::Kube => "",
            Self::Clusters => clusters::MEANING,
        }
    }
}

fn introduction(mode: Mode) -> String {
    let cast = mode.cast();
    let replicas = cast.members.iter().map(|member| {
        let tier = cast.tier(member).name;
        format!("  {tier:<14} {:<9}  replica {}\n", member.node, member.name)
    });
    let nodes = match mode {
        Mode::File | Mode::Kube => "and seven nodes (network namespaces):",
        Mode::Clusters => clusters::INTRODUCTION,
    };
    format!(
        "
  A Service at {}, {nodes}

  zone a         {:<9}  the client, {} connects a second, and the agent
{}
  The client knows nothing of replicas: each connect() to the Service is
  rewritten in the kernel, to a healthy replica of the nearest zone or cluster.
",
        cluster::SERVICE,
        cluster::CLIENT_NODE,
        cluster::RATE,
        replicas.collect::<String>()
    )
}
