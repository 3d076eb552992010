//! What a node finds out of clusters by itself, and what is not enough for that.

use super::*;

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
    // Nor where no backend of the own cluster is probed.
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
