//! `cargo xtask test`: builds what is tested, runs every suite, counts.

mod earlier;
mod lanes;
mod mutants;
mod outcome;
mod report;
mod skips;
mod suites;

use std::{collections::BTreeMap, process::ExitCode};

use anyhow::Result;

use earlier::Earlier;
pub(crate) use report::Report;
use suites::{Agents, Run, Suite};

use crate::{
    build,
    setup::{self, Group, InstallArgs},
};

/// Run the tests as root: unit tests first, then each suite on this kernel and on others
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The suites to run; all of them when none is named
    suites: Vec<String>,
    /// Only list the suites
    #[arg(long)]
    list: bool,
    /// Run the agents of the kernel's suites with least privilege: a user who may only load, and one
    /// who may do nothing
    #[arg(long)]
    unprivileged: bool,
    /// Everything in its full size and of the release build, such as a minute of load where CI is
    /// content with seconds
    #[arg(long)]
    full: bool,
    #[command(flatten)]
    install: InstallArgs,
}

impl Args {
    pub(crate) fn all(install: InstallArgs) -> Self {
        Self { suites: Vec::new(), list: false, unprivileged: false, full: false, install }
    }
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    if args.list {
        for suite in suites::all()? {
            println!("{:<20} {}", suite.name(), suite.about());
        }
        return Ok(ExitCode::SUCCESS);
    }
    let report = report(args)?;
    report.print();
    Ok(if report.is_green() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs the suites, also after one has failed.
pub(crate) fn report(args: &Args) -> Result<Report> {
    let agents = if args.unprivileged { Agents::Unprivileged } else { Agents::OfRoot };
    let suites = suites::select(&args.suites, agents)?;
    setup::require_root("test")?;
    setup::ensure(&[Group::Build, Group::Test], args.install)?;
    // Compiled ahead, so that the time of a suite is that of its tests.
    build::with_tests(args.install)?;
    if args.full {
        build::release(args.install)?;
    }
    let is_upgraded = args.full && suites.iter().any(|suite| suite.name() == "upgrade");
    let earlier = if is_upgraded { Some(Earlier::ensure()?) } else { None };
    let run = Run { agents, is_full: args.full, earlier };
    let mut outcomes = BTreeMap::new();
    lanes::run(&suites, &run, |suite, outcome| {
        outcomes.insert(suite.name().to_owned(), outcome);
    })?;
    let mut report = Report::default();
    for suite in &suites {
        report.add(suite.name(), outcomes.remove(suite.name()).unwrap_or_default());
    }
    if args.full && suites.contains(&Suite::Unit) {
        report.add("mutants", mutants::run(args.install)?);
    }
    Ok(report)
}
