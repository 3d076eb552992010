//! A client as the race sees it: started, stopped, and read.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use redirector_tests::place::{Place, Process};

use super::{Held, Load};
use crate::race::attempt::Attempt;

/// A client's process. Dropping it kills the process.
#[derive(Debug)]
pub(in crate::race) struct Client {
    load: Load,
    process: Process,
    /// Closing it stops the client.
    orders: Option<ChildStdin>,
    lines: BufReader<ChildStdout>,
}

/// What a client has reported.
#[derive(Debug, Clone, Default)]
pub(in crate::race) struct Report {
    /// In the order in which they began.
    pub(in crate::race) attempts: Vec<Attempt>,
    pub(in crate::race) held: Vec<Held>,
}

impl Client {
    /// Starts a client there.
    pub(in crate::race) fn start(place: Place<'_>, load: Load, to: &[SocketAddr]) -> Result<Self> {
        // The link, not its target: that stays the same program when it is built anew.
        let mut command = Command::new("/proc/self/exe");
        command.args(["race-part", "client", &load.to_string()]);
        command.args(to.iter().map(SocketAddr::to_string));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process(place.spawn(command)?);
        let (orders, lines) = (process.0.stdin.take(), process.0.stdout.take());
        let lines = BufReader::new(lines.context("a client without an output")?);
        Ok(Self { load, process, orders, lines })
    }

    /// Tells it to stop and does not wait.
    pub(in crate::race) fn stop(&mut self) {
        self.orders = None;
    }

    /// Waits for the end of what is under way, at most the timeout of an attempt, and reads it all.
    pub(in crate::race) fn report(mut self) -> Result<Report> {
        self.stop();
        let mut report = Report::default();
        for line in self.lines.lines() {
            let line = line.context("cannot read what a client reports")?;
            match self.load {
                Load::Held(_) => report.held.push(Held::parse(&line)?),
                Load::Open(_) | Load::Serial | Load::Closed(_) => {
                    report.attempts.push(Attempt::parse(&line)?);
                }
            }
        }
        let status = self.process.0.wait().context("cannot wait for a client")?;
        ensure!(status.success(), "a client ended with {status}");
        report.attempts.sort_by_key(|attempt| attempt.at_us);
        Ok(report)
    }
}
