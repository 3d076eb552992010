//! Contenders that dial, and their race: wall time without statistics, then program time with.

use anyhow::Result;
use redirector_tests::{cgroup::Cgroup, netns::Netns, place::Place};

use crate::{
    bpf::{Programs, Statistics},
    client::{Addresses, Batch, Client},
    rounds::{Series, interleave},
};

/// A client somewhere, and whom it dials.
#[derive(Debug)]
pub struct Contender {
    pub name: String,
    client: Client,
    to: Addresses,
    /// Those that run when it dials; none where there are none of ours.
    programs: Option<Programs>,
}

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    pub rounds: usize,
    /// Dials in a batch.
    pub times: u32,
}

/// What came out for one contender.
#[derive(Debug)]
pub struct Measured {
    pub name: String,
    /// Nanoseconds per dial, as the application sees it. Without statistics.
    pub wall: Series,
    /// Nanoseconds per dial that our programs ran, as the kernel counts. Statistics cost some
    /// 20 ns, which an empty program shows as well.
    pub program: Option<Series>,
}

impl Contender {
    /// Without programs.
    pub fn new(name: &str, netns: &Netns, to: Addresses) -> Result<Self> {
        let client = Client::start(Place::netns(netns))?;
        Ok(Self { name: name.to_owned(), client, to, programs: None })
    }

    /// In a cgroup with programs.
    pub fn within(name: &str, netns: &Netns, cgroup: &Cgroup, to: Addresses) -> Result<Self> {
        let client = Client::start(Place::new(netns, cgroup))?;
        let programs = Programs::of(cgroup.path())?;
        Ok(Self { name: name.to_owned(), client, to, programs: Some(programs) })
    }

    fn wall(&mut self, batch: Batch, times: u32) -> Result<f64> {
        self.client.measure(batch, self.to, times)
    }

    fn program(&mut self, batch: Batch, times: u32) -> Result<f64> {
        let Some(programs) = &self.programs else { return Ok(0.0) };
        let before = programs.run_time()?;
        self.client.measure(batch, self.to, times)?;
        Ok((programs.run_time()? - before) as f64 / f64::from(times))
    }
}

/// Wall time of all.
pub fn race(contenders: &mut [Contender], batch: Batch, effort: Effort) -> Result<Vec<Series>> {
    let Effort { rounds, times } = effort;
    // The first batch of each warms caches up.
    interleave(contenders, 1, |contender| contender.wall(batch, times))?;
    interleave(contenders, rounds, |contender| contender.wall(batch, times))
}

/// Wall time and program time of all.
pub fn race_programs(
    contenders: &mut [Contender],
    batch: Batch,
    effort: Effort,
) -> Result<Vec<Measured>> {
    let Effort { rounds, times } = effort;
    let walls = race(contenders, batch, effort)?;
    let statistics = Statistics::enable()?;
    let programs = interleave(contenders, rounds, |contender| contender.program(batch, times))?;
    drop(statistics);
    let measured = contenders.iter().zip(walls.into_iter().zip(programs));
    Ok(measured
        .map(|(contender, (wall, program))| Measured {
            name: contender.name.clone(),
            wall,
            program: contender.programs.is_some().then_some(program),
        })
        .collect())
}
