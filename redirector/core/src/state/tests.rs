//! What a state makes of its inputs.

use std::{collections::BTreeMap, time::Duration};

use redirector_common::HealthByte;

use super::*;
pub(super) use crate::by_name::{backend, failure, refusal, success};
use crate::{
    by_name,
    input::{ClientId, KernelEvent},
    service::{Probe, ProbeKind, Protocol},
};

const NOW: Moment = Moment(Duration::ZERO);
pub(super) const PROBE: Probe = Probe {
    kind: ProbeKind::Tcp,
    port: None,
    interval_ms: 1_000,
    fast_interval_ms: 200,
    timeout_ms: 500,
    unhealthy: 2,
    healthy: 1,
};

#[test]
fn nothing_is_known_until_a_source_has_said_what_there_is() {
    let mut state = State::new();
    apply(&mut state, Input::Put(service("a", "10.96.0.1", &["10.1.0.1"])));
    assert!(!state.is_synced());
    assert!(!state.tables().synced);
    apply(&mut state, Input::Replace(vec![]));
    assert!(state.is_synced());
    assert_eq!(names(&state), [""; 0]);
}

#[test]
fn failing_probes_eject_and_the_next_tier_takes_over() {
    let mut state = in_zone_b();
    let mut cart = service("cart", "10.96.0.1", &["10.1.0.1", "10.1.0.2"]);
    cart.backends[0].locality.zone = Some("b".into());
    apply(&mut state, Input::Replace(vec![cart]));

    assert_eq!(apply(&mut state, success("10.1.0.1")), []);
    assert_eq!(apply(&mut state, failure("10.1.0.1")), []);
    let by = HealthByte::Prober;
    let ejected = Transition::Ejected { backend: backend("10.1.0.1"), by, why: "timed out".into() };
    let cart = ServiceRef("cart".into());
    let (zone, cluster) = (Some((0, "zone".into())), Some((1, "cluster".into())));
    let over = Transition::FailedOver { service: cart, from: zone.clone(), to: cluster.clone() };
    assert_eq!(apply(&mut state, failure("10.1.0.1")), [ejected, over.clone()]);
    assert!(state.is_ejected(&backend("10.1.0.1")));
    assert_eq!(apply(&mut state, failure("10.1.0.1")), []);

    let Transition::FailedOver { service, .. } = over else { unreachable!("made above") };
    let back = Transition::FailedOver { service, from: cluster, to: zone };
    let readmitted = Transition::Readmitted { backend: backend("10.1.0.1"), by };
    assert_eq!(apply(&mut state, success("10.1.0.1")), [readmitted, back]);
    assert!(!state.is_ejected(&backend("10.1.0.1")));
}

#[test]
fn an_ejection_counts_for_every_service_that_lists_the_backend() {
    let mut state = State::new();
    let list = [("a", "10.96.0.1"), ("b", "10.96.0.2")];
    let list = list.map(|(name, frontend)| service(name, frontend, &["10.1.0.1"]));
    apply(&mut state, Input::Replace(list.to_vec()));
    apply(&mut state, success("10.1.0.1"));
    apply(&mut state, failure("10.1.0.1"));
    let happened = apply(&mut state, failure("10.1.0.1"));
    let failed_over: Vec<&str> = happened
        .iter()
        .filter_map(|transition| match transition {
            Transition::FailedOver { service, to: None, .. } => Some(&*service.0),
            _ => None,
        })
        .collect();
    assert_eq!(failed_over, ["a", "b"]);
}

#[test]
fn a_backend_that_leaves_all_services_is_forgotten() {
    let mut state = State::new();
    let with = service("a", "10.96.0.1", &["10.1.0.1"]);
    apply(&mut state, Input::Replace(vec![with.clone()]));
    for probed in [success, failure, failure] {
        apply(&mut state, probed("10.1.0.1"));
    }
    assert!(state.is_ejected(&backend("10.1.0.1")));
    apply(&mut state, Input::Put(service("a", "10.96.0.1", &[])));
    assert!(!state.is_ejected(&backend("10.1.0.1")));
    apply(&mut state, Input::Put(with));
    assert!(!state.is_ejected(&backend("10.1.0.1")), "it starts anew");
}

#[test]
fn what_nobody_probes_any_more_is_readmitted() {
    let mut state = State::new();
    let mut a = service("a", "10.96.0.1", &["10.1.0.1"]);
    apply(&mut state, Input::Replace(vec![a.clone()]));
    for probed in [success, failure, failure] {
        apply(&mut state, probed("10.1.0.1"));
    }
    assert!(state.is_ejected(&backend("10.1.0.1")));
    a.policy.probe = None;
    let happened = apply(&mut state, Input::Put(a));
    let (backend, by) = (backend("10.1.0.1"), HealthByte::Prober);
    assert!(happened.contains(&Transition::Readmitted { backend, by }), "{happened:?}");
    assert_eq!(state.probes(), BTreeMap::new());
}

#[test]
fn ejections_survive_a_restart() {
    let mut state = State::new();
    let ejected = [("10.1.0.1", HealthByte::Prober), ("10.9.9.9", HealthByte::Prober)];
    let ejected = ejected.map(|(address, by)| (backend(address), by, 1));
    apply(&mut state, Input::Restore(ejected.to_vec()));
    assert_eq!(state.tables().objections.len(), 2, "until it is known who uses them");
    apply(&mut state, Input::Replace(vec![service("a", "10.96.0.1", &["10.1.0.1"])]));
    let objections: Vec<&BackendRef> = state.tables().objections.keys().collect();
    assert_eq!(objections, [&backend("10.1.0.1")]);
    assert!(!apply(&mut state, success("10.1.0.1")).is_empty(), "the next success re-admits");
}

#[test]
fn a_probe_knows_whether_a_verdict_holds_its_backend_back() {
    let mut state = State::new();
    let mut a = service("a", "10.96.0.1", &["10.1.0.1"]);
    a.policy.probe = Some(Probe { healthy: 2, ..PROBE });
    apply(&mut state, Input::Replace(vec![a]));
    let seen = [success, failure, failure, success, success].map(|probed| {
        apply(&mut state, probed("10.1.0.1"));
        state.probes()[&backend("10.1.0.1")].is_out
    });
    assert_eq!(seen, [false, false, true, true, false]);
}

#[test]
fn udp_backends_are_not_probed_and_shared_ones_once() {
    let mut state = State::new();
    let mut strict = service("a", "10.96.0.1", &["10.1.0.1"]);
    strict.policy.probe = Some(Probe { interval_ms: 200, ..PROBE });
    let mut udp = service("c", "10.96.0.3", &["10.1.0.3"]);
    udp.frontends[0].protocol = Protocol::Udp;
    udp.backends[0].backend.protocol = Protocol::Udp;
    let list = vec![strict, service("b", "10.96.0.2", &["10.1.0.1"]), udp];
    apply(&mut state, Input::Replace(list));
    let probes: Vec<(BackendRef, u32)> = state
        .probes()
        .into_iter()
        .map(|(backend, order)| (backend, order.probe.interval_ms))
        .collect();
    assert_eq!(probes, [(backend("10.1.0.1"), 200)]);
}

#[test]
fn a_probe_is_at_the_expense_of_those_who_list_the_backend() {
    let mut state = State::new();
    let list = vec![
        service("shop/a", "10.96.0.1", &["10.1.0.1", "10.1.0.2"]),
        service("shop-b/x", "10.96.0.2", &["10.1.0.1"]),
        service("shop/z", "10.96.0.3", &["10.1.0.1"]),
        service("plain", "10.96.0.4", &["10.1.0.3"]),
    ];
    apply(&mut state, Input::Replace(list));
    let owners = |state: &State, address: &str| -> Vec<String> {
        let order = &state.probes()[&backend(address)];
        order.owners.iter().map(ToString::to_string).collect()
    };
    assert_eq!(owners(&state, "10.1.0.1"), ["shop", "shop-b"]);
    assert_eq!(owners(&state, "10.1.0.2"), ["shop"]);
    assert_eq!(owners(&state, "10.1.0.3"), [""]);
    apply(&mut state, Input::Remove(ServiceRef("shop-b/x".into())));
    assert_eq!(owners(&state, "10.1.0.1"), ["shop"]);
    // A probe that is asked for because of what the kernel saw has its owners, too.
    let event = KernelEvent::Avoided { refused: true, client: ClientId::default() };
    apply(&mut state, Input::Kernel { backend: backend("10.1.0.2"), event });
    assert_eq!(owners(&state, "10.1.0.2"), ["shop"]);
}

#[test]
fn a_bad_version_is_refused_and_the_last_good_one_stays() {
    for (bad, why) in [
        (service("b", "10.96.0.1", &[]), "frontend 10.96.0.1:80/tcp belongs to a"),
        (
            service("b", "10.96.0.2", &["10.96.0.1"]),
            "backend 10.96.0.1:80/tcp is a frontend of a: connections would go in a circle",
        ),
        (
            service("b", "10.1.0.1", &[]),
            "frontend 10.1.0.1:80/tcp is a backend of a: connections would go in a circle",
        ),
        (
            service("b", "10.96.0.2", &["10.96.0.2"]),
            "backend 10.96.0.2:80/tcp is a frontend of b: connections would go in a circle",
        ),
        (
            service("b", "10.96.0.2", &["10.1.0.1", "10.1.0.1"]),
            "backend 10.1.0.1:80/tcp is listed twice",
        ),
        (
            service("b", "::ffff:10.96.0.2", &[]),
            "[::ffff:10.96.0.2]:80/tcp has port 0 or a v4-mapped address",
        ),
        (
            service("b", "64:ff9b::a9fe:a9fe", &[]),
            "[64:ff9b::a9fe:a9fe]:80/tcp is a cloud metadata address",
        ),
        (
            service("b", "10.96.0.2", &["192.0.0.192"]),
            "192.0.0.192:80/tcp is a cloud metadata address",
        ),
    ] {
        let mut state = State::new();
        let good = service("b", "10.96.0.2", &["10.1.0.2"]);
        let both = vec![service("a", "10.96.0.1", &["10.1.0.1"]), good.clone()];
        apply(&mut state, Input::Replace(both.clone()));
        let rejected = rejected("b", why);
        assert_eq!(apply(&mut state, Input::Put(bad.clone())), std::slice::from_ref(&rejected));
        assert_eq!(apply(&mut state, Input::Put(bad.clone())), [], "said once");
        assert!(state.services().eq(&both));
        apply(&mut state, Input::Put(good));
        let list = vec![bad, both[0].clone()];
        assert_eq!(apply(&mut state, Input::Replace(list)), [rejected]);
        assert!(state.services().eq(&both));
    }
}

#[test]
fn whoever_has_a_frontend_keeps_it_and_gives_way_to_the_next() {
    let mut state = State::new();
    let (a, b) = (service("a", "10.96.0.1", &[]), service("b", "10.96.0.1", &["10.1.0.1"]));
    apply(&mut state, Input::Replace(vec![b.clone()]));
    let taken = rejected("a", "frontend 10.96.0.1:80/tcp belongs to b");
    assert_eq!(apply(&mut state, Input::Replace(vec![a, b.clone()])), [taken]);
    assert_eq!(names(&state), ["b"], "though a comes before b");
    apply(&mut state, Input::Remove(b.name));
    assert_eq!(names(&state), ["a"], "what was refused is tried again");
}

#[test]
fn a_list_in_order_may_exchange_frontends() {
    let mut state = State::new();
    let list = |one: &str, other: &str| vec![service("a", one, &[]), service("b", other, &[])];
    apply(&mut state, Input::Replace(list("10.96.0.1", "10.96.0.2")));
    let exchanged = list("10.96.0.2", "10.96.0.1");
    assert_eq!(apply(&mut state, Input::Replace(exchanged.clone())), []);
    assert!(state.services().eq(&exchanged));
}

#[test]
fn a_change_is_judged_as_a_set_in_whatever_order_it_comes() {
    let b = |at: &str, backends: &[&str]| service("b", at, backends);
    let before = [service("a", "10.96.0.1", &["10.1.0.1"]), b("10.96.0.2", &["10.1.0.2"])];
    let after = [service("a", "10.96.0.2", &["10.1.0.2"]), b("10.96.0.1", &["10.1.0.1"])];
    for put in [after.to_vec(), after.iter().rev().cloned().collect()] {
        let mut state = State::new();
        apply(&mut state, Input::Replace(before.to_vec()));
        for input in [success("10.1.0.1"), failure("10.1.0.1"), failure("10.1.0.1")] {
            apply(&mut state, input);
        }
        apply(&mut state, Input::Change { put, remove: Vec::new() });
        assert!(state.services().eq(&after));
        assert!(state.is_ejected(&backend("10.1.0.1")), "it moved, and is as bad as before");
    }
    let mut state = State::new();
    apply(&mut state, Input::Replace(before.to_vec()));
    let heir = service("c", "10.96.0.1", &["10.96.0.2"]);
    let circle = "backend 10.96.0.2:80/tcp is a frontend of b: connections would go in a circle";
    let remove = vec![ServiceRef("a".into())];
    let happened = apply(&mut state, Input::Change { put: vec![heir.clone()], remove });
    assert_eq!(happened, [rejected("c", circle)]);
    assert_eq!(names(&state), ["b"], "what is gone is gone");
    let remove = vec![ServiceRef("b".into())];
    assert_eq!(apply(&mut state, Input::Change { put: vec![heir], remove }), []);
    assert_eq!(names(&state), ["c"]);
}

#[test]
fn what_is_wrong_with_a_third_service_is_no_reason_to_refuse_an_exchange() {
    let pair = |one: &str, other: &str| [service("a", one, &[]), service("b", other, &[])];
    let wrong = service("c", "10.96.0.3", &["10.96.0.3"]);
    let taken = service("d", "10.96.0.9", &[]);
    let (e, f) = (service("e", "10.96.0.8", &["10.1.0.1"]), service("f", "10.96.0.8", &[]));
    for third in [vec![wrong], vec![taken], vec![e.clone(), f]] {
        let mut state = State::new();
        let holder = service("z", "10.96.0.9", &[]);
        let before = [pair("10.96.0.1", "10.96.0.2").to_vec(), vec![holder]].concat();
        apply(&mut state, Input::Replace(before));
        let put = [pair("10.96.0.2", "10.96.0.1").to_vec(), third].concat();
        let happened = apply(&mut state, Input::Change { put, remove: Vec::new() });
        assert_eq!(happened.len(), 1, "{happened:?}");
        assert!(state.services().take(2).eq(&pair("10.96.0.2", "10.96.0.1")));
        assert!(state.service(&e.name).is_none_or(|it| *it == e), "the first name has it");
    }
}

fn in_zone_b() -> State {
    let mut state = State::new();
    let node = Locality { zone: Some("b".into()), ..Locality::default() };
    apply(&mut state, Input::Node(node));
    state
}

/// Applies, and checks what must hold after every input.
fn apply(state: &mut State, input: Input) -> Vec<Transition> {
    let happened = state.apply(input, NOW);
    assert_eq!(*state.tables(), compile(state));
    happened
}

pub(super) fn service(name: &str, at: &str, backends: &[&str]) -> Service {
    let mut service = by_name::service(name, &[at], backends);
    service.policy.probe = Some(PROBE);
    service
}

fn rejected(name: &str, why: &str) -> Transition {
    Transition::Rejected { object: ServiceRef(name.into()), why: why.into() }
}

fn names(state: &State) -> Vec<&str> {
    state.services().map(|service| &*service.name.0).collect()
}
