//! What a new agent makes of clusters that an earlier one has left out.

use super::*;

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
            let mut again = world.without_state();
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
fn a_restart_after_this_node_has_found_out_by_itself_changes_nothing() {
    for is_relisted in [false, true] {
        let mut again = cut().restarted(World::service(30 + usize::from(is_relisted), "a/web", 0));
        let all = 30 + usize::from(is_relisted);
        assert_eq!(again.out().len(), all, "one that came meanwhile shares their fate");
        for _ in 0..60 {
            again.pass(1);
            assert_eq!(again.out().len(), all);
            assert!(again.state.probes().keys().filter(|it| is_west(it)).count() <= 20);
        }
        assert_eq!(again.events(), [], "an earlier agent has told");
        // One node that answers speaks for itself: 10.2.0.1 to 10.2.0.4 are on n0.
        (1..=4).for_each(|last| again.heal(&format!("10.2.0.{last}")));
        again.pass(10);
        assert!((all - 4..all).contains(&again.out().len()), "{:?}", again.out());
        again.heal("10.2.");
        let healed = again.now;
        while !again.out().is_empty() {
            again.step();
            assert!(again.now <= healed + Duration::from_secs(3), "{:?}", again.out());
        }
        assert_eq!(again.events(), [("west", ClusterEvent::Reachable)]);
    }
}

#[test]
fn what_the_importer_says_after_a_restart_counts() {
    for (phase, out) in [(Lost, 30), (Silent, 30), (Live, 30)] {
        let mut again = cut().restarted(World::service(30, "a/web", 0));
        again.tell(&[("west", phase, KeepReachable)]);
        again.pass(5);
        assert_eq!(again.out().len(), out, "{phase:?}");
        again.heal("10.2.");
        again.pass(5);
        assert_eq!(again.out().is_empty(), phase != Lost, "{phase:?}: {:?}", again.out());
    }
}

#[test]
fn where_one_was_well_the_others_had_failed_by_themselves() {
    let mut world = cut();
    world.lift(west(0, 30));
    let mut again = world.restarted(World::service(30, "a/web", 0));
    (1..=8).for_each(|last| again.heal(&format!("10.2.0.{last}")));
    again.pass(10);
    let healed = (1..=8).map(|last| west(0, last)).chain([west(0, 30)]);
    let healed: BTreeSet<BackendRef> = healed.collect();
    assert!(healed.is_disjoint(&again.out()), "{:?}", again.out());
    assert_eq!(again.out().len(), 30 - 9, "two nodes that answer speak for no other");
}

#[test]
fn who_refuses_after_a_restart_does_not_come_back_with_those_that_answer() {
    let mut again = cut().restarted(World::service(12, "a/web", 0));
    again.refuses = true;
    again.pass(5);
    assert_eq!(again.out().len(), 12);
    // On two nodes.
    ["10.2.0.1", "10.2.0.5"].iter().for_each(|address| again.heal(address));
    for _ in 0..20 {
        again.pass(1);
        assert!(again.out().len() >= 10, "{:?}", again.out());
    }
    assert_eq!(again.out().len(), 10);
    again.heal("10.2.");
    again.pass(5);
    assert!(again.out().is_empty(), "{:?}", again.out());
}

/// A world whose node has found out by itself that west is cut off.
fn cut() -> World {
    let mut world = World::new(30);
    world.pass(60);
    world.kill("10.2.");
    world.pass(10);
    assert_eq!(world.out().len(), 30);
    world
}

impl World {
    fn without_state(self) -> Self {
        let (state, next, ends) = (State::new(), BTreeMap::new(), BTreeSet::new());
        Self { state, next, ends, happened: Vec::new(), ..self }
    }

    /// With a new agent, which finds the maps as the one before has left them and this service alone.
    fn restarted(self, service: Service) -> Self {
        let tables = self.state.tables();
        let listed = tables.services.values().flat_map(|of| {
            let entries = of.v4.tiers.iter().flat_map(|tier| &tier.entries);
            entries.map(|entry| (of.frontends[0], entry.backend))
        });
        let listed = listed.collect();
        let found = tables.objections.keys();
        let found = found.map(|backend| (*backend, HealthByte::Prober, 1)).collect();
        let mut again = self.without_state();
        again.apply(Input::Adopted(listed));
        again.apply(Input::Restore(found));
        again.apply(Input::Node(here()));
        again.apply(Input::Replace(vec![service]));
        again
    }

    /// The maps say nothing against a backend.
    fn lift(&mut self, backend: BackendRef) {
        self.state.tables.objections.remove(&backend);
    }
}
