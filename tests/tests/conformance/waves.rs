//! Cases that share a cluster: their objects given to the API server stage by stage, until the
//! kernel holds what they promise.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    thread,
    time::{Duration, Instant},
};

use redirector_tests::{
    api::{Api, builders},
    cluster::{Cluster, Options},
    replica::Replica,
};
use serde_json::Value;

use crate::{
    cases::Case,
    expected::{self, Protocol, Told},
    places::Places,
    script::{Name, Script, Stage},
};

const LONGEST_CHANGE: Duration = Duration::from_secs(15);
/// The Service of which the kernel hears after everything that was put before it.
const MARKER: &str = "marker/last";

/// A case with its objects in the lab.
#[derive(Debug)]
pub struct Placed {
    pub case: &'static Case,
    pub places: Places,
    pub script: Script,
    pub told: Vec<Told>,
}

impl Placed {
    /// The case of that number.
    pub fn new(number: u8, case: &'static Case) -> Self {
        let places = Places(number);
        let mut script = Script::read(case.cluster);
        places.move_script(&mut script);
        Self { case, places, script, told: expected::read(case, places) }
    }

    /// Cases that agree in these may share a wave: what the node is at each stage, and whose
    /// addresses are somebody else's elsewhere.
    pub fn wave(&self) -> String {
        let nodes: Vec<_> = self.script.stages.iter().map(|stage| &stage.node).collect();
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
        let original = Script::read(self.case.cluster);
        let slices = original.stages.iter().flat_map(|stage| &stage.slices);
        slices
            .flat_map(sockets)
            .map(|socket| (self.places.socket(socket), socket.to_string()))
            .collect()
    }

    /// Every address that any Service of any stage could be served at.
    pub fn claimed(&self) -> BTreeSet<(SocketAddr, Protocol)> {
        let nodes = self.script.stages.iter().filter_map(|stage| stage.node.as_ref());
        let nodes: Vec<_> = nodes
            .flat_map(|node| strings(&node["status"]["addresses"], "address"))
            .filter_map(|text| text.parse::<IpAddr>().ok())
            .collect();
        let services = self.script.stages.iter().flat_map(|stage| &stage.services);
        services.flat_map(|service| claimed(service, &nodes)).collect()
    }
}

/// A cluster with everybody who is listed anywhere.
#[derive(Debug)]
pub struct World {
    pub cluster: Cluster,
    _replicas: Vec<Replica>,
    stages: u8,
}

impl World {
    /// With an agent that has these arguments, and with the replicas of these cases.
    pub fn new(arguments: &[&str], cases: &[Placed]) -> Self {
        let arguments = arguments.iter().copied().map(str::to_owned).collect();
        let cluster = Cluster::new(Options { arguments, ..Options::default() }).expect("a cluster");
        let node = cluster.lab.node("replicas");
        let endpoints: BTreeMap<_, _> = cases.iter().flat_map(Placed::endpoints).collect();
        // Others are at forbidden addresses, or at those of Services: nobody answers there.
        let here = |socket: &SocketAddr| is_of_replicas(socket.ip());
        let addresses: BTreeSet<_> =
            endpoints.keys().filter(|socket| here(socket)).map(SocketAddr::ip).collect();
        for address in addresses {
            node.add_address(address).expect("an address");
        }
        let start = |(socket, name): (&SocketAddr, &String)| {
            Replica::start(node.netns(), name, &[*socket]).expect("a replica")
        };
        let replicas = endpoints.iter().filter(|(socket, _)| here(socket)).map(start).collect();
        Self { cluster, _replicas: replicas, stages: 0 }
    }

    /// Applies the stage of that number of all cases, and waits until the kernel has heard of it.
    pub fn apply(&mut self, cases: &[Placed], number: usize) {
        let api = &self.cluster.api;
        for stage in cases.iter().filter_map(|case| case.script.stages.get(number)) {
            let Stage { node, regions: _, services, slices, removed_services, removed_slices } =
                stage;
            for object in node.iter().chain(slices).chain(services) {
                api.put(object.clone()).unwrap_or_else(|why| panic!("{object}: {why}"));
            }
            for (resource, names) in
                [("services", removed_services), ("endpointslices", removed_slices)]
            {
                for Name { namespace, name } in names {
                    api.delete(resource, namespace, name).expect("an object to delete");
                }
            }
        }
        self.stages += 1;
        mark(api, self.stages);
        let (address, last) = (format!("10.96.255.{}", self.stages), self.stages);
        self.wait("the last Service of a stage", |held| {
            let marker = held.get(MARKER)?;
            let is_there = marker.frontends.iter().any(|frontend| frontend.starts_with(&address))
                && marker.backends.contains(&format!("10.77.2.{last}:7"));
            is_there.then_some(())
        });
    }

    /// Waits until the kernel holds what these cases promise, and nothing else.
    pub fn wait_for(&self, cases: &[Placed]) {
        let promised = promised(cases);
        let mut differences = String::new();
        let begun = Instant::now();
        while begun.elapsed() < LONGEST_CHANGE {
            let mut held = held(&self.cluster.dump().expect("a dump"));
            held.remove(MARKER);
            if held == promised {
                return;
            }
            let names: BTreeSet<_> = held.keys().chain(promised.keys()).collect();
            let different = names.into_iter().filter(|name| held.get(*name) != promised.get(*name));
            let text = |name: &String| {
                format!("{name}: promised {:?}\n  held {:?}\n", promised.get(name), held.get(name))
            };
            differences = different.map(text).collect();
            thread::sleep(Duration::from_millis(20));
        }
        panic!("the kernel holds something else:\n{differences}\n{}", self.cluster.agent.log());
    }

    /// Deletes all Services and slices.
    pub fn clear(&self) {
        let api = &self.cluster.api;
        for resource in ["services", "endpointslices"] {
            for object in api.list(resource) {
                let [namespace, name] =
                    ["namespace", "name"].map(|field| object["metadata"][field].as_str());
                let (namespace, name) = namespace.zip(name).expect("a namespace and a name");
                api.delete(resource, namespace, name).expect("an object to delete");
            }
        }
    }

    fn wait(&self, what: &str, so: impl Fn(&BTreeMap<String, Held>) -> Option<()>) {
        let begun = Instant::now();
        while so(&held(&self.cluster.dump().expect("a dump"))).is_none() {
            assert!(begun.elapsed() < LONGEST_CHANGE, "{what}:\n{}", self.cluster.agent.log());
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// What the tables hold of a Service port.
#[derive(Debug, Default, PartialEq, Eq)]
struct Held {
    frontends: BTreeSet<String>,
    backends: BTreeSet<String>,
}

fn held(dump: &Value) -> BTreeMap<String, Held> {
    let mut all = BTreeMap::<String, Held>::new();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    for service in list(&dump["services"]) {
        let held = all.entry(service["name"].as_str().expect("a name").to_owned()).or_default();
        for frontend in list(&service["frontends"]) {
            let protocol = frontend["protocol"].as_str().expect("a protocol");
            held.frontends.insert(format!("{}/{protocol}", socket(&frontend)));
        }
        let tiers = list(&service["tiers"]);
        let backends = tiers.iter().flat_map(|tier| list(&tier["backends"]));
        held.backends.extend(backends.map(|backend| socket(&backend).to_string()));
    }
    all
}

fn promised(cases: &[Placed]) -> BTreeMap<String, Held> {
    let told = cases.iter().flat_map(|case| case.told.iter().map(|told| (told, case.places)));
    let held = |(told, places): (&Told, Places)| {
        let frontend = |(socket, protocol): &(SocketAddr, Protocol)| {
            format!("{socket}/{}", if *protocol == Protocol::Udp { "udp" } else { "tcp" })
        };
        let frontends = told.frontends.iter().map(frontend).collect();
        let backends = told.ranks.iter().flatten().map(|socket| places.socket(*socket).to_string());
        (told.service.clone(), Held { frontends, backends: backends.collect() })
    };
    told.map(held).collect()
}

fn mark(api: &Api, number: u8) {
    let service = builders::Service::new("marker", "last")
        .port("", "TCP", 80)
        .cluster_ips(&[&format!("10.96.255.{number}")])
        .spec("selector", serde_json::json!({"app": "last"}))
        .label("redirector.dev/failover", "true");
    let endpoint = builders::Endpoint::new(&format!("10.77.2.{number}"));
    let slice = builders::EndpointSlice::new("marker", "last", "last");
    api.put(slice.port("", "TCP", 7).endpoint(endpoint)).expect("a slice");
    api.put(service).expect("a Service");
}

fn is_of_replicas(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => four.octets()[..3] == [10, 77, 2],
        IpAddr::V6(six) => six.segments()[..7] == [0xfd77, 0, 0, 0, 0, 0, 2],
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

fn socket(value: &Value) -> SocketAddr {
    let address = value["address"].as_str().and_then(|text| text.parse().ok()).expect("an address");
    let port = value["port"].as_u64().and_then(|port| u16::try_from(port).ok()).expect("a port");
    SocketAddr::new(address, port)
}

fn strings<'a>(list: &'a Value, field: &'a str) -> impl Iterator<Item = &'a str> {
    list.as_array().into_iter().flatten().filter_map(move |entry| entry[field].as_str())
}

fn numbers(list: &Value, field: &str) -> Vec<u16> {
    let entries = list.as_array().into_iter().flatten();
    let numbers = entries.filter_map(|entry| entry[field].as_u64());
    numbers.filter_map(|number| u16::try_from(number).ok()).filter(|number| *number > 0).collect()
}
