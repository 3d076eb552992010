//! What runs on a contender's node: started, told what discovery says, killed, taken down.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use redirector_tests::{
    agent::{Agent, AgentOptions},
    bpffs::Bpffs,
    cgroup::Cgroup,
    lab::Node,
    names::Directory,
    netns::Netns,
    place::{Place, Process},
};

use super::{
    cast::{Member, SERVICE},
    config,
    contender::Means,
    cpu, install,
};

/// The file of what a proxy prints: it says there why it cannot start.
const LOG: &str = "log";

/// What runs on a contender's node. Dropping it ends it.
#[derive(Debug)]
pub(super) enum Running {
    Nothing,
    Rules(Netns),
    /// What it is pinned in and its file are dropped after it.
    Agent(Box<(Agent, Bpffs, Directory)>),
    /// None once it was killed. Its configuration and its log are dropped after it.
    Proxy(Option<Process>, Directory),
}

impl Running {
    /// Starts it on a node; the agent attaches to that cgroup.
    pub(super) fn start(
        means: Means,
        node: &Node,
        cgroup: &Cgroup,
        redirector: &Path,
    ) -> Result<Self> {
        let netns = node.netns();
        match means {
            Means::Nothing => Ok(Self::Nothing),
            Means::Agent { http } => {
                let (bpffs, files) = (Bpffs::mount()?, Directory::new("race")?);
                let file =
                    write(&files, "redirector.yaml", &config::agent::text(node.name(), http))?;
                let binary = redirector.to_owned();
                let options = AgentOptions::new(binary, node, cgroup, &bpffs, &file);
                Ok(Self::Agent(Box::new((Agent::start(options)?, bpffs, files))))
            }
            Means::Rules => {
                // A packet to the Service needs a route before the rules see it.
                netns.ip(&format!("route add {}/32 dev eth0", SERVICE.ip()))?;
                restore(netns, &Member::all().collect::<Vec<_>>())?;
                Ok(Self::Rules(netns.clone()))
            }
            Means::Haproxy { tuned } => {
                let files = Directory::new("race")?;
                let file = write(&files, "haproxy.cfg", &config::haproxy::text(tuned))?;
                let mut command = Command::new(install::find("haproxy")?);
                command.args(["-db", "-f"]).arg(&file);
                Self::proxy(netns, command, files)
            }
            Means::Envoy(settings) => {
                let files = Directory::new("race")?;
                let file = write(&files, "envoy.json", &config::envoy::text(settings))?;
                let mut command = Command::new(install::find_envoy()?);
                // As many workers as Istio's sidecar has.
                command.args(["--concurrency", "2", "--disable-hot-restart", "-l", "error", "-c"]);
                command.arg(&file);
                Self::proxy(netns, command, files)
            }
        }
    }

    fn proxy(netns: &Netns, mut command: Command, files: Directory) -> Result<Self> {
        let log = File::create(files.path().join(LOG)).context("cannot write a proxy's log")?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        Ok(Self::Proxy(Some(Process(Place::netns(netns).spawn(command)?)), files))
    }

    /// What a proxy has printed so far.
    pub(super) fn log(&self) -> String {
        match self {
            Self::Proxy(_, files) => {
                fs::read_to_string(files.path().join(LOG)).unwrap_or_default().trim().to_owned()
            }
            Self::Nothing | Self::Rules(_) | Self::Agent(_) => String::new(),
        }
    }

    /// Discovery says that these replicas are ready. Only kube-proxy's rules depend on it; the
    /// others keep all replicas, as in an outage of the control plane.
    pub(super) fn discover(&self, ready: &[Member]) -> Result<()> {
        match self {
            Self::Rules(netns) => restore(netns, ready),
            Self::Nothing | Self::Agent(_) | Self::Proxy(..) => Ok(()),
        }
    }

    /// Kills the agent or proxy (SIGKILL).
    pub(super) fn kill(&mut self) {
        match self {
            Self::Nothing | Self::Rules(_) => {}
            Self::Agent(agent) => agent.0.kill9(),
            Self::Proxy(process, _) => *process = None,
        }
    }

    /// CPU time of the agent or proxy so far; none of one that was killed.
    pub(super) fn cpu(&self) -> Result<Duration> {
        let pid = match self {
            Self::Nothing | Self::Rules(_) => None,
            Self::Agent(agent) => agent.0.pid(),
            Self::Proxy(process, _) => process.as_ref().map(|process| process.0.id()),
        };
        pid.map_or(Ok(Duration::ZERO), cpu::of_process)
    }

    /// Takes it down. Fails with the log if the agent has logged an error.
    pub(super) fn finish(self) -> Result<()> {
        match self {
            // What it is pinned in is dropped later, at the end of this arm.
            Self::Agent(agent) => {
                let (agent, _bpffs, _files) = *agent;
                agent.finish()
            }
            Self::Nothing | Self::Rules(_) | Self::Proxy(..) => Ok(()),
        }
    }
}

fn write(files: &Directory, name: &str, text: &str) -> Result<PathBuf> {
    let file = files.path().join(name);
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

/// Feeds rules to `iptables-restore`, which replaces all of the table in one step.
fn restore(netns: &Netns, ready: &[Member]) -> Result<()> {
    let (rules, program) = (config::rules::text(ready), install::find("iptables-restore")?);
    netns.run(|| {
        let mut process = Command::new(program)
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run iptables-restore")?;
        if let Some(mut stdin) = process.stdin.take() {
            // It stops reading at its first error, which it reports below.
            let _ = stdin.write_all(rules.as_bytes());
        }
        let output = process.wait_with_output().context("cannot wait for iptables-restore")?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "iptables-restore refused: {}", errors.trim());
        Ok(())
    })
}
