//! Sets the demo up: nodes, replicas, the agent with its file, the client. Dropping it all removes
//! it all.

use std::{
    env, fs, iter,
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
    cluster::{CLIENT_NODE, Cast, PORT, RATE, ReplicaState, SERVICE, SERVICE_ID},
    clusters::{self, Fleet},
    kube, screen,
    script::{Change, DIAL_TIMEOUT, policy_lines},
};
use crate::interrupts;

/// Dials under way at the same time: enough that those that hang do not silence the rest.
const THREADS: u32 = 96;
/// Of a command's output so many lines are shown in full.
const MOST_LINES: usize = 20;
/// The agent's file.
pub(super) const CONFIG: &str = "redirector.yaml";

/// Which demo it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    File,
    Kube,
    Clusters,
}

/// Where the agent's news come from.
pub(super) enum Source {
    /// Its file.
    File,
    /// An API server, which is kept.
    Kube(#[expect(dead_code, reason = "it serves until it is dropped")] Api),
    /// That of one of several clusters.
    Clusters(Fleet),
}

/// Everything that is up. The fields drop from top to bottom.
pub(super) struct Testbed {
    pub(super) cast: &'static Cast,
    pub(super) agent: Agent,
    pub(super) replicas: Vec<Replica>,
    /// Replicas that live and do not answer.
    mute: Vec<bool>,
    pub(super) source: Source,
    pub(super) cgroup: Cgroup,
    pub(super) bpffs: Bpffs,
    /// The agent's file, kubectl's files, and links: short names for the long paths of what is up.
    pub(super) files: Directory,
    pub(super) lab: Lab,
}

impl Testbed {
    /// Sets up everything but the client.
    pub(super) fn set_up(binary: PathBuf, mode: Mode) -> Result<Self> {
        let cast = mode.cast();
        let lab = Lab::new(&nodes(mode))?;
        let mut replicas = Vec::new();
        for member in cast.members {
            let node = lab.node(member.node).netns();
            let address = (member.address, PORT).into();
            replicas.push(Replica::start(node, &cast.answer(member), &[address])?);
        }
        let files = Directory::new("demo")?;
        let cgroup = Cgroup::new("demo")?;
        let bpffs = Bpffs::mount()?;
        let node = lab.node(CLIENT_NODE);
        let kubeconfig = files.path().join("kubeconfig");
        let of_kube = |arguments: &[&str]| {
            let place = (node, CLIENT_NODE);
            let mut options =
                AgentOptions::kube(binary.clone(), place, &cgroup, &bpffs, &kubeconfig);
            options.arguments.extend(arguments.iter().map(|text| (*text).to_owned()));
            options
        };
        let (source, options) = match mode {
            Mode::File => {
                let config = files.path().join(CONFIG);
                fs::write(&config, config_text(cast)).context("cannot write the agent's file")?;
                let options = AgentOptions::new(binary.clone(), node, &cgroup, &bpffs, &config);
                (Source::File, options)
            }
            Mode::Kube => {
                (Source::Kube(kube::start(node, files.path())?), of_kube(&kube::ARGUMENTS))
            }
            Mode::Clusters => {
                let fleet = Fleet::start(&lab, files.path(), &binary)?;
                (Source::Clusters(fleet), of_kube(&clusters::ARGUMENTS))
            }
        };
        interrupts::check()?;
        let agent = Agent::start(options)?;
        let mute = vec![false; cast.members.len()];
        let mut testbed = Self { cast, agent, replicas, mute, source, cgroup, bpffs, files, lab };
        testbed.link()?;
        match mode {
            Mode::File => {}
            Mode::Kube => testbed.show(&kube::FIRST_DAY)?,
            Mode::Clusters => {
                testbed.show(&clusters::INSTALLATION)?;
                if let Source::Clusters(fleet) = &mut testbed.source {
                    fleet.start_pods(&testbed.lab)?;
                }
                testbed.show(&clusters::FIRST_DAY)?;
            }
        }
        Ok(testbed)
    }

    /// Runs commands and shows what they print.
    fn show(&self, commands: &[&str]) -> Result<()> {
        for command in commands {
            interrupts::check()?;
            println!("{}", screen::indented(&shortened(&self.run(command)?)));
        }
        Ok(())
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
            Change::Kill(names) => {
                for name in names {
                    let who = self.who(name);
                    self.replicas[who].kill();
                }
            }
            Change::Start(names) => {
                for name in names {
                    let who = self.who(name);
                    self.replicas[who].restart()?;
                }
            }
            Change::DropPackets(name) => self.node(name).drop_packets()?,
            Change::TakePackets(name) => self.node(name).take_packets()?,
            Change::Freeze(name) => self.replicas[self.who(name)].freeze()?,
            Change::Thaw(name) => self.replicas[self.who(name)].thaw()?,
            Change::KillAgent => self.agent.kill9(),
            Change::StartAgent => self.agent.spawn_again()?,
            Change::CutApi(cluster) => self.lab.cut(cluster)?,
            Change::HealApi(cluster) => self.lab.heal(cluster)?,
            Change::CutPods(cluster) => self.of(cluster).try_for_each(|node| self.lab.cut(node))?,
            Change::HealPods(cluster) => {
                self.of(cluster).try_for_each(|node| self.lab.heal(node))?;
            }
            Change::KillImporter | Change::StartImporter => {
                let Source::Clusters(fleet) = &mut self.source else {
                    panic!("{change:?} without clusters");
                };
                match change {
                    Change::KillImporter => fleet.kill_importer(),
                    _ => fleet.start_importer(&self.lab)?,
                }
            }
            Change::Run(command) => return self.run(command),
        }
        self.note_mute(change);
        Ok(String::new())
    }

    /// Notes who is not heard any more, or is again.
    fn note_mute(&mut self, change: Change) {
        let is_mute =
            matches!(change, Change::DropPackets(_) | Change::Freeze(_) | Change::CutPods(_));
        for (mute, member) in self.mute.iter_mut().zip(self.cast.members) {
            let is_meant = match change {
                Change::DropPackets(name)
                | Change::TakePackets(name)
                | Change::Freeze(name)
                | Change::Thaw(name) => member.name == name,
                Change::CutPods(cluster) | Change::HealPods(cluster) => {
                    clusters::is_in(cluster, member.node)
                }
                _ => false,
            };
            if is_meant {
                *mute = is_mute;
            }
        }
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
    pub(super) fn states(&self) -> Vec<ReplicaState> {
        let replicas = self.replicas.iter().zip(&self.mute);
        replicas
            .map(|(replica, is_mute)| match (replica.is_running(), is_mute) {
                (true, false) => ReplicaState::Well,
                (true, true) => ReplicaState::Mute,
                (false, _) => ReplicaState::Dead,
            })
            .collect()
    }

    fn link(&self) -> Result<()> {
        let own = [
            ("redirector", self.agent.options().binary.clone()),
            ("pins", self.bpffs.pin_path()),
            ("maps", self.bpffs.maps_path()),
            ("cgroup", self.cgroup.path().to_owned()),
            ("run", self.agent.run_directory()),
        ];
        // The nodes of cluster west are linked as such, the one of its API server is not a node.
        let nodes = self.lab.nodes().iter().map(|node| (node.name(), node.netns().path()));
        let nodes = nodes.filter(|(name, _)| !clusters::NAMES.contains(name));
        for (name, path) in own.into_iter().chain(nodes) {
            symlink(path, self.files.path().join(name))
                .with_context(|| format!("cannot link {name}"))?;
        }
        Ok(())
    }

    fn node(&self, name: &str) -> &Node {
        self.lab.node(self.cast.members[self.who(name)].node)
    }

    /// The nodes of a cluster that have replicas.
    fn of(&self, cluster: &'static str) -> impl Iterator<Item = &'static str> {
        let nodes = self.cast.members.iter().map(|member| member.node);
        nodes.filter(move |node| clusters::is_in(cluster, node))
    }

    /// Index of the replica of that name.
    fn who(&self, name: &str) -> usize {
        self.cast.member(name).unwrap_or_else(|| panic!("there is no replica {name}"))
    }
}

/// What a command printed, without the middle of a long list.
fn shortened(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    if lines.len() <= MOST_LINES {
        return text.to_owned();
    }
    let shown = |lines: &[&str]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let (first, last) = (&lines[..3], &lines[lines.len() - 1..]);
    format!("{}… {} more\n{}", shown(first), lines.len() - 4, shown(last))
}

/// The lab's nodes, in the order of their addresses.
fn nodes(mode: Mode) -> Vec<&'static str> {
    let members = mode.cast().members.iter().map(|member| member.node);
    match mode {
        Mode::File | Mode::Kube => iter::once(CLIENT_NODE).chain(members).collect(),
        Mode::Clusters => clusters::NODES.to_vec(),
    }
}

fn config_text(cast: &Cast) -> String {
    let backends = cast.members.iter().map(|member| {
        let (address, node, tier) = (member.address, member.node, cast.tier(member));
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
