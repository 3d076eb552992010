//! How long it takes to take 10,000 backends of a silent cluster out, and to bring them back:
//! `cargo run --release -p redirector-core --example silence [SERVICES [BACKENDS [NODES]]]`.
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a measurement"
)]

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::{Duration, Instant},
};

use redirector_core::{
    Input, Moment, State,
    input::Transition,
    plan::{Capacities, Installed, Plan, plan, plan_scope},
    remote_cluster::{ClusterPhase, OnSilence, RemoteCluster},
    service::{
        Backend, BackendRef, Failback, Frontend, Locality, Members, Policy, Probe, Protocol, Rank,
        Service, ServiceRef, TierRule,
    },
};

/// Rounds that are measured.
const ROUNDS: u64 = 30;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse().expect("a number"));
    let Some(services) = arguments.next() else {
        return [1, 100, 1_000].into_iter().for_each(|services| measure(services, 10_000, 500));
    };
    measure(services, arguments.next().unwrap_or(10_000), arguments.next().unwrap_or(500));
}

fn measure(services: u32, backends: u32, nodes: u32) {
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

    let mut times: Vec<[Duration; 4]> = Vec::new();
    for round in 0..ROUNDS {
        let at = |seconds| Moment(Duration::from_secs(1_000 * round + seconds));
        // As after some time of life: all have answered.
        let listed: Vec<BackendRef> = state
            .services()
            .flat_map(|service| service.backends.iter().map(|listed| listed.backend))
            .collect();
        for backend in &listed {
            state.apply(Input::Probed { backend: *backend, outcome: Ok(()) }, at(0));
        }
        state.apply(told(ClusterPhase::Silent), at(1));
        let (happened, judged) = timed(|| verdict(&mut state, at(2)));
        let (stores, planned) = timed(|| changes(&mut state, &mut installed));
        let (_, back) = timed(|| state.apply(told(ClusterPhase::Live), at(60)));
        let (_, back_planned) = timed(|| changes(&mut state, &mut installed));
        times.push([judged, planned, back, back_planned]);
        if round == 0 {
            let (happened, stores) = (happened.len(), stores.steps.len());
            println!(
                "{services} services with {backends} backends in west on {nodes} nodes: \
                 {happened} transitions, {stores} stores"
            );
        }
        // Holds end, and their tables are as before.
        for seconds in 60..200 {
            state.apply(Input::Tick, at(seconds));
        }
        changes(&mut state, &mut installed);
    }
    say("out: verdict and plan", times.iter().map(|of| of[0] + of[1]));
    say("     the verdict", times.iter().map(|of| of[0]));
    say("     its plan", times.iter().map(|of| of[1]));
    say("back: news and plan", times.iter().map(|of| of[2] + of[3]));
}

/// The best and the middle of all rounds: the machine may be busy.
fn say(what: &str, times: impl Iterator<Item = Duration>) {
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    println!("{:>12.3?} best {:>12.3?} median  {what}", times[0], times[times.len() / 2]);
}

/// Apart, for a profiler.
#[inline(never)]
fn verdict(state: &mut State, at: Moment) -> Vec<Transition> {
    state.apply(Input::Tick, at)
}

#[inline(never)]
fn changes(state: &mut State, installed: &mut Installed) -> Plan {
    let scope = state.take_changes();
    plan_scope(installed, state.tables(), scope)
}

fn timed<T>(run: impl FnOnce() -> T) -> (T, Duration) {
    let begin = Instant::now();
    let result = run();
    (result, begin.elapsed())
}

fn told(phase: ClusterPhase) -> Input {
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
