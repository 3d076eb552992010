//! Four replicas, of which three serve at first, an agent, and a node for each client.

use std::{collections::BTreeSet, fmt::Write as _, net::SocketAddr, time::Duration};

use redirector_tests::{
    agent::Agent,
    fixture::Site,
    lab::{Lab, Node},
    tables,
    wait::wait_within,
};

use super::{
    replica::Replica,
    services::{self, Service},
    tools,
};

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

/// The network with room for so many pods, and what all processes share: the agent's node first.
pub fn site(pods: usize) -> Site {
    let pods: Vec<_> = (0..pods).map(|number| format!("pod{number}")).collect();
    let names = [AGENT].into_iter().chain(REPLICAS).chain(pods.iter().map(String::as_str));
    let site = Site::new("clients", &names.collect::<Vec<_>>());
    tools::prepare(site.directory.path());
    site
}

/// The nodes of the pods.
pub fn pods(site: &Site) -> &[Node] {
    &site.lab.nodes()[1 + REPLICAS.len()..]
}

/// The node of replica `number`.
pub fn node(lab: &Lab, number: u8) -> &Node {
    lab.node(REPLICAS[usize::from(number) - 1])
}

/// Fields drop in this order.
pub struct Fixture<'a> {
    pub agent: Agent,
    replicas: Vec<Replica>,
    pub listed: Listed,
    pub site: &'a Site,
}

impl<'a> Fixture<'a> {
    pub fn new(site: &'a Site) -> Self {
        let numbers = 1..=REPLICAS.len() as u8;
        let replicas: Vec<_> = numbers.map(|number| Replica::start(site, number)).collect();
        for replica in &replicas {
            replica.wait(site);
        }
        let listed = Listed { tcp: vec![1, 2, 3], udp: vec![1, 2, 3] };
        site.write(&file(&site.lab, &listed));
        let agent = Agent::start(site.options()).expect("an agent");
        Self { agent, replicas, listed, site }
    }

    pub fn replica(&mut self, number: u8) -> &mut Replica {
        &mut self.replicas[usize::from(number) - 1]
    }

    /// Discovery lists other replicas; returns when the kernel has them.
    pub fn list(&mut self, listed: Listed) {
        self.site.write(&file(&self.site.lab, &listed));
        let wanted = backends(&self.site.lab, &listed);
        let is_in_force = || {
            let dump = self.agent.dump();
            tables::backends(&dump).map(tables::address).collect::<BTreeSet<_>>() == wanted
        };
        let log = || format!("{listed:?}\n{}", self.agent.log());
        wait_within(LONGEST_CHANGE, "other replicas are listed", is_in_force, log);
        self.listed = listed;
    }
}

fn backends(lab: &Lab, listed: &Listed) -> BTreeSet<SocketAddr> {
    let all = services::all().flat_map(|service| {
        let numbers = listed.of(service).iter();
        let nodes = numbers.map(|number| (node(lab, *number), service.replica_port));
        nodes.flat_map(|(node, port)| [node.socket4(port), node.socket6(port)])
    });
    all.collect()
}

/// The agent's file. The policy is the one by default.
fn file(lab: &Lab, listed: &Listed) -> String {
    let mut text = format!("node: {{name: {AGENT}, zone: a, region: eu}}\nservices:\n");
    for service in services::all() {
        let (name, protocol) = (service.name, service.protocol());
        let [four, six] = service.addresses();
        let _ = writeln!(text, "- name: clients/{name}");
        let _ = writeln!(text, "  frontends: ['{four}/{protocol}', '{six}/{protocol}']");
        let _ = writeln!(text, "  backends:");
        for number in listed.of(service) {
            let (node, port) = (node(lab, *number), service.replica_port);
            for address in [node.socket4(port), node.socket6(port)] {
                let place = format!("node: {}, zone: a, region: eu", node.name());
                let _ = writeln!(text, "  - {{address: '{address}', {place}}}");
            }
        }
    }
    text
}
