//! Sets the demo up: nodes, replicas, the agent with its file, the client. Dropping it all removes
//! it all.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
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
    script::{
        CONNECT_TIMEOUT, Change, HOLD_DOWN, PATIENCE, PROBE_COUNT, PROBE_INTERVAL, PROBE_TIMEOUT,
        RAMP, REFUSED, TIMEOUTS,
    },
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
    pub(super) cgroup: Cgroup,
    pub(super) bpffs: Bpffs,
    /// The agent's file, and what `--keep` offers.
    pub(super) files: Directory,
    pub(super) lab: Lab,
}

impl Stage {
    /// Everything but the client. `None`: interrupted.
    pub(super) fn set_up(binary: PathBuf) -> Result<Option<Self>> {
        let lab = Lab::new(&cast::nodes())?;
        let mut replicas = Vec::new();
        for member in &MEMBERS {
            let node = lab.node(member.node);
            let address = node.socket4(PORT);
            replicas.push(Replica::start(node.netns(), &member.answer(), &[address])?);
        }
        let files = Directory::new("demo")?;
        let config = files.path().join("redirector.yaml");
        fs::write(&config, config_text(&replicas)).context("cannot write the agent's file")?;
        let cgroup = Cgroup::new("demo")?;
        let bpffs = Bpffs::mount()?;
        let node = lab.node(CLIENT_NODE);
        let options = AgentOptions::new(binary, node, &cgroup, &bpffs, &config);
        let agent = Agent::spawn(options)?;
        let mut stage =
            Self { agent, replicas, mute: [false; MEMBERS.len()], cgroup, bpffs, files, lab };
        while !stage.agent.is_ready()? {
            if interrupts::came() {
                return Ok(None);
            }
            thread::sleep(POLL);
        }
        Ok(Some(stage))
    }

    /// A client in the cgroup on n1 begins to dial the Service.
    pub(super) fn start_client(&self) -> Result<LoadRun> {
        let place = Place::new(self.lab.node(CLIENT_NODE).netns(), &self.cgroup);
        let timeout_ms = PATIENCE.as_millis() as u64;
        let dial = Dial { timeout_ms, ..Dial::tcp(SERVICE) };
        let load = Load { dial, rate: RATE, threads: THREADS, duration_ms: None, every: true };
        Client::start(place)?.load(load)
    }

    /// Lets something happen. Returns when it has.
    pub(super) fn apply(&mut self, change: Change) -> Result<()> {
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
        }
        match change {
            Change::DropPackets(name) | Change::Freeze(name) => self.mute[who(name)] = true,
            Change::TakePackets(name) | Change::Thaw(name) => self.mute[who(name)] = false,
            _ => {}
        }
        Ok(())
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
    let (interval, timeout) = (PROBE_INTERVAL.as_millis(), PROBE_TIMEOUT.as_millis());
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
    let (hold_down, ramp) = (HOLD_DOWN.as_secs(), RAMP.as_secs());
    let connect_timeout = CONNECT_TIMEOUT.as_millis();
    let _ = write!(
        text,
        "  policy:
    failback: {{holdDown: {hold_down}s, ramp: {ramp}s}}
    connectTimeout: {connect_timeout}ms
    passive: {{refused: {REFUSED}, timeouts: {TIMEOUTS}, baseEjection: 1s, maxEjection: 2s}}
    probe: {{http: {{path: /}}, interval: {interval}ms, timeout: {timeout}ms, unhealthy: {PROBE_COUNT}, healthy: {PROBE_COUNT}}}
"
    );
    text
}
