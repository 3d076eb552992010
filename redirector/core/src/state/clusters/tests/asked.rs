//! Who of a cluster is asked, who cannot be, and who is asked rarely.

use super::*;

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
    let told = world.state.explain(&ServiceRef("a/dns".into()), Moment(world.now));
    let told = told.expect("it is there").clusters[0].clone();
    assert_eq!((told.backends, told.unaskable, told.healthy), (9, 9, 9));
    world.tell(&[("west", Lost, KeepReachable)]);
    assert_eq!(world.out().len(), 9);
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
