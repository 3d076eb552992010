//! Many services at once: what their maps weigh, how long they take to fill, how long one ejection
//! takes among them.

use std::time::Instant;

use anyhow::{Context as _, Result};
use redirector_common::HealthByte;
use redirector_core::{
    Input,
    input::ProbeFailure,
    plan::{Plan, Step},
    service::{BackendRef, Protocol},
};
use redirector_tests::bpffs::Bpffs;

use crate::{
    goals::Goal,
    redirected::{Memory, Redirected, Stages},
    report::{Table, Unit},
    services::{self, BACKENDS, Services},
};

const SERVICES: Services = Services { count: 100_000, protocol: Protocol::Tcp };
/// Ejections by one store: two for each of these.
const STORES: u32 = 200_000;
/// Ejections from a failed probe to the map.
const PROBED: u32 = 500;
/// A prime: a walk in steps of it meets backends in no order, each once.
const STRIDE: u32 = 618_033;
const MEGA: f64 = 1e6;

/// `populated`: how long others took to populate as many services.
pub fn measure(bpffs: &Bpffs, mut populated: Vec<Stages>) -> Result<(Vec<Table>, Vec<Goal>)> {
    let default =
        Redirected::new(bpffs, "bulk-default", services::DEFAULT_CAPACITIES, Memory::Seats)?;
    let at_default = default.memory()?;
    drop(default);
    let mut redirected =
        Redirected::new(bpffs, "bulk", SERVICES.exact_capacities(), Memory::Seats)?;
    populated.push(redirected.populate(SERVICES)?);
    let at_scale = redirected.memory()?;

    let mut memory = Table::new(
        "Memory of the maps",
        "As the kernel counts it, all pinned maps. State per socket comes on top.",
        &[("default", Unit::Megabytes), ("100,000", Unit::Megabytes)],
    );
    let of = |maps: &[(String, u64)], wanted: &str| {
        maps.iter().find(|(name, _)| name == wanted).map(|(_, bytes)| *bytes as f64 / MEGA)
    };
    let sum = |maps: &[(String, u64)]| maps.iter().map(|(_, bytes)| *bytes as f64 / MEGA).sum();
    for (name, _) in at_scale.iter().filter(|(_, bytes)| *bytes as f64 >= MEGA / 10.0) {
        memory.row(name, &[of(&at_default, name), of(&at_scale, name)]);
    }
    let (default, scale): (f64, f64) = (sum(&at_default), sum(&at_scale));
    memory.row("all", &[Some(default), Some(scale)]);

    populated.sort_by_key(|stages| stages.total());
    let median = populated[populated.len() / 2];
    let mut times = Table::new(
        "To populate 100,000 services with 1,000,000 backends",
        format!("From the sources' words to the maps; the median of {}.", populated.len()),
        &[("", Unit::Milliseconds)],
    );
    let milliseconds = |time: std::time::Duration| time.as_secs_f64() * 1e3;
    times.row("judge and compile", &[Some(milliseconds(median.compile))]);
    times.row("plan", &[Some(milliseconds(median.plan))]);
    times.row("apply", &[Some(milliseconds(median.apply))]);
    times.row("together", &[Some(milliseconds(median.total()))]);

    let store = store(&mut redirected)?;
    let mut probed = probed(&mut redirected)?;
    probed.sort_by_key(|stages| stages.total());
    let middle = probed[probed.len() / 2];
    let micros = |time: std::time::Duration| time.as_secs_f64() * 1e6;
    let mut ejection = Table::new(
        "To eject one backend among them",
        "A store: one step through the datapath, random backends. End to end: from the probe that\n\
         fails to the map, with the table of its service; the median.",
        &[("store", Unit::Nanoseconds), ("end to end", Unit::Microseconds)],
    );
    ejection.row("one backend", &[Some(store), Some(micros(middle.total()))]);
    ejection.row("  judge and compile", &[None, Some(micros(middle.compile))]);
    ejection.row("  plan", &[None, Some(micros(middle.plan))]);
    ejection.row("  apply", &[None, Some(micros(middle.apply))]);

    let goals = vec![
        Goal::at_most("populating 1,000,000 backends, ms", milliseconds(median.total()), 1000.0),
        Goal::at_most("maps of 1,000,000 backends, MB", scale, 150.0)
            .remark(format!("{default:.1} MB at the default capacities")),
        Goal::at_most("an ejection, ns", store, 1000.0)
            .remark(format!("{:.1} us from the failed probe to the map", micros(middle.total()))),
    ];
    Ok((vec![memory, times, ejection], goals))
}

/// Nanoseconds to eject or re-admit one backend by its one store.
fn store(redirected: &mut Redirected) -> Result<f64> {
    let (installed, datapath) = redirected.parts();
    let mut plans = Vec::new();
    for value in [1, 0] {
        for number in 0..STORES {
            let (backend, _) = installed.backend(&one(number)).context("a backend is missing")?;
            let step = Step::SetHealth { backend, byte: HealthByte::Prober, value };
            plans.push(Plan { steps: vec![step], rejected: Vec::new() });
        }
    }
    let begin = Instant::now();
    for plan in &plans {
        datapath.apply(plan)?;
    }
    Ok(begin.elapsed().as_nanos() as f64 / plans.len() as f64)
}

/// Each of some backends fails its probes, and is re-admitted afterwards.
fn probed(redirected: &mut Redirected) -> Result<Vec<Stages>> {
    let mut all = Vec::new();
    for number in 0..PROBED {
        let backend = one(number);
        let probe = |outcome| Input::Probed { backend, outcome };
        // Two failures eject what has answered before: only the second one changes anything.
        redirected.tell([probe(Ok(())), probe(Err(ProbeFailure::TimedOut))])?;
        let (stages, happened) = redirected.tell([probe(Err(ProbeFailure::TimedOut))])?;
        anyhow::ensure!(!happened.is_empty(), "{backend} has not been ejected");
        all.push(stages);
        redirected.tell([probe(Ok(())), probe(Ok(())), probe(Ok(()))])?;
    }
    Ok(all)
}

fn one(number: u32) -> BackendRef {
    let all = u64::from(SERVICES.count * BACKENDS);
    SERVICES.backend((u64::from(number) * u64::from(STRIDE) % all) as u32)
}
