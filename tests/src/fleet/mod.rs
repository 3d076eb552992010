//! Clusters on one machine: east, west and north, each with an API server and pods of its own, and the
//! agent and the applications of one node of east.
//!
//! ```text
//!   east: api1 10.81.0.1, pods1 10.81.2.*, client 10.81.1.1      fd80:1::/48
//!   west: api2 10.82.0.1, pods2 10.82.2.*                        fd80:2::/48     one bridge
//!   north: api3 10.83.0.1, pods3 10.83.2.*                       fd80:3::/48
//! ```
//!
//! Control and data of a cluster are cut each for itself: [`Port::cut`] of `control`, of `data`.
//! Nodes and zones have the same names in all clusters. What goes wrong while it is made is an error;
//! nothing here makes EndpointSlices of a Service but the test.

mod backbone;
mod controller;
mod member;

use std::collections::BTreeMap;

use anyhow::Result;

pub use backbone::{Port, cidrs};
pub use controller::Controller;
pub use member::{AGENT, CONTROLLER, Member, NAMESPACE, PORT, export, frontends};

use crate::{
    agent::{Agent, AgentOptions},
    api::{self, builders},
    bpffs::Bpffs,
    cgroup::Cgroup,
    dialer::{Client, Dial, Dialled, Load, LoadRun},
    fixture::SMALL,
    place::Place,
    programs, tables,
    wait::wait_within,
};
use backbone::Backbone;

/// The names of the clusters, in order.
pub const NAMES: [&str; 3] = ["east", "west", "north"];

/// Clusters and an agent. Fields are dropped in order.
#[derive(Debug)]
pub struct Fleet {
    /// Of the client's node in east.
    pub agent: Agent,
    /// East first.
    pub members: Vec<Member>,
    _bpffs: Bpffs,
    /// There sockets are redirected.
    pub cgroup: Cgroup,
    /// The client's node.
    pub client: Port,
    _backbone: Backbone,
}

/// How a fleet is made.
#[derive(Debug, Clone)]
pub struct Setup {
    /// 1 to 3 clusters.
    pub clusters: usize,
    /// Replicas of each.
    pub replicas: u8,
    /// Waits of all programs are divided by this.
    pub divisor: u32,
    /// What each API server is like; its address and its tokens are the fleet's.
    pub api: api::Options,
}

impl Default for Setup {
    /// Three clusters with two replicas each, timers divided by 10.
    fn default() -> Self {
        Self { clusters: 3, replicas: 2, divisor: 10, api: api::Options::default() }
    }
}

impl Fleet {
    /// Starts the clusters and the agent. `prepare` puts what must be there before the agent starts.
    pub fn new(setup: &Setup, prepare: impl FnOnce(&[Member])) -> Result<Self> {
        let Setup { clusters, replicas, divisor, api } = setup;
        let backbone = Backbone::new()?;
        let member = |(number, name)| {
            let member = Member::new(&backbone, (name, number), *replicas, api.clone())?;
            for manifest in MANIFESTS {
                member.api.put_yaml(manifest)?;
            }
            anyhow::Ok(member)
        };
        let members = (1..).zip(NAMES).take(*clusters).map(member).collect::<Result<Vec<_>>>()?;
        let own = backbone::addresses(1, 1, 1);
        let client = backbone.plug("client", &own)?;
        let node = builders::Node::new("client").zone("a").region("eu");
        members[0]
            .api
            .put(node.internal_ip(&own[0].to_string()).internal_ip(&own[1].to_string()))?;
        let (cgroup, bpffs) = (Cgroup::new("fleet")?, Bpffs::mount()?);
        prepare(&members);
        let kubeconfig = members[0].kubeconfig("agent-token")?.display().to_string();
        let divisor = divisor.to_string();
        let arguments = [
            "--kube",
            "--kubeconfig",
            &kubeconfig,
            "--node",
            "client",
            "--cluster",
            NAMES[0],
            "--namespace",
            "redirector-system",
            "--divide-timeouts",
            &divisor,
        ];
        let agent = Agent::start(AgentOptions {
            binary: programs::redirector()?,
            netns: client.netns().clone(),
            cgroup: cgroup.path().to_owned(),
            pin_path: bpffs.pin_path(),
            config: None,
            arguments: SMALL.iter().chain(&arguments).map(|&text| text.to_owned()).collect(),
            log_filter: "info".to_owned(),
            crasher: None,
        })?;
        Ok(Self { agent, members, _bpffs: bpffs, cgroup, client, _backbone: backbone })
    }

    /// The cluster of that name. Panics if there is none.
    #[must_use]
    pub fn member(&self, name: &str) -> &Member {
        let found = self.members.iter().find(|member| member.name == name);
        found.unwrap_or_else(|| panic!("this fleet has no cluster {name}"))
    }

    /// The same, to be changed.
    #[must_use]
    pub fn member_mut(&mut self, name: &str) -> &mut Member {
        let found = self.members.iter_mut().find(|member| member.name == name);
        found.unwrap_or_else(|| panic!("this fleet has no cluster {name}"))
    }

    /// An application whose sockets are redirected.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::start(Place::new(self.client.netns(), &self.cgroup)).expect("a client")
    }

    /// Dials the Service whose addresses end so, as often as that in each family.
    #[must_use]
    pub fn dial(&self, last: u8, times: u32) -> Vec<Dialled> {
        let mut client = self.client();
        let of = |address| {
            let dial = Dial { timeout_ms: 1_000, ..Dial::tcp(address) };
            client.dial(dial, times).expect("dials")
        };
        frontends(last).into_iter().flat_map(of).collect()
    }

    /// Dials the Service's IPv4 address at that rate until it is stopped, and reports every dial.
    #[must_use]
    pub fn load(&self, last: u8, rate: u32) -> LoadRun {
        let load = Load { every: true, ..Load::new(Dial::tcp(frontends(last)[0]), rate) };
        self.client().load(load).expect("a load")
    }

    /// Waits until the dials of a Service are answered by exactly these clusters, in both families.
    pub fn wait_for(&self, last: u8, clusters: &[&str]) {
        self.wait_within(std::time::Duration::from_secs(20), last, clusters);
    }

    /// The same, no longer than that. Returns how long it took.
    pub fn wait_within(
        &self,
        longest: std::time::Duration,
        last: u8,
        clusters: &[&str],
    ) -> std::time::Duration {
        let mut seen = BTreeMap::new();
        let is_so = || {
            let dialled = self.dial(last, 20);
            seen = by_cluster(&dialled);
            seen.keys().map(String::as_str).eq(sorted(clusters))
        };
        let what = format!("{clusters:?} answer for .{last}");
        wait_within(longest, &what, is_so, || self.context())
    }

    /// Waits until a probe of the agent has reached every backend of a Service.
    pub fn wait_for_probes(&self, service: &str) {
        let name = format!("{NAMESPACE}/{service}");
        let is_known = || {
            let explained = self.agent.ask("explain", &[&name]).expect("it runs");
            let text = String::from_utf8_lossy(&explained.stdout);
            let [healthy, all] =
                ["probes: healthy", "probes: "].map(|what| text.matches(what).count());
            healthy > 0 && healthy == all
        };
        let longest = std::time::Duration::from_secs(20);
        wait_within(longest, "all its backends have answered a probe", is_known, || self.context());
    }

    /// The backends that the tables hold of a Service, by tier.
    #[must_use]
    pub fn backends(&self, service: &str) -> usize {
        let name = format!("{NAMESPACE}/{service}");
        let dump = self.agent.dump();
        let found = tables::services(&dump).find(|found| found["name"] == name.as_str());
        found.map_or(0, |found| tables::backends_of(found).count())
    }

    /// What all programs have logged, for a test that fails.
    #[must_use]
    pub fn context(&self) -> String {
        let mut text = format!("the agent:\n{}", self.agent.log());
        for member in &self.members {
            for controller in &member.controllers {
                text += &format!("\n{}:\n{}", member.name, controller.log());
            }
            for remote in member.api.list("remoteclusters") {
                text += &format!(
                    "\n{} says of {}: {}",
                    member.name, remote["metadata"]["name"], remote["status"]
                );
            }
        }
        text
    }
}

/// How many dials each cluster has answered; those that failed are `failed`.
#[must_use]
pub fn by_cluster(dialled: &[Dialled]) -> BTreeMap<String, u32> {
    let mut seen = BTreeMap::new();
    for one in dialled {
        let name = one
            .outcome
            .as_deref()
            .map_or("failed", |name| name.split_once('-').map_or(name, |(cluster, _)| cluster));
        *seen.entry(name.to_owned()).or_default() += 1;
    }
    seen
}

fn sorted<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let mut names = names.to_vec();
    names.sort_unstable();
    names
}

/// What an administrator applies in every cluster.
const MANIFESTS: [&str; 1] = [include_str!("../../../deploy/base/rbac.yaml")];
