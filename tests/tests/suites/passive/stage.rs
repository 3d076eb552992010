//! A client's node, some replicas' nodes, services, and a real agent that may be frozen or killed.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use redirector::datapath::{Counters, Pins};
use redirector_common::LAYOUT;
use redirector_tests::{
    agent::{Agent, AgentOptions},
    bpffs::Bpffs,
    bpftool,
    cgroup::Cgroup,
    dialer::{Client, Dial, Dialled},
    lab::Lab,
    names::Directory,
    place::Place,
    programs,
    replica::Replica,
};
use serde_json::Value;

pub(crate) use redirector_tests::wait::wait_until;

/// Port of every service and of every replica.
pub(crate) const SERVICE: u16 = 80;
pub(crate) const REPLICA: u16 = 8080;
/// Small maps are soon read.
const SMALL: [&str; 6] = ["--max-slots", "4096", "--max-backends", "256", "--max-services", "256"];

/// Everything but the replicas. Fields drop in this order.
pub(crate) struct Stage {
    pub(crate) agent: Agent,
    _directory: Directory,
    bpffs: Bpffs,
    cgroup: Cgroup,
    pub(crate) lab: Lab,
}

impl Stage {
    /// The agent serves `services` for node `n1`, and is ready.
    pub(crate) fn new(lab: Lab, services: &str) -> Self {
        Self::with(lab, services, &[])
    }

    /// The same with more arguments.
    pub(crate) fn with(lab: Lab, services: &str, arguments: &[&str]) -> Self {
        let (cgroup, bpffs) = (Cgroup::new("passive").expect("a cgroup"), Bpffs::mount());
        let bpffs = bpffs.expect("a bpffs");
        let directory = Directory::new("passive").expect("a directory");
        let config: PathBuf = directory.path().join("services.yaml");
        let text = format!("node: {{name: n1, zone: a, region: eu}}\nservices:\n{services}");
        fs::write(&config, text).expect("the config");
        let binary = programs::redirector().expect("the binary");
        let mut options = AgentOptions::new(binary, lab.node("n1"), &cgroup, &bpffs, &config);
        options.arguments = SMALL.iter().chain(arguments).map(|&one| one.to_owned()).collect();
        let agent = Agent::start(options).expect("an agent");
        Self { agent, _directory: directory, bpffs, cgroup, lab }
    }

    /// With a replica on `n2`, the backend of the first service; on its way out of `n3` whatever is
    /// sent to it meets this verdict.
    pub(crate) fn hostile(verdict: &str, policy: &str) -> (Self, Replica) {
        let lab = Lab::new(&["n1", "n2", "n3"]).expect("a lab");
        let node = lab.node("n2");
        let replica = Replica::start(node.netns(), "alive", &[node.socket4(REPLICA)]);
        hostile_network(&lab, verdict);
        let stage = Self::new(lab, &service("one", 1, &[backend(2, REPLICA)], policy));
        (stage, replica.expect("a replica"))
    }

    /// The place of an application on node `n1`.
    pub(crate) fn place(&self) -> Place<'_> {
        Place::new(self.lab.node("n1").netns(), &self.cgroup)
    }

    /// An application in a cgroup of its own.
    pub(crate) fn client(&self, name: &str) -> Client {
        self.client_on("n1", name)
    }

    /// The same in the network of another node.
    pub(crate) fn client_on(&self, node: &str, name: &str) -> Client {
        let place = Place::new(self.lab.node(node).netns(), &self.cgroup);
        let client = Client::start(place).expect("a client");
        let own = self.child(name);
        fs::write(own.join("cgroup.procs"), client.pid().to_string()).expect("its cgroup");
        client
    }

    fn child(&self, name: &str) -> PathBuf {
        let own = self.cgroup.path().join(name);
        match fs::create_dir(&own) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => panic!("{error}"),
            _ => own,
        }
    }

    /// One of the kernel's counters.
    pub(crate) fn counter(&self, name: &str) -> u64 {
        let all = Counters::open(&self.pins()).and_then(|counters| counters.named());
        let found = all.expect("the counters").into_iter().find(|(counter, _)| counter == name);
        found.unwrap_or_else(|| panic!("no counter {name}")).1
    }

    /// What `redirector status` prints.
    pub(crate) fn status(&self) -> String {
        let run = self.agent.run_directory().display().to_string();
        let output = self.agent.command("status", &["--run-dir", &run]).expect("redirector status");
        let output = output.wait_with_output().expect("its end");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// The cgroup that is served.
    pub(crate) fn cgroup(&self) -> &Path {
        self.cgroup.path()
    }

    /// Seats that some socket holds.
    pub(crate) fn held_seats(&self) -> usize {
        let pin = self.bpffs.pin_path().join(format!("v{LAYOUT}/SEATS"));
        let seats = bpftool::dump(&pin).expect("the seats");
        let holders = |seat: &Value| seat["value"]["refs"].as_u64();
        seats.iter().filter(|seat| holders(seat).expect("a number") != 0).count()
    }

    fn pins(&self) -> Pins {
        Pins::new(self.bpffs.pin_path())
    }
}

/// A service with one line per backend, and what else it says.
pub(crate) fn service(name: &str, number: u8, backends: &[String], policy: &str) -> String {
    let backends: String = backends.iter().map(|backend| format!("  - {backend}\n")).collect();
    format!(
        "- name: passive/{name}\n  frontends: ['{}']\n  policy: {{{policy}}}\n  backends:\n{backends}",
        format_args!("{}/tcp", address(number)),
    )
}

/// The `number`th service. The address exists nowhere.
pub(crate) fn address(number: u8) -> SocketAddr {
    SocketAddr::new([10, 96, 0, number].into(), SERVICE)
}

/// A backend on the second or a later node of a lab.
pub(crate) fn backend(node: u8, port: u16) -> String {
    format!("{{address: '10.77.{node}.1:{port}', node: n{node}, zone: a, region: eu}}")
}

/// On its way out of `n3` whatever is sent to a replica meets this verdict.
pub(crate) fn hostile_network(lab: &Lab, verdict: &str) {
    let rule = format!(
        "table inet hostile {{\n chain out {{\n type filter hook output priority 0\n \
         tcp dport {REPLICA} {verdict}\n }}\n }}"
    );
    lab.node("n3").netns().nft(&rule).expect("a hostile network");
}

/// Drops whatever comes to a port: no answer, and nothing says so.
pub(crate) fn swallow(lab: &Lab, node: &str, port: u16) {
    let rule = format!(
        "table inet hole {{\n chain in {{\n type filter hook input priority 0\n \
         tcp dport {port} counter drop\n }}\n }}"
    );
    lab.node(node).netns().nft(&rule).expect("a black hole");
}

/// Packets that were dropped so far.
pub(crate) fn swallowed(lab: &Lab, node: &str) -> u64 {
    let list = || Command::new("nft").args(["list", "table", "inet", "hole"]).output();
    let output = lab.node(node).netns().run(list).expect("nft");
    let text = String::from_utf8_lossy(&output.stdout);
    let mut words = text.split_whitespace().skip_while(|word| *word != "packets").skip(1);
    words.next().and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{output:?}"))
}

/// The end of it.
pub(crate) fn answer_again(lab: &Lab, node: &str) {
    lab.node(node).netns().nft("delete table inet hole").expect("no black hole");
}

/// TCP connections that were accepted on a node.
pub(crate) fn accepted(lab: &Lab, node: &str) -> u64 {
    let read = || fs::read_to_string("/proc/thread-self/net/snmp").expect("counters of TCP");
    let snmp = lab.node(node).netns().run(read);
    let mut rows = snmp.lines().filter(|line| line.starts_with("Tcp:")).map(|row| row.split(' '));
    let (names, values) = (rows.next().expect("names"), rows.next().expect("values"));
    let mut columns = names.zip(values);
    let found = columns.find(|(name, _)| *name == "PassiveOpens").expect("a counter").1;
    found.parse().expect("a number")
}

pub(crate) fn tcp(number: u8) -> Dial {
    Dial::tcp(address(number))
}

/// Those that failed.
pub(crate) fn failed(dialled: &[Dialled]) -> Vec<&Dialled> {
    dialled.iter().filter(|one| one.outcome.is_err()).collect()
}
