//! What a state makes of clusters that are silent, or seem to be: with a prober in virtual time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use redirector_common::HealthByte;

use crate::{
    by_name::{self, backend},
    input::{ClusterEvent, Input, Moment, Network, ProbeFailure, Transition},
    remote_cluster::{
        ClusterPhase::{self, Live, Lost, Silent},
        OnSilence::{self, Drop, KeepReachable},
        RemoteCluster,
    },
    service::{
        Backend, BackendRef, Failback, Locality, Members, OnBackendLost, Probe, Protocol, Service,
        ServiceRef, TierRule,
    },
    state::{State, compile},
};

const STEP: Duration = Duration::from_millis(20);
const ANSWERS: Duration = Duration::from_millis(20);

#[test]
fn of_a_dead_cluster_that_is_said_to_be_silent_all_are_out_in_a_second() {
    let mut world = World::new(30);
    world.pass(20);
    assert!(world.out().is_empty());
    world.kill("10.2.");
    world.tell(&[("west", Silent, KeepReachable)]);
    assert_eq!(world.events(), [("west", ClusterEvent::Silent { out: 0 })]);
    let told = world.now;
    while world.out().len() < 30 {
        world.step();
        assert!(world.now <= told + Duration::from_millis(1_100), "{} out", world.out().len());
    }
    let [_, (_, ClusterEvent::Unreachable { is_told: true, out })] = world.events()[..] else {
        panic!("{:?}", world.events());
    };
    assert!(out >= 25, "{out} at once");
    // People hear of the cluster, not of each.
    let by_themselves = world.count(|it| matches!(it, Transition::Ejected { .. }));
    assert!(by_themselves + out <= 30, "{by_themselves} and {out}");
    assert_eq!(world.load("far"), 0);
    assert_eq!(world.load("here"), 100);
}

#[test]
fn of_a_cluster_of_which_only_the_importer_hears_nothing_none_is_out() {
    let mut world = World::new(30);
    world.pass(20);
    world.tell(&[("west", Silent, KeepReachable)]);
    for _ in 0..600 {
        world.pass(1);
        assert_eq!(world.out(), BTreeSet::new(), "at {:?}", world.now);
    }
    assert_eq!(world.events(), [("west", ClusterEvent::Silent { out: 0 })]);
    assert!(world.asked >= 600 * 15, "{} probes", world.asked);
    world.tell(&[("west", Lost, KeepReachable)]);
    assert_eq!(world.out().len(), 30, "keepFor is over");
    world.tell(&[("west", Live, KeepReachable)]);
    assert!(world.out().is_empty());
    let events = &world.events()[1..];
    assert_eq!(events, [("west", ClusterEvent::Lost { out: 30 }), ("west", ClusterEvent::Live)]);
}

#[test]
fn while_some_answer_those_are_out_that_do_not_and_all_once_none_does() {
    let mut world = World::new(40);
    world.pass(20);
    let gone: Vec<&str> = vec!["10.2.0.3", "10.2.0.17", "10.2.0.33"];
    gone.iter().for_each(|address| world.kill(address));
    world.tell(&[("west", Silent, KeepReachable)]);
    world.pass(5);
    let expected: BTreeSet<BackendRef> = gone.iter().map(|address| backend(address)).collect();
    assert_eq!(world.out(), expected);
    world.heal("10.2.0.17");
    world.pass(5);
    assert!(!world.out().contains(&backend("10.2.0.17")), "what answers is in again");

    world.kill("10.2.");
    let cut = world.now;
    while world.out().len() < 40 {
        world.step();
        assert!(world.now <= cut + Duration::from_secs(5), "{} out", world.out().len());
    }
    // Answers end it, before the importer says so.
    world.heal("10.2.");
    let healed = world.now;
    while !world.out().is_empty() {
        world.step();
        assert!(world.now <= healed + Duration::from_secs(3), "{:?}", world.out());
    }
    assert_eq!(world.events().last(), Some(&("west", ClusterEvent::Reachable)));
}

#[test]
fn a_cluster_to_be_dropped_when_it_is_silent_or_lost_is_out_at_once_and_is_not_asked() {
    for (phase, on_silence) in [(Silent, Drop), (Lost, KeepReachable), (Lost, Drop)] {
        let mut world = World::new(30);
        world.pass(20);
        world.tell(&[("west", phase, on_silence)]);
        assert_eq!(world.out().len(), 30);
        let is_asked = world.state.probes().into_keys().any(|it| is_west(&it));
        assert!(!is_asked, "no answer of them would count");
        world.pass(30);
        assert_eq!(world.out().len(), 30, "though they answer");
        // Guilty until proven alive, also when they may be kept after all.
        world.tell(&[("west", Silent, KeepReachable)]);
        assert_eq!(world.out().len(), 30);
        world.pass(3);
        assert!(world.out().is_empty());
    }
}

#[test]
fn back_to_life_is_a_fail_back_with_its_hold_down_and_ramp() {
    let mut world = World::with(30, |service| {
        service.policy.failback = Some(Failback::default());
        service.policy.tiers.reverse();
    });
    world.pass(10);
    assert_eq!(world.load("far"), 100, "west is the first tier");
    world.tell(&[("west", Lost, KeepReachable)]);
    assert_eq!((world.load("far"), world.load("here")), (0, 100));
    world.pass(1);
    world.tell(&[("west", Live, KeepReachable)]);
    assert!(world.out().is_empty());
    assert_eq!(world.load("far"), 0, "hold-down");
    world.pass(60);
    assert_eq!(world.load("far"), 100);
}

#[test]
fn a_node_finds_out_by_itself_though_nobody_has_dialled_the_cluster() {
    for count in [4, 30, 200] {
        for seed in 0..10 {
            let mut world = World::new(count);
            world.pass(60 + seed);
            assert!(world.out().is_empty());
            (0..seed).for_each(|_| world.step());
            world.kill("10.2.");
            let cut = world.now;
            while world.out().len() < count {
                world.step();
                let took = world.now - cut;
                assert!(took <= Duration::from_secs(5), "{count}: {} out", world.out().len());
            }
            let seen = world.events();
            let [(_, ClusterEvent::Unreachable { is_told: false, .. })] = seen[..] else {
                panic!("{seen:?}");
            };
            assert!(!world.is_suspect());
            world.heal("10.2.");
            let healed = world.now;
            while !world.out().is_empty() {
                world.step();
                assert!(world.now <= healed + Duration::from_secs(5), "{:?}", world.out());
            }
            assert_eq!(world.events().last(), Some(&("west", ClusterEvent::Reachable)));
        }
    }
}

#[test]
fn one_node_that_is_dead_or_one_that_lives_is_no_dead_cluster() {
    let mut world = World::new(40);
    world.pass(60);
    // 10.2.0.1 to 10.2.0.4 are on n0.
    (1..=4).for_each(|last| world.kill(&format!("10.2.0.{last}")));
    world.pass(60);
    let unreachable = |it: &Transition| matches!(it, Transition::Cluster { .. });
    assert_eq!(world.count(unreachable), 0);
    world.kill("10.2.");
    world.heal("10.2.0.40");
    world.pass(60);
    assert!(!world.out().contains(&backend("10.2.0.40")), "it answers");
}

#[test]
fn what_is_dead_for_long_costs_its_cluster_no_samples() {
    let mut world = World::new(100);
    world.pass(120);
    world.kill("10.2.0.9");
    world.kill("10.2.0.10");
    world.pass(240);
    assert_eq!(world.out().len(), 2);
    let before = world.asked;
    world.pass(60);
    // One a second in turn, and those two.
    assert!(world.asked - before <= 4 * 60, "{} probes", world.asked - before);
}

#[test]
fn witnesses_that_are_asked_rarely_are_asked_when_it_matters() {
    let mut world = World::with(40, |service| {
        let probe = service.policy.probe.as_mut().expect("it has one");
        probe.interval_ms = 1_800_000;
    });
    world.pass(120);
    world.kill("10.2.");
    let cut = world.now;
    while world.out().len() < 40 {
        world.step();
        assert!(world.now <= cut + Duration::from_secs(6), "{} out", world.out().len());
    }
}

#[test]
fn who_is_alone_on_a_node_is_lost_after_five_failures() {
    let mut world = World::with(8, |service| {
        for listed in service.backends.iter_mut().filter(|it| is_west(&it.backend)) {
            listed.locality.node = Some("only".into());
        }
    });
    world.pass(30);
    world.kill("10.2.");
    let cut = world.now;
    while world.out().len() < 8 {
        world.step();
        assert!(world.now <= cut + Duration::from_secs(5), "{} out", world.out().len());
    }
    world.heal("10.2.0.1");
    world.pass(5);
    assert!(world.events().contains(&("west", ClusterEvent::Reachable)), "there is no other node");
}

#[test]
fn without_a_witness_elsewhere_it_may_be_this_node_and_nothing_follows() {
    let mut world = World::new(30);
    world.pass(30);
    world.kill("10.");
    world.pass(3);
    let before = world.events().len();
    world.pass(120);
    assert!(world.events().len() == before, "{:?}", world.events());
    assert!(world.is_suspect());
}

#[test]
fn that_another_cluster_is_silent_makes_no_node_suspect_itself() {
    let mut world = World::new(30);
    world.pass(30);
    world.kill("10.2.");
    world.tell(&[("west", Silent, KeepReachable)]);
    for _ in 0..120 {
        world.pass(1);
        assert!(!world.is_suspect());
    }
    // Nor where nobody of the own cluster is probed.
    let mut world = World::with(30, |service| {
        service.backends.retain(|listed| is_west(&listed.backend));
    });
    world.pass(60);
    world.kill("10.2.");
    for _ in 0..120 {
        world.pass(1);
        assert!(!world.is_suspect());
    }
}

#[test]
fn one_owners_dead_backends_on_all_nodes_of_a_cluster_take_out_no_other_owners() {
    let mut world = World::new(12);
    let mut other = World::service(8, "b/web", 2);
    other.backends.retain(|listed| is_west(&listed.backend));
    world.apply(Input::Put(other));
    world.pass(120);
    let of_a = "10.2.0.";
    world.kill(of_a);
    world.pass(120);
    let b: Vec<BackendRef> = world.out().into_iter().filter(|it| !is_of(it, of_a)).collect();
    assert_eq!(b, []);
    let unreachable = |it: &Transition| matches!(it, Transition::Cluster { .. });
    assert_eq!(world.count(unreachable), 0, "{:?}", world.events());
}

#[test]
fn who_comes_later_shares_the_fate_of_its_cluster_in_any_order() {
    for (phase, on_silence) in [(Silent, Drop), (Lost, KeepReachable)] {
        let told = told(&[("west", phase, on_silence)]);
        let inputs = [told.clone(), Input::Put(World::service(30, "a/web", 0))];
        let mut tables = Vec::new();
        for order in [[0, 1], [1, 0]] {
            let mut state = State::new();
            state.apply(Input::Node(here()), Moment::default());
            state.apply(Input::Replace(Vec::new()), Moment::default());
            for number in order {
                state.apply(inputs[number].clone(), Moment::default());
            }
            tables.push(state.tables().clone());
        }
        assert_eq!(tables[0], tables[1]);
        assert_eq!(tables[0].objections.len(), 30);
    }
    // One that is asked is out as a whole for the late ones, too.
    let mut world = World::new(30);
    world.pass(10);
    world.kill("10.2.");
    world.tell(&[("west", Silent, KeepReachable)]);
    world.pass(3);
    world.apply(Input::Put(World::service(40, "a/web", 0)));
    assert_eq!(world.out().len(), 40);
    let mut moved = World::service(40, "a/web", 0);
    for listed in &mut moved.backends {
        listed.locality.cluster = None;
    }
    world.apply(Input::Put(moved));
    assert!(world.out().len() < 25, "they are of another cluster: {} are out", world.out().len());
}

#[test]
fn what_cannot_be_asked_shares_the_fate_of_what_can() {
    let mut world = World::new(30);
    let mut udp = World::service(9, "a/dns", 1);
    udp.frontends.iter_mut().for_each(|frontend| frontend.protocol = Protocol::Udp);
    for listed in &mut udp.backends {
        listed.backend.protocol = Protocol::Udp;
    }
    udp.policy.on_backend_lost = OnBackendLost::Reset;
    world.apply(Input::Put(udp.clone()));
    world.pass(10);
    world.kill("10.2.");
    world.tell(&[("west", Silent, KeepReachable)]);
    world.pass(3);
    assert_eq!(world.out().len(), 39);
    assert!(world.resets >= 9, "{} of UDP alone", world.resets);

    // Alone it is not known how they are.
    let mut world = World::with(0, |service| *service = udp.clone());
    world.tell(&[("west", Silent, KeepReachable)]);
    world.pass(10);
    assert!(world.out().is_empty());
    world.tell(&[("west", Lost, KeepReachable)]);
    assert_eq!(world.out().len(), 9);
}

#[test]
fn a_restart_while_a_cluster_is_silent_changes_nothing() {
    let service = World::service(30, "a/web", 0);
    for is_told_first in [false, true] {
        for phase in [Silent, Lost] {
            let mut world = World::new(30);
            world.pass(20);
            world.kill("10.2.");
            world.tell(&[("west", phase, KeepReachable)]);
            world.pass(20);
            let before = world.state.tables().clone();
            let found = before.objections.keys();
            let found = found.map(|backend| (*backend, HealthByte::Prober, 1)).collect();
            let (state, next, ends) = (State::new(), BTreeMap::new(), BTreeSet::new());
            let mut again = World { state, next, ends, ..world };
            let told = told(&[("west", phase, KeepReachable)]);
            let mut inputs = vec![Input::Replace(vec![service.clone()]), told];
            if is_told_first {
                inputs.reverse();
            }
            again.apply(Input::Restore(found));
            again.apply(Input::Node(here()));
            inputs.into_iter().for_each(|input| again.apply(input));
            assert_eq!(again.state.tables().objections, before.objections);
            for _ in 0..60 {
                again.pass(1);
                assert_eq!(again.out().len(), 30);
            }
            // They return together, not one by one.
            again.heal("10.2.");
            again.tell(&[("west", Live, KeepReachable)]);
            assert!(again.out().is_empty(), "{phase:?}: {:?}", again.out());
        }
    }
}

#[test]
fn nodes_and_zones_of_one_name_in_another_cluster_are_not_touched() {
    let mut world = World::new(30);
    world.pass(30);
    world.tell(&[("west", Lost, KeepReachable)]);
    let own = |world: &World| world.out().into_iter().filter(|it| !is_west(it)).count();
    assert_eq!((world.out().len(), own(&world)), (30, 0), "n0 to n9 are in both");
    world.tell(&[("east", Lost, KeepReachable), ("west", Live, KeepReachable)]);
    assert_eq!(world.out().len(), 0);
    world.tell(&[("home", Lost, KeepReachable), ("west", Live, KeepReachable)]);
    assert_eq!(world.out().len(), 0, "nobody says of the own one that it is lost");
}

#[test]
fn who_is_used_is_asked_first_and_many_nodes_ask_fewer_each() {
    let mut world = World::new(200);
    let used: Vec<(BackendRef, Network)> =
        (150..160).map(|last| (west(0, last), Network::OfSystem)).collect();
    world.apply(Input::Used(used.clone()));
    world.tell(&[("west", Silent, KeepReachable)]);
    let asked: BTreeSet<BackendRef> =
        world.state.clusters.asked().map(|(backend, _)| *backend).collect();
    assert_eq!(asked.len(), 20);
    assert!(used.iter().all(|(backend, _)| asked.contains(backend)));
    let nodes: BTreeSet<_> = asked.iter().map(|it| world.state.nodes.of(it)).collect();
    assert!(nodes.len() >= 4, "{nodes:?}");
    let orders = world.state.probes();
    assert!(asked.iter().all(|it| orders[it].urgency > 0 && orders[it].probe.timeout_ms == 500));

    // 5,000 nodes of the own cluster: 10 each.
    let mut world = World::with(200, |service| {
        let home = service.backends[0].clone();
        service.backends.retain(|listed| is_west(&listed.backend));
        service.backends.extend((0..5_000_u32).map(|number| {
            let mut listed = home.clone();
            listed.backend.address = std::net::Ipv4Addr::from(0x0a09_0000 + number).into();
            listed.locality.node = Some(format!("n{number}").into());
            listed
        }));
    });
    world.tell(&[("west", Silent, KeepReachable)]);
    assert_eq!(world.state.clusters.asked().count(), 10);
}

#[test]
fn while_this_node_suspects_its_own_network_no_cluster_is_judged() {
    let mut world = World::new(30);
    world.pass(30);
    world.kill("10.");
    while !world.is_suspect() {
        world.step();
        assert!(world.now < Duration::from_mins(2));
    }
    let before = world.out().into_iter().filter(is_west).count();
    world.tell(&[("west", Silent, KeepReachable)]);
    world.pass(30);
    assert_eq!(world.out().into_iter().filter(is_west).count(), before);
    world.heal("10.");
    world.pass(30);
    assert!(world.out().is_empty() && !world.is_suspect(), "{:?}", world.out());
}

#[test]
fn at_rest_are_backends_elsewhere_that_nothing_depends_on() {
    let mut world = World::new(30);
    world.pass(1);
    let is_at_rest = |world: &World, it: &BackendRef| {
        let is_so = world.state.probes().get(it).is_some_and(|order| order.rest.is_some());
        let said = world.state.resting(&ServiceRef("a/web".into())).contains(it);
        assert_eq!(is_so, said, "{it}");
        is_so
    };
    assert!(is_at_rest(&world, &west(0, 7)) && !is_at_rest(&world, &backend("10.1.0.1")));
    let rest = world.state.probes()[&west(0, 7)].rest.clone().expect("it is at rest");
    assert_eq!(&*rest.cluster, "west");
    world.apply(Input::Used(vec![(west(0, 7), Network::OfProcess)]));
    assert!(!is_at_rest(&world, &west(0, 7)) && is_at_rest(&world, &west(0, 8)));
    // Its own cluster is dead for it: the tier of west carries load, and is probed as any other.
    world.kill("10.1.");
    world.pass(10);
    assert_eq!(world.load("far"), 100);
    assert!(!is_at_rest(&world, &west(0, 8)));
}

#[test]
fn each_other_cluster_is_explained() {
    let name = ServiceRef("a/web".into());
    let mut world = World::new(30);
    world.pass(20);
    let elsewhere = |world: &World| {
        let now = Moment(world.now);
        let told = world.state.explain(&name, now).expect("it is there");
        // An excerpt says the same.
        let excerpt = world.state.excerpt(std::slice::from_ref(&name));
        assert_eq!(excerpt.explain(&name, now), Some(told.clone()));
        assert_eq!(told.clusters.len(), 1);
        let it = &told.clusters[0];
        assert_eq!((&*it.cluster, it.backends), ("west", 30));
        (it.phase.clone(), it.is_unreachable, it.healthy, it.at_rest)
    };
    assert_eq!(elsewhere(&world), (None, false, 30, 30));
    world.apply(Input::Used(vec![(west(0, 7), Network::OfSystem)]));
    world.tell(&[("west", Live, KeepReachable)]);
    assert_eq!(elsewhere(&world), (Some("Live".to_owned()), false, 30, 29));
    world.kill("10.2.");
    world.tell(&[("west", Silent, KeepReachable)]);
    world.pass(3);
    assert_eq!(elsewhere(&world), (Some("Silent".to_owned()), true, 0, 0));
    let far = world.state.explain(&name, Moment(world.now)).expect("it is there");
    let far = &far.families[0].tiers[1];
    assert_eq!(far.vacant.as_deref(), Some("cluster west is silent"));
    assert_eq!(&*far.backends[25].objections[0].why, "cluster west is silent");
}

#[test]
fn a_silence_is_supposed_as_probes_see_the_cluster() {
    for (on_silence, answers, out) in
        [(KeepReachable, true, 0), (KeepReachable, false, 30), (Drop, true, 30)]
    {
        let mut world = World::new(30);
        if !answers {
            world.kill("10.2.");
        }
        world.pass(20);
        world.tell(&[("west", Live, on_silence)]);
        let seen = world.state.if_silent("west");
        assert_eq!((seen.is_answering, seen.backends.len()), (answers, 30));
        let supposed = seen.and(world.state.if_silent("west")).out();
        assert_eq!(supposed.len(), out, "{on_silence:?} {answers}");
        let then = world.state.excerpt(&[ServiceRef("a/web".into())]).with_silent(&supposed);
        let west = then.tables().objections.keys().filter(|it| is_west(it)).count();
        assert_eq!(west, out);
    }
    let world = World::new(30);
    assert!(world.state.if_silent("nosuch").backends.is_empty());
}

#[test]
fn what_another_service_needs_is_not_at_rest() {
    let mut world = World::new(8);
    let mut user = by_name::service("a/user", &["10.96.9.1"], &[""; 0]);
    let members = Members::Service(ServiceRef("a/web".into()));
    user.policy.tiers = vec![TierRule { name: "theirs".into(), members }];
    world.pass(1);
    let is_at_rest = |world: &World| world.state.probes()[&west(0, 3)].rest.is_some();
    assert!(is_at_rest(&world));
    world.apply(Input::Put(user));
    assert!(!is_at_rest(&world), "it is an equal in that tier");
    world.apply(Input::Remove(ServiceRef("a/user".into())));
    assert!(is_at_rest(&world));
}

#[test]
fn an_owner_who_lists_thousands_does_not_speak_for_a_cluster_alone() {
    let mut world = World::new(2);
    let owners = ["b", "c", "d", "e"];
    for (third, owner) in (1..).zip(owners) {
        world.apply(Input::Put(World::service(2, &format!("{owner}/web"), third)));
    }
    // Nothing answers there, and its neighbours' backends are among those that it lists.
    for third in 10..18 {
        let mut forged = World::service(250, &format!("m/web-{third}"), third);
        let neighbours = (1..).zip(owners).map(|(third, _)| west(third, 1));
        let listed = forged.backends[5].clone();
        forged.backends.extend(neighbours.map(|backend| Backend { backend, ..listed.clone() }));
        world.apply(Input::Put(forged));
    }
    world.kill("10.2.1");
    (1..5).for_each(|third| world.heal(&format!("10.2.{third}.")));
    world.tell(&[("west", Silent, KeepReachable)]);
    let asked: BTreeSet<BackendRef> =
        world.state.clusters.asked().map(|(backend, _)| *backend).collect();
    for third in 0..5 {
        let is_asked = (1..=2).any(|last| asked.contains(&west(third, last)));
        assert!(is_asked, "none of owner {third}: {asked:?}");
    }
    world.pass(5);
    let out: Vec<BackendRef> = world
        .out()
        .into_iter()
        .filter(|it| (0..5).any(|of| is_of(it, &format!("10.2.{of}."))))
        .collect();
    assert_eq!(out, []);
}

#[test]
fn each_owners_backends_at_rest_are_asked_however_many_another_lists() {
    for (many, few) in [("m", "s"), ("s", "m")] {
        let mut world = World::new(0);
        for third in 10..20 {
            let forged = World::service(250, &format!("{many}/web-{third}"), third);
            world.apply(Input::Put(forged));
        }
        world.apply(Input::Put(World::service(8, &format!("{few}/web"), 1)));
        let orders = world.state.probes();
        let resting = |third: u8| {
            let of = orders.iter().filter(|(it, _)| is_of(it, &format!("10.2.{third}.")));
            of.filter(|(_, order)| order.rest.as_ref().is_some_and(|rest| *rest.owner == *few))
                .count()
        };
        assert_eq!(resting(1), 8, "of {few}");
        let all = orders.values().filter(|order| order.rest.is_some()).count();
        assert_eq!(all, 2_048, "a choice of them is asked");
    }
}

/// The agent's node n0 in zone a of cluster home; a prober; and what answers it.
struct World {
    state: State,
    now: Duration,
    /// What addresses begin with that do not answer, and those that do all the same.
    dead: Vec<(String, bool)>,
    /// When each is asked next, and its urgency.
    next: BTreeMap<BackendRef, (Duration, u32)>,
    ends: BTreeSet<(Duration, BackendRef)>,
    /// When the next one at rest is asked, and after which.
    turn: (Duration, u64),
    happened: Vec<Transition>,
    asked: usize,
    resets: usize,
}

impl World {
    /// Two replicas here, and so many in west, four on a node; west's nodes and zones are called like
    /// those here.
    fn new(count: usize) -> Self {
        Self::with(count, |_| {})
    }

    fn with(count: usize, change: impl Fn(&mut Service)) -> Self {
        let mut world = Self {
            state: State::new(),
            now: Duration::ZERO,
            dead: Vec::new(),
            next: BTreeMap::new(),
            ends: BTreeSet::new(),
            turn: (Duration::ZERO, 0),
            happened: Vec::new(),
            asked: 0,
            resets: 0,
        };
        let mut service = Self::service(count, "a/web", 0);
        change(&mut service);
        world.apply(Input::Node(here()));
        world.apply(Input::Replace(vec![service]));
        world
    }

    fn service(count: usize, name: &str, third: u8) -> Service {
        let own = [1, 2].map(|last| format!("10.1.{third}.{last}"));
        let mut service = by_name::service(name, &[format!("10.96.{third}.1").as_str()], &own);
        for (listed, node) in service.backends.iter_mut().zip(["n1", "n2"]) {
            listed.locality = Locality { node: Some(node.into()), ..here() };
        }
        let there = (0..count).map(|number| {
            let mut listed = service.backends[0].clone();
            listed.backend = west(third, 1 + number);
            let node = format!("n{}", number / 4);
            let cluster = Some("west".into());
            listed.locality = Locality { node: Some(node.into()), cluster, ..here() };
            listed
        });
        let there: Vec<_> = there.collect();
        service.backends.extend(there);
        service.policy.probe = Some(Probe { healthy: 1, ..Probe::default() });
        let named = |cluster: &str| Members::Named {
            zones: Vec::new(),
            regions: Vec::new(),
            clusters: vec![cluster.into()],
        };
        let tier = |(name, members): (&str, Members)| TierRule { name: name.into(), members };
        service.policy.tiers = [("here", named("home")), ("far", named("west"))].map(tier).into();
        service
    }

    fn tell(&mut self, clusters: &[(&str, ClusterPhase, OnSilence)]) {
        self.apply(told(clusters));
    }

    fn kill(&mut self, prefix: &str) {
        self.dead.push((prefix.to_owned(), false));
    }

    fn heal(&mut self, prefix: &str) {
        self.dead.push((prefix.to_owned(), true));
    }

    fn answers(&self, backend: &BackendRef) -> bool {
        let last = self.dead.iter().rev().find(|(prefix, _)| is_of(backend, prefix));
        last.is_none_or(|(_, answers)| *answers)
    }

    fn apply(&mut self, input: Input) {
        let happened = self.state.apply(input, Moment(self.now));
        self.happened.extend(happened);
        let commands = self.state.take_commands();
        let is_reset = |it: &&crate::Command| matches!(it, crate::Command::Reset(_));
        self.resets += commands.iter().filter(is_reset).count();
    }

    fn pass(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        while self.now < end {
            self.step();
        }
        assert_eq!(*self.state.tables(), compile(&self.state), "as if from nothing");
    }

    fn step(&mut self) {
        self.now += STEP;
        while let Some((at, backend)) = self.ends.first().copied().filter(|it| it.0 <= self.now) {
            self.ends.remove(&(at, backend));
            let outcome = if self.answers(&backend) { Ok(()) } else { Err(ProbeFailure::TimedOut) };
            self.apply(Input::Probed { backend, outcome });
        }
        if self.state.next_deadline().is_some_and(|due| due <= Moment(self.now)) {
            self.apply(Input::Tick);
        }
        self.begin();
    }

    /// Asks what is due: urgent ones at once, others every interval, and of those at rest one a second.
    fn begin(&mut self) {
        let orders = self.state.probes();
        let mut at_rest = BTreeMap::new();
        for (backend, order) in &orders {
            let is_new = !self.next.contains_key(backend);
            let (next, urgency) = self.next.entry(*backend).or_insert((self.now, 0));
            let is_urgent = order.urgency != *urgency && order.urgency != 0;
            *urgency = order.urgency;
            if let Some(rest) = order.rest.as_ref().filter(|_| !is_urgent) {
                at_rest.insert(rest.rank, *backend);
            } else if is_urgent || !is_new && *next <= self.now {
                let interval = Duration::from_millis(order.probe.interval_ms.into());
                *next = self.now + interval;
                let timeout = Duration::from_millis(order.probe.timeout_ms.into());
                self.ask(*backend, timeout);
            }
        }
        self.next.retain(|backend, _| orders.contains_key(backend));
        if self.turn.0 <= self.now {
            let rest = at_rest.range(self.turn.1 + 1..).chain(&at_rest);
            let rest: Vec<(u64, BackendRef)> = rest.map(|(rank, it)| (*rank, *it)).collect();
            let due = |it: &&(u64, BackendRef)| {
                let next = self.next[&it.1].0;
                next <= self.now
            };
            if let Some((rank, backend)) = rest.iter().find(due).copied() {
                self.turn = (self.now + Duration::from_secs(1), rank);
                self.next.insert(backend, (self.now + Duration::from_secs(5), 0));
                self.ask(backend, Duration::from_millis(500));
            }
        }
    }

    fn ask(&mut self, backend: BackendRef, timeout: Duration) {
        self.asked += usize::from(is_west(&backend));
        let after = if self.answers(&backend) { ANSWERS } else { timeout };
        self.ends.insert((self.now + after, backend));
    }

    fn out(&self) -> BTreeSet<BackendRef> {
        self.state.tables().objections.keys().copied().collect()
    }

    fn load(&self, tier: &str) -> u8 {
        let table = &self.state.tables().services[&ServiceRef("a/web".into())].v4;
        let position = table.tiers.iter().position(|it| &*it.name == tier).expect("there is one");
        table.share(position)
    }

    fn events(&self) -> Vec<(&str, ClusterEvent)> {
        let events = self.happened.iter().filter_map(|it| match it {
            Transition::Cluster { cluster, event } => Some((&**cluster, *event)),
            _ => None,
        });
        events.collect()
    }

    fn count(&self, which: impl Fn(&Transition) -> bool) -> usize {
        self.happened.iter().filter(|it| which(it)).count()
    }

    fn is_suspect(&self) -> bool {
        self.state.nodes.is_suspect()
    }
}

fn here() -> Locality {
    let [node, zone, region, cluster] = ["n0", "a", "eu", "home"].map(|name| Some(Arc::from(name)));
    Locality { node, zone, region, cluster }
}

fn told(clusters: &[(&str, ClusterPhase, OnSilence)]) -> Input {
    let cluster = |(name, phase, on_silence): &(&str, ClusterPhase, OnSilence)| RemoteCluster {
        name: (*name).into(),
        phase: *phase,
        on_silence: *on_silence,
    };
    Input::RemoteClusters(clusters.iter().map(cluster).collect())
}

fn west(third: u8, last: usize) -> BackendRef {
    backend(&format!("10.2.{third}.{last}"))
}

fn is_of(backend: &BackendRef, prefix: &str) -> bool {
    let address = backend.address.to_string();
    if prefix.ends_with('.') { address.starts_with(prefix) } else { address == prefix }
}

fn is_west(backend: &BackendRef) -> bool {
    is_of(backend, "10.2.")
}
