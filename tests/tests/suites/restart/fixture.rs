//! A network with twelve replicas that never die unless told to, files that list some of them, and
//! the application.

use std::{fmt::Write as _, net::SocketAddr};

use derive_more::Deref;
use rand::{Rng as _, rngs::SmallRng, seq::IndexedRandom as _};
use redirector_tests::{
    agent::{Agent, AgentOptions},
    bpffs::Bpffs,
    cgroup::Cgroup,
    dialer::{Dial, Load, LoadRun, Transport},
    fixture::Site,
};

/// Nodes with replicas, and where they are.
const NODES: [(&str, &str); 3] = [
    ("n2", "zone: a, region: eu"),
    ("n3", "zone: b, region: eu"),
    ("n4", "zone: x, region: us, cluster: west"),
];
/// The replicas of each node.
const PORTS: [u16; 4] = [8081, 8082, 8083, 8084];
/// Services that nobody dials.
const OTHERS: u32 = 40;
/// Dials per second of each load.
const RATE: u32 = 250;

/// What the application dials.
const DIALS: [(&str, Transport); 4] = [
    ("10.96.0.10:80", Transport::Tcp),
    ("[fd00:96::10]:80", Transport::Tcp),
    ("10.96.0.11:80", Transport::Tcp),
    ("10.96.0.12:80", Transport::UdpUnconnected),
];

/// Everything but the agent.
#[derive(Deref)]
pub(crate) struct Fixture {
    #[deref]
    site: Site,
    /// Of an agent beside the first one.
    other: (Cgroup, Bpffs),
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let site = Site::new("restart", &["n1", "n2", "n3", "n4"]).with_maps(&[]);
        let all = NODES.iter().flat_map(|(node, _)| PORTS.map(|port| (node, port)));
        let with = |site: Site, (node, port): (&&str, u16)| {
            site.with_replica(node, &format!("{node}-{port}"), port)
        };
        let other = (Cgroup::new("restart").expect("a cgroup"), Bpffs::mount().expect("a bpffs"));
        Self { site: all.fold(site, with), other }
    }

    /// The agent under test, ready.
    pub(crate) fn agent(&self) -> Agent {
        Agent::start(self.options()).expect("an agent")
    }

    /// An agent on empty pins, on a cgroup without processes, ready.
    pub(crate) fn fresh_agent(&self) -> Agent {
        let (cgroup, bpffs) = &self.other;
        let (cgroup, pin_path) = (cgroup.path().to_owned(), bpffs.pin_path());
        let options = AgentOptions { cgroup, pin_path, ..self.options() };
        Agent::start(options).expect("a fresh agent")
    }

    /// Starts the loads over these transports.
    pub(crate) fn dial(&self, transports: &[Transport]) -> Vec<LoadRun> {
        let start = |(address, transport): &(&str, Transport)| {
            let address: SocketAddr = address.parse().expect("an address");
            let dial = Dial { transport: *transport, ..Dial::tcp(address) };
            self.client().load(Load::new(dial, RATE)).expect("a load")
        };
        DIALS.iter().filter(|(_, dialled)| transports.contains(dialled)).map(start).collect()
    }

    /// Ends the first replica.
    pub(crate) fn kill_one(&mut self) {
        self.site.replicas[0].kill();
    }

    /// Every service, with twelve backends: few enough that all of them are probed.
    pub(crate) fn whole_config(&self) -> String {
        let is_first =
            |line: &String| PORTS[..2].iter().any(|port| line.contains(&port.to_string()));
        let backends: String = self.backends().filter(is_first).collect();
        let others = (0..OTHERS).map(|number| (number, backends.clone()));
        config("load/plain", &[backends.clone(), backends.clone(), backends.clone()], others)
    }

    /// Each service lists some of the replicas, and some services are not there. What the
    /// application dials moves between services and always has a backend.
    pub(crate) fn any_config(&self, random: &mut SmallRng) -> String {
        let name = format!("load/plain-{}", random.random_range(0..3));
        let backends = [(); 3].map(|()| self.some_backends(random));
        let others: Vec<_> = (0..OTHERS)
            .filter(|_| random.random_bool(0.5))
            .collect::<Vec<_>>()
            .into_iter()
            .map(|number| (number, self.some_backends(random)))
            .collect();
        config(&name, &backends, others)
    }

    /// At least one of each family.
    fn some_backends(&self, random: &mut SmallRng) -> String {
        let all: Vec<String> = self.backends().collect();
        let mut some = String::new();
        // Both families of a replica follow each other.
        for family in 0..2 {
            let all: Vec<_> = all.iter().skip(family).step_by(2).collect();
            let count = random.random_range(1..=all.len());
            for backend in all.choose_multiple(random, count) {
                let weight = format!(", weight: {}}}", random.random_range(1..=100));
                some.push_str(&backend.replace('}', &weight));
            }
        }
        some
    }

    /// A line for each address of each replica.
    fn backends(&self) -> impl Iterator<Item = String> {
        self.replicas.iter().zip(NODES.iter().flat_map(|node| [node; PORTS.len()])).flat_map(
            |(replica, (node, place))| {
                replica.addresses().iter().map(move |address| {
                    format!("  - {{address: '{address}', node: {node}, {place}}}\n")
                })
            },
        )
    }
}

/// A file; the services are the plain one, the one with session affinity, and the one over UDP.
fn config(
    plain: &str,
    backends: &[String; 3],
    others: impl IntoIterator<Item = (u32, String)>,
) -> String {
    // The dead refuse at once: only a busy machine would need the timeout.
    const PROBE: &str = "{tcp: {}, interval: 300ms, timeout: 300ms, unhealthy: 2, healthy: 2}";
    let mut text = String::from("node: {name: n1, zone: a, region: eu}\nservices:\n");
    let [first, second, third] = backends;
    for (name, frontends, more, backends) in [
        (
            plain,
            "'10.96.0.10:80/tcp', '[fd00:96::10]:80/tcp'",
            format!("policy: {{probe: {PROBE}}}"),
            first,
        ),
        ("load/sticky", "'10.96.0.11:80/tcp'", "affinity: {timeout: 1h}".to_owned(), second),
        ("load/udp", "'10.96.0.12:80/udp'", "policy: {allDown: Refuse}".to_owned(), third),
    ] {
        let _ = write!(
            text,
            "- name: {name}\n  frontends: [{frontends}]\n  {more}\n  backends:\n{backends}"
        );
    }
    for (number, backends) in others {
        let _ = write!(
            text,
            "- name: other/{number}\n  frontends: ['10.96.1.{number}:80/tcp', \
             '[fd00:96::1:{number}]:80/tcp']\n  backends:\n{backends}"
        );
    }
    text
}
