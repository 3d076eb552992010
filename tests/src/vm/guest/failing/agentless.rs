//! The kernel alone: what a client avoids it tries again, when the time is over.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::ensure;
use redirector_common::Reason;

use super::Seen;
use super::server::{Manner, Server};
use super::stage::{Service, Stage, wait_until};
use crate::vm::guest::counters::count;
use crate::vm::report::Outcome;

const REPLICA: u8 = 9;
const LIMIT: u32 = 2;
/// Tries that fail, before the replica is back.
const TRIES: u64 = 2;

pub(super) fn tries(stage: &mut Stage) -> Seen {
    stage.kill_agent()?;
    let (avoiding, _) = stage.refused_until_avoided(Service::Agentless)?;
    ensure!(avoiding == LIMIT, "avoided after {avoiding} refusals and not after {LIMIT}");
    let begun = count(Reason::AvoidBegun)?;

    let (mut failed, mut dials) = (0, 0);
    let begin = Instant::now();
    wait_until("two tries", || {
        dials += 1;
        failed += u64::from(stage.who(Service::Agentless).is_err());
        thread::sleep(Duration::from_millis(10));
        Ok(count(Reason::AvoidBegun)? - begun >= TRIES)
    })?;
    let (lasted, tries) = (begin.elapsed(), count(Reason::AvoidBegun)? - begun);
    ensure!(failed == tries, "{failed} of {dials} connects failed, {tries} of them tries");

    let replica = stage.apart(|| Server::start(REPLICA, Manner::Answers))?;
    let begin = Instant::now();
    stage.reaches(Service::Agentless, REPLICA)?;
    let took = begin.elapsed();
    drop(replica);
    let saw = format!(
        "{failed} of {dials} connects failed in {lasted:.1?}, all of them tries; one reached it \
         {took:.1?} after it was back"
    );
    Ok((Outcome::Works, saw))
}
