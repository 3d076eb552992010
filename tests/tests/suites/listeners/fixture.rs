//! What these tests begin with: a client, a pod whose sockets are watched, a replica elsewhere, and
//! an agent that is frozen, because all of this is the kernel's.

use std::net::SocketAddr;

use derive_more::Deref;
use redirector_tests::{
    agent::Agent,
    dialer::{Client, Dial},
    fixture::Site,
    place::Place,
    server::{Listen, Server},
    tables,
    wait::wait_until,
};

/// Where every replica listens.
pub(crate) const PORT: u16 = 8080;
/// What the pod's replicas answer with.
pub(crate) const LOCAL: &str = "local";
/// What the replica elsewhere answers with.
pub(crate) const REMOTE: &str = "remote";

/// Everything but the pod's servers.
#[derive(Deref)]
pub(crate) struct Fixture {
    agent: Option<Agent>,
    client: Client,
    #[deref]
    site: Site,
}

impl Fixture {
    /// Without agent: what listens now is older than its programs.
    pub(crate) fn without_agent() -> Self {
        let site = Site::new("listeners", &["client", "pod", "far"]);
        let site = site.with_replica("far", REMOTE, PORT).with_maps(&[]);
        Self { agent: None, client: site.client(), site }
    }

    pub(crate) fn new() -> Self {
        let mut fixture = Self::without_agent();
        fixture.start_agent();
        fixture
    }

    /// Starts the agent, waits until the services are there, and freezes it.
    pub(crate) fn start_agent(&mut self) {
        self.start_agent_with(&self.config(), &[]);
    }

    /// The same with another file, and more arguments.
    pub(crate) fn start_agent_with(&mut self, config: &str, arguments: &[&str]) {
        self.write(config);
        let mut options = self.site.options();
        options.arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
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

    /// The agent goes on.
    pub(crate) fn thaw(&self) {
        self.agent().thaw().expect("it thaws");
    }

    /// And stands still again.
    pub(crate) fn freeze(&self) {
        self.agent().freeze().expect("it freezes");
    }

    /// Whether `explain` says nothing against the end of that backend's listener being seen.
    pub(crate) fn is_watched(&self, service: &str, backend: SocketAddr) -> bool {
        let told = self.agent().answer("explain", &[service]);
        let mut lines = told.lines().skip_while(|line| !line.contains(&backend.to_string()));
        assert!(lines.next().is_some(), "no {backend}: {told}");
        !lines.next().is_some_and(|line| line.contains("who listens there is not known"))
    }

    pub(crate) fn agent(&self) -> &Agent {
        self.agent.as_ref().expect("an agent")
    }

    /// Where the pod's processes run.
    pub(crate) fn pod(&self) -> Place<'_> {
        self.place_on("pod")
    }

    /// Where another client runs.
    pub(crate) fn client_place(&self) -> Place<'_> {
        self.place()
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
        let status = self.agent().status();
        let found = tables::backends(&status).find(|shown| tables::address(shown) == backend);
        tables::objections(found.unwrap_or_else(|| panic!("no backend {backend} in {status:#}")))
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
        wait_until(what, || is_so(self));
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
