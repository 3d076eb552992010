//! An owner with many backends takes neither samples nor turns at rest from the others.

use super::*;

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
