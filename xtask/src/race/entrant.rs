//! A contender that is up: its node, what runs there, and the cgroup of its clients.

use std::{
    fs,
    io::Write as _,
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
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
    attempt::Attempt,
    cast::{Member, SERVICE},
    client::{Crew, Load},
    config,
    contender::{Contender, Means},
    install,
};

/// A proxy that does not serve by then will not.
const LONGEST_START: Duration = Duration::from_secs(10);
/// What a proxy prints: it says there why it cannot start.
const SAID: &str = "said";
const POLL: Duration = Duration::from_millis(20);

/// A contender that is up. The fields drop from top to bottom.
#[derive(Debug)]
pub(super) struct Entrant {
    pub(super) contender: Contender,
    running: Running,
    /// Of its clients alone: what they cost is counted there, and the agent attaches there.
    cgroup: Cgroup,
    netns: Netns,
}

/// What runs on its node.
#[derive(Debug)]
enum Running {
    Nothing,
    Rules,
    /// What it is pinned in and its file are dropped after it.
    Agent(Box<(Agent, Bpffs, Directory)>),
    /// Its configuration and what it says are dropped after it.
    Proxy(Process, Directory),
}

impl Entrant {
    /// Starts a contender on its node; it serves when this returns.
    pub(super) fn start(contender: Contender, node: &Node, redirector: &Path) -> Result<Self> {
        let netns = node.netns().clone();
        let cgroup = Cgroup::new(contender.name())?;
        let running = match contender.means() {
            Means::Nothing => Running::Nothing,
            Means::Agent { http } => {
                let (bpffs, files) = (Bpffs::mount()?, Directory::new("race")?);
                let file = files.path().join("redirector.yaml");
                write(&file, &config::agent::text(node.name(), http))?;
                let binary = redirector.to_owned();
                let options = AgentOptions::new(binary, node, &cgroup, &bpffs, &file);
                Running::Agent(Box::new((Agent::start(options)?, bpffs, files)))
            }
            Means::Rules => {
                // A packet to the Service needs a route before the rules see it.
                netns.ip(&format!("route add {}/32 dev eth0", SERVICE.ip()))?;
                Running::Rules
            }
            Means::Haproxy { tuned } => {
                let files = Directory::new("race")?;
                let file = files.path().join("haproxy.cfg");
                write(&file, &config::haproxy::text(tuned))?;
                let mut command = Command::new("haproxy");
                command.args(["-db", "-f"]).arg(&file);
                Running::Proxy(spawn(&netns, command, &files)?, files)
            }
            Means::Envoy(settings) => {
                let files = Directory::new("race")?;
                let file = files.path().join("envoy.json");
                write(&file, &config::envoy::text(settings))?;
                let mut command = Command::new(install::find_envoy()?);
                // As many workers as Istio's sidecar has.
                command.args(["--concurrency", "2", "--disable-hot-restart", "-l", "off", "-c"]);
                command.arg(&file);
                Running::Proxy(spawn(&netns, command, &files)?, files)
            }
        };
        let entrant = Self { contender, running, cgroup, netns };
        entrant.discover(&Member::all().collect::<Vec<_>>())?;
        entrant.wait_until_it_serves()?;
        Ok(entrant)
    }

    /// Discovery says that these replicas are ready. Only kube-proxy's rules depend on it; the
    /// others keep all replicas, as in an outage of the control plane.
    pub(super) fn discover(&self, ready: &[Member]) -> Result<()> {
        match self.running {
            Running::Rules => restore(&self.netns, &config::rules::text(ready)),
            Running::Nothing | Running::Agent(_) | Running::Proxy(..) => Ok(()),
        }
    }

    /// Kills its agent or proxy (SIGKILL).
    pub(super) fn kill(&mut self) {
        match &mut self.running {
            Running::Nothing | Running::Rules => {}
            Running::Agent(agent) => agent.0.kill9(),
            Running::Proxy(process, _) => process.kill(),
        }
    }

    /// Starts a client there that dials these addresses in turn.
    pub(super) fn client(&self, load: Load, to: &[SocketAddr]) -> Result<Crew> {
        Crew::start(Place::new(&self.netns, &self.cgroup), load, to)
    }

    /// The agent or proxy, while it runs.
    pub(super) fn pid(&self) -> Option<u32> {
        match &self.running {
            Running::Nothing | Running::Rules => None,
            Running::Agent(agent) => agent.0.pid(),
            Running::Proxy(process, _) => Some(process.0.id()),
        }
    }

    /// CPU time of all clients so far, also of those that have ended.
    pub(super) fn clients_cpu(&self) -> Result<Duration> {
        let text = fs::read_to_string(self.cgroup.path().join("cpu.stat"));
        let text = text.context("cannot read a cgroup's cpu.stat")?;
        let used = text.lines().find_map(|line| line.strip_prefix("usage_usec "));
        let used = used.and_then(|used| used.parse().ok()).context("cpu.stat has no usage")?;
        Ok(Duration::from_micros(used))
    }

    /// Takes it down. Fails with the log if the agent has logged an error.
    pub(super) fn finish(self) -> Result<()> {
        let Self { running, cgroup, netns: _, contender: _ } = self;
        match running {
            Running::Agent(agent) => {
                let (agent, bpffs, files) = *agent;
                let finished = agent.finish();
                drop((bpffs, files, cgroup));
                finished
            }
            Running::Nothing | Running::Rules | Running::Proxy(..) => Ok(()),
        }
    }

    /// An agent serves once it is ready, which its guard has waited for.
    fn wait_until_it_serves(&self) -> Result<()> {
        let Running::Proxy(_, files) = &self.running else { return Ok(()) };
        let begin = Instant::now();
        let [address] = self.contender.addresses()[..] else { return Ok(()) };
        while self.netns.run(|| Attempt::make(address)).has_failed() {
            let said = || fs::read_to_string(files.path().join(SAID)).unwrap_or_default();
            ensure!(begin.elapsed() < LONGEST_START, "it does not serve: {}", said().trim());
            thread::sleep(POLL);
        }
        Ok(())
    }
}

fn spawn(netns: &Netns, mut command: Command, files: &Directory) -> Result<Process> {
    let said = fs::File::create(files.path().join(SAID)).context("cannot write a proxy's log")?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said);
    Ok(Process(Place::netns(netns).spawn(command)?))
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// Feeds rules to `iptables-restore`, which replaces all of the table in one step.
fn restore(netns: &Netns, rules: &str) -> Result<()> {
    netns.run(|| {
        let mut process = Command::new("iptables-restore")
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run iptables-restore (Debian package iptables)")?;
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
