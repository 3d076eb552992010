//! `redirector cluster`: other clusters, as an operator joins, sees and leaves them.

mod check;
mod invite;
mod join;
mod leave;
mod list;
mod options;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Subcommand;

/// What to do with other clusters.
#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Join another cluster: its exported Services count here from then on
    Join(Box<join::Args>),
    /// Write an invitation for a cluster whose operator has no access here, for its `join -f`
    Invite(invite::Args),
    /// Leave another cluster: nothing of it stays here, nor of this one there
    Leave(leave::Args),
    /// Show the other clusters and whether they are heard
    List(list::Args),
    /// Ask fifteen questions about the ways between the clusters, with the fix for each failure
    Check(check::Args),
}

/// Other clusters.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start the runtime")?;
    runtime.block_on(async {
        match &args.command {
            Command::Join(args) => join::run(args).await,
            Command::Invite(args) => invite::run(args).await,
            Command::Leave(args) => leave::run(args).await,
            Command::List(args) => list::run(args).await,
            Command::Check(args) => check::run(args).await,
        }
    })
}
