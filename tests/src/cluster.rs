//! A cluster for the agent of one node: an API server, replicas in namespaces as other nodes, and
//! the real agent, fed by that API server.
//!
//! The client's node is the Node `client` in zone `a` of region `eu`; replicas run on the node
//! `replicas`, each with an address of its own per family. Nothing makes EndpointSlices but the
//! test.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use anyhow::{Context as _, Result};

use crate::{
    agent::{Agent, AgentOptions},
    api::{self, Api, Server, builders},
    bpffs::Bpffs,
    cgroup::Cgroup,
    dialer::{Client, Dial, Dialled},
    lab::Lab,
    netns::Netns,
    place::Place,
    programs,
    replica::Replica,
    tables,
    wait::wait_until_or,
};

/// Port of every replica.
pub const PORT: u16 = 8080;

/// A running cluster. Fields are dropped in order: first those that use the others.
#[derive(Debug)]
pub struct Cluster<S = Api> {
    /// The agent of the client's node.
    pub agent: Agent,
    /// The replicas by their numbers, from 1.
    pub replicas: Vec<Replica>,
    /// What the agent hears.
    pub api: S,
    _bpffs: Bpffs,
    /// There sockets are redirected.
    pub cgroup: Cgroup,
    /// The namespaces.
    pub lab: Lab,
}

/// How a cluster is made.
#[derive(Debug, Default)]
pub struct Options {
    /// Replicas that run from the start.
    pub replicas: u8,
    /// Further arguments of the agent.
    pub arguments: Vec<String>,
    /// The API server; it listens in the client's namespace.
    pub api: api::Options,
}

impl Cluster {
    /// A cluster with so many replicas and no Service.
    pub fn new(options: Options) -> Result<Self> {
        Self::prepared(options, |_, _| Ok(()))
    }

    /// The same cluster, after `prepare` has done what must be there before the agent starts.
    pub fn prepared(
        options: Options,
        prepare: impl FnOnce(&Api, &Lab) -> Result<()>,
    ) -> Result<Self> {
        let Options { replicas, arguments, api } = options;
        let start = |netns: &Netns| Api::start(api::Options { netns: Some(netns.clone()), ..api });
        Self::of(start, replicas, arguments, prepare)
    }
}

impl<S: Server> Cluster<S> {
    /// The same cluster with an API server that `start_api` starts in the client's namespace.
    pub fn of(
        start_api: impl FnOnce(&Netns) -> Result<S>,
        replicas: u8,
        arguments: Vec<String>,
        prepare: impl FnOnce(&S, &Lab) -> Result<()>,
    ) -> Result<Self> {
        Self::with_binary(programs::redirector()?, start_api, replicas, arguments, prepare)
    }

    /// The same cluster with another `redirector`.
    pub fn with_binary(
        binary: PathBuf,
        start_api: impl FnOnce(&Netns) -> Result<S>,
        replicas: u8,
        arguments: Vec<String>,
        prepare: impl FnOnce(&S, &Lab) -> Result<()>,
    ) -> Result<Self> {
        let lab = Lab::new(&["client", "replicas"])?;
        let node = lab.node("client");
        let api = start_api(node.netns())?;
        api.put(
            builders::Node::new("client")
                .zone("a")
                .region("eu")
                .internal_ip(&node.ipv4().to_string())
                .internal_ip(&node.ipv6().to_string()),
        )
        .context("the client's Node")?;
        let replicas = (1..=replicas).map(|number| start(&lab, number)).collect::<Result<_>>()?;
        let cgroup = Cgroup::new("client")?;
        let bpffs = Bpffs::mount()?;
        prepare(&api, &lab)?;
        let kubeconfig = api.kubeconfig();
        let mut options =
            AgentOptions::kube(binary, (node, "client"), &cgroup, &bpffs, &kubeconfig);
        options.arguments.extend(arguments);
        let agent = Agent::start(options)?;
        Ok(Self { agent, replicas, api, _bpffs: bpffs, cgroup, lab })
    }
}

impl<S> Cluster<S> {
    /// An application whose sockets are redirected.
    pub fn client(&self) -> Result<Client> {
        Client::start(Place::new(self.lab.node("client").netns(), &self.cgroup))
    }

    /// Makes so many TCP dials of one application, each on a fresh socket.
    pub fn dial(&self, address: &str, times: u32) -> Result<Vec<Dialled>> {
        let address = address.parse().with_context(|| format!("no address: {address}"))?;
        self.client()?.dial(Dial::tcp(address), times)
    }

    /// Waits until the tables hold exactly these Services, each with so many backends.
    pub fn wait_for(&self, services: &[(&str, usize)]) {
        let wanted: BTreeMap<_, _> =
            services.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        let what = || format!("not {wanted:?} but {:?}:\n{}", self.held(), self.agent.log());
        wait_until_or("the Services", || self.held() == wanted, what);
    }

    /// Services by name, with how many backends each has in both families.
    fn held(&self) -> BTreeMap<String, usize> {
        let mut held = BTreeMap::<String, usize>::new();
        for service in tables::services(&self.agent.dump()) {
            let name = service["name"].as_str().unwrap_or("?").to_owned();
            *held.entry(name).or_default() += tables::backends_of(service).count();
        }
        held
    }
}

/// Where replica `number` answers: IPv4, IPv6.
#[must_use]
pub fn replica(number: u8) -> [IpAddr; 2] {
    [[10, 77, 2, number].into(), [0xfd77, 0, 0, 0, 0, 0, 2, number.into()].into()]
}

/// What replica `number` answers.
#[must_use]
pub fn name(number: u8) -> String {
    format!("r{number}")
}

/// A slice of an IPv4 Service port with these replicas, all of them ready.
#[must_use]
pub fn slice(service: &str, port: &str, replicas: &[u8]) -> builders::EndpointSlice {
    let slice = builders::EndpointSlice::new("shop", &format!("{service}-1"), service);
    let slice = slice.port(port, "TCP", PORT).managed_by("endpointslice-controller.k8s.io");
    replicas.iter().fold(slice, |slice, number| {
        let endpoint = builders::Endpoint::new(&replica(*number)[0].to_string());
        slice.endpoint(endpoint.node("replicas").zone("b"))
    })
}

fn start(lab: &Lab, number: u8) -> Result<Replica> {
    let node = lab.node("replicas");
    for address in replica(number) {
        if address != node.ipv4() && address != node.ipv6() {
            node.add_address(address)?;
        }
    }
    let addresses = replica(number).map(|address| SocketAddr::new(address, PORT));
    Replica::start(node.netns(), &name(number), &addresses)
}
