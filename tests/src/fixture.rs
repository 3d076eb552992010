//! What most suites begin with: a network, replicas, and an agent that serves the services of a file.
//!
//! ```no_run
//! # use redirector_tests::fixture::Site;
//! let site = Site::new("example", &["n1", "n2"]).with_replica("n2", "far", 8080);
//! let fixture = site.start("node: {name: n1}\nservices: []\n");
//! let mut client = fixture.client();
//! ```
//!
//! What goes wrong here panics: a test has nothing to do about it.

use std::{fs, io, net::SocketAddr, path::PathBuf};

use crate::{
    agent::{Agent, AgentOptions},
    bpffs::Bpffs,
    cgroup::Cgroup,
    dialer::Client,
    lab::{Lab, Node},
    names::Directory,
    place::Place,
    programs,
    replica::Replica,
};
use derive_more::{Deref, DerefMut};

/// Small maps are soon made and soon read.
pub const SMALL: [&str; 6] =
    ["--max-slots", "8192", "--max-backends", "512", "--max-services", "256"];

/// What a machine has before an agent comes. Fields drop in this order.
#[derive(Debug)]
pub struct Site {
    /// In the order in which they were added.
    pub replicas: Vec<Replica>,
    /// Where the agent pins.
    pub bpffs: Bpffs,
    /// Where applications are redirected.
    pub cgroup: Cgroup,
    /// Holds the agent's file.
    pub directory: Directory,
    /// The agent and the applications are on the first node.
    pub lab: Lab,
    /// Further arguments of the agent.
    pub arguments: Vec<String>,
}

/// A site with an agent.
#[derive(Debug, Deref, DerefMut)]
pub struct Fixture {
    /// It is dropped before what it uses.
    pub agent: Agent,
    /// All the rest.
    #[deref]
    #[deref_mut]
    pub site: Site,
}

impl Site {
    /// Nodes without a replica; `what` becomes a part of the names in the system.
    #[must_use]
    pub fn new(what: &str, nodes: &[&str]) -> Self {
        Self::on(what, Lab::new(nodes).expect("a lab"))
    }

    /// The same in a network that is there already.
    #[must_use]
    pub fn on(what: &str, lab: Lab) -> Self {
        Self {
            replicas: Vec::new(),
            bpffs: Bpffs::mount().expect("a bpffs"),
            cgroup: Cgroup::new(what).expect("a cgroup"),
            directory: Directory::new(what).expect("a directory"),
            lab,
            arguments: SMALL.map(str::to_owned).into(),
        }
    }

    /// With one more replica, at both addresses of that node.
    #[must_use]
    pub fn with_replica(self, node: &str, name: &str, port: u16) -> Self {
        let at = self.lab.node(node);
        let addresses = [at.socket4(port), at.socket6(port)];
        self.with_replica_at(node, name, &addresses)
    }

    /// With one more replica at these addresses of that node.
    #[must_use]
    pub fn with_replica_at(mut self, node: &str, name: &str, addresses: &[SocketAddr]) -> Self {
        let replica = Replica::start(self.lab.node(node).netns(), name, addresses);
        self.replicas.push(replica.expect("a replica"));
        self
    }

    /// With one more replica on each of these nodes, called as the node.
    #[must_use]
    pub fn with_replicas(self, nodes: &[&str], port: u16) -> Self {
        nodes.iter().fold(self, |site, node| site.with_replica(node, node, port))
    }

    /// The agent gets these arguments in place of [`SMALL`].
    #[must_use]
    pub fn with_maps(mut self, arguments: &[&str]) -> Self {
        self.arguments.clear();
        self.with_arguments(arguments)
    }

    /// The agent gets these arguments, too.
    #[must_use]
    pub fn with_arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|&argument| argument.to_owned()));
        self
    }

    /// An agent with this file, ready.
    #[must_use]
    pub fn start(self, config: &str) -> Fixture {
        let binary = programs::redirector().expect("the redirector");
        self.start_binary(binary, config)
    }

    /// The same with another `redirector`.
    #[must_use]
    pub fn start_binary(self, binary: PathBuf, config: &str) -> Fixture {
        self.write(config);
        let agent = Agent::start(self.options_of(binary)).expect("an agent");
        Fixture { agent, site: self }
    }

    /// How an agent is started here.
    #[must_use]
    pub fn options(&self) -> AgentOptions {
        self.options_of(programs::redirector().expect("the redirector"))
    }

    fn options_of(&self, binary: PathBuf) -> AgentOptions {
        let Self { bpffs, cgroup, arguments, .. } = self;
        let options = AgentOptions::new(binary, self.node(), cgroup, bpffs, &self.config());
        AgentOptions { arguments: arguments.clone(), ..options }
    }

    /// The agent's file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.directory.path().join("services.yaml")
    }

    /// Puts another file of the agent's into place.
    pub fn write(&self, config: &str) {
        let beside = self.directory.path().join("new");
        fs::write(&beside, config).expect("a file");
        fs::rename(&beside, self.config()).expect("a file in place");
    }

    /// TCP connections that a node has accepted.
    #[must_use]
    pub fn accepted(&self, node: &str) -> u64 {
        self.lab.node(node).accepted().expect("counters of TCP")
    }

    /// The node of the agent and of the applications.
    #[must_use]
    pub fn node(&self) -> &Node {
        &self.lab.nodes()[0]
    }

    /// Where the applications are.
    #[must_use]
    pub fn place(&self) -> Place<'_> {
        Place::new(self.node().netns(), &self.cgroup)
    }

    /// The same in the network of another node.
    #[must_use]
    pub fn place_on(&self, node: &str) -> Place<'_> {
        Place::new(self.lab.node(node).netns(), &self.cgroup)
    }

    /// An application.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::start(self.place()).expect("a client")
    }

    /// An application on that node, in a cgroup below the one that is served.
    #[must_use]
    pub fn client_in(&self, node: &str, cgroup: &str) -> Client {
        let client = Client::start(self.place_on(node)).expect("a client");
        let own = self.cgroup.path().join(cgroup);
        match fs::create_dir(&own) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => panic!("{error}"),
            _ => {}
        }
        fs::write(own.join("cgroup.procs"), client.pid().to_string()).expect("its cgroup");
        client
    }

    /// The pin of a map.
    #[must_use]
    pub fn map(&self, name: &str) -> PathBuf {
        self.bpffs.maps_path().join(name)
    }
}
