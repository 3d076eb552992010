//! How long it takes to compile and plan 100,000 services with 1,000,000 backends, and one change
//! among them: `cargo run --release -p redirector-core --example population [SERVICES] [BACKENDS]`.
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
    input::{Drained, ProbeFailure},
    plan::{Capacities, Installed, Plan, plan, plan_scope},
    service::{
        Backend, BackendRef, Frontend, Locality, Policy, Probe, Protocol, Rank, Service, ServiceRef,
    },
    state::compile,
};

const NODES: usize = 5_000;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse().expect("a number"));
    let count: u32 = arguments.next().unwrap_or(100_000);
    let backends: u32 = arguments.next().unwrap_or(1_000_000);
    let each = backends / count;
    println!("{count} services with {each} backends each");

    // A source has each name once, however often it occurs.
    let names = (0..NODES).map(|node| format!("node-{node}").into());
    let names: Vec<Arc<str>> = names.chain(["a", "b", "c", "eu"].map(Arc::from)).collect();
    let services: Vec<Service> = (0..count).map(|number| service(number, each, &names)).collect();
    let mut state = State::new();
    let at = |name: &str| Some(name.into());
    let node = Locality { node: at("node-1"), zone: at("a"), region: at("eu"), cluster: None };
    state.apply(Input::Node(node), Moment::default());
    let mut changed = services[services.len() / 2].clone();
    let ejected = changed.backends[0].backend;
    let mut scattered = services.clone();
    // As if read from an unordered source.
    scattered.reverse();

    timed("State::apply(Replace)", || state.apply(Input::Replace(scattered), Moment::default()));
    timed("compile from nothing", || compile(&state));
    let capacities = Capacities {
        frontends: count,
        services: count,
        backends,
        nodes: 65_536,
        slots: 4 * (count * ((3 + each).div_ceil(4) + 1)),
    };
    let mut installed = Installed::new(capacities);
    let first: Plan = timed("plan from empty maps", || plan(&mut installed, state.tables()));
    println!("  {} steps, {} rejected", first.steps.len(), first.rejected.len());
    timed("drop the plan", || drop(first));
    state.take_changes();
    timed("plan again, all services", || plan(&mut installed, state.tables()));

    // The first allocation after so many were freed pays for putting the heap in order.
    let mut warm = services[0].clone();
    warm.backends.pop();
    state.apply(Input::Put(warm), Moment::default());
    changed.backends.pop();
    timed("State::apply(Put)", || state.apply(Input::Put(changed), Moment::default()));
    let scope = state.take_changes();
    let one =
        timed("plan of one changed service", || plan_scope(&mut installed, state.tables(), scope));
    println!("  {} steps", one.steps.len());

    let outcome = Err(ProbeFailure::TimedOut);
    let failure = Input::Probed { backend: ejected, outcome };
    // No failure ejects what has never answered, and the first one learns which backend is where.
    state.apply(Input::Probed { backend: ejected, outcome: Ok(()) }, Moment::default());
    timed("State::apply(Probed), the first failure", || {
        state.apply(failure.clone(), Moment::default())
    });
    timed("State::apply(Probed), an ejection", || state.apply(failure, Moment::default()));
    let scope = state.take_changes();
    let one = timed("plan of one ejection", || plan_scope(&mut installed, state.tables(), scope));
    println!("  {:?}", one.steps.first());
    let same = services.clone();
    timed("State::apply(Replace), hardly changed", || {
        state.apply(Input::Replace(same), Moment::default())
    });
    timed("its plan, all services", || plan(&mut installed, state.tables()));
    let zone = [Drained::Zone("a".into())];
    let names: Vec<ServiceRef> = state.services().map(|service| service.name.clone()).collect();
    let part = &names[..names.len().min(4_096 / each.max(1) as usize)];
    let part = timed("State::excerpt, 4,096 backends", || state.excerpt(part));
    timed("State::with_dead of it, a zone dies", || {
        let dead = part.meant(&zone);
        part.with_dead(&dead)
    });
}

/// Prints the time that passed, and of it what this thread had of a processor: the machine may be
/// busy with other things.
fn timed<T>(what: &str, run: impl FnOnce() -> T) -> T {
    let (begin, cpu) = (Instant::now(), cpu());
    let result = run();
    let (passed, used) = (begin.elapsed(), self::cpu() - cpu);
    println!("{passed:>12.3?} {used:>12.3?} on a processor  {what}");
    result
}

fn cpu() -> Duration {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat").expect("this is Linux");
    let first = times.split(' ').next().expect("three numbers");
    Duration::from_nanos(first.parse().expect("nanoseconds"))
}

fn service(number: u32, backends: u32, names: &[Arc<str>]) -> Service {
    let protocol = Protocol::Tcp;
    let address = |base: u32, offset: u32| IpAddr::V4(Ipv4Addr::from(base + offset));
    // Addresses of one service are spread, as those of pods are.
    let backend = |of: u32| {
        let scattered = (number * backends + of).wrapping_mul(0x9e37_79b1) & 0xff_ffff;
        Backend {
            backend: BackendRef { address: address(0x0a00_0000, scattered), port: 8080, protocol },
            locality: Locality {
                node: Some(Arc::clone(&names[scattered as usize % NODES])),
                zone: Some(Arc::clone(&names[NODES + scattered as usize % 3])),
                region: Some(Arc::clone(&names[NODES + 3])),
                cluster: None,
            },
            weight: 1,
            rank: Rank::default(),
        }
    };
    Service {
        name: ServiceRef(format!("namespace-{}/service-{number}", number % 997).into()),
        frontends: vec![Frontend { address: address(0xac10_0000, number), port: 80, protocol }],
        affinity_seconds: None,
        virtual_addresses: Vec::new(),
        also_served: false,
        unreachable: false,
        backends: (0..backends).map(backend).collect(),
        policy: Policy { probe: Some(Probe::default()), ..Policy::default() },
    }
}
