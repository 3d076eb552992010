//! The guard's half: starts the process and has it run scripts.

use std::{
    io::{BufRead as _, BufReader, Lines, Write as _},
    process::{Child, ChildStdin, ChildStdout, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};

use super::{Reply, Step};
use crate::{
    place::Place,
    programs::{self, Role},
};

/// A process that runs scripts. Dropping it kills the process.
#[derive(Debug)]
pub struct Scripter {
    process: Child,
    scripts: ChildStdin,
    replies: Lines<BufReader<ChildStdout>>,
}

impl Scripter {
    /// Starts one. In the place's cgroup its sockets are redirected.
    pub fn start(place: Place<'_>) -> Result<Self> {
        let mut command = programs::command(Role::Scripter)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = place.spawn(command)?;
        let (Some(scripts), Some(replies)) = (process.stdin.take(), process.stdout.take()) else {
            bail!("a scripter without pipes");
        };
        Ok(Self { process, scripts, replies: BufReader::new(replies).lines() })
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Runs one script; as many replies as steps.
    pub fn run(&mut self, script: &[Step]) -> Result<Vec<Reply>> {
        let text = serde_json::to_string(script).context("a script that is not JSON")?;
        writeln!(self.scripts, "{text}").context("the scripter has ended; see its error above")?;
        let text = self.replies.next().context("the scripter has ended; see its error above")?;
        let text = text.context("cannot read from the scripter")?;
        let replies: Vec<Reply> =
            serde_json::from_str(&text).with_context(|| format!("the scripter says {text:?}"))?;
        ensure!(replies.len() == script.len(), "{} steps, {} replies", script.len(), replies.len());
        Ok(replies)
    }
}

impl Drop for Scripter {
    fn drop(&mut self) {
        // Both fail only for a process that has ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
