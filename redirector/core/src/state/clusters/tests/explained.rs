//! What operators are told of other clusters, and what they can suppose.

use super::*;

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
