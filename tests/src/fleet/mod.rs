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
mod seen;

use anyhow::Result;

pub use backbone::{Port, cidrs};
pub use controller::Controller;
pub use member::{AGENT, CONTROLLER, Member, NAMESPACE, PORT, export, frontends};
pub use seen::by_cluster;

use crate::{
    agent::{Agent, AgentOptions},
    api::{self, builders},
    bpffs::Bpffs,
    cgroup::Cgroup,
    fixture::SMALL,
    programs,
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
    /// What the agent is told with `--cluster`, if anything.
    pub told: Option<&'static str>,
    /// What each API server is like; its address and its tokens are the fleet's.
    pub api: api::Options,
}

impl Default for Setup {
    /// Three clusters with two replicas each; timers divided by 4: with less than that a machine that
    /// is busy is taken for a cluster that is silent.
    fn default() -> Self {
        let api = api::Options::default();
        Self { clusters: 3, replicas: 2, divisor: 4, told: Some(NAMES[0]), api }
    }
}

impl Fleet {
    /// Starts the clusters and the agent. `prepare` puts what must be there before the agent starts.
    pub fn new(setup: &Setup, prepare: impl FnOnce(&[Member])) -> Result<Self> {
        let Setup { clusters, replicas, divisor, told, api } = setup;
        let backbone = Backbone::new()?;
        let member = |(number, name)| {
            let member = Member::new(&backbone, (name, number), *replicas, api.clone())?;
            for manifest in MANIFESTS {
                member.api.put_yaml(manifest)?;
            }
            if api.needs_crd {
                define(&member.api)?;
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
        members[0].release("redirector-system", "redirector-report")?;
        let kubeconfig = members[0].kubeconfig("agent-token")?.display().to_string();
        let divisor = divisor.to_string();
        let arguments = [
            "--kube",
            "--kubeconfig",
            &kubeconfig,
            "--node",
            "client",
            "--namespace",
            "redirector-system",
            "--divide-timeouts",
            &divisor,
            // So many a second: in a second that is divided as all waits are, it is one.
            "--remote-probes",
            &divisor,
        ];
        let told = told.map(|id| ["--cluster", id]);
        let arguments = arguments.iter().chain(told.iter().flatten());
        let agent = Agent::start(AgentOptions {
            binary: programs::redirector()?,
            netns: client.netns().clone(),
            cgroup: cgroup.path().to_owned(),
            pin_path: bpffs.pin_path(),
            config: None,
            arguments: SMALL.iter().chain(arguments).map(|&text| text.to_owned()).collect(),
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

    /// A fleet in which every cluster reads every other one's outbox: one replica of `redirector clusters`
    /// in each, with these arguments beside its own ones. It is there when all are Live.
    pub fn joined(
        setup: &Setup,
        arguments: &[&str],
        prepare: impl FnOnce(&[Member]),
    ) -> Result<Self> {
        let mut fleet = Self::new(setup, prepare)?;
        let divisor = setup.divisor.to_string();
        let arguments = [&["--divide-timeouts", divisor.as_str()], arguments].concat();
        let arguments: Vec<_> = arguments.into_iter().map(str::to_owned).collect();
        for member in &fleet.members {
            let others = fleet.members.iter().filter(|other| other.name != member.name);
            others.into_iter().try_for_each(|other| member.admit(other))?;
        }
        for member in &mut fleet.members {
            member.control(&arguments)?;
        }
        fleet.wait_until_live();
        Ok(fleet)
    }
}

/// Applies the definitions of all kinds that Kubernetes does not know by itself.
pub fn define(api: &api::Api) -> Result<()> {
    for manifest in DEFINITIONS {
        api.put_yaml(manifest)?;
    }
    Ok(())
}

/// Definitions, of which that of ClusterProperty is another project's.
const DEFINITIONS: [&str; 6] = [
    include_str!("../../../deploy/crd/exportedservices.yaml"),
    include_str!("../../../deploy/crd/failoverpolicies.yaml"),
    include_str!("../../../deploy/crd/remoteclusters.yaml"),
    include_str!("../../../deploy/crd/mcs/serviceexports.yaml"),
    include_str!("../../../deploy/crd/mcs/serviceimports.yaml"),
    "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition,
      metadata: {name: clusterproperties.about.k8s.io}, spec: {names: {}}}",
];

/// What an administrator applies in every cluster.
const MANIFESTS: [&str; 5] = [
    include_str!("../../../deploy/base/rbac.yaml"),
    include_str!("../../../deploy/components/clusters/namespaces.yaml"),
    include_str!("../../../deploy/components/clusters/service-account.yaml"),
    include_str!("../../../deploy/components/clusters/rbac-exporter.yaml"),
    include_str!("../../../deploy/components/clusters/rbac-importer.yaml"),
];
