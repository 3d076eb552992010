//! A node with pods, replicas near and in the cluster west, and a real agent that may be silent.

use std::{
    fs, io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    thread,
    time::Duration,
};

use derive_more::{Deref, DerefMut};
use nix::unistd::{Gid, Uid, chown};
use redirector::datapath::{Datapath, Pins, View};
use redirector_tests::{
    dialer::Client,
    fixture::{self, Site},
    privileges::TENANT,
    tables::list,
    tenant::Tenant,
    wait::wait_until,
};
use serde_json::Value;

use super::services::{NODES, answer, name};

/// What a pod's own network does to packets for a backend.
pub(crate) const REJECT: &str = "reject with tcp reset";
pub(crate) const DROP: &str = "drop";
/// After 5 s without a heartbeat the kernel takes the agent for dead.
const SILENCE: Duration = Duration::from_millis(5_500);
const MAPS: [&str; 6] = ["--max-slots", "16384", "--max-backends", "4096", "--max-services", "512"];
/// What the log says when something has moved that is not a client alone.
const MOVEMENTS: [&str; 3] = ["failed over", " ejected ", "reset the connections"];

/// How the agent is during an attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AgentIs {
    Alive,
    /// SIGSTOP.
    Stopped,
    /// SIGKILL.
    Killed,
}

/// Everything that tenants share.
#[derive(Deref, DerefMut)]
pub(crate) struct Fixture(fixture::Fixture);

impl Fixture {
    /// Replicas on these nodes and ports, and an agent that knows these services.
    pub(crate) fn new(replicas: &[(&str, u16)], services: &str) -> Self {
        let site = Site::new("tenants", &NODES);
        let with = |site: Site, (node, port): &(&str, u16)| {
            site.with_replica(node, &answer(node, *port), *port)
        };
        Self::on(replicas.iter().fold(site, with), services)
    }

    /// The same with replicas and a network that are there already.
    pub(crate) fn on(site: Site, services: &str) -> Self {
        Self(site.with_maps(&MAPS).start(&file(services)))
    }

    /// Other services from now on; the agent hears of them soon.
    pub(crate) fn list(&self, services: &str) {
        self.write(&file(services));
    }

    /// Waits until every backend of these services has answered a probe.
    pub(crate) fn wait_for_probes(&self, services: &[u16]) {
        wait_until("every backend has answered a probe", || {
            services.iter().all(|service| {
                members(&self.explain(*service)).all(|member| member["probes"] == "healthy")
            })
        });
    }

    /// Makes the agent so, and waits until the kernel knows.
    pub(crate) fn let_agent_be(&mut self, how: AgentIs) {
        match how {
            AgentIs::Alive => return,
            AgentIs::Stopped => self.agent.freeze().expect("a stopped agent"),
            AgentIs::Killed => self.agent.kill9(),
        }
        thread::sleep(SILENCE);
    }

    /// A cgroup, and those above it, that belong to the user of tenants.
    pub(crate) fn cgroup_of(&self, name: &str) -> PathBuf {
        let mut path = self.site.cgroup.path().to_owned();
        for part in name.split('/') {
            path.push(part);
            match fs::create_dir(&path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => panic!("{error}"),
                _ => {}
            }
            let owner = (Some(Uid::from_raw(TENANT.user)), Some(Gid::from_raw(TENANT.group)));
            for file in [path.clone(), path.join("cgroup.procs")] {
                chown(&file, owner.0, owner.1).expect("a new owner");
            }
        }
        path
    }

    /// An application in this pod and cgroup.
    pub(crate) fn client(&self, pod: &str, cgroup: &str) -> Client {
        let client = Client::start(self.place_on(pod)).expect("a client");
        self.put(client.pid(), cgroup);
        client
    }

    /// A process without rights in this pod and cgroup.
    pub(crate) fn tenant(&self, pod: &str, cgroup: &str) -> Tenant {
        let tenant = Tenant::start(self.place_on(pod)).expect("a tenant");
        self.put(tenant.pid(), cgroup);
        tenant
    }

    fn put(&self, process: u32, cgroup: &str) {
        let procs = self.cgroup_of(cgroup).join("cgroup.procs");
        fs::write(procs, process.to_string()).expect("a process in its cgroup");
    }

    /// Both addresses of a node.
    pub(crate) fn addresses(&self, node: &str) -> [IpAddr; 2] {
        let node = self.lab.node(node);
        [node.ipv4().into(), node.ipv6().into()]
    }

    /// A pod's own egress rules: what becomes of its packets for these ports of a node.
    pub(crate) fn deny(&self, pod: &str, node: &str, ports: &[u16], verdict: &str) {
        self.rule(pod, node, ports, "", verdict);
    }

    /// The same, only for processes of which this is true.
    pub(crate) fn rule(&self, pod: &str, node: &str, ports: &[u16], whom: &str, verdict: &str) {
        let [v4, v6] = self.addresses(node);
        let ports: Vec<_> = ports.iter().map(u16::to_string).collect();
        let ports = ports.join(", ");
        let rules = format!(
            "table inet denied {{\n chain out {{\n type filter hook output priority 0\n \
             ip daddr {v4} tcp dport {{ {ports} }} {whom} {verdict}\n \
             ip6 daddr {v6} tcp dport {{ {ports} }} {whom} {verdict}\n }}\n }}"
        );
        self.lab.node(pod).netns().nft(&rules).expect("rules of a pod");
    }

    /// What `redirector explain` says of a service.
    pub(crate) fn explain(&self, service: u16) -> Value {
        self.agent.answer_json("explain", &[&name(service)])
    }

    /// The maps, opened beside the agent.
    pub(crate) fn datapath(&self) -> Datapath {
        Datapath::open(&Pins::new(self.bpffs.pin_path())).expect("the maps")
    }

    /// The backends that get no new connections, by the maps, and who objects.
    pub(crate) fn objections(&self) -> Vec<String> {
        let view = View::read(&self.datapath()).expect("a view");
        unusable(&view).collect()
    }

    /// Everything that has moved for others than the one who saw it, or waits to come back.
    pub(crate) fn movements(&self) -> Vec<String> {
        let log = self.agent.log();
        let moved = |line: &&str| MOVEMENTS.iter().any(|what| format!("{line} ").contains(what));
        let mut all: Vec<_> = log.lines().filter(moved).map(str::to_owned).collect();
        all.extend(self.objections());
        all
    }

    /// Nobody but those who saw a failure has moved, and nothing waits to come back.
    pub(crate) fn assert_unmoved(&self, services: &[u16], agent: AgentIs) {
        assert_eq!(self.movements(), [""; 0], "the agent is {agent:?}");
        if agent == AgentIs::Alive {
            services.iter().for_each(|service| self.assert_no_hold(*service));
        }
    }

    /// No tier waits, and the first one has everything.
    pub(crate) fn assert_no_hold(&self, service: u16) {
        let explained = self.explain(service);
        for tier in tiers(&explained) {
            assert_eq!(tier["hold"], Value::Null, "{explained:#}");
            assert_eq!(tier["load"], tier["due"], "{explained:#}");
        }
    }

    /// How often the agent counted transitions of that kind.
    pub(crate) fn transitions(&self, kind: &str) -> u64 {
        let name = format!("redirector_transitions_total{{kind=\"{kind}\"}}");
        self.agent.metrics().get(&name).map_or(0, |count| *count as u64)
    }
}

/// `address:port objection …` of each backend that may not receive new connections.
pub(crate) fn unusable(view: &View) -> impl Iterator<Item = String> {
    let tiers = view.services.iter().flat_map(|service| &service.tiers);
    let out = tiers.flat_map(|tier| &tier.backends).filter(|backend| !backend.usable);
    out.map(|backend| {
        let address = SocketAddr::new(backend.address, backend.port);
        format!("{address} {}", backend.objections.join(" "))
    })
}

/// The members of all tiers of a service that was explained.
pub(crate) fn members(explained: &Value) -> impl Iterator<Item = &Value> {
    tiers(explained).flat_map(|tier| list(&tier["backends"]))
}

fn tiers(explained: &Value) -> impl Iterator<Item = &Value> {
    list(&explained["families"]).flat_map(|family| list(&family["tiers"]))
}

/// The agent's file.
fn file(services: &str) -> String {
    format!("node: {{name: host, zone: a, region: eu, cluster: home}}\nservices:\n{services}")
}
