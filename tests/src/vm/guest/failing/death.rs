//! A local replica that is killed, and comes back.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use redirector_common::HealthByte;

use super::fixture::{Fixture, Service, address};
use super::{REPLICA, Seen};
use crate::place::Process;
use crate::replica::READY;
use crate::vm::report::Outcome;

const LOCAL: u8 = 8;

/// Starts a process that serves one address, redirected and watched like any other.
fn start(address: SocketAddr) -> Result<Process> {
    let process = Command::new("/init")
        .arg(format!("{REPLICA}{address}"))
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run a replica")?;
    let mut process = Process(process);
    let stdout = process.0.stdout.take().context("a replica without output")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).context("cannot read from a replica")?;
    ensure!(line.trim() == READY, "the replica of {address} did not start");
    Ok(process)
}

pub(super) fn kill_nine(fixture: &mut Fixture) -> Seen {
    let replica = start(address(LOCAL))?;
    fixture.reaches(Service::Death, LOCAL)?;
    let before = fixture.byte(LOCAL, HealthByte::Listener)?;
    ensure!(before == 0, "its byte was {before} while it lived");

    drop(replica);
    if fixture.byte(LOCAL, HealthByte::Listener)? == 0 {
        let (failed, _) = fixture.refused_until_avoided(Service::Death)?;
        let saw = format!("its byte stays 0; {failed} connects failed until it was avoided");
        return Ok((Outcome::Absent, saw));
    }
    fixture.only_others(Service::Death, LOCAL, 100)?;
    Ok((Outcome::Works, "its byte was set when its process had ended; then 0 of 100 failed".into()))
}

pub(super) fn comes_back(fixture: &mut Fixture) -> Seen {
    let dead = fixture.byte(LOCAL, HealthByte::Listener)?;
    fixture.replica = Some(start(address(LOCAL))?);
    if dead == 0 {
        let dials = fixture.reaches(Service::Death, LOCAL)?;
        return Ok((Outcome::Absent, format!("it was tried again, and answered dial {dials}")));
    }
    let byte = fixture.byte(LOCAL, HealthByte::Listener)?;
    ensure!(byte == 0, "its byte is {byte} although it listens");
    let dials = fixture.reaches(Service::Death, LOCAL)?;
    Ok((Outcome::Works, format!("its byte was 0 as soon as it listened; it answered dial {dials}")))
}
