//! A backend that refuses.

use anyhow::{bail, ensure};
use redirector_common::Reason;

use super::Seen;
use super::stage::{Service, Stage};
use crate::vm::guest::counters::count;
use crate::vm::report::Outcome;

const DEAD: u8 = 4;
const LIMIT: u32 = 3;

/// Nobody to go to: the kernel answers by itself.
pub(super) fn nobody(stage: &mut Stage) -> Seen {
    let error = match stage.who(Service::Empty) {
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

pub(super) fn three_refusals(stage: &mut Stage) -> Seen {
    stage.freeze_agent()?;
    let before = count(Reason::Ejected)?;
    let (failed, dials) = match stage.refused_until_ejected(Service::Refused, DEAD) {
        Ok(seen) => seen,
        Err(error) if count(Reason::Ejected)? == before => {
            return Ok((Outcome::Absent, format!("{error:#}")));
        }
        Err(error) => return Err(error),
    };
    ensure!(failed == LIMIT, "ejected after {failed} refusals and not after {LIMIT}");
    stage.only_others(Service::Refused, DEAD, 200)?;
    stage.only_others(Service::Shares, DEAD, 100)?;
    let ejected = count(Reason::Ejected)? - before;
    ensure!(ejected == 1, "{ejected} ejections were counted");
    let saw = format!(
        "ejected after {failed} refusals in {dials} connects; then 0 of 300 failed, 100 of them \
         through another service"
    );
    Ok((Outcome::Works, saw))
}
