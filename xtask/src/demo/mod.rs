//! `cargo xtask demo`: replicas, a zone and a cluster fail under a client that dials one address.
//!
//! Nodes are network namespaces without a way out, replicas are processes, the agent is the real
//! one. It attaches to one child cgroup and removes everything at the end.

mod cluster;
mod interrupts;
mod kube;
mod leave_up;
mod run;
mod screen;
mod script;
mod summary;
mod tally;
mod testbed;

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use redirector_tests::programs;

use self::{run::Run, testbed::Testbed};
use crate::{
    build,
    setup::{self, Group, InstallArgs},
    workspace,
};

/// Show failovers: a replica, a zone and a cluster fail in every way, and return, in a minute
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Feed the agent from an API server (a small one, that comes along), and drive it by kubectl
    #[arg(long)]
    kube: bool,
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
    println!("{}", introduction());
    let mut testbed = Testbed::set_up(binary, args.kube)?;
    let mut run = Run::begin(&testbed)?;
    let outcomes = run.perform(&mut testbed)?;
    println!("{}", summary::text(outcomes));
    let is_right = outcomes.iter().all(|outcome| outcome.faults.is_empty());
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
    groups.extend(args.kube.then_some(Group::Kube));
    let Some(path) = &args.binary else {
        groups.push(Group::Build);
        setup::ensure(&groups, args.install)?;
        build::release(args.install)?;
        return Ok(workspace::redirector_binary(true));
    };
    setup::ensure(&groups, args.install)?;
    fs::canonicalize(path).with_context(|| format!("there is no {}", path.display()))
}

fn introduction() -> String {
    let replicas = cluster::MEMBERS.iter().map(|member| {
        let tier = cluster::TIERS[member.tier].name;
        format!("  {tier:<14} {}  replica {}\n", member.node, member.name)
    });
    format!(
        "
  A Service at {}, and seven nodes (network namespaces):

  zone a         {}  the client, {} connects a second, and the agent
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
