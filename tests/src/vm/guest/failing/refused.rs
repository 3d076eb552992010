//! A backend that refuses.

use std::thread;

use anyhow::{Context as _, bail, ensure};
use nix::sched::{CloneFlags, unshare};
use redirector_common::{HealthByte, HealthWord, Reason};

use super::Seen;
use super::fixture::{Fixture, Service, frontend};
use crate::dialer::Transport;
use crate::vm::guest::counters::count;
use crate::vm::guest::dial::dial;
use crate::vm::guest::machine;
use crate::vm::report::Outcome;

const DEAD: u8 = 4;
const LIMIT: u32 = 3;

/// A service without backends: the kernel answers by itself.
pub(super) fn nobody(fixture: &mut Fixture) -> Seen {
    let error = match fixture.who(Service::Empty) {
        Ok(who) => bail!("{who} answered for a service without backends"),
        Err(error) => error,
    };
    let outcome = match error.raw_os_error() {
        Some(libc::ECONNREFUSED) => Outcome::Works,
        Some(libc::EPERM) => Outcome::Absent,
        _ => bail!("{error}, which no kernel says"),
    };
    Ok((outcome, error.to_string()))
}

pub(super) fn three_refusals(fixture: &mut Fixture) -> Seen {
    fixture.freeze_agent()?;
    let (begun, ejected) = (count(Reason::AvoidBegun)?, count(Reason::Ejected)?);
    let (failed, dials) = match fixture.refused_until_avoided(Service::Refused) {
        Ok(seen) => seen,
        Err(error) if count(Reason::AvoidBegun)? == begun => {
            return Ok((Outcome::Absent, format!("{error:#}")));
        }
        Err(error) => return Err(error),
    };
    ensure!(failed == LIMIT, "avoided after {failed} refusals and not after {LIMIT}");
    fixture.only_others(Service::Refused, DEAD, 200)?;
    fixture.only_others(Service::Shares, DEAD, 100)?;
    let ejected = count(Reason::Ejected)? - ejected;
    ensure!(ejected == 0, "one client has ejected it for everybody");
    let saw = format!(
        "avoided after {failed} refusals in {dials} connects; then 0 of 300 failed but tries, 100 \
         of them through another service"
    );
    Ok((Outcome::Works, saw))
}

/// The same backend again, seen from another network.
pub(super) fn two_networks(fixture: &mut Fixture) -> Seen {
    let before = count(Reason::Ejected)?;
    let failed = thread::scope(|scope| {
        scope
            .spawn(|| {
                unshare(CloneFlags::CLONE_NEWNET).context("cannot make a network namespace")?;
                machine::bring_loopback_up()?;
                // No socket listens there: of either backend this namespace has a connect refused.
                let mut failed = 0;
                while count(Reason::Ejected)? == before && failed < 4 * LIMIT {
                    failed += u32::from(dial(Transport::Tcp, frontend(Service::Refused)).is_err());
                }
                anyhow::Ok(failed)
            })
            .join()
            .expect("a thread that does not panic")
    })?;
    let byte = fixture.byte(DEAD, HealthByte::Passive)?;
    if count(Reason::Ejected)? == before {
        return Ok((Outcome::Absent, format!("{failed} more refusals ejected nothing")));
    }
    ensure!(byte == HealthWord::SUSPECTED, "its byte is {byte}");
    Ok((Outcome::Works, format!("ejected for everybody after {failed} refusals in another one")))
}
