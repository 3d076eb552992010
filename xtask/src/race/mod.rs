//! `cargo xtask race`: Redirector beside kube-proxy's rules, HAProxy and Envoy, at the same faults in
//! the same instant.
//!
//! Nodes are network namespaces without a way out: nine with a replica, one for each contender with
//! its clients. All clients dial the same replicas.

mod attempt;
mod cast;
mod client;
mod config;
mod contender;
mod course;
mod cpu;
mod entrant;
mod fault;
mod install;
mod replica;
mod report;
mod running;
mod speed;
mod stalls;
mod tally;
mod world;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};

use self::{
    contender::Contender, course::Measure, fault::Fault, report::Results, stalls::Stalls,
    tally::Figures, world::World,
};
use crate::{
    build, interrupts,
    setup::{self, Group, InstallArgs},
    workspace,
};

/// Race against kube-proxy's rules, HAProxy and Envoy: who loses how many attempts at which fault
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Who takes part; all of them by default
    #[arg(long, value_delimiter = ',')]
    contenders: Vec<Contender>,
    /// What happens; all of it by default
    #[arg(long, value_delimiter = ',')]
    faults: Vec<Fault>,
    /// Attempts per second of each contender's client
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,
    /// The tables have the medians of so many runs
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=99))]
    runs: u32,
    /// How long each fault is watched
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// How long a zone's return is watched; 0: not at all
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(0..=600))]
    return_seconds: u64,
    /// Do not measure what a connection costs without a fault
    #[arg(long)]
    no_speed: bool,
    /// Write the tables into docs/performance.md and the chart to docs/img/race.svg
    #[arg(long)]
    write: bool,
    /// Race this redirector instead of building one
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    #[command(flatten)]
    install: InstallArgs,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    setup::require_root("race")?;
    let chosen = chosen(&args.contenders);
    let (contenders, absent) = install::ensure(&chosen, args.install)?;
    ensure!(!contenders.is_empty(), "no contender can take part");
    let redirector = binary(args)?;
    interrupts::remember()?;
    let mut results = Results {
        measure: Measure {
            rate: args.rate,
            lasts: Duration::from_secs(args.seconds),
            returns: Duration::from_secs(args.return_seconds),
        },
        runs: args.runs,
        contenders,
        absent,
        faults: self::chosen(&args.faults),
        figures: BTreeMap::new(),
        speeds: BTreeMap::new(),
        stalls: Stalls::default(),
        longest_fault: Duration::ZERO,
        complaints: Vec::new(),
    };
    for number in 0..args.runs {
        race(&mut results, &redirector, number, !args.no_speed)?;
    }
    let (tables, chart) = (report::markdown(&results), report::svg(&results));
    println!("\n{tables}");
    let folder = workspace::target().join("race");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    write(&folder.join("race.md"), &tables)?;
    write(&folder.join("race.svg"), &chart)?;
    if args.write {
        let docs = workspace::root().join("docs");
        fs::create_dir_all(docs.join("img")).context("cannot make docs/img")?;
        write(&docs.join("img/race.svg"), &chart)?;
        report::write_into(&docs.join("performance.md"), &tables)?;
    }
    ensure!(results.complaints.is_empty(), "{}", results.complaints.join("\n"));
    Ok(())
}

/// One run: every fault in a world of its own, then the cost of connections.
fn race(results: &mut Results, redirector: &Path, number: u32, has_speed: bool) -> Result<()> {
    for fault in results.faults.clone() {
        println!("run {}, {}", number + 1, fault.name());
        let mut world = World::set_up(&results.contenders, redirector)?;
        let (times, seen, stalls) = course::run(&mut world, fault, results.measure)?;
        results.stalls = results.stalls.and(stalls);
        results.longest_fault = results.longest_fault.max(Duration::from_micros(times.took_us));
        for (contender, seen) in results.contenders.iter().zip(&seen) {
            let figures = Figures::of(seen, times, results.measure.rate, fault.has_return());
            println!("  {:<18} {}", contender.name(), summary(&figures));
            results.figures.entry((fault, *contender)).or_default().push(figures);
        }
        results.complaints.extend(world.finish());
    }
    if has_speed {
        println!("run {}, without a fault", number + 1);
        let world = World::set_up(&results.contenders, redirector)?;
        let speeds = speed::run(&world, number as usize)?;
        for (contender, speed) in results.contenders.iter().zip(speeds) {
            println!("  {:<18} {:.0} a second", contender.name(), speed.rate);
            results.speeds.entry(*contender).or_default().push(speed);
        }
        results.complaints.extend(world.finish());
    }
    Ok(())
}

fn summary(figures: &Figures) -> String {
    let Figures { attempts, failed, serial, second, .. } = figures;
    let second = second.map_or_else(String::new, |second| format!(" + {}", second.count));
    let last = failed.last.map_or_else(String::new, |last| format!(" [{last:.1} s]"));
    let counts = (failed.count, serial.count);
    format!("{}{second} of {attempts} failed{last}, {} one after the other", counts.0, counts.1)
}

/// What was chosen, or all, in their own order.
fn chosen<T: clap::ValueEnum + Ord>(named: &[T]) -> Vec<T> {
    let all = if named.is_empty() { T::value_variants() } else { named };
    let mut chosen = all.to_vec();
    chosen.sort();
    chosen.dedup();
    chosen
}

/// What a process of the race does: `race-part client …` or `race-part replica …`.
pub(crate) fn play(arguments: Vec<String>) -> Result<()> {
    let mut arguments = arguments.into_iter();
    match arguments.next().as_deref() {
        Some("client") => client::play(arguments),
        Some("replica") => replica::play(arguments),
        _ => bail!("usage: race-part client|replica ARGUMENT…"),
    }
}

/// Absolute, because the agents run elsewhere.
fn binary(args: &Args) -> Result<PathBuf> {
    if let Some(path) = &args.binary {
        return fs::canonicalize(path).with_context(|| format!("there is no {}", path.display()));
    }
    setup::ensure(&[Group::Build], args.install)?;
    build::release(args.install)?;
    Ok(workspace::redirector_binary(true))
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    println!("wrote {}", file.display());
    Ok(())
}
