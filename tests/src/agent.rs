//! The real agent as a process of a test: started, watched, killed, and taken away again.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    bpffs::Bpffs, cgroup::Cgroup, cgroup::complain, lab::Node, names, netns::Netns, place::Place,
    programs,
};

/// Loading takes well under a second; the machine may be busy with other suites.
const LONGEST_START: Duration = Duration::from_secs(30);
/// Promised are 2 s.
const LONGEST_STOP: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(5);

/// How an agent is started.
#[derive(Debug, Clone)]
pub struct AgentOptions {
    /// The `redirector` binary.
    pub binary: PathBuf,
    /// The network it runs in: it probes replicas from there.
    pub netns: Netns,
    /// Where it attaches.
    pub cgroup: PathBuf,
    /// Where it pins.
    pub pin_path: PathBuf,
    /// Its static file.
    pub config: PathBuf,
    /// Further arguments of `redirector agent`.
    pub arguments: Vec<String>,
    /// Value of `RUST_LOG`.
    pub log_filter: String,
}

/// An agent. Dropping it stops it, unloads, and fails the test if it ever logged an error.
#[derive(Debug)]
pub struct Agent {
    options: AgentOptions,
    admin: SocketAddr,
    /// Holds the log.
    directory: PathBuf,
    process: Option<Child>,
}

impl AgentOptions {
    /// The binary under test, on `node`, for the sockets in `cgroup`, pinned in `bpffs`.
    pub fn new(node: &Node, cgroup: &Cgroup, bpffs: &Bpffs, config: &Path) -> Result<Self> {
        Ok(Self {
            binary: programs::redirector()?,
            netns: node.netns().clone(),
            cgroup: cgroup.path().to_owned(),
            pin_path: bpffs.pin_path(),
            config: config.to_owned(),
            arguments: Vec::new(),
            log_filter: "info".to_owned(),
        })
    }
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
        let directory = names::fresh_directory("agent");
        fs::create_dir(&directory).context("cannot make a directory for an agent's log")?;
        let admin = options.netns.run(free_port)?;
        // From here on Drop removes the directory.
        let mut agent = Self { options, admin, directory, process: None };
        agent.spawn_again()?;
        Ok(agent)
    }

    /// Starts it again after `kill9` or `stop`, with the same options, and does not wait.
    pub fn spawn_again(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "the agent runs already");
        let AgentOptions { binary, netns, cgroup, pin_path, config, arguments, log_filter } =
            &self.options;
        let log = File::options().create(true).append(true).open(self.log_path());
        let log = log.context("cannot write an agent's log")?;
        let mut command = Command::new(binary);
        command
            .arg("agent")
            .arg("--config")
            .arg(config)
            .arg("--cgroup")
            .arg(cgroup)
            .arg("--pin-path")
            .arg(pin_path)
            .args(["--admin", &self.admin.to_string()])
            .args(arguments)
            .env("RUST_LOG", log_filter)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("cannot share a log")?)
            .stderr(log);
        self.process = Some(Place::netns(netns).spawn(command)?);
        Ok(())
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
            // Both fail only for a process that has ended by itself.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Asks it to end (SIGTERM) and returns how it did and after how long. What is attached stays.
    pub fn stop(&mut self) -> Result<(ExitStatus, Duration)> {
        let Some(process) = &mut self.process else { bail!("the agent does not run") };
        let start = Instant::now();
        kill(Pid::from_raw(process.id().cast_signed()), Signal::SIGTERM)
            .context("cannot ask the agent to end")?;
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
            bail!("the agent ended by itself, {status}:\n{}", self.log());
        }
        // Until it listens, the connection is refused.
        Ok(self.get("/readyz").is_ok_and(|(status, _)| status == 200))
    }

    /// Asks its admin endpoint; returns the status and the body.
    pub fn get(&self, path: &str) -> Result<(u16, String)> {
        let answer = self.options.netns.run(|| -> io::Result<String> {
            let mut admin = TcpStream::connect(self.admin)?;
            admin.set_read_timeout(Some(LONGEST_STOP))?;
            write!(admin, "GET {path} HTTP/1.0\r\n\r\n")?;
            let mut answer = String::new();
            admin.read_to_string(&mut answer)?;
            Ok(answer)
        });
        let answer = answer.with_context(|| format!("cannot get {path} of {}", self.admin))?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok((status.with_context(|| format!("no HTTP status: {head:?}"))?, body.to_owned()))
    }

    /// A subcommand of the same binary on the same pins, in the same network: `status`, `dump`, …
    pub fn command(&self, subcommand: &str, arguments: &[&str]) -> Result<Child> {
        let mut command = Command::new(&self.options.binary);
        command.arg(subcommand).arg("--pin-path").arg(&self.options.pin_path).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Place::netns(&self.options.netns).spawn(command)
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
        self.directory.join("log")
    }

    fn unload(&self) -> Result<()> {
        let child = self.command("unload", &[])?;
        let output = child.wait_with_output().context("cannot wait for redirector unload")?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "redirector unload: {}: {errors}", output.status);
        Ok(())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
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
        let _ = fs::remove_dir_all(&self.directory);
        if faults.is_empty() {
            return;
        }
        let report = format!("{}\n{log}", faults.join("\n"));
        if thread::panicking() {
            complain(&report);
        } else {
            panic!("{report}");
        }
    }
}

/// The first line of `log` that no test may cause.
fn complaint(log: &str) -> Option<&str> {
    log.lines().find(|line| {
        let level = line.split_whitespace().find(|word| word.chars().all(char::is_uppercase));
        line.contains("panicked at") || level == Some("ERROR") || line.contains("\"ERROR\"")
    })
}

/// In the caller's network. Somebody else could take it before the agent does, but in a network of
/// a test there is nobody else.
fn free_port() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    listener.local_addr().context("a listener without address")
}

#[cfg(test)]
mod tests {
    use super::complaint;

    #[test]
    fn only_errors_and_panics_are_complaints() {
        for fine in [
            "2026-01-01T00:00:00Z  INFO redirector: no ERROR so far",
            "2026-01-01T00:00:00Z  WARN redirector: file rejected",
            r#"{"level":"INFO","message":"ready"}"#,
            "",
        ] {
            assert_eq!(complaint(fine), None);
        }
        for bad in [
            "2026-01-01T00:00:00Z ERROR redirector: cannot attach",
            r#"{"level":"ERROR","message":"cannot attach"}"#,
            "thread 'main' panicked at src/main.rs:1:1:",
        ] {
            assert_eq!(complaint(bad), Some(bad));
        }
    }
}
