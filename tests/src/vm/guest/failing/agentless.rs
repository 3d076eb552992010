//! The kernel alone: what it has ejected it tries again, when the time is over.

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
/// Trials that fail, before the replica is back.
const TRIALS: u64 = 2;

pub(super) fn trials(stage: &mut Stage) -> Seen {
    stage.kill_agent()?;
    let tried = count(Reason::Tried)?;
    let readmitted = count(Reason::Readmitted)?;
    let (ejecting, _) = stage.refused_until_ejected(Service::Agentless, REPLICA)?;
    ensure!(ejecting == LIMIT, "ejected after {ejecting} refusals and not after {LIMIT}");

    let (mut failed, mut dials) = (0, 0);
    let begin = Instant::now();
    wait_until("two trials", || {
        dials += 1;
        failed += u64::from(stage.who(Service::Agentless).is_err());
        thread::sleep(Duration::from_millis(10));
        Ok(count(Reason::Tried)? - tried >= TRIALS)
    })?;
    let (lasted, trials) = (begin.elapsed(), count(Reason::Tried)? - tried);
    ensure!(failed == trials, "{failed} of {dials} connects failed, {trials} of them trials");

    let replica = stage.apart(|| Server::start(REPLICA, Manner::Answers))?;
    let took = wait_until("a trial re-admits it", || {
        stage.who(Service::Agentless)?;
        Ok(count(Reason::Readmitted)? > readmitted)
    })?;
    stage.reaches(Service::Agentless, REPLICA)?;
    drop(replica);
    let saw = format!(
        "{failed} of {dials} connects failed in {lasted:.1?}, all of them trials; re-admitted by \
         one {took:.1?} after it was back"
    );
    Ok((Outcome::Works, saw))
}
