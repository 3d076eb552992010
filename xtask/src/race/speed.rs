//! What a connection costs where nothing fails: one contender after the other, the others idle.

use std::{thread, time::Duration};

use anyhow::Result;

use super::{attempt::Attempt, client::Load, entrant::Entrant, tally::median, world::World};
use crate::interrupts;

/// One attempt at a time, for its time.
const ALONE: Duration = Duration::from_secs(3);
/// As many as the machine can do.
const SATURATED: Duration = Duration::from_secs(5);
/// Attempts at the same time: more than there are cores, because each waits for a reply.
const AT_ONCE: u32 = 16;

/// What connections cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Speed {
    /// Microseconds of an attempt, one at a time: the median.
    pub(super) p50: f64,
    /// Attempts per second at saturation.
    pub(super) rate: f64,
    /// Microseconds of CPU per attempt: of the clients, with what the kernel does for them.
    pub(super) clients_cpu: f64,
    /// The same of the agent or proxy.
    pub(super) own_cpu: f64,
    /// Attempts that failed.
    pub(super) failed: usize,
}

/// Measures all contenders of a world, from the `first` on in turn, in the order of the world.
pub(super) fn run(world: &World, first: usize) -> Result<Vec<Speed>> {
    let count = world.entrants.len();
    let mut speeds: Vec<Option<Speed>> = vec![None; count];
    for number in (first..first + count).map(|number| number % count) {
        interrupts::check()?;
        speeds[number] = Some(measure(&world.entrants[number])?);
    }
    Ok(speeds.into_iter().flatten().collect())
}

fn measure(entrant: &Entrant) -> Result<Speed> {
    let alone = attempts(entrant, Load::Closed(1), ALONE)?;
    let took: Vec<f64> = alone.iter().map(|attempt| attempt.took_us as f64).collect();
    let (clients, own) = (entrant.clients_cpu()?, entrant.running.cpu()?);
    let attempts = attempts(entrant, Load::Closed(AT_ONCE), SATURATED)?;
    let (clients, own) = (
        entrant.clients_cpu()?.saturating_sub(clients),
        entrant.running.cpu()?.saturating_sub(own),
    );
    let (begin, end) = (attempts.first(), attempts.iter().map(Attempt::end_us).max());
    let lasted = end.zip(begin).map_or(1, |(end, begin)| (end - begin.at_us).max(1));
    let each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / attempts.len().max(1) as f64;
    Ok(Speed {
        p50: median(&took).unwrap_or_default(),
        rate: attempts.len() as f64 * 1e6 / lasted as f64,
        clients_cpu: each(clients),
        own_cpu: each(own),
        failed: alone.iter().chain(&attempts).filter(|attempt| attempt.has_failed()).count(),
    })
}

fn attempts(entrant: &Entrant, load: Load, lasts: Duration) -> Result<Vec<Attempt>> {
    let client = entrant.client(load, &entrant.contender.near_addresses())?;
    thread::sleep(lasts);
    Ok(client.report()?.attempts)
}
