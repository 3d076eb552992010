//! The command line: what a person or a DaemonSet asks of the binary.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "command-line output")]

mod agent;
mod check;
mod cluster;
mod clusters;
mod crd;
mod dump;
mod explain;
mod kube;
mod load;
mod logging;
mod options;
mod orders;
mod status;

use std::{env, ffi::OsStr, path::Path, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::datapath::{self, descriptors};

use options::{PinArgs, RunArgs, holder};

/// Connection-level failover in the kernel: each connect to a service address goes to a healthy
/// replica
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    log: logging::LogArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch the sources and keep the kernel's maps up to date
    Agent(Box<agent::Args>),
    /// Create, pin and attach everything (the privileged half of `agent`), then end
    Load(load::Args),
    /// Say what this kernel and these privileges can do
    Check(check::Args),
    /// Show each service: its frontends, tiers and backends, and who receives connections
    Status(status::Args),
    /// Say why a service's connections go where they go: per tier who is healthy, who objects, since
    /// when, and who gets which share
    Explain(explain::ExplainArgs),
    /// Say where connections would go if backends, nodes, zones or clusters died; nothing changes
    Simulate(explain::SimulateArgs),
    /// Give a backend, node, zone or cluster no new connections, until `undrain`
    Drain(orders::DrainArgs),
    /// End a drain
    Undrain(orders::DrainArgs),
    /// Give all load of a service to one tier, while it has a healthy backend, until `failback`
    Force(orders::ForceArgs),
    /// End a force, a hold-down or a manual fail-back's wait: at once as health and policy say
    Failback(orders::FailbackArgs),
    /// Show which drains and forces are in force
    Orders(orders::OrdersArgs),
    /// Show what the pinned maps hold, entry by entry
    Dump(dump::Args),
    /// Join other clusters, see how they are, leave them
    Cluster(cluster::Args),
    /// Export Services to other clusters and import theirs: what the Deployment redirector-clusters runs
    Clusters(clusters::Args),
    /// Print the definition of FailoverPolicy for a cluster: `redirector crd | kubectl apply -f -`
    Crd(crd::Args),
    /// Detach the programs and remove every trace of them
    Unload(UnloadArgs),
}

/// Flags of `unload`.
#[derive(Clone, Debug, clap::Args)]
struct UnloadArgs {
    #[command(flatten)]
    pins: PinArgs,
    /// Sockets of agents and loaders that were killed go too; orders stay
    #[command(flatten)]
    run: RunArgs,
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let called = env::args_os().next().unwrap_or_default();
    let matches = command(&called).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    cli.log.init();
    descriptors::raise_limit();
    let result = match cli.command {
        Command::Agent(args) => agent::run(&args),
        Command::Load(args) => load::run(&args),
        Command::Check(args) => return check::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Explain(args) => explain::explain(&args),
        Command::Simulate(args) => explain::simulate(&args),
        Command::Drain(args) => orders::drain(&args),
        Command::Undrain(args) => orders::undrain(&args),
        Command::Force(args) => orders::force(&args),
        Command::Failback(args) => orders::failback(&args),
        Command::Orders(args) => orders::orders(&args),
        Command::Dump(args) => dump::run(&args),
        Command::Cluster(args) => match cluster::run(&args) {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        Command::Clusters(args) => clusters::run(&args),
        Command::Crd(args) => {
            crd::run(&args);
            Ok(())
        }
        Command::Unload(args) => unload(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let advice = descriptors::advice(&error).map(|advice| format!("; {advice}"));
            eprintln!("error: {error:#}{}", advice.unwrap_or_default());
            ExitCode::FAILURE
        }
    }
}

/// What kubectl looks for on the PATH for `kubectl redirector`.
const PLUGIN: &str = "kubectl-redirector";

/// Every subcommand and flag. Called by the name of the kubectl plugin it has the same ones, and
/// usage lines say `kubectl redirector`.
#[must_use]
pub fn command(called: &OsStr) -> clap::Command {
    let command = Cli::command();
    if Path::new(called).file_name() == Some(OsStr::new(PLUGIN)) {
        command.bin_name("kubectl redirector")
    } else {
        command
    }
}

fn unload(args: &UnloadArgs) -> Result<()> {
    args.run.directory().sweep()?;
    let pins = args.pins.pins();
    if !pins.root().is_dir() {
        println!("nothing is pinned at {}", pins.root().display());
        return Ok(());
    }
    let lock = pins.try_lock()?.with_context(|| {
        format!(
            "{} is in use by process {}; stop the agent first",
            pins.root().display(),
            holder(&pins),
        )
    })?;
    let removed = datapath::unload(&pins, lock)?;
    println!(
        "detached {} programs and removed {} maps below {}",
        removed.links,
        removed.maps,
        pins.root().display()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    #[test]
    fn the_command_line_is_consistent() {
        super::command(OsStr::new("redirector")).debug_assert();
    }

    #[test]
    fn as_a_kubectl_plugin_it_says_how_to_call_it() {
        let usage = |called: &str, arguments: &[&str]| {
            let arguments = [called].into_iter().chain(arguments.iter().copied());
            let error = super::command(OsStr::new(called)).try_get_matches_from(arguments);
            let text = error.expect_err("help, or a flag is missing").to_string();
            let usage = text.lines().find(|line| line.starts_with("Usage: "));
            usage.unwrap_or_else(|| panic!("no usage in {text}")).to_owned()
        };
        let plugin = "/usr/local/bin/kubectl-redirector";
        assert_eq!(usage(plugin, &["--help"]), "Usage: kubectl redirector [OPTIONS] <COMMAND>");
        let of_check = usage(plugin, &["check", "--help"]);
        assert_eq!(of_check, "Usage: kubectl redirector check [OPTIONS]");
        let of_binary = usage("/usr/local/bin/redirector", &["check", "--help"]);
        assert_eq!(of_binary, "Usage: redirector check [OPTIONS]");
    }
}
