//! The course of one fault: all contenders are up, their clients at work; something happens; what
//! the clients have seen is collected.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use redirector_tests::dialer::now_us;

use super::{
    cast::Member,
    client::{Client, Load, Report},
    fault::{Fault, Harm},
    stalls::{Stalls, Watch},
    world::World,
};
use crate::interrupts;

/// By then every replica has answered its probes, and passive health knows them all.
const WARM_UP: Duration = Duration::from_secs(6);
/// A readiness probe's period: so long after a fault or a return discovery says so.
const READINESS: Duration = Duration::from_secs(10);
/// Connections that each contender's client keeps.
const HELD: u32 = 12;
const POLL: Duration = Duration::from_millis(50);

/// How long, and how much.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measure {
    /// Attempts per second and contender.
    pub(super) rate: u32,
    /// From the fault on.
    pub(super) lasts: Duration,
    /// From the return on.
    pub(super) returns: Duration,
}

/// What a contender's clients have seen.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    pub(super) open: Report,
    pub(super) serial: Report,
    pub(super) held: Report,
    /// CPU time of the agent or proxy from the fault to the end. None of one that was killed.
    pub(super) own_cpu: Option<Duration>,
}

/// When what happened: microseconds of the monotonic clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) fault_us: u64,
    /// How long it took until it had happened to all.
    pub(super) took_us: u64,
    /// The replicas' return, or the death of a replica after that of the agent.
    pub(super) second_us: Option<u64>,
    pub(super) end_us: u64,
}

/// Lets it happen. Returns what the clients of each contender have seen, in their order.
pub(super) fn run(
    world: &mut World,
    fault: Fault,
    measure: Measure,
) -> Result<(Times, Vec<Seen>, Stalls)> {
    let mut clients = Vec::new();
    for entrant in &world.entrants {
        let to = entrant.contender.addresses();
        let held = fault.has_established().then(|| entrant.client(Load::Held(HELD), &to));
        let open = entrant.client(Load::Open(measure.rate), &to)?;
        clients.push((open, entrant.client(Load::Serial, &to)?, held.transpose()?));
    }
    wait(WARM_UP)?;
    let watch = Watch::begin();
    let before = cpu(world)?;
    let times = happen(world, fault, measure)?;
    let own_cpu = cpu(world)?
        .into_iter()
        .zip(before)
        .map(|(after, before)| fault.is_of_replicas().then(|| after.saturating_sub(before)));
    let stalls = watch.end();
    for (open, serial, held) in &mut clients {
        [Some(open), Some(serial), held.as_mut()].into_iter().flatten().for_each(Client::stop);
    }
    let seen = clients.into_iter().zip(own_cpu).map(|((open, serial, held), own_cpu)| {
        let held = held.map(Client::report).transpose()?.unwrap_or_default();
        Ok(Seen { open: open.report()?, serial: serial.report()?, held, own_cpu })
    });
    Ok((times, seen.collect::<Result<_>>()?, stalls))
}

/// CPU time of each agent and proxy so far.
fn cpu(world: &World) -> Result<Vec<Duration>> {
    world.entrants.iter().map(|entrant| entrant.running.cpu()).collect()
}

fn happen(world: &mut World, fault: Fault, measure: Measure) -> Result<Times> {
    let victims = fault.victims();
    let fault_us = now_us();
    if !fault.is_of_replicas() {
        world.kill_contenders();
        let took_us = now_us() - fault_us;
        wait(measure.lasts / 2)?;
        let second_us = now_us();
        world.harm(&victims, Harm::Killed)?;
        wait(measure.lasts / 2)?;
        return Ok(Times { fault_us, took_us, second_us: Some(second_us), end_us: now_us() });
    }
    world.harm(&victims, fault.harm())?;
    let took_us = now_us() - fault_us;
    let others: Vec<_> = Member::all().filter(|member| !victims.contains(member)).collect();
    wait_and_discover(world, &others, measure.lasts)?;
    if !fault.has_return() || measure.returns.is_zero() {
        return Ok(Times { fault_us, took_us, second_us: None, end_us: now_us() });
    }
    let second_us = now_us();
    world.restart(&victims)?;
    wait_and_discover(world, &Member::all().collect::<Vec<_>>(), measure.returns)?;
    Ok(Times { fault_us, took_us, second_us: Some(second_us), end_us: now_us() })
}

/// Waits; readiness probes have found out what is ready after a part of it.
fn wait_and_discover(world: &World, ready: &[Member], lasts: Duration) -> Result<()> {
    wait(lasts.min(READINESS))?;
    if lasts > READINESS {
        let begin = Instant::now();
        world.discover(ready)?;
        wait((lasts - READINESS).saturating_sub(begin.elapsed()))?;
    }
    Ok(())
}

fn wait(lasts: Duration) -> Result<()> {
    let end = Instant::now() + lasts;
    loop {
        interrupts::check()?;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        thread::sleep(left.min(POLL));
    }
}
