//! Who comes back while an agent is there to probe it.

use std::time::{Duration, Instant};

use anyhow::ensure;
use redirector_common::{HealthByte, HealthWord, Reason};

use super::Seen;
use super::fixture::{Fixture, Service, wait_until};
use super::server::{Manner, Server};
use crate::vm::guest::counters::count;
use crate::vm::report::Outcome;

const REPLICA: u8 = 3;
/// Four times as long as the kernel's ejection.
const QUIET: Duration = Duration::from_secs(4);

pub(super) fn only_a_probe_readmits(fixture: &mut Fixture) -> Seen {
    let replica = fixture.apart(|| Server::start(REPLICA, Manner::Answers))?;
    // Else its failures would not be believed: a firewall may be in the way of probes.
    wait_until("two probes were answered", || Ok(replica.accepted() >= 2))?;
    fixture.reaches(Service::Probed, REPLICA)?;

    fixture.freeze_agent()?;
    let tried = count(Reason::Tried)?;
    fixture.apart(|| {
        drop(replica);
        Ok(())
    })?;
    let (failed, _) = fixture.refused_until_avoided(Service::Probed)?;
    ensure!(failed == 2, "avoided after {failed} refusals and not after 2");
    fixture.thaw_agent()?;
    let verdict = || Ok(fixture.byte(REPLICA, HealthByte::Passive)? == HealthWord::CONFIRMED);
    wait_until("the agent's probe has confirmed it", verdict)?;

    let (begin, mut dials) = (Instant::now(), 0);
    while begin.elapsed() < QUIET {
        fixture.only_others(Service::Probed, REPLICA, 10)?;
        dials += 10;
    }
    let objections =
        [HealthByte::Passive, HealthByte::Prober].map(|byte| fixture.byte(REPLICA, byte));
    let [passive, prober] = objections;
    let (passive, prober) = (passive?, prober?);
    ensure!(passive | prober != 0, "nobody objects to a dead replica after {QUIET:?}");
    let tried = count(Reason::Tried)? - tried;
    ensure!(tried == 0, "{tried} connects were trials although there is an agent");

    let replica = fixture.apart(|| Server::start(REPLICA, Manner::Answers))?;
    let begin = Instant::now();
    fixture.reaches(Service::Probed, REPLICA)?;
    let (took, accepted) = (begin.elapsed(), replica.accepted());
    ensure!(accepted >= 2, "its first connection was no probe");
    let saw = format!(
        "0 of {dials} connects failed in {QUIET:?}, four ejections long; {took:.1?} after it was \
         back and probed it answered again"
    );
    Ok((Outcome::Works, saw))
}
