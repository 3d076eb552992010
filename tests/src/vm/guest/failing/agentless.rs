//! The kernel alone: what a client avoids it tries again, when the time is over.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::ensure;
use redirector_common::Reason;

use super::Seen;
use super::fixture::{Fixture, Service, wait_until};
use super::server::{Manner, Server};
use crate::vm::guest::counters::count;
use crate::vm::report::Outcome;

const REPLICA: u8 = 9;
const LIMIT: u32 = 2;
/// Tries that fail, before the replica is back.
const TRIES: u64 = 2;

pub(super) fn tries(fixture: &mut Fixture) -> Seen {
    fixture.kill_agent()?;
    let (avoiding, _) = fixture.refused_until_avoided(Service::Agentless)?;
    ensure!(avoiding == LIMIT, "avoided after {avoiding} refusals and not after {LIMIT}");
    let begun = count(Reason::AvoidBegun)?;

    let (mut failed, mut dials) = (0, 0);
    let begin = Instant::now();
    wait_until("two tries", || {
        dials += 1;
        failed += u64::from(fixture.who(Service::Agentless).is_err());
        thread::sleep(Duration::from_millis(10));
        Ok(count(Reason::AvoidBegun)? - begun >= TRIES)
    })?;
    let (lasted, tries) = (begin.elapsed(), count(Reason::AvoidBegun)? - begun);
    ensure!(failed == tries, "{failed} of {dials} connects failed, {tries} of them tries");

    let replica = fixture.apart(|| Server::start(REPLICA, Manner::Answers))?;
    let begin = Instant::now();
    fixture.reaches(Service::Agentless, REPLICA)?;
    let took = begin.elapsed();
    drop(replica);
    let saw = format!(
        "{failed} of {dials} connects failed in {lasted:.1?}, all of them tries; one reached it \
         {took:.1?} after it was back"
    );
    Ok((Outcome::Works, saw))
}
