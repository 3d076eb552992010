//! Sets the demo up: nodes, replicas, the agent with its file, the client. Dropping it all removes
//! it all.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use redirector_tests::{
    agent::{Agent, AgentOptions},
    bpffs::Bpffs,
    cgroup::Cgroup,
    dialer::{Client, Dial, Load, LoadRun},
    lab::{Lab, Node},
    names::Directory,
    place::Place,
    replica::Replica,
};

use super::{
    cast::{self, CLIENT_NODE, MEMBERS, PORT, RATE, SERVICE, SERVICE_NAME, State, TIERS},
    interrupts,
    kube::Kube,
    screen,
    script::{Change, PATIENCE, policy_lines},
};

/// Dials under way at the same time: enough that those that hang do not silence the rest.
const THREADS: u32 = 96;
/// How soon a Ctrl-C is noticed during the set-up.
const POLL: Duration = Duration::from_millis(20);

/// Everything that is up. The fields drop from top to bottom.
pub(super) struct Stage {
    pub(super) agent: Agent,
    pub(super) replicas: Vec<Replica>,
    /// Replicas that live and do not answer.
    mute: [bool; MEMBERS.len()],
    /// Where the agent's news come from, if not from its file.
    pub(super) kube: Option<Kube>,
    pub(super) cgroup: Cgroup,
    pub(super) bpffs: Bpffs,
    /// The agent's file, and what `--keep` offers.
    pub(super) files: Directory,
    pub(super) lab: Lab,
}

impl Stage {
    /// Sets up everything but the client. `None`: interrupted.
    pub(super) fn set_up(binary: PathBuf, is_kube: bool) -> Result<Option<Self>> {
        let lab = Lab::new(&cast::nodes())?;
        let mut replicas = Vec::new();
        for member in &MEMBERS {
            let node = lab.node(member.node);
            let address = node.socket4(PORT);
            replicas.push(Replica::start(node.netns(), &member.answer(), &[address])?);
        }
        let files = Directory::new("demo")?;
        let cgroup = Cgroup::new("demo")?;
        let bpffs = Bpffs::mount()?;
        let node = lab.node(CLIENT_NODE);
        let kube = is_kube.then(|| Kube::start(node, &binary, files.path())).transpose()?;
        let options = if let Some(kube) = &kube {
            let config = kube.kubeconfig();
            let place = (node, CLIENT_NODE);
            let mut options = AgentOptions::kube(binary, place, &cgroup, &bpffs, &config);
            options.arguments.extend(Kube::arguments());
            options
        } else {
            let config = files.path().join("redirector.yaml");
            fs::write(&config, config_text(&replicas)).context("cannot write the agent's file")?;
            AgentOptions::new(binary, node, &cgroup, &bpffs, &config)
        };
        let agent = Agent::spawn(options)?;
        let mute = [false; MEMBERS.len()];
        let mut stage = Self { agent, replicas, mute, kube, cgroup, bpffs, files, lab };
        while !stage.agent.is_ready()? {
            if interrupts::came() {
                return Ok(None);
            }
            thread::sleep(POLL);
        }
        let say = |text: &str| println!("{}", screen::indented(text));
        let is_told = stage.kube.as_ref().map_or(Ok(true), |kube| kube.set_up(say))?;
        Ok(is_told.then_some(stage))
    }

    /// A client in the cgroup on n1 begins to dial the Service.
    pub(super) fn start_client(&self) -> Result<LoadRun> {
        let place = Place::new(self.lab.node(CLIENT_NODE).netns(), &self.cgroup);
        let timeout_ms = PATIENCE.as_millis() as u64;
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
            Change::Kubectl(words) => {
                return self.kube.as_ref().context("no API server")?.show(words);
            }
            Change::Redirector(words) => return self.order(words),
        }
        match change {
            Change::DropPackets(name) | Change::Freeze(name) => self.mute[who(name)] = true,
            Change::TakePackets(name) | Change::Thaw(name) => self.mute[who(name)] = false,
            _ => {}
        }
        Ok(String::new())
    }

    /// Tells the agent something, and returns the command and what it printed.
    fn order(&self, words: &str) -> Result<String> {
        let (verb, rest) = words.split_once(' ').unwrap_or((words, ""));
        let rest: Vec<&str> = rest.split_whitespace().collect();
        let output = self.agent.ask(verb, &rest)?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`redirector {words}` failed: {}", errors.trim());
        Ok(format!("$ redirector {words}\n{}", String::from_utf8_lossy(&output.stdout)))
    }

    /// How each replica is.
    pub(super) fn states(&self) -> [State; MEMBERS.len()] {
        std::array::from_fn(|who| match (self.replicas[who].is_running(), self.mute[who]) {
            (true, false) => State::Well,
            (true, true) => State::Mute,
            (false, _) => State::Dead,
        })
    }

    /// The agent's file.
    pub(super) fn config(&self) -> &Path {
        self.agent.options().config.as_deref().unwrap_or(Path::new("-"))
    }

    fn node(&self, name: &str) -> &Node {
        self.lab.node(MEMBERS[who(name)].node)
    }
}

/// Index of the replica of that name.
fn who(name: &str) -> usize {
    cast::member(name).unwrap_or_else(|| panic!("nobody plays {name}"))
}

fn config_text(replicas: &[Replica]) -> String {
    let mut text = format!(
        "# What the agent on {CLIENT_NODE} knows. Saved changes take effect at once.\n\
         node: {{name: {CLIENT_NODE}, zone: a, region: eu, cluster: local}}\n\
         services:\n\
         - name: {SERVICE_NAME}\n\
         \x20 frontends: [\"{SERVICE}/tcp\"]\n\
         \x20 backends:\n"
    );
    for (member, replica) in MEMBERS.iter().zip(replicas) {
        let (address, node, tier) = (replica.addresses()[0], member.node, &TIERS[member.tier]);
        let name = member.name;
        let locality = tier.locality;
        let _ = writeln!(
            text,
            "  - {{address: \"{address}\", node: {node}, {locality}}}  # {name}, {}",
            tier.name
        );
    }
    text + "  policy:\n" + &policy_lines("    ")
}
