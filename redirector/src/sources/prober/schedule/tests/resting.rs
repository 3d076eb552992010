//! What backends of other clusters are asked that nothing depends on.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use redirector_core::{
    Input, Moment, State,
    input::{AtRest, ProbeOrder},
    service::{
        Backend, BackendRef, Frontend, Locality, Members, Policy, Probe, Protocol, Rank, Service,
        ServiceRef, TierRule,
    },
};
use tokio::time::Instant;

use super::{PROBE, SILENT, Simulation, WELL, backend, order};

#[test]
fn a_thousand_idle_services_cost_another_cluster_one_probe_a_second() {
    let mut state = State::new();
    let named = |name: &str| Some(Arc::from(name));
    let home = Locality { node: named("n1"), cluster: named("home"), ..Locality::default() };
    state.apply(Input::Node(home), Moment::default());
    state.apply(Input::Replace((0..1_000).map(idle).collect()), Moment::default());
    let mut world = Simulation::new(256, 1);
    for (backend, order) in state.probes() {
        world.want(backend, order, WELL);
    }
    world.adapt();
    let minutes = 5;
    world.run(Duration::from_secs(60 * minutes), |_| {});
    let west: Vec<Instant> = begins(&world, is_west);
    let rate = west.len() as f64 / (60 * minutes) as f64;
    assert!((0.9..=1.2).contains(&rate), "{rate} a second");
    let most = west.windows(3).map(|three| three[2] - three[0]).min().expect("some");
    assert!(most >= Duration::from_secs(2), "three within {most:?}");
    let asked = world.begins.iter().filter(|(backend, _)| is_west(backend));
    assert!(asked.clone().all(|(_, begins)| begins.len() == 1), "in turn");
    // Those of this cluster as ever.
    let own = begins(&world, |backend| !is_west(backend)).len() as f64;
    assert!(own / (60 * minutes) as f64 >= 900.0, "{own} in all");
}

#[test]
fn few_are_asked_every_five_seconds_and_each_cluster_has_its_own() {
    let mut world = Simulation::new(16, 2);
    for number in 0..3 {
        world.want(backend(1, number), at_rest("west", number.into()), WELL);
        world.want(backend(2, number), at_rest("north", number.into()), WELL);
    }
    world.adapt();
    world.run(Duration::from_secs(600), |_| {});
    for (backend, begins) in &world.begins {
        let shortest = begins.windows(2).map(|two| two[1] - two[0]).min().expect("several");
        assert!(shortest >= Duration::from_millis(4_500), "{backend} after {shortest:?}");
        assert!(begins.len() >= 90, "{backend}: {} times", begins.len());
    }
}

#[test]
fn more_a_second_are_asked_if_the_operator_wants_it_and_in_the_nodes_own_order() {
    let mut world = Simulation::new(16, 3);
    world.schedule.set_remote_probes(5);
    for number in 0..100 {
        world.want(backend(1, number), at_rest("west", u64::from(99 - number)), WELL);
    }
    world.adapt();
    world.run(Duration::from_secs(20), |_| {});
    let mut all: Vec<(Instant, BackendRef)> =
        world.begins.iter().flat_map(|(it, begins)| begins.iter().map(|at| (*at, *it))).collect();
    assert!((95..=101).contains(&all.len()), "{} in 20 s", all.len());
    all.sort_unstable();
    let first: Vec<BackendRef> = all.iter().take(3).map(|(_, it)| *it).collect();
    assert_eq!(first, [backend(1, 99), backend(1, 98), backend(1, 97)]);
}

#[test]
fn one_that_fails_is_asked_again_before_the_others_and_not_for_ever() {
    let mut world = Simulation::new(16, 4);
    for number in 0..100 {
        let answer = if number == 5 { SILENT } else { WELL };
        world.want(backend(1, number), at_rest("west", number.into()), answer);
    }
    world.adapt();
    world.run(Duration::from_secs(90), |_| {});
    let dead = &world.begins[&backend(1, 5)];
    assert_eq!(dead.len(), 2, "as many as may eject it");
    assert!(dead[1] - dead[0] <= Duration::from_secs(3), "{:?}", dead[1] - dead[0]);
    assert!(begins(&world, |_| true).len() <= 92, "it takes turns of others");
}

#[test]
fn owners_take_turns_however_many_backends_one_has() {
    let mut world = Simulation::new(16, 7);
    for number in 0..600_u16 {
        let order = at_rest_of("mallory", "west", number.into());
        world.want(backend(10, number), order, if number % 2 == 0 { SILENT } else { WELL });
    }
    for number in 0..3 {
        world.want(backend(1, number), at_rest("west", 1_000 + u64::from(number)), WELL);
    }
    world.adapt();
    world.run(Duration::from_secs(300), |_| {});
    for number in 0..3 {
        let begins = &world.begins[&backend(1, number)];
        // One in three turns at least: silent ones are asked again at once.
        assert!(begins.len() >= 300 / 3 / 3, "{number}: {} times", begins.len());
    }
    assert!(begins(&world, |_| true).len() <= 302);
}

#[test]
fn what_is_needed_again_is_asked_at_its_interval_and_what_is_urgent_at_once() {
    let mut world = Simulation::new(16, 5);
    for number in 0..100 {
        world.want(backend(1, number), at_rest("west", number.into()), WELL);
    }
    world.adapt();
    world.run(Duration::from_secs(10), |_| {});
    let needed = backend(1, 90);
    world.want(needed, order(&["shop"], &PROBE, 0), WELL);
    let urgent = backend(1, 80);
    world.want(urgent, ProbeOrder { urgency: 1, ..at_rest("west", 80) }, WELL);
    let from = world.now;
    world.adapt();
    world.run(Duration::from_secs(20), |_| {});
    assert!(world.longest_gap(&needed, from) <= Duration::from_millis(1_500));
    assert_eq!(world.begins[&urgent], [from]);
    world.want(needed, at_rest("west", 90), WELL);
    world.adapt();
    let before = world.begins[&needed].len();
    world.run(Duration::from_secs(60), |_| {});
    assert!(world.begins[&needed].len() <= before + 1);
    assert!(world.begins[&urgent].len() <= 2);
}

#[test]
fn who_leaves_is_asked_no_more() {
    let mut world = Simulation::new(16, 6);
    for number in 0..10 {
        world.want(backend(1, number), at_rest("west", number.into()), SILENT);
    }
    world.adapt();
    world.run(Duration::from_secs(30), |_| {});
    let before = begins(&world, |_| true).len();
    world.wanted.clear();
    world.adapt();
    assert_eq!(world.schedule.deadline(), None);
    world.run(Duration::from_secs(30), |_| {});
    assert_eq!(begins(&world, |_| true).len(), before);
}

/// A service with a replica here, which carries everything, and ten in west.
fn idle(number: u32) -> Service {
    let listed = |address: Ipv4Addr, cluster: &str| Backend {
        backend: BackendRef { address: address.into(), port: 80, protocol: Protocol::Tcp },
        locality: Locality { cluster: Some(cluster.into()), ..Locality::default() },
        weight: 1,
        rank: Rank::default(),
    };
    let there = (0..10).map(|other| listed((0x0a02_0000 + number * 10 + other).into(), "west"));
    let here = listed((0x0a01_0000 + number).into(), "home");
    let members = |cluster: &str| Members::Named {
        zones: Vec::new(),
        regions: Vec::new(),
        clusters: vec![cluster.into()],
    };
    let tiers = ["home", "west"].map(|it| TierRule { name: it.into(), members: members(it) });
    let address = Ipv4Addr::from(0x0a60_0000 + number).into();
    Service {
        name: ServiceRef(format!("team-{}/web-{number}", number % 50).into()),
        frontends: vec![Frontend { address, port: 80, protocol: Protocol::Tcp }],
        virtual_addresses: Vec::new(),
        affinity_seconds: None,
        also_served: false,
        unreachable: false,
        backends: std::iter::once(here).chain(there).collect(),
        policy: Policy { probe: Some(Probe::default()), tiers: tiers.into(), ..Policy::default() },
    }
}

fn at_rest(cluster: &str, rank: u64) -> ProbeOrder {
    at_rest_of("shop", cluster, rank)
}

fn at_rest_of(owner: &str, cluster: &str, rank: u64) -> ProbeOrder {
    let rest = Some(AtRest { cluster: cluster.into(), owner: owner.into(), rank });
    ProbeOrder { rest, ..order(&[owner], &PROBE, 0) }
}

fn is_west(backend: &BackendRef) -> bool {
    backend.address.to_string().starts_with("10.2.")
}

/// When those were asked, in order.
fn begins(world: &Simulation, which: impl Fn(&BackendRef) -> bool) -> Vec<Instant> {
    let asked = world.begins.iter().filter(|(backend, _)| which(backend));
    let mut begins: Vec<Instant> = asked.flat_map(|(_, begins)| begins.iter().copied()).collect();
    begins.sort_unstable();
    begins
}
