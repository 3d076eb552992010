//! Runs the production binary inside the guest: load, agent, unload.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{CGROUP, PIN_PATH};
use crate::place::Process;
use crate::vm::report::Finding;

const BINARY: &str = "/redirector";
const ADMIN: &str = "127.0.0.1:9900";
const LOG: &str = "/tmp/agent.log";
const LONGEST_START: Duration = Duration::from_secs(60);

/// A running agent. Dropping it kills it, as the kernel would: no goodbye.
#[derive(Debug)]
pub(super) struct Agent(Process);

/// Loads and attaches; returns what the verifier processed, by program.
pub(super) fn load() -> Result<Vec<(String, u64)>> {
    let output = run(&["load", "--verifier-stats", "--cgroup", CGROUP, "--pin-path", PIN_PATH])?;
    let text = String::from_utf8_lossy(&output.stdout);
    let stats = parse_stats(&text);
    ensure!(!stats.is_empty(), "redirector load printed no verifier statistics: {text:?}");
    Ok(stats)
}

/// Lines `<program> <processed instructions>`, among sentences for people.
fn parse_stats(text: &str) -> Vec<(String, u64)> {
    let parse = |line: &str| {
        let (program, processed) = line.trim().split_once(char::is_whitespace)?;
        Some((program.to_owned(), processed.trim().parse().ok()?))
    };
    text.lines().filter_map(parse).collect()
}

/// What the production binary says that this kernel can do.
pub(super) fn check() -> Result<Vec<Finding>> {
    let output = run(&["check", "-o", "json"])?;
    serde_json::from_slice(&output.stdout).context("redirector check printed other JSON")
}

/// Removes everything that was loaded, and checks that it is gone.
pub(super) fn unload() -> Result<()> {
    run(&["unload", "--pin-path", PIN_PATH])?;
    let left = match fs::read_dir(PIN_PATH) {
        Ok(entries) => entries.count(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error).context("cannot look for pins"),
    };
    ensure!(left == 0, "{left} entries are left in {PIN_PATH} after an unload");
    Ok(())
}

impl Agent {
    /// Starts it with that file and waits until it says that it is ready.
    pub(super) fn start(config: &str) -> Result<Self> {
        let log = File::create(LOG).context("cannot write the agent's log")?;
        let process = Command::new(BINARY)
            .args(["agent", "--config", config, "--admin", ADMIN])
            .args(["--cgroup", CGROUP, "--pin-path", PIN_PATH])
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot run the agent")?;
        let mut agent = Self(Process(process));
        let deadline = Instant::now() + LONGEST_START;
        while !agent.is_ready()? {
            ensure!(Instant::now() < deadline, "not ready after {LONGEST_START:?}: {}", log_text());
            thread::sleep(Duration::from_millis(20));
        }
        Ok(agent)
    }

    /// Kills it and checks that it never had anything to complain about.
    pub(super) fn kill(self) -> Result<()> {
        drop(self);
        let log = log_text();
        let is_bad = |line: &str| line.contains("ERROR") || line.contains("panicked");
        match log.lines().find(|line| is_bad(line)) {
            Some(line) => bail!("the agent logged {line}"),
            None => Ok(()),
        }
    }

    /// Stops it (SIGSTOP): it neither probes nor hears any news.
    pub(super) fn freeze(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// Lets it go on.
    pub(super) fn thaw(&self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        kill(Pid::from_raw(self.0.0.id().cast_signed()), signal)
            .with_context(|| format!("cannot send {signal} to the agent"))
    }

    fn is_ready(&mut self) -> Result<bool> {
        if let Some(status) = self.0.0.try_wait().context("cannot wait for the agent")? {
            bail!("the agent ended with {status}: {}", log_text());
        }
        // Refused until it listens.
        let Ok(mut admin) = TcpStream::connect(ADMIN) else { return Ok(false) };
        admin.set_read_timeout(Some(LONGEST_START))?;
        write!(admin, "GET /readyz HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        admin.read_to_string(&mut answer).context("the admin endpoint broke off")?;
        Ok(answer.lines().next().is_some_and(|status| status.contains(" 200 ")))
    }
}

fn log_text() -> String {
    fs::read_to_string(LOG).unwrap_or_default().trim().to_owned()
}

fn run(arguments: &[&str]) -> Result<Output> {
    let output = Command::new(BINARY).args(arguments).output().context("cannot run redirector")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    let what = arguments[0];
    ensure!(output.status.success(), "redirector {what}: {}: {}", output.status, errors.trim());
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_read_by_program() {
        let stats = parse_stats("connect4 5069\nconnect4_scan  1200\nloaded; pinned below /x\n");

        assert_eq!(stats, [("connect4".into(), 5069), ("connect4_scan".into(), 1200)]);
    }
}
