//! What Redirector costs, beside what else there is: `cargo xtask bench` builds and runs this.
//!
//! Everything happens in namespaces without a way out and in cgroups of its own, and is removed at
//! the end. Needs root.

mod bpf;
mod bulk;
mod client;
mod connects;
mod dials;
mod exchanges;
mod goals;
mod ground;
mod redirected;
mod report;
mod rounds;
mod rules;
mod scale;
mod server;
mod services;

use std::{fs, path::PathBuf, process::ExitCode, time::Instant};

use anyhow::{Context as _, Result};
use clap::Parser;
use redirector_tests::bpffs::Bpffs;
use serde_json::json;

use crate::{dials::Effort, exchanges::Rules, ground::Ground, report::print_line};

/// Measure what a redirected connect costs, beside what else there is
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask bench")]
struct Args {
    /// Fewer rounds and smaller rule sets: under a minute
    #[arg(long)]
    quick: bool,
    /// Fail if a goal is missed
    #[arg(long)]
    strict: bool,
    /// Write all numbers to this file as well, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the goals into this page of the documentation, where it has them
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
    /// Passed by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

/// How much is measured.
struct Efforts {
    connects: Effort,
    scale: Effort,
    exchanges: Effort,
    rules: Rules,
}

const FULL: Efforts = Efforts {
    connects: Effort { rounds: 301, times: 1_000 },
    scale: Effort { rounds: 61, times: 5_000 },
    exchanges: Effort { rounds: 201, times: 100 },
    rules: Rules { iptables: &[10, 1_000, 10_000], nftables: &[10, 10_000] },
};
const QUICK: Efforts = Efforts {
    connects: Effort { rounds: 101, times: 500 },
    scale: Effort { rounds: 21, times: 5_000 },
    exchanges: Effort { rounds: 101, times: 50 },
    rules: Rules { iptables: &[10, 1_000], nftables: &[1_000] },
};

fn main() -> Result<ExitCode> {
    match std::env::args().nth(1).as_deref() {
        Some(client::ROLE) => client::serve().map(|()| ExitCode::SUCCESS),
        Some(server::ROLE) => server::serve().map(|()| ExitCode::SUCCESS),
        _ => bench(&Args::parse()),
    }
}

fn bench(args: &Args) -> Result<ExitCode> {
    let begin = Instant::now();
    let efforts = if args.quick { QUICK } else { FULL };
    let cpu = ground::keep_to_one_cpu()?;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").context("no /proc")?;
    let kernel = kernel.trim();
    print_line(&format!(
        "Linux {kernel}, everything on CPU {cpu}. Contenders alternate in rounds; times are medians\n\
         over the rounds, ratios are medians of each round's ratio."
    ))?;
    let bpffs = Bpffs::mount()?;
    let ground = Ground::new()?;

    let mut tables = Vec::new();
    let (more, mut goals) = connects::measure(&ground, &bpffs, efforts.connects)?;
    show(&mut tables, more)?;
    let (table, more, populated) = scale::measure(&ground, &bpffs, efforts.scale)?;
    show(&mut tables, vec![table])?;
    goals.extend(more);
    let (more, met) = exchanges::measure(&ground, &bpffs, efforts.exchanges, efforts.rules)?;
    show(&mut tables, more)?;
    goals.extend(met);
    let (more, met) = bulk::measure(&bpffs, populated)?;
    show(&mut tables, more)?;
    goals.extend(met);

    let all_met = goals::print(&goals)?;
    print_line(&format!("\nmeasured in {:.0} s", begin.elapsed().as_secs_f64()))?;
    if let Some(path) = &args.json {
        let all = json!({ "kernel": kernel, "tables": tables, "goals": goals });
        fs::write(path, serde_json::to_string_pretty(&all)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(page) = &args.page {
        goals::write(&goals, kernel, page)?;
    }
    let is_failed = args.strict && !all_met;
    Ok(if is_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Prints them as they come.
fn show(all: &mut Vec<report::Table>, tables: Vec<report::Table>) -> Result<()> {
    for table in tables {
        table.print()?;
        all.push(table);
    }
    Ok(())
}
