//! Four replicas, of which three serve at first, an agent, and a node for each client.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use redirector_tests::{
    agent::{Agent, AgentOptions},
    bpffs::Bpffs,
    cgroup::Cgroup,
    lab::{Lab, Node},
    names::Directory,
    programs,
};
use serde_json::Value;

use super::{
    replica::Replica,
    services::{self, Service},
    tools,
};

/// Small maps, which are soon read.
const SMALL: [&str; 6] = ["--max-slots", "4096", "--max-backends", "256", "--max-services", "256"];
const REPLICAS: [&str; 4] = ["r1", "r2", "r3", "r4"];
const AGENT: &str = "n1";
const LONGEST_CHANGE: Duration = Duration::from_secs(10);

/// Which replicas discovery lists.
#[derive(Debug, Clone)]
pub struct Listed {
    pub tcp: Vec<u8>,
    pub udp: Vec<u8>,
}

impl Listed {
    fn of(&self, service: &Service) -> &[u8] {
        if service.is_tcp { &self.tcp } else { &self.udp }
    }
}

/// The network, and what all processes share.
pub struct World {
    pub programs: Directory,
    pub cgroup: Cgroup,
    lab: Lab,
}

impl World {
    /// With room for so many pods.
    pub fn new(pods: usize) -> Self {
        let pods: Vec<_> = (0..pods).map(|number| format!("pod{number}")).collect();
        let names = REPLICAS.into_iter().chain([AGENT]).chain(pods.iter().map(String::as_str));
        let lab = Lab::new(&names.collect::<Vec<_>>()).expect("a lab");
        let programs = Directory::new("clients").expect("a directory");
        tools::prepare(programs.path());
        Self { programs, cgroup: Cgroup::new("clients").expect("a cgroup"), lab }
    }

    /// The nodes of the pods.
    pub fn pods(&self) -> &[Node] {
        &self.lab.nodes()[REPLICAS.len() + 1..]
    }

    /// The node of replica `number`.
    pub fn node(&self, number: u8) -> &Node {
        self.lab.node(REPLICAS[usize::from(number) - 1])
    }
}

/// Fields drop in this order.
pub struct Fixture<'a> {
    pub agent: Agent,
    replicas: Vec<Replica>,
    pub listed: Listed,
    config: PathBuf,
    _bpffs: Bpffs,
    pub world: &'a World,
}

impl<'a> Fixture<'a> {
    pub fn new(world: &'a World) -> Self {
        let numbers = 1..=REPLICAS.len() as u8;
        let replicas: Vec<_> = numbers.map(|number| Replica::start(world, number)).collect();
        for replica in &replicas {
            replica.wait(world);
        }
        let bpffs = Bpffs::mount().expect("a bpffs");
        let config = world.programs.path().join("services.yaml");
        let listed = Listed { tcp: vec![1, 2, 3], udp: vec![1, 2, 3] };
        fs::write(&config, file(world, &listed)).expect("a configuration");
        let binary = programs::redirector().expect("the redirector");
        let node = world.lab.node(AGENT);
        let mut options = AgentOptions::new(binary, node, &world.cgroup, &bpffs, &config);
        options.arguments = SMALL.map(str::to_owned).into();
        let agent = Agent::start(options).expect("an agent");
        Self { agent, replicas, listed, config, _bpffs: bpffs, world }
    }

    pub fn replica(&mut self, number: u8) -> &mut Replica {
        &mut self.replicas[usize::from(number) - 1]
    }

    /// An operator's; it is in force when this returns.
    pub fn order(&self, order: &str, subject: &str) {
        let output = self.agent.ask(order, &[subject]).expect("redirector");
        assert!(output.status.success(), "{output:?}");
    }

    /// Discovery lists other replicas; returns when the kernel has them.
    pub fn list(&mut self, listed: Listed) {
        let beside = self.config.with_extension("new");
        fs::write(&beside, file(self.world, &listed)).expect("a configuration");
        fs::rename(&beside, &self.config).expect("a configuration in place");
        let deadline = Instant::now() + LONGEST_CHANGE;
        let wanted = backends(self.world, &listed);
        while self.backends() != wanted {
            assert!(Instant::now() < deadline, "{listed:?} not in force:\n{}", self.agent.log());
            thread::sleep(Duration::from_millis(20));
        }
        self.listed = listed;
    }

    /// The addresses of all backends, as `redirector dump` prints them.
    fn backends(&self) -> BTreeSet<(String, u64)> {
        let dump = self.agent.command("dump", &["-o", "json"]).expect("redirector dump");
        let output = dump.wait_with_output().expect("its output");
        let dump: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let services = dump["services"].as_array().expect("services").iter();
        let tiers = services.flat_map(|service| service["tiers"].as_array().expect("tiers"));
        let backends = tiers.flat_map(|tier| tier["backends"].as_array().expect("backends"));
        let address = |found: &Value| {
            let ip = found["address"].as_str().expect("an address").to_owned();
            (ip, found["port"].as_u64().expect("a port"))
        };
        backends.map(address).collect()
    }
}

fn backends(world: &World, listed: &Listed) -> BTreeSet<(String, u64)> {
    let all = services::all().flat_map(|service| {
        let numbers = listed.of(service).iter();
        let nodes = numbers.map(|number| (world.node(*number), service.replica_port));
        nodes.flat_map(|(node, port)| [node.socket4(port), node.socket6(port)])
    });
    all.map(|address| (address.ip().to_string(), address.port().into())).collect()
}

/// The agent's file. The policy is the one by default.
fn file(world: &World, listed: &Listed) -> String {
    let mut text = format!("node: {{name: {AGENT}, zone: a, region: eu}}\nservices:\n");
    for service in services::all() {
        let (name, protocol) = (service.name, service.protocol());
        let [four, six] = service.addresses();
        let _ = writeln!(text, "- name: clients/{name}");
        let _ = writeln!(text, "  frontends: ['{four}/{protocol}', '{six}/{protocol}']");
        let _ = writeln!(text, "  backends:");
        for number in listed.of(service) {
            let (node, port) = (world.node(*number), service.replica_port);
            for address in [node.socket4(port), node.socket6(port)] {
                let place = format!("node: {}, zone: a, region: eu", node.name());
                let _ = writeln!(text, "  - {{address: '{address}', {place}}}");
            }
        }
    }
    text
}
