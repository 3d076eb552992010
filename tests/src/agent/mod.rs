//! The real agent as a process of a test: started, watched, killed, and taken away again.

mod admin;
mod ask;
mod log;
mod options;

use std::{
    ffi::OsStr,
    fs::{self, File},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

pub(crate) use log::complaint;
pub use options::AgentOptions;

use crate::{
    cgroup::complain,
    crash::{CRASHED, Crasher},
    names::Directory,
    place::Place,
};

/// Loading takes well under a second; the machine may be busy with other suites.
const LONGEST_START: Duration = Duration::from_secs(30);
/// Promised are 2 s.
const LONGEST_STOP: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(5);

/// An agent. Dropping it stops it, unloads, and fails the test if it ever logged an error.
#[derive(Debug)]
pub struct Agent {
    options: AgentOptions,
    admin: SocketAddr,
    /// Holds the log.
    directory: Directory,
    process: Option<Child>,
    /// Taken away.
    is_finished: bool,
    /// An error has told what is wrong, with the log.
    is_reported: bool,
}

impl Agent {
    /// Starts it and waits until it is ready.
    pub fn start(options: AgentOptions) -> Result<Self> {
        let mut agent = Self::spawn(options)?;
        agent.wait_until_ready()?;
        Ok(agent)
    }

    /// Starts it and does not wait.
    pub fn spawn(options: AgentOptions) -> Result<Self> {
        let directory = Directory::new("agent")?;
        let admin = options.netns.run(admin::free_address)?;
        let mut agent = Self {
            options,
            admin,
            directory,
            process: None,
            is_finished: false,
            is_reported: false,
        };
        agent.spawn_again()?;
        Ok(agent)
    }

    /// Starts it again after `kill9` or `stop`, with the same options, and does not wait.
    pub fn spawn_again(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "the agent runs already");
        let AgentOptions {
            binary,
            netns,
            cgroup,
            pin_path,
            config,
            arguments,
            log_filter,
            crasher,
        } = &self.options;
        let log = File::options().create(true).append(true).open(self.log_path());
        let log = log.context("cannot write an agent's log")?;
        let mut command = match crasher {
            Some(crasher) => crasher.command(binary)?,
            None => Command::new(binary),
        };
        command
            .arg("agent")
            .args(config.iter().flat_map(|config| [OsStr::new("--config"), config.as_os_str()]))
            .arg("--cgroup")
            .arg(cgroup)
            .arg("--pin-path")
            .arg(pin_path)
            .args(["--admin", &self.admin.to_string()])
            .arg("--run-dir")
            .arg(self.run_directory())
            .args(arguments)
            .env("REDIRECTOR_LOG", log_filter)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("cannot share a log")?)
            .stderr(log);
        self.process = Some(Place::netns(netns).spawn(command)?);
        Ok(())
    }

    /// Further arguments from its next start on, in place of those of [`AgentOptions`]: it keeps
    /// its run directory and its admin endpoint.
    pub fn set_arguments(&mut self, arguments: Vec<String>) {
        self.options.arguments = arguments;
    }

    /// Another binary from its next start on, as after an upgrade.
    pub fn set_binary(&mut self, binary: PathBuf) {
        self.options.binary = binary;
    }

    /// Kills it as a crash would (SIGKILL), starts it again and waits until it is ready.
    pub fn restart(&mut self) -> Result<()> {
        self.kill9();
        self.spawn_again()?;
        self.wait_until_ready()
    }

    /// Kills it (SIGKILL). Everything that it has pinned stays.
    pub fn kill9(&mut self) {
        if let Some(mut process) = self.process.take() {
            // Both fail only for a process that has ended by itself. One that is traced may outlive
            // its tracer for a moment.
            let traced = self.options.crasher.as_ref().map(Crasher::kill);
            if traced.is_none_or(|killed| killed.is_err()) {
                let _ = process.kill();
            }
            let _ = process.wait();
        }
    }

    /// Asks it to end (SIGTERM) and returns how it did and after how long. What is attached stays.
    pub fn stop(&mut self) -> Result<(ExitStatus, Duration)> {
        let Some(process) = &mut self.process else { bail!("the agent does not run") };
        let start = Instant::now();
        // One that was frozen must hear it too.
        for signal in [Signal::SIGCONT, Signal::SIGTERM] {
            kill(Pid::from_raw(process.id().cast_signed()), signal)
                .context("cannot ask the agent to end")?;
        }
        loop {
            if let Some(status) = process.try_wait().context("cannot wait for the agent")? {
                self.process = None;
                return Ok((status, start.elapsed()));
            }
            if start.elapsed() > LONGEST_STOP {
                self.kill9();
                bail!("the agent did not end within {LONGEST_STOP:?} of SIGTERM:\n{}", self.log());
            }
            thread::sleep(POLL);
        }
    }

    /// Stops it and unloads. Fails with the log if that, or anything before, went wrong.
    pub fn finish(mut self) -> Result<()> {
        self.take_away()
    }

    /// Waits until `/readyz` says yes. Fails with the log if the agent ends or takes too long.
    pub fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + LONGEST_START;
        while !self.is_ready()? {
            let log = || self.log();
            ensure!(Instant::now() < deadline, "not ready after {LONGEST_START:?}:\n{}", log());
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// Whether it is ready now. Fails with the log if it has ended.
    pub fn is_ready(&mut self) -> Result<bool> {
        let Some(process) = &mut self.process else { bail!("the agent does not run") };
        if let Some(status) = process.try_wait().context("cannot wait for the agent")? {
            self.process = None;
            self.is_reported = true;
            bail!("the agent ended by itself, {status}:\n{}", self.log());
        }
        // Until it listens, the connection is refused.
        Ok(self.get("/readyz").is_ok_and(|(status, _)| status == 200))
    }

    /// Whether its crasher has ended it by now. Fails with the log if it has ended in another way.
    pub fn has_crashed(&mut self) -> Result<bool> {
        let Some(process) = &mut self.process else { return Ok(true) };
        let Some(status) = process.try_wait().context("cannot wait for the agent")? else {
            return Ok(false);
        };
        self.process = None;
        self.is_reported = status.code() != Some(CRASHED);
        ensure!(!self.is_reported, "the agent ended by itself, {status}:\n{}", self.log());
        Ok(true)
    }

    /// Asks its admin endpoint; returns the status and the body.
    pub fn get(&self, path: &str) -> Result<(u16, String)> {
        admin::get(&self.options.netns, self.admin, path)
    }

    /// A subcommand of the same binary on the same pins, in the same network: `status`, `dump`, …
    pub fn command(&self, subcommand: &str, arguments: &[&str]) -> Result<Child> {
        let mut command = Command::new(&self.options.binary);
        command.arg(subcommand).arg("--pin-path").arg(&self.options.pin_path).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Place::netns(&self.options.netns).spawn(command)
    }

    /// A subcommand that speaks to the running agent: `drain`, `explain`, …
    pub fn ask(&self, subcommand: &str, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(&self.options.binary);
        command.arg(subcommand).arg("--run-dir").arg(self.run_directory()).args(arguments);
        command.output().context("cannot run redirector")
    }

    /// Stops it where it is (SIGSTOP), until [`thaw`](Self::thaw).
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// Lets it go on.
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let Some(process) = &self.process else { bail!("the agent does not run") };
        kill(Pid::from_raw(process.id().cast_signed()), signal)
            .with_context(|| format!("cannot send {signal} to the agent"))
    }

    /// Where its control socket and its orders are.
    #[must_use]
    pub fn run_directory(&self) -> PathBuf {
        self.directory.path().join("run")
    }

    /// Its process id, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// Where its admin endpoint listens, in its network.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// How it was started.
    #[must_use]
    pub fn options(&self) -> &AgentOptions {
        &self.options
    }

    /// Everything it has logged so far, over all its restarts.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    fn unload(&self) -> Result<()> {
        let child = self.command("unload", &[])?;
        let output = child.wait_with_output().context("cannot wait for redirector unload")?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "redirector unload: {}: {errors}", output.status);
        Ok(())
    }

    fn take_away(&mut self) -> Result<()> {
        self.is_finished = true;
        let mut faults = Vec::new();
        if self.process.is_some() {
            match self.stop() {
                Ok((status, _)) if status.success() => {}
                Ok((status, _)) => faults.push(format!("the agent ended with {status}")),
                Err(error) => faults.push(format!("{error:#}")),
            }
        }
        // Before the first start of a binary that cannot run there is nothing to unload.
        if self.options.pin_path.exists()
            && let Err(error) = self.unload()
        {
            faults.push(format!("{error:#}"));
        }
        let log = self.log();
        faults.extend(complaint(&log).map(|line| format!("the agent logged: {line}")));
        ensure!(faults.is_empty(), "{}\nits whole log:\n{log}", faults.join("\n"));
        Ok(())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if self.is_finished {
            return;
        }
        match self.take_away() {
            Ok(()) => {}
            Err(_) if self.is_reported => {}
            Err(error) if thread::panicking() => complain(&format!("{error:#}")),
            Err(error) => panic!("{error:#}"),
        }
    }
}
