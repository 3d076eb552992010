//! Sets the demo up: nodes, replicas, the agent with its file, the client. Dropping it all removes
//! it all.

use std::{
    array, env, fs, iter,
    os::unix::fs::symlink,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use redirector_tests::{
    agent::{Agent, AgentOptions},
    api::Api,
    bpffs::Bpffs,
    cgroup::Cgroup,
    dialer::{Client, Dial, Load, LoadRun},
    lab::{Lab, Node},
    names::Directory,
    place::Place,
    replica::Replica,
};

use super::{
    cluster::{self, CLIENT_NODE, MEMBERS, PORT, RATE, ReplicaState, SERVICE, SERVICE_ID, TIERS},
    interrupts, kube, screen,
    script::{Change, DIAL_TIMEOUT, policy_lines},
};

/// Dials under way at the same time: enough that those that hang do not silence the rest.
const THREADS: u32 = 96;
/// The agent's file.
pub(super) const CONFIG: &str = "redirector.yaml";

/// Everything that is up. The fields drop from top to bottom.
pub(super) struct Testbed {
    pub(super) agent: Agent,
    pub(super) replicas: Vec<Replica>,
    /// Replicas that live and do not answer.
    mute: [bool; MEMBERS.len()],
    /// Where the agent's news come from, if not from its file.
    pub(super) api: Option<Api>,
    pub(super) cgroup: Cgroup,
    pub(super) bpffs: Bpffs,
    /// The agent's file, kubectl's files, and links: short names for the long paths of what is up.
    pub(super) files: Directory,
    pub(super) lab: Lab,
}

impl Testbed {
    /// Sets up everything but the client.
    pub(super) fn set_up(binary: PathBuf, is_kube: bool) -> Result<Self> {
        let nodes = MEMBERS.iter().map(|member| member.node);
        let lab = Lab::new(&iter::once(CLIENT_NODE).chain(nodes).collect::<Vec<_>>())?;
        let mut replicas = Vec::new();
        for member in &MEMBERS {
            let node = lab.node(member.node).netns();
            let address = (member.address, PORT).into();
            replicas.push(Replica::start(node, &member.answer(), &[address])?);
        }
        let files = Directory::new("demo")?;
        let cgroup = Cgroup::new("demo")?;
        let bpffs = Bpffs::mount()?;
        let node = lab.node(CLIENT_NODE);
        let api = is_kube.then(|| kube::start(node, files.path())).transpose()?;
        let options = if is_kube {
            let config = files.path().join("kubeconfig");
            let place = (node, CLIENT_NODE);
            let mut options = AgentOptions::kube(binary, place, &cgroup, &bpffs, &config);
            options.arguments.extend(kube::ARGUMENTS.map(str::to_owned));
            options
        } else {
            let config = files.path().join(CONFIG);
            fs::write(&config, config_text()).context("cannot write the agent's file")?;
            AgentOptions::new(binary, node, &cgroup, &bpffs, &config)
        };
        interrupts::check()?;
        let agent = Agent::start(options)?;
        let mute = [false; MEMBERS.len()];
        let testbed = Self { agent, replicas, mute, api, cgroup, bpffs, files, lab };
        testbed.link()?;
        for command in kube::FIRST_DAY.into_iter().filter(|_| is_kube) {
            interrupts::check()?;
            println!("{}", screen::indented(&testbed.run(command)?));
        }
        Ok(testbed)
    }

    /// A client in the cgroup on n1 begins to dial the Service.
    pub(super) fn start_client(&self) -> Result<LoadRun> {
        let place = Place::new(self.lab.node(CLIENT_NODE).netns(), &self.cgroup);
        let timeout_ms = DIAL_TIMEOUT.as_millis() as u64;
        let dial = Dial { timeout_ms, ..Dial::tcp(SERVICE) };
        let load = Load { dial, rate: RATE, threads: THREADS, duration_ms: None, every: true };
        Client::start(place)?.load(load)
    }

    /// Lets something happen. Returns when it has, with what a command has printed.
    pub(super) fn apply(&mut self, change: Change) -> Result<String> {
        match change {
            Change::Kill(names) => names.iter().for_each(|name| self.replicas[who(name)].kill()),
            Change::Start(names) => {
                for name in names {
                    self.replicas[who(name)].restart()?;
                }
            }
            Change::DropPackets(name) => self.node(name).drop_packets()?,
            Change::TakePackets(name) => self.node(name).take_packets()?,
            Change::Freeze(name) => self.replicas[who(name)].freeze()?,
            Change::Thaw(name) => self.replicas[who(name)].thaw()?,
            Change::KillAgent => self.agent.kill9(),
            Change::StartAgent => self.agent.spawn_again()?,
            Change::Run(command) => return self.run(command),
        }
        match change {
            Change::DropPackets(name) | Change::Freeze(name) => self.mute[who(name)] = true,
            Change::TakePackets(name) | Change::Thaw(name) => self.mute[who(name)] = false,
            _ => {}
        }
        Ok(String::new())
    }

    /// Runs a shell's command in the client's network, among the files; returns the command and what
    /// it prints: to stdout, or else to stderr, where otherwise there are only notes.
    fn run(&self, command: &str) -> Result<String> {
        let files = self.files.path();
        let mut path = files.as_os_str().to_owned();
        path.push(":");
        path.push(env::var_os("PATH").unwrap_or_default());
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).current_dir(files).env("PATH", path);
        // kubectl keeps a cache in its home.
        shell.env("KUBECONFIG", files.join("kubeconfig")).env("HOME", files);
        shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = Place::netns(self.lab.node(CLIENT_NODE).netns()).spawn(shell)?;
        let output = child.wait_with_output().context("cannot wait for a command")?;
        let (said, noted) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "`{command}` failed: {}", noted.trim());
        Ok(format!("$ {command}\n{}", if said.is_empty() { noted } else { said }))
    }

    /// How each replica is.
    pub(super) fn states(&self) -> [ReplicaState; MEMBERS.len()] {
        array::from_fn(|who| match (self.replicas[who].is_running(), self.mute[who]) {
            (true, false) => ReplicaState::Well,
            (true, true) => ReplicaState::Mute,
            (false, _) => ReplicaState::Dead,
        })
    }

    fn link(&self) -> Result<()> {
        let own = [
            ("redirector", self.agent.options().binary.clone()),
            ("pins", self.bpffs.pin_path()),
            ("maps", self.bpffs.maps_path()),
            ("cgroup", self.cgroup.path().to_owned()),
            ("run", self.agent.run_directory()),
        ];
        let nodes = self.lab.nodes().iter().map(|node| (node.name(), node.netns().path()));
        for (name, path) in own.into_iter().chain(nodes) {
            symlink(path, self.files.path().join(name))
                .with_context(|| format!("cannot link {name}"))?;
        }
        Ok(())
    }

    fn node(&self, name: &str) -> &Node {
        self.lab.node(MEMBERS[who(name)].node)
    }
}

/// Index of the replica of that name.
fn who(name: &str) -> usize {
    cluster::member(name).unwrap_or_else(|| panic!("there is no replica {name}"))
}

fn config_text() -> String {
    let backends = MEMBERS.iter().map(|member| {
        let (address, node, tier) = (member.address, member.node, &TIERS[member.tier]);
        let (locality, comment) = (tier.locality, format!("{}, {}", member.name, tier.name));
        format!("  - {{address: \"{address}:{PORT}\", node: {node}, {locality}}}  # {comment}\n")
    });
    let (backends, policy) = (backends.collect::<String>(), policy_lines("    "));
    format!(
        "# What the agent on {CLIENT_NODE} knows. Saved changes take effect at once.
node: {{name: {CLIENT_NODE}, zone: a, region: eu, cluster: local}}
services:
- name: {SERVICE_ID}
  frontends: [\"{SERVICE}/tcp\"]
  backends:
{backends}  policy:
{policy}"
    )
}
