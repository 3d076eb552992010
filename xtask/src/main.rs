//! `cargo xtask`: everything that is done to this repository, one file or folder per subcommand.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "CLI output")]

mod bench;
mod build;
mod build_ebpf;
mod ci;
mod demo;
mod image;
mod interrupts;
mod lint;
mod process;
mod race;
mod setup;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Builds, tests, lints and shows Redirector, and sets up what that takes.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask", version = None)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    BuildEbpf(build_ebpf::Args),
    Build(build::Args),
    Demo(demo::Args),
    Image(image::Args),
    Lint(lint::Args),
    Test(test::Args),
    Bench(bench::Args),
    Race(race::Args),
    Ci(ci::Args),
    /// What the demo starts as processes of their own
    #[command(hide = true)]
    Replica {
        arguments: Vec<String>,
    },
    #[command(hide = true)]
    Dialer,
    /// What the race starts as processes of their own
    #[command(hide = true)]
    RacePart {
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    let done = |()| ExitCode::SUCCESS;
    let result = match Cli::parse().command {
        Command::BuildEbpf(args) => build_ebpf::run(&args).map(done),
        Command::Build(args) => build::run(&args).map(done),
        Command::Demo(args) => demo::run(&args),
        Command::Image(args) => image::run(&args).map(done),
        Command::Lint(args) => lint::run(&args).map(done),
        Command::Test(args) => test::run(&args),
        Command::Bench(args) => bench::run(&args).map(done),
        Command::Race(args) => race::run(&args).map(done),
        Command::Ci(args) => ci::run(&args),
        Command::Replica { arguments } => {
            redirector_tests::replica::serve(arguments.into_iter()).map(done)
        }
        Command::Dialer => redirector_tests::dialer::serve().map(done),
        Command::RacePart { arguments } => race::play(arguments).map(done),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
