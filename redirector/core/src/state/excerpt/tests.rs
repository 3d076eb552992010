//! What an excerpt says, held against what the whole state says.

use super::*;
use crate::{
    input::{ClientId, Input, KernelEvent, Moment, ProbeFailure, Transition, Verb},
    service::{Failback, Locality, Members, TierRule},
    state::tests::service,
};

#[test]
fn an_excerpt_explains_its_services_as_the_whole_does_also_if_some_are_dead() {
    let state = state();
    let names: Vec<ServiceRef> = state.services().map(|service| service.name.clone()).collect();
    let dead = [Drained::Zone("a".into()), Drained::Backend(backend(5))];
    let meant = state.meant(&dead);
    let whole = state.clone().with_dead(&meant);
    for name in &names {
        let excerpt = state.excerpt(std::slice::from_ref(name));
        assert_eq!(excerpt.explain(name, at(9)), state.explain(name, at(9)), "{name}");
        let told = excerpt.with_dead(&meant).explain(name, at(9));
        assert_eq!(told, whole.explain(name, at(9)), "{name}, some dead");
    }
    assert_eq!(state.excerpt(&names[..1]).services().count(), 2, "itself, and that of its tier");
}

#[test]
fn what_an_order_would_do_is_tried_on_an_excerpt_also_if_its_service_is_gone() {
    let mut state = state();
    let [a, b] = ["a", "b"].map(|name| ServiceRef(name.into()));
    let force = |service: &ServiceRef, tier: &str| Verb::Force {
        service: service.clone(),
        tier: tier.into(),
    };
    for (order, is_possible) in [
        (force(&a, "b"), true),
        (force(&a, "nosuch"), false),
        (Verb::Failback { service: b.clone() }, true),
        (Verb::Failback { service: ServiceRef("nosuch".into()) }, false),
    ] {
        let mut excerpt = state.excerpt(&[a.clone(), b.clone()]);
        let happened = excerpt.apply(Input::Operator(order.clone()), at(7));
        let is_refused = happened.iter().any(|it| matches!(it, Transition::Rejected { .. }));
        assert_eq!(is_refused, !is_possible, "{order}");
    }
    state.apply(Input::Operator(force(&a, "b")), at(7));
    state.apply(Input::Remove(a.clone()), at(8));
    let failback = Verb::Failback { service: a.clone() };
    let happened = state.excerpt(&[a]).apply(Input::Operator(failback.clone()), at(9));
    assert_eq!(happened, [Transition::Ordered(failback)]);
}

#[test]
fn many_services_are_copied_a_few_backends_at_a_time() {
    const LISTED: usize = 100;
    let service = |number: u8| {
        let backends: Vec<String> = (0..20).map(|of| format!("10.1.{number}.{of}")).collect();
        let backends: Vec<&str> = backends.iter().map(String::as_str).collect();
        service(&format!("s{number}"), &format!("10.96.0.{number}"), &backends)
    };
    let mut state = State::new();
    state.apply(Input::Replace((0..=255).map(service).collect()), at(0));
    let names: Vec<ServiceRef> = state.services().map(|service| service.name.clone()).collect();
    let mut left = &names[..];
    while !left.is_empty() {
        let (excerpt, count) = state.first_excerpt(left, LISTED);
        let listed = excerpt.services().map(|service| service.backends.len()).sum::<usize>();
        assert!(listed < LISTED + 20, "{listed} backends at a time");
        let (first, others) = left.split_at(count);
        assert!(first.iter().all(|name| excerpt.explain(name, at(0)).is_some()));
        left = others;
    }
    assert_eq!(names.len(), 256);
}

#[test]
fn what_is_named_is_meant_wherever_it_is_listed() {
    let state = state();
    assert_eq!(state.meant(&[Drained::Zone("a".into())]), [backend(1), backend(2)].into());
    assert_eq!(state.meant(&[Drained::Node("nosuch".into())]), BTreeSet::new());
}

/// `a` has a tier of `b`; `c` lists a backend of `a` in another zone. One backend is ejected, one
/// is suspected, one is drained, and a tier waits for its fail-back.
fn state() -> State {
    let mut a = service("a", "10.96.0.1", &["10.1.0.1", "10.1.0.2", "10.1.0.3"]);
    a.backends[1].locality = zone("a");
    let rule = |name: &str, members| TierRule { name: name.into(), members };
    let (zones, regions, clusters) = (vec!["a".into()], Vec::new(), Vec::new());
    let of_b = Members::Service(ServiceRef("b".into()));
    a.policy.tiers =
        vec![rule("near", Members::Named { zones, regions, clusters }), rule("b", of_b)];
    a.policy.failback = Some(Failback::default());
    let b = service("b", "10.96.0.2", &["10.1.0.4", "10.1.0.5"]);
    let mut c = service("c", "10.96.0.3", &["10.1.0.1", "10.1.0.6"]);
    c.backends[0].locality = zone("a");
    let mut state = State::new();
    state.apply(Input::Replace(vec![a, b, c]), at(0));
    let probed = |number, outcome| Input::Probed { backend: backend(number), outcome };
    for number in 1..=6 {
        state.apply(probed(number, Ok(())), at(1));
    }
    for _ in 0..3 {
        state.apply(probed(2, Err(ProbeFailure::TimedOut)), at(2));
    }
    for _ in 0..3 {
        state.apply(probed(2, Ok(())), at(3));
    }
    for _ in 0..3 {
        state.apply(probed(6, Err(ProbeFailure::TimedOut)), at(4));
    }
    let client = ClientId { cgroup: 7, netns: 9 };
    let event = KernelEvent::Avoided { refused: true, client };
    state.apply(Input::Kernel { backend: backend(4), event }, at(5));
    let drain = Verb::Drain(Drained::Backend(backend(5)));
    state.apply(Input::Operator(drain), at(6));
    let explained = state.explain(&ServiceRef("a".into()), at(6)).expect("it is there");
    assert!(explained.families[0].tiers[0].hold.is_some(), "{explained:#?}");
    state
}

fn zone(zone: &str) -> Locality {
    Locality { zone: Some(zone.into()), ..Locality::default() }
}

fn backend(number: u8) -> BackendRef {
    format!("10.1.0.{number}:80").parse().expect("a backend")
}

fn at(seconds: u64) -> Moment {
    Moment(std::time::Duration::from_secs(seconds))
}
