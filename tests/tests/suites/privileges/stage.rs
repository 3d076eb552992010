//! A client's node, two nodes with replicas, and an agent with least privilege.

use std::{env, fs, path::PathBuf};

use redirector::datapath::{Counters, Pins};
use redirector_tests::{
    agent::{Agent, AgentOptions},
    bpffs::Bpffs,
    cgroup::Cgroup,
    dialer::{Client, Dial, Dialled, Transport},
    lab::Lab,
    names::Directory,
    place::Place,
    programs,
    replica::Replica,
};

pub use redirector_tests::wait::wait_until;

/// Small maps are soon made.
const SMALL: [&str; 6] = ["--max-slots", "4096", "--max-backends", "256", "--max-services", "256"];
const PORT: u16 = 8080;

pub const TCP4: &str = "10.96.0.1:80";
pub const TCP6: &str = "[fd00:96::1]:80";
pub const UDP4: &str = "10.96.0.2:53";
pub const UDP6: &str = "[fd00:96::2]:53";

/// Nothing comes back by itself, except by a probe.
pub const PROBED: &str = "probe: {tcp: {}, interval: 200ms, timeout: 200ms, unhealthy: 100, \
                          healthy: 1}, passive: {refused: 3, timeouts: 3, baseEjection: 300s}";

/// Fields drop in this order.
pub struct Stage {
    pub agent: Agent,
    pub replicas: Vec<Replica>,
    pub bpffs: Bpffs,
    pub lab: Lab,
    cgroup: Cgroup,
    directory: Directory,
}

impl Stage {
    /// An agent with this policy, ready; its loader has CAP_PERFMON or not.
    pub fn new(policy: &str, has_perfmon: bool) -> Self {
        let lab = Lab::new(&["n1", "n2", "n3"]).expect("a lab");
        let replicas = ["n2", "n3"].map(|name| {
            let node = lab.node(name);
            let addresses = [node.socket4(PORT), node.socket6(PORT)];
            Replica::start(node.netns(), name, &addresses).expect("a replica")
        });
        let directory = Directory::new("privileges").expect("a directory");
        let cgroup = Cgroup::new("privileges").expect("a cgroup");
        let bpffs = Bpffs::mount().expect("a bpffs");
        let config = directory.path().join("services.yaml");
        fs::write(&config, configuration(policy, &replicas)).expect("the config");
        let binary = script(&directory, has_perfmon);
        let mut options = AgentOptions::new(binary, lab.node("n1"), &cgroup, &bpffs, &config);
        options.arguments = SMALL.map(str::to_owned).into();
        let agent = Agent::start(options).expect("an agent");
        Self { agent, replicas: replicas.into(), bpffs, lab, cgroup, directory }
    }

    /// Lists the first replicas only.
    pub fn list(&self, policy: &str, count: usize) {
        let beside = self.directory.path().join("new");
        fs::write(&beside, configuration(policy, &self.replicas[..count])).expect("a file");
        fs::rename(beside, self.directory.path().join("services.yaml")).expect("the config");
    }

    /// An application on node `n1`.
    pub fn client(&self) -> Client {
        let place = Place::new(self.lab.node("n1").netns(), &self.cgroup);
        Client::start(place).expect("a client")
    }

    /// One of the kernel's counters.
    pub fn counter(&self, name: &str) -> u64 {
        let pins = Pins::new(self.bpffs.pin_path());
        let all = Counters::open(&pins).and_then(|counters| counters.named());
        let found = all.expect("the counters").into_iter().find(|(counter, _)| counter == name);
        found.unwrap_or_else(|| panic!("no counter {name}")).1
    }
}

/// The stand-in of `redirector`, and what it stands in for.
fn script(directory: &Directory, has_perfmon: bool) -> PathBuf {
    let real = redirector_binary();
    let perfmon = if has_perfmon { "unset" } else { "export" };
    let line = format!(
        "#!/bin/sh\nREDIRECTOR_WITHOUT_PERFMON=1\n{perfmon} REDIRECTOR_WITHOUT_PERFMON\n\
         REDIRECTOR_UNPRIVILEGED_BIN={} exec {} \"$@\"\n",
        real.display(),
        env!("CARGO_BIN_EXE_unprivileged"),
    );
    let path = directory.path().join("redirector");
    fs::write(&path, line).expect("a script");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&path, mode).expect("an executable script");
    path
}

/// The program itself.
pub fn redirector_binary() -> PathBuf {
    let real = env::var_os("REDIRECTOR_UNPRIVILEGED_BIN").map(PathBuf::from);
    real.unwrap_or_else(|| programs::redirector().expect("the redirector"))
}

fn configuration(policy: &str, replicas: &[Replica]) -> String {
    let backends: String = replicas
        .iter()
        .flat_map(|replica| {
            replica.addresses().iter().map(|address| {
                let node = replica.name();
                format!("  - {{address: '{address}', node: {node}, zone: a, region: eu}}\n")
            })
        })
        .collect();
    format!(
        "node: {{name: n1, zone: a, region: eu}}\nservices:\n\
         - name: privileges/tcp\n  frontends: ['{TCP4}/tcp', '{TCP6}/tcp']\n  \
         policy: {{{policy}}}\n  backends:\n{backends}\
         - name: privileges/udp\n  frontends: ['{UDP4}/udp', '{UDP6}/udp']\n  \
         policy: {{probe: off}}\n  backends:\n{backends}"
    )
}

/// A fresh socket of each kind to each frontend.
pub fn kinds() -> impl Iterator<Item = Dial> {
    let dial = |address: &str, transport| Dial {
        transport,
        ..Dial::tcp(address.parse().expect("an address"))
    };
    [
        dial(TCP4, Transport::Tcp),
        dial(TCP6, Transport::Tcp),
        dial("[::ffff:10.96.0.1]:80", Transport::Tcp),
        dial(UDP4, Transport::Udp),
        dial(UDP6, Transport::Udp),
        dial(UDP4, Transport::UdpUnconnected),
        dial(UDP6, Transport::UdpUnconnected),
    ]
    .into_iter()
}

pub fn tcp() -> Dial {
    Dial::tcp(TCP4.parse().expect("an address"))
}

/// How many of them that replica answered.
pub fn answered_by(dialled: &[Dialled], name: &str) -> usize {
    dialled.iter().filter(|one| one.outcome.as_deref() == Ok(name)).count()
}

/// Every dial is answered, by each of these replicas and nobody else, and shows the address dialled.
pub fn assert_redirected(client: &mut Client, names: &[&str]) {
    for dial in kinds() {
        let dialled = client.dial(dial, 60).expect("dials");
        let by = names.iter().map(|name| answered_by(&dialled, name));
        assert_eq!(by.clone().sum::<usize>(), 60, "{dial:?}: {dialled:?}");
        assert!(by.clone().all(|count| count > 0), "{dial:?}: not by all of {names:?}");
        for one in &dialled {
            let shown =
                if dial.transport == Transport::UdpUnconnected { one.source } else { one.peer };
            assert_eq!(shown, Some(dial.address), "{dial:?}");
        }
    }
}
