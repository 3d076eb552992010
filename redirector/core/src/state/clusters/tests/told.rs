//! Of clusters that the importer does not hear: who of them is out, and how they come back.

use super::*;

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
