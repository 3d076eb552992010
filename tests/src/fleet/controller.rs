//! A replica of the Deployment `redirector-clusters` as a process of a test.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context as _, Result};

use crate::{
    agent::complaint,
    cgroup::complain,
    names::Directory,
    netns::Netns,
    place::{Place, Process},
    programs,
};

/// A replica. Dropping it kills the process, and fails the test if it ever logged an error.
#[derive(Debug)]
pub struct Controller {
    binary: PathBuf,
    netns: Netns,
    arguments: Vec<String>,
    /// Holds the log.
    directory: Directory,
    process: Option<Process>,
}

impl Controller {
    /// Starts one and does not wait. It writes as `pod`.
    pub fn start(
        netns: &Netns,
        (cluster, pod): (&str, &str),
        kubeconfig: &Path,
        arguments: &[String],
    ) -> Result<Self> {
        let kubeconfig = kubeconfig.display().to_string();
        // Replicas of one cluster share a network here.
        let admin = ["--admin", "127.0.0.1:0"];
        let own = ["--cluster", cluster, "--pod", pod, "--kubeconfig", &kubeconfig];
        let own = [&own[..], &admin].concat();
        let mut controller = Self {
            binary: programs::redirector()?,
            netns: netns.clone(),
            arguments: own.iter().map(|&text| text.to_owned()).chain(arguments.to_vec()).collect(),
            directory: Directory::new("clusters")?,
            process: None,
        };
        controller.restart()?;
        Ok(controller)
    }

    /// Kills it as a crash would, and starts it again.
    pub fn restart(&mut self) -> Result<()> {
        self.kill();
        let log = File::options().create(true).append(true).open(self.log_path());
        let log = log.context("cannot write a log")?;
        let mut command = Command::new(&self.binary);
        command
            .arg("clusters")
            .args(&self.arguments)
            .env("REDIRECTOR_LOG", "info")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("cannot share a log")?)
            .stderr(log);
        self.process = Some(Process(Place::netns(&self.netns).spawn(command)?));
        Ok(())
    }

    /// Kills it (SIGKILL).
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Whether it runs: it may have ended by itself.
    pub fn is_running(&mut self) -> bool {
        let process = self.process.as_mut();
        process.is_some_and(|process| matches!(process.0.try_wait(), Ok(None)))
    }

    /// Its process id, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(|process| process.0.id())
    }

    /// Everything that it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.directory.path().join("log")
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.kill();
        let log = self.log();
        let Some(line) = complaint(&log) else { return };
        let fault = format!("redirector clusters logged: {line}\nits whole log:\n{log}");
        if thread::panicking() {
            complain(&fault);
        } else {
            panic!("{fault}");
        }
    }
}
