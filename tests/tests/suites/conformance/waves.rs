//! Cases that share a cluster: their objects given to the API server step by step, until the
//! kernel holds what they promise.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use redirector_tests::{
    api::{Api, builders},
    cluster::{Cluster, Options},
    replica::Replica,
    wait::wait_until_or,
};

use super::{
    placed::Placed,
    script::{Name, Step},
    tables::{Held, held, promised},
};

/// Maps for these few Services: they are read again and again.
const SMALL: [&str; 6] =
    ["--max-slots", "65536", "--max-backends", "4096", "--max-services", "1024"];
/// The Service of which the kernel hears after everything that was put before it.
const MARKER: &str = "marker/last";

/// A cluster with everybody who is listed anywhere.
#[derive(Debug)]
pub struct WaveCluster {
    pub cluster: Cluster,
    _replicas: Vec<Replica>,
    steps: u8,
}

impl WaveCluster {
    /// With an agent that has these arguments, and with the replicas of these cases.
    pub fn new(arguments: &[&str], cases: &[Placed]) -> Self {
        let arguments = arguments.iter().chain(&SMALL).map(ToString::to_string).collect();
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
        Self { cluster, _replicas: replicas, steps: 0 }
    }

    /// Applies the step of that number of all cases, and waits until the kernel has heard of it.
    pub fn apply(&mut self, cases: &[Placed], number: usize) {
        let api = &self.cluster.api;
        for step in cases.iter().filter_map(|case| case.script.steps.get(number)) {
            let Step { node, services, slices, removed_services, removed_slices, .. } = step;
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
        self.steps += 1;
        mark(api, self.steps);
        let (address, last) = (format!("10.96.255.{}", self.steps), self.steps);
        self.wait("the last Service of a step", |held| {
            let marker = held.get(MARKER)?;
            let is_there = marker.frontends.iter().any(|frontend| frontend.starts_with(&address))
                && marker.backends.contains(&format!("10.77.2.{last}:7"));
            is_there.then_some(())
        });
    }

    /// Waits until the kernel holds what these cases promise, and nothing else.
    pub fn wait_for(&self, cases: &[Placed]) {
        let promised = promised(cases);
        let held = || {
            let mut held = held(&self.cluster.agent.dump());
            held.remove(MARKER);
            held
        };
        let differences = || {
            let held = held();
            let names: BTreeSet<_> = held.keys().chain(promised.keys()).collect();
            let different = names.into_iter().filter(|name| held.get(*name) != promised.get(*name));
            let text = |name: &String| {
                format!("{name}: promised {:?}\n  held {:?}\n", promised.get(name), held.get(name))
            };
            different.map(text).chain([self.cluster.agent.log()]).collect()
        };
        wait_until_or("the kernel holds what is promised", || held() == promised, differences);
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
        let is_so = || so(&held(&self.cluster.agent.dump())).is_some();
        wait_until_or(what, is_so, || self.cluster.agent.log());
    }
}

fn mark(api: &Api, number: u8) {
    let address = format!("10.96.255.{number}");
    let service = builders::Service::redirected("marker", "last", &address);
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
