//! `cargo xtask ci`: lint, then test, with the time of each. What `.ci/run` calls.

use std::{process::ExitCode, time::Instant};

use anyhow::Result;

use crate::{lint, setup::InstallArgs, test};

/// Lint and test, as CI does
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    install: InstallArgs,
}

/// Tests even when the lint has failed: both answers are wanted from one run.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let start = Instant::now();
    let lint = lint::run(&lint::Args { install: args.install });
    let lint_time = start.elapsed();
    if let Err(error) = &lint {
        eprintln!("error: {error:#}");
    }
    let start = Instant::now();
    let report = test::report(&test::Args::all(args.install))?;
    let verdict = |green: bool| if green { "ok" } else { "FAILED" };
    println!("\nlint: {} in {:.0} s", verdict(lint.is_ok()), lint_time.as_secs_f64());
    let test_time = start.elapsed().as_secs_f64();
    println!("test: {} in {test_time:.0} s, with builds", verdict(report.is_green()));
    report.print();
    let is_green = lint.is_ok() && report.is_green();
    Ok(if is_green { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
