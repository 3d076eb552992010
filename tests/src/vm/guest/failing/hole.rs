//! Backends that swallow what is sent to them.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use nix::errno::Errno;
use redirector_common::Reason;

use super::Seen;
use super::fixture::{Fixture, Service, frontend};
use super::server::hole;
use super::socket::{Attempt, End, OWN, attempt};
use crate::vm::guest::counters::count;
use crate::vm::report::Outcome;

const HOLE: u8 = 5;
const SHORT: u8 = 6;
const UNANSWERED: u8 = 7;

/// What a connect may take with the default `connectTimeout` of 1 s, and with 300 ms.
const DEFAULT: Duration = Duration::from_millis(1_250);
const THREE_TENTHS: Duration = Duration::from_millis(500);
/// A guest whose emulator had to wait for a processor shows it as time that a connect took.
const TRIES: usize = 5;

/// Failures of either kind count: by the third timeout it is avoided, at the latest by the fifth.
pub(super) fn default_policy(fixture: &mut Fixture) -> Seen {
    let _hole = fixture.apart(|| hole(HOLE))?;
    let failed = until_avoided(Service::Hole)?;
    fixture.only_others(Service::Hole, HOLE, 50)?;
    bounded(&failed, DEFAULT)
}

/// This policy never avoids a backend.
pub(super) fn short_limit(fixture: &mut Fixture) -> Seen {
    let _hole = fixture.apart(|| hole(SHORT))?;
    let failed: Vec<_> =
        (0..TRIES).map(|_| attempt(frontend(Service::Short))).collect::<Result<_>>()?;
    let early = failed.iter().find(|one| one.took < Duration::from_millis(290));
    ensure!(early.is_none(), "ended before its limit: {early:?}");
    bounded(&failed, THREE_TENTHS)
}

/// What a kernel can do that says nothing about why connects fail.
pub(super) fn unanswered_alone(fixture: &mut Fixture) -> Seen {
    let _hole = fixture.apart(|| hole(UNANSWERED))?;
    let failed = until_avoided(Service::Unanswered)?;
    ensure!(failed.len() == 5, "avoided after {} unanswered connects: {failed:?}", failed.len());
    fixture.only_others(Service::Unanswered, UNANSWERED, 50)?;
    Ok((Outcome::Works, format!("avoided after {} unanswered connects", failed.len())))
}

pub(super) fn user_timeout(fixture: &mut Fixture) -> Seen {
    let _hole = fixture.apart(|| hole(SHORT))?;
    let mut seen = Vec::new();
    for service in [Service::Short, Service::Hole, Service::Refused, Service::Short] {
        let one = attempt(frontend(service))?;
        ensure!(one.user_timeout == OWN, "{OWN} ms were set for {service:?}: {one:?}");
        seen.push(format!("{:?}", one.end));
    }
    Ok((Outcome::Works, format!("{OWN} ms after each of {}", seen.join(", "))))
}

/// Connects until this client avoids the backend; returns the connects that failed.
fn until_avoided(service: Service) -> Result<Vec<Attempt>> {
    let mut failed = Vec::new();
    let begun = count(Reason::AvoidBegun)?;
    for _ in 0..100 {
        let one = attempt(frontend(service))?;
        ensure!(one.user_timeout == OWN, "{OWN} ms were the application's own: {one:?}");
        match one.end {
            End::Connected => {}
            End::Failed(Errno::ETIMEDOUT) | End::Pending => failed.push(one),
            End::Failed(error) => bail!("{error} and not a timeout: {one:?}"),
        }
        if count(Reason::AvoidBegun)? > begun {
            return Ok(failed);
        }
        ensure!(failed.len() < 5, "not avoided after {failed:?}");
    }
    bail!("none is avoided after 100 connects; failed: {failed:?}")
}

/// Whether all of them were ended by the kernel, and how fast.
fn bounded(failed: &[Attempt], longest: Duration) -> Seen {
    let milliseconds: Vec<_> = failed.iter().map(|one| one.took.as_millis()).collect();
    let saw = format!("{} swallowed connects took {milliseconds:?} ms", failed.len());
    if failed.iter().any(|one| one.end == End::Pending) {
        return Ok((Outcome::Absent, format!("{saw}: the application gave up")));
    }
    let other = failed.iter().find(|one| one.end != End::Failed(Errno::ETIMEDOUT));
    ensure!(other.is_none(), "no timeout: {other:?}");
    // Without a limit no connect ends so soon; with one an emulator may be late.
    let fastest = failed.iter().map(|one| one.took).min();
    ensure!(fastest.is_some_and(|took| took < longest), "{saw}, all of them over {longest:?}");
    Ok((Outcome::Works, saw))
}
