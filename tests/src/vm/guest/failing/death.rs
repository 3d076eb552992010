//! A local replica that is killed, and comes back.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use redirector_common::HealthByte;

use super::stage::{Service, Stage, address};
use super::{REPLICA, Seen};
use crate::vm::report::Outcome;

const LOCAL: u8 = 8;
/// What the replica says once it listens.
const READY: &str = "ready";

/// A process that serves one address, redirected and watched like any other. Dropping it kills it.
#[derive(Debug)]
pub(in crate::vm::guest) struct Replica(Child);

impl Replica {
    fn start(address: SocketAddr) -> Result<Self> {
        let mut process = Command::new("/init")
            .arg(format!("{REPLICA}{address}"))
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot run a replica")?;
        let stdout = process.stdout.take().context("a replica without output")?;
        let replica = Self(process);
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).context("cannot read from a replica")?;
        ensure!(line.trim() == READY, "the replica of {address} did not start");
        Ok(replica)
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The process: answers with its own address until it is killed.
pub(in crate::vm::guest) fn serve(address: &str) -> Result<()> {
    let listener = TcpListener::bind(address).with_context(|| format!("cannot serve {address}"))?;
    writeln!(std::io::stdout(), "{READY}").context("nobody waits for this replica")?;
    for mut client in listener.incoming().flatten() {
        // A client that misses its answer says so.
        let _ = client.write_all(address.as_bytes());
    }
    Ok(())
}

pub(super) fn kill_nine(stage: &mut Stage) -> Seen {
    let replica = Replica::start(address(LOCAL))?;
    stage.reaches(Service::Death, LOCAL)?;
    let before = stage.byte(LOCAL, HealthByte::Listener)?;
    ensure!(before == 0, "its byte was {before} while it lived");

    drop(replica);
    if stage.byte(LOCAL, HealthByte::Listener)? == 0 {
        let (failed, _) = stage.refused_until_avoided(Service::Death)?;
        let saw = format!("its byte stays 0; {failed} connects failed until it was avoided");
        return Ok((Outcome::Absent, saw));
    }
    stage.only_others(Service::Death, LOCAL, 100)?;
    Ok((Outcome::Works, "its byte was set when its process had ended; then 0 of 100 failed".into()))
}

pub(super) fn comes_back(stage: &mut Stage) -> Seen {
    let dead = stage.byte(LOCAL, HealthByte::Listener)?;
    stage.replica = Some(Replica::start(address(LOCAL))?);
    if dead == 0 {
        let dials = stage.reaches(Service::Death, LOCAL)?;
        return Ok((Outcome::Absent, format!("it was tried again, and answered dial {dials}")));
    }
    let byte = stage.byte(LOCAL, HealthByte::Listener)?;
    ensure!(byte == 0, "its byte is {byte} although it listens");
    let dials = stage.reaches(Service::Death, LOCAL)?;
    Ok((Outcome::Works, format!("its byte was 0 as soon as it listened; it answered dial {dials}")))
}
