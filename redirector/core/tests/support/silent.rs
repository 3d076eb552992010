//! Services with many backends in another cluster that falls silent, as a node sees it.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use redirector_core::{
    Input, Moment, State,
    input::{ProbeFailure, Transition},
    plan::{Capacities, Installed, Plan, plan, plan_scope},
    remote_cluster::{ClusterPhase, OnSilence, RemoteCluster},
    service::{
        Backend, BackendRef, Failback, Frontend, Locality, Members, Policy, Probe, Protocol, Rank,
        Service, ServiceRef, TierRule,
    },
};

/// What a node knows, and what it has installed. Times are in seconds.
pub struct World {
    pub state: State,
    pub installed: Installed,
}

impl World {
    /// So many services that share so many backends in west, which are on so many nodes, and have one
    /// each at home. West is their first tier.
    pub fn new(services: u32, backends: u32, nodes: u32) -> Self {
        let list = (0..services).map(|number| service(number, backends / services, nodes));
        let list: Vec<Service> = list.collect();
        let mut state = State::new();
        let named = |name: &str| Some(Arc::from(name));
        let home = Locality { node: named("n1"), cluster: named("home"), ..Locality::default() };
        state.apply(Input::Node(home), Moment::default());
        state.apply(Input::Replace(list), Moment::default());
        let capacities = Capacities {
            frontends: services,
            services,
            backends: backends + services,
            nodes: 65_536,
            slots: 65_536.max(8 * backends),
        };
        let mut installed = Installed::new(capacities);
        let first = plan(&mut installed, state.tables());
        assert!(first.rejected.is_empty());
        state.take_changes();
        Self { state, installed }
    }

    /// All have answered, as after some time of life.
    pub fn answer(&mut self, at: u64) {
        let listed = self.state.services().flat_map(|service| &service.backends);
        for backend in listed.map(|listed| listed.backend).collect::<Vec<BackendRef>>() {
            self.state.apply(Input::Probed { backend, outcome: Ok(()) }, seconds(at));
        }
    }

    /// West is said to be silent, and none of those that are asked answers.
    pub fn silence(&mut self, at: u64) {
        self.state.apply(told(ClusterPhase::Silent), seconds(at));
        let probes = self.state.probes();
        for (backend, _) in probes.into_iter().filter(|(_, order)| order.urgency > 0) {
            let outcome = Err(ProbeFailure::TimedOut);
            self.state.apply(Input::Probed { backend, outcome }, seconds(at));
        }
    }

    /// A second after that all of west are out.
    #[inline(never)]
    pub fn verdict(&mut self, at: u64) -> Vec<Transition> {
        self.state.apply(Input::Tick, seconds(at))
    }

    /// The stores of what has changed.
    #[inline(never)]
    pub fn changes(&mut self) -> Plan {
        let scope = self.state.take_changes();
        plan_scope(&mut self.installed, self.state.tables(), scope)
    }
}

pub fn seconds(seconds: u64) -> Moment {
    Moment(Duration::from_secs(seconds))
}

pub fn told(phase: ClusterPhase) -> Input {
    let on_silence = OnSilence::KeepReachable;
    Input::RemoteClusters(vec![RemoteCluster { name: "west".into(), phase, on_silence }])
}

fn service(number: u32, each: u32, nodes: u32) -> Service {
    let listed = |address: u32, node: String, cluster: &str| Backend {
        backend: BackendRef {
            address: IpAddr::V4(Ipv4Addr::from(address)),
            port: 80,
            protocol: Protocol::Tcp,
        },
        locality: Locality {
            node: Some(node.into()),
            cluster: Some(cluster.into()),
            ..Locality::default()
        },
        weight: 1,
        rank: Rank::default(),
    };
    let here = listed(0x0a01_0000 + number, format!("n{}", number % 500), "home");
    let there = (0..each).map(|of| {
        let scattered = (number * each + of).wrapping_mul(0x9e37_79b1) & 0xff_ffff;
        listed(0x0b00_0000 + scattered, format!("n{}", scattered % nodes), "west")
    });
    let members = |cluster: &str| Members::Named {
        zones: Vec::new(),
        regions: Vec::new(),
        clusters: vec![cluster.into()],
    };
    // West carries: a failover for each service.
    let tiers = ["west", "home"].map(|it| TierRule { name: it.into(), members: members(it) });
    let address = IpAddr::V4(Ipv4Addr::from(0xac10_0000 + number));
    Service {
        name: ServiceRef(format!("namespace-{}/service-{number}", number % 97).into()),
        frontends: vec![Frontend { address, port: 80, protocol: Protocol::Tcp }],
        virtual_addresses: Vec::new(),
        affinity_seconds: None,
        also_served: false,
        unreachable: false,
        backends: std::iter::once(here).chain(there).collect(),
        policy: Policy {
            probe: Some(Probe::default()),
            failback: Some(Failback::default()),
            tiers: tiers.into(),
            ..Policy::default()
        },
    }
}
