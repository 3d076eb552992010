//! A case whose objects are in the lab: who answers there, and what its Services could be served at.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use serde_json::Value;

use super::{
    cases::Case,
    expected::{self, Protocol, Told},
    places::Places,
    script::Script,
};

/// A case with its objects in the lab.
#[derive(Debug)]
pub struct Placed {
    pub case: Case,
    pub places: Places,
    pub script: Script,
    pub told: Vec<Told>,
}

impl Placed {
    /// The case of that number.
    pub fn new(number: u8, case: Case) -> Self {
        let places = Places(number);
        let mut script = Script::read(&case.cluster);
        places.move_script(&mut script);
        let told = expected::read(&case, places);
        Self { case, places, script, told }
    }

    /// Cases that agree in these may share a wave: what the node is at each step, and whose
    /// addresses are somebody else's elsewhere.
    pub fn wave(&self) -> String {
        let nodes: Vec<_> = self.script.steps.iter().map(|step| &step.node).collect();
        let nodes = serde_json::to_string(&nodes).expect("JSON");
        if self.is_alone() { format!("{nodes} {:?}", self.places) } else { nodes }
    }

    /// Whether it claims the address of a pod, or is about the one Service of its name.
    fn is_alone(&self) -> bool {
        let pods: BTreeSet<_> =
            self.endpoints().into_iter().map(|(socket, _)| socket.ip()).collect();
        let claimed = self.claimed();
        self.case.cluster.contains("default/kubernetes")
            || claimed.iter().any(|(socket, _)| pods.contains(&socket.ip()))
    }

    /// Every endpoint that any slice lists, good or bad, in the lab and as the case writes it.
    pub fn endpoints(&self) -> Vec<(SocketAddr, String)> {
        let original = Script::read(&self.case.cluster);
        let slices = original.steps.iter().flat_map(|step| &step.slices);
        slices
            .flat_map(sockets)
            .map(|socket| (self.places.socket(socket), socket.to_string()))
            .collect()
    }

    /// Every address that any Service of any step could be served at.
    pub fn claimed(&self) -> BTreeSet<(SocketAddr, Protocol)> {
        let nodes = self.script.steps.iter().filter_map(|step| step.node.as_ref());
        let nodes: Vec<_> = nodes
            .flat_map(|node| strings(&node["status"]["addresses"], "address"))
            .filter_map(|text| text.parse::<IpAddr>().ok())
            .collect();
        let services = self.script.steps.iter().flat_map(|step| &step.services);
        services.flat_map(|service| claimed(service, &nodes)).collect()
    }
}

/// Of a slice: each address with each port.
fn sockets(slice: &Value) -> Vec<SocketAddr> {
    let ports: Vec<_> = numbers(&slice["ports"], "port");
    let endpoints = slice["endpoints"].as_array().into_iter().flatten();
    let addresses = endpoints.flat_map(|endpoint| endpoint["addresses"].as_array()).flatten();
    let addresses = addresses.filter_map(|text| text.as_str()?.parse::<IpAddr>().ok());
    addresses
        .flat_map(|address| ports.iter().map(move |port| SocketAddr::new(address, *port)))
        .collect()
}

fn claimed(service: &Value, nodes: &[IpAddr]) -> Vec<(SocketAddr, Protocol)> {
    let spec = &service["spec"];
    let listed = ["clusterIPs", "externalIPs"].into_iter().flat_map(|field| spec[field].as_array());
    let listed = listed.flatten().filter_map(Value::as_str);
    let ingress = strings(&service["status"]["loadBalancer"]["ingress"], "ip");
    let addresses: Vec<IpAddr> =
        listed.chain(ingress).filter_map(|text| text.parse().ok()).collect();
    let mut all = Vec::new();
    for port in spec["ports"].as_array().into_iter().flatten() {
        let protocol = if port["protocol"] == "UDP" { Protocol::Udp } else { Protocol::Tcp };
        let number = |field: &str| port[field].as_u64().and_then(|port| u16::try_from(port).ok());
        let at = number("port").expect("a port");
        all.extend(addresses.iter().map(|address| (SocketAddr::new(*address, at), protocol)));
        if let Some(at) = number("nodePort").filter(|port| *port > 0) {
            all.extend(nodes.iter().map(|address| (SocketAddr::new(*address, at), protocol)));
        }
    }
    all
}

fn strings<'a>(list: &'a Value, field: &'a str) -> impl Iterator<Item = &'a str> {
    list.as_array().into_iter().flatten().filter_map(move |entry| entry[field].as_str())
}

fn numbers(list: &Value, field: &str) -> Vec<u16> {
    let entries = list.as_array().into_iter().flatten();
    let numbers = entries.filter_map(|entry| entry[field].as_u64());
    numbers.filter_map(|number| u16::try_from(number).ok()).filter(|number| *number > 0).collect()
}
