//! The world of these tests: a client, a pod whose sockets are watched, a replica elsewhere, and
//! an agent that is frozen, because all of this is the kernel's.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use redirector_tests::{
    agent::{Agent, AgentOptions},
    bpffs::Bpffs,
    cgroup::Cgroup,
    dialer::{Client, Dial},
    lab::Lab,
    names::Directory,
    place::Place,
    programs,
    replica::Replica,
    server::{Listen, Server},
};
use serde_json::Value;

/// How long anything may take that is not at once.
const LONGEST: Duration = Duration::from_secs(10);
/// Where every replica listens.
pub(crate) const PORT: u16 = 8080;
/// What the pod's replicas answer with.
pub(crate) const LOCAL: &str = "local";
/// What the replica elsewhere answers with.
pub(crate) const REMOTE: &str = "remote";

/// Everything but the pod's servers.
pub(crate) struct Fixture {
    agent: Option<Agent>,
    client: Client,
    _remote: Replica,
    cgroup: Cgroup,
    bpffs: Bpffs,
    directory: Directory,
    lab: Lab,
}

impl Fixture {
    /// Without agent: what listens now is older than its programs.
    pub(crate) fn without_agent() -> Self {
        let lab = Lab::new(&["client", "pod", "far"]).expect("a lab");
        let far = lab.node("far");
        let addresses = [far.socket4(PORT), far.socket6(PORT)];
        let remote = Replica::start(far.netns(), REMOTE, &addresses).expect("a replica");
        let cgroup = Cgroup::new("listeners").expect("a cgroup");
        let place = Place::new(lab.node("client").netns(), &cgroup);
        Self {
            agent: None,
            client: Client::start(place).expect("a client"),
            _remote: remote,
            bpffs: Bpffs::mount().expect("a bpffs"),
            directory: Directory::new("listeners").expect("a directory"),
            cgroup,
            lab,
        }
    }

    pub(crate) fn new() -> Self {
        let mut site = Self::without_agent();
        site.start_agent();
        site
    }

    /// Starts the agent, waits until the services are there, and freezes it.
    pub(crate) fn start_agent(&mut self) {
        self.start_agent_with(&self.config(), &[]);
    }

    /// The same with another file, and more arguments.
    pub(crate) fn start_agent_with(&mut self, config: &str, arguments: &[&str]) {
        let path = self.write(config);
        let binary = programs::redirector().expect("the redirector");
        let node = self.lab.node("client");
        let mut options = AgentOptions::new(binary, node, &self.cgroup, &self.bpffs, &path);
        options.arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let agent = Agent::start(options).expect("an agent");
        agent.freeze().expect("it freezes");
        self.agent = Some(agent);
    }

    /// One service per family, each with one backend here and one elsewhere, and none is probed.
    pub(crate) fn config(&self) -> String {
        let (pod, far) = (self.lab.node("pod"), self.lab.node("far"));
        let service = |name: &str, frontend: SocketAddr, local: SocketAddr, remote: SocketAddr| {
            format!(
                "- name: shop/{name}\n  frontends: [\"{frontend}/tcp\"]\n  backends:\n  \
                 - {{address: \"{local}\", node: n1}}\n  - {{address: \"{remote}\"}}\n  \
                 policy: {{probe: off}}\n"
            )
        };
        let second = pod_second();
        let text = [
            "node: {name: n1, zone: a, region: eu, cluster: local}\nservices:\n".to_owned(),
            service("four", frontend4(), pod.socket4(PORT), far.socket4(PORT)),
            service("six", frontend6(), pod.socket6(PORT), far.socket6(PORT)),
            service("second", frontend_second(), second, far.socket4(PORT)),
        ];
        text.concat()
    }

    /// Puts a file into place.
    pub(crate) fn write(&self, config: &str) -> PathBuf {
        let (beside, path) =
            ["new", "services.yaml"].map(|name| self.directory.path().join(name)).into();
        fs::write(&beside, config).expect("a file");
        fs::rename(&beside, &path).expect("a file in place");
        path
    }

    /// The agent goes on.
    pub(crate) fn thaw(&self) {
        self.agent.as_ref().expect("an agent").thaw().expect("it thaws");
    }

    /// And stands still again.
    pub(crate) fn freeze(&self) {
        self.agent.as_ref().expect("an agent").freeze().expect("it freezes");
    }

    /// Whether `explain` says nothing against the end of that backend's listener being seen.
    pub(crate) fn is_watched(&self, service: &str, backend: SocketAddr) -> bool {
        let agent = self.agent.as_ref().expect("an agent");
        let told = agent.ask("explain", &[service]).expect("redirector explain");
        let told = String::from_utf8(told.stdout).expect("text");
        let mut lines = told.lines().skip_while(|line| !line.contains(&backend.to_string()));
        assert!(lines.next().is_some(), "no {backend}: {told}");
        !lines.next().is_some_and(|line| line.contains("who listens there is not known"))
    }

    /// What the agent has logged.
    pub(crate) fn log(&self) -> String {
        self.agent.as_ref().expect("an agent").log()
    }

    pub(crate) fn lab(&self) -> &Lab {
        &self.lab
    }

    /// Where the pod's processes run.
    pub(crate) fn pod(&self) -> Place<'_> {
        Place::new(self.lab.node("pod").netns(), &self.cgroup)
    }

    /// Where another client runs.
    pub(crate) fn client_place(&self) -> Place<'_> {
        Place::new(self.lab.node("client").netns(), &self.cgroup)
    }

    /// The pod's addresses with the replicas' port.
    pub(crate) fn local4(&self) -> SocketAddr {
        self.lab.node("pod").socket4(PORT)
    }

    pub(crate) fn local6(&self) -> SocketAddr {
        self.lab.node("pod").socket6(PORT)
    }

    pub(crate) fn far4(&self) -> SocketAddr {
        self.lab.node("far").socket4(PORT)
    }

    /// A server in the pod.
    pub(crate) fn server(&self, listen: Listen) -> Server {
        Server::listening(self.pod(), LOCAL, listen).expect("a server")
    }

    /// Connects straight to an address, as anybody may, and says who answered.
    pub(crate) fn dial(&mut self, address: SocketAddr) -> Result<String, String> {
        let dialled = self.client.dial(Dial::tcp(address), 1).expect("a dial").remove(0);
        dialled.outcome.map_err(|failure| format!("{failure:?}"))
    }

    /// Dials until everybody has been told to that serves: the kernel has seen who lives where.
    pub(crate) fn learn(&mut self, frontend: SocketAddr) {
        self.wait_for(&format!("a connection to the pod by {frontend}"), |site| {
            site.dial(frontend).as_deref() == Ok(LOCAL)
        });
    }

    /// Who objects to a backend, by the maps alone.
    pub(crate) fn objections(&self, backend: SocketAddr) -> Vec<String> {
        let agent = self.agent.as_ref().expect("an agent");
        let output = agent
            .command("status", &["-o", "json"])
            .and_then(|child| Ok(child.wait_with_output()?))
            .expect("a status");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let status: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let of = |value: &Value, name: &str| value[name].as_array().cloned().unwrap_or_default();
        let tiers = of(&status, "services").into_iter().flat_map(|service| of(&service, "tiers"));
        let found = tiers.flat_map(|tier| of(&tier, "backends")).find(|shown| {
            shown["address"] == backend.ip().to_string() && shown["port"] == backend.port()
        });
        let found = found.unwrap_or_else(|| panic!("no backend {backend} in {status:#}"));
        of(&found, "objections").iter().filter_map(|one| Some(one.as_str()?.to_owned())).collect()
    }

    /// Says at once, not in a while.
    pub(crate) fn assert_ejected(&self, backend: SocketAddr, after: &str) {
        assert_eq!(self.objections(backend), ["listener"], "{backend} after {after}");
    }

    pub(crate) fn assert_usable(&self, backend: SocketAddr, after: &str) {
        assert_eq!(self.objections(backend), [""; 0], "{backend} after {after}");
    }

    /// Polls.
    pub(crate) fn wait_for(&mut self, what: &str, mut is_so: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + LONGEST;
        while !is_so(self) {
            assert!(Instant::now() < deadline, "{what}: not within {LONGEST:?}");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// The pin of a map.
    pub(crate) fn map(&self, name: &str) -> PathBuf {
        let layout = format!("v{}", redirector_common::LAYOUT);
        self.bpffs.pin_path().join(layout).join(name)
    }

    /// Ends well: no error was logged, and nothing stays.
    pub(crate) fn finish(mut self) {
        let agent = self.agent.take().expect("an agent");
        agent.thaw().expect("it thaws");
        agent.finish().expect("the agent");
    }
}

pub(crate) fn frontend4() -> SocketAddr {
    "10.96.0.10:80".parse().expect("an address")
}

pub(crate) fn frontend6() -> SocketAddr {
    "[fd00:96::10]:80".parse().expect("an address")
}

/// Of a second backend, on another address of the pod.
pub(crate) fn frontend_second() -> SocketAddr {
    "10.96.0.11:80".parse().expect("an address")
}

/// The pod's second address, once a test has given it to it.
pub(crate) fn pod_second() -> SocketAddr {
    "10.77.2.9:8080".parse().expect("an address")
}
