//! What kernel, probes and time make of a backend together.

use std::time::Duration;

use redirector_common::HealthByte;

use super::{
    tests::{PROBE, backend, failure, service, success},
    *,
};
use crate::{
    health::{ProbeHealth, TRIAL},
    input::{KernelEvent, ProbeFailure, Verb},
    service::{Backend, Failback, FailbackMode, OnBackendLost, Probe, Protocol, Service},
    tables::compile,
};

const A: &str = "10.1.0.1";
const B: &str = "10.1.0.2";

#[test]
fn a_refusing_backend_returns_after_as_many_successes_as_its_probe_asks_for() {
    let mut world = with(&[service("a", "10.96.0.1", &[A, B])], Some(3));
    world.at(0, success(A));
    assert_eq!(world.at(1, ejected(A, 1)), [out(A, "connects were refused")]);
    assert_eq!(world.at(2, success(A)), []);
    assert_eq!(world.at(3, success(A)), []);
    assert_eq!(world.at(4, success(A)), [back(A)], "though it would last until 11");
    assert_eq!(world.take_commands(), [readmit(A)]);
    assert_eq!(world.next_deadline(), Some(at(304)));
    assert_eq!(world.at(304, Input::Tick), []);
    assert_eq!(world.take_commands(), [Command::Forgive(backend(A))]);
    assert_eq!(world.next_deadline(), None, "all is forgotten");
}

#[test]
fn only_a_first_ejection_ends_before_its_time() {
    let mut world = with(&[service("a", "10.96.0.1", &[A])], Some(1));
    world.at(0, success(A));
    world.at(1, ejected(A, 2));
    assert_eq!(world.at(2, success(A)), []);
    assert_eq!(world.next_deadline(), Some(at(21)));
    assert_eq!(world.at(21, Input::Tick), [back(A)]);
    assert_eq!(world.take_commands(), [readmit(A)]);
    world.at(22, ejected(A, 3));
    world.at(30, success(A));
    world.at(31, failure(A));
    assert_eq!(world.at(62, Input::Tick), [], "its last probe failed");
    assert_eq!(world.at(63, success(A)), [back(A)]);
}

#[test]
fn what_a_single_client_saw_is_undone_by_one_probe_and_the_client_muted() {
    let mut world = with(&[service("a", "10.96.0.1", &[A])], Some(3));
    let before = world.probes()[&backend(A)].urgency;
    assert_eq!(world.at(1, seen_by(7, A)), [out(A, "connects of one client were refused")]);
    assert_ne!(world.probes()[&backend(A)].urgency, before, "a probe at once");
    assert_eq!(world.at(1, success(A)), [back(A)]);
    let lasts = Duration::from_mins(1);
    let mute = Command::Mute { client: 7, backend: backend(A), lasts };
    let forgive = Command::Forgive(backend(A));
    assert_eq!(world.take_commands(), [readmit(A), mute, forgive]);
}

#[test]
fn a_failed_probe_confirms_what_a_single_client_saw() {
    let mut world = with(&[service("a", "10.96.0.1", &[A])], Some(2));
    world.at(0, success(A));
    world.at(1, seen_by(7, A));
    world.at(1, failure(A));
    assert_eq!(world.at(2, success(A)), [], "one is not enough any more");
    assert_eq!(world.at(3, success(A)), [back(A)]);
    assert_eq!(world.take_commands(), [readmit(A)], "nobody is muted");
}

#[test]
fn a_backend_that_never_answered_a_probe_is_tried_when_its_time_has_passed() {
    let mut world = with(&[service("a", "10.96.0.1", &[A])], Some(1));
    for second in 0..5 {
        assert_eq!(world.at(second, failure(A)), [], "that says nothing");
    }
    let health = |world: &World| world.health_of(&backend(A)).expect("it is listed");
    assert_eq!(health(&world).probes, ProbeHealth::Unknown);
    assert_eq!(health(&world).objections, []);
    world.at(5, ejected(A, 1));
    let told = &health(&world).objections[0];
    assert_eq!(
        (told.0, told.1.since, &*told.1.why),
        (HealthByte::Passive, at(5), "connects were refused")
    );
    world.at(6, failure(A));
    assert_eq!(world.at(15, Input::Tick), [back(A)]);
    assert_eq!(world.take_commands(), [readmit(A)]);
    // It is still dead; the kernel doubles the time.
    world.at(16, ejected(A, 2));
    assert_eq!(world.at(35, Input::Tick), []);
    assert_eq!(world.at(36, Input::Tick), [back(A)]);
}

#[test]
fn nothing_that_answered_before_returns_without_an_answer() {
    let mut world = with(&[service("a", "10.96.0.1", &[A])], Some(1));
    world.at(0, success(A));
    world.at(1, ejected(A, 1));
    for second in 2..600 {
        for transition in world.at(second, failure(A)) {
            assert!(!matches!(transition, Transition::Readmitted { .. }), "{transition:?}");
        }
    }
    assert_eq!(world.take_commands(), []);
}

#[test]
fn what_nobody_probes_is_probed_while_the_kernel_objects() {
    let mut a = service("a", "10.96.0.1", &[A]);
    a.policy.probe = None;
    let mut world = born(vec![a]);
    assert_eq!(world.probes(), BTreeMap::new());
    world.at(1, ejected(A, 1));
    assert_eq!(world.probes()[&backend(A)].probe, TRIAL);
    assert_eq!(world.at(2, success(A)), [back(A)], "one success is enough");
    assert_eq!(world.probes(), BTreeMap::new());
}

#[test]
fn a_listeners_death_ends_with_a_listener_or_with_proof_of_one() {
    let mut world = with(&[service("a", "10.96.0.1", &[A])], Some(3));
    let by = HealthByte::Listener;
    let gone = kernel(A, KernelEvent::ListenerGone);
    let lifted = Transition::Readmitted { backend: backend(A), by };
    for (end, commands) in [
        (kernel(A, KernelEvent::ListenerBack), vec![]),
        (success(A), vec![Command::Readmit { backend: backend(A), byte: by }]),
    ] {
        let why = "nobody listens there any more".into();
        let ejected = Transition::Ejected { backend: backend(A), by, why };
        assert!(world.at(1, gone.clone()).starts_with(&[ejected]));
        assert!(world.at(2, failure(A)).is_empty());
        assert!(world.at(5, end).starts_with(std::slice::from_ref(&lifted)));
        assert_eq!(world.take_commands(), commands);
    }
}

#[test]
fn news_that_crosses_a_command_is_confirmed() {
    let mut world = with(&[service("a", "10.96.0.1", &[A])], Some(1));
    world.at(1, ejected(A, 1));
    world.at(2, success(A));
    world.take_commands();
    world.at(2, ejected(A, 2));
    let byte = HealthByte::Passive;
    assert_eq!(world.take_commands(), [Command::Eject { backend: backend(A), byte }]);
    world.at(50, success(A));
    world.take_commands();
    world.at(53, ejected(A, 3));
    assert_eq!(world.take_commands(), [], "long ago");
}

#[test]
fn the_kernel_may_readmit_by_itself() {
    let mut world = with(&[service("a", "10.96.0.1", &[A])], Some(1));
    world.at(1, ejected(A, 1));
    assert_eq!(world.at(20, kernel(A, KernelEvent::Readmitted)), [back(A)]);
    assert_eq!(world.take_commands(), []);
    assert_eq!(world.next_deadline(), Some(at(320)), "when it is forgiven");
}

#[test]
fn the_kernels_objections_survive_a_restart() {
    let mut world = World::new();
    let restored = [HealthByte::Passive, HealthByte::Listener].map(|by| (backend(A), by));
    world.at(0, Input::Restore(restored.to_vec()));
    let listed = service("a", "10.96.0.1", &[A]);
    world.at(3, Input::Replace(vec![listed]));
    assert_eq!(world.health_of(&backend(A)).map(|health| health.objections.len()), Some(2));
    assert_eq!(world.next_deadline(), Some(at(13)), "it was out long before, perhaps");
    let ended = world.at(4, success(A));
    assert_eq!(ended.len(), 2, "{ended:?}");
    assert!(!world.is_ejected(&backend(A)));
}

#[test]
fn a_forgotten_backend_starts_anew_in_the_kernel_too() {
    let mut world = with(&[service("a", "10.96.0.1", &[A])], Some(1));
    world.at(1, ejected(A, 1));
    world.at(2, Input::Put(service("a", "10.96.0.1", &[])));
    assert_eq!(world.take_commands(), [readmit(A)]);
    assert_eq!(world.next_deadline(), None);
    world.at(3, Input::Put(service("a", "10.96.0.1", &[A])));
    assert!(!world.is_ejected(&backend(A)));
}

#[test]
fn a_node_that_nobody_answers_suspects_itself() {
    let (mut world, all) = three_nodes();
    for address in &all[..4] {
        assert_eq!(world.at(10, failure(address)), []);
    }
    assert_eq!(world.next_deadline(), Some(Moment(Duration::from_millis(12_500))));
    world.at(13, Input::Tick);
    assert!(world.probes().keys().count() > 0);
    assert_eq!(world.at(15, Input::Tick), [Transition::NodeSuspect(true)]);
    for address in &all {
        assert_eq!(world.at(16, failure(address)), [], "nobody is blamed");
    }
    world.at(17, silent(&all[0], 4));
    world.take_commands();
    assert_eq!(world.next_deadline(), Some(at(27)), "no longer than a first one");
    assert_eq!(world.at(18, success(&all[5])), [Transition::NodeSuspect(false)]);
    assert_eq!(world.take_commands(), [Command::Forgive(backend(&all[0]))]);
    assert_ne!(world.at(19, failure(&all[1])), [], "now it counts");
}

#[test]
fn one_node_that_answers_is_enough_to_trust_the_own_one() {
    let (mut world, all) = three_nodes();
    for second in 10..60 {
        for address in &all[..4] {
            let happened = world.at(second, failure(address));
            assert!(!happened.contains(&Transition::NodeSuspect(true)), "{happened:?}");
        }
        world.at(second, success(&all[4]));
    }
    assert_eq!(world.next_deadline(), None);
}

#[test]
fn who_was_stopped_does_not_suspect_itself_when_it_goes_on() {
    let (mut world, all) = three_nodes();
    for address in &all[..4] {
        world.at(10, failure(address));
    }
    assert_eq!(world.at(100, Input::Tick), []);
    assert!(world.next_deadline() > Some(at(100)));
}

#[test]
fn a_silent_node_is_out_as_a_whole_and_back_with_its_first_answer() {
    let (mut world, all) = three_nodes();
    let unasked = "10.1.1.1";
    let mut other = service("other", "10.96.0.9", &[unasked]);
    other.policy.probe = None;
    other.backends[0].locality.node = Some("n1".into());
    world.at(1, Input::Put(other));
    for second in 10..12 {
        for address in &all[..2] {
            world.at(second, failure(address));
        }
    }
    assert!(world.is_ejected(&backend(unasked)));
    let why = &world.health_of(&backend(unasked)).expect("it is listed").objections[0].1.why;
    assert_eq!(&**why, "its node n1 is silent");
    assert!(world.probes().contains_key(&backend(unasked)));
    let mut late = service("late", "10.96.0.10", &["10.1.1.2"]);
    late.backends[0].locality.node = Some("n1".into());
    world.at(13, Input::Put(late));
    assert!(world.is_ejected(&backend("10.1.1.2")), "it shares the fate of its node");
    world.at(20, success(&all[1]));
    assert!(!world.is_ejected(&backend(unasked)));
    assert!(!world.is_ejected(&backend("10.1.1.2")));
    assert!(world.is_ejected(&backend(&all[0])), "its own probe has not succeeded");
}

#[test]
fn a_node_that_refuses_is_alive() {
    let (mut world, all) = three_nodes();
    let mut other = service("other", "10.96.0.9", &["10.1.1.1"]);
    other.backends[0].locality.node = Some("n1".into());
    world.at(1, Input::Put(other));
    for second in 10..20 {
        world.at(second, failure(&all[0]));
        let outcome = Err(ProbeFailure::Failed("connection refused".into()));
        world.at(second, Input::Probed { backend: backend(&all[1]), outcome });
    }
    assert!(world.is_ejected(&backend(&all[0])) && world.is_ejected(&backend(&all[1])));
    assert!(!world.is_ejected(&backend("10.1.1.1")));
}

#[test]
fn only_what_was_lost_without_a_word_is_reset_and_only_once() {
    let refused = Err(ProbeFailure::Failed("connection refused".into()));
    let refused = Input::Probed { backend: backend(A), outcome: refused };
    let without = Input::Put(resetting(&[B]));
    let drain = Input::Operator(Verb::Drain(crate::input::Drained::Backend(backend(A))));
    for (news, is_reset) in [
        (vec![failure(A), failure(A), failure(A), failure(A)], true),
        (vec![refused.clone(), refused.clone(), failure(A), failure(A)], false),
        (vec![silent(A, 1), failure(A), failure(A), failure(A)], true),
        (vec![ejected(A, 1), failure(A), refused], false),
        (vec![seen_by(7, A), success(A)], false),
        (vec![kernel(A, KernelEvent::ListenerGone), failure(A), without.clone()], false),
        (vec![drain, without.clone()], false),
        (vec![failure(A), failure(A), without.clone()], true),
        (vec![without], true),
        (vec![Input::Remove(resetting(&[]).name)], true),
    ] {
        let mut world = born(vec![resetting(&[A, B])]);
        world.at(0, success(A));
        world.at(0, success(B));
        for (second, input) in (1..).zip(news.clone()) {
            world.at(second, input);
        }
        let is_of_a = |command: &Command| *command == Command::Reset(backend(A));
        let resets = world.take_commands().into_iter().filter(is_of_a).count();
        assert_eq!(resets, usize::from(is_reset), "{news:?}");
    }
}

#[test]
fn udp_is_reset_only_where_somebody_else_serves() {
    for (others, is_reset) in [(&["10.1.2.2"][..], true), (&[], false)] {
        let (mut world, all) = three_nodes();
        let lost = "10.1.2.1";
        let mut udp = service("udp", "10.96.0.9", &[&[lost], others].concat());
        udp.policy.on_backend_lost = OnBackendLost::Reset;
        udp.frontends[0].protocol = Protocol::Udp;
        for listed in &mut udp.backends {
            listed.backend.protocol = Protocol::Udp;
        }
        udp.backends[0].locality.node = Some("n1".into());
        let lost = udp.backends[0].backend;
        world.at(1, Input::Put(udp));
        for second in 10..12 {
            for address in &all[..2] {
                world.at(second, failure(address));
            }
        }
        assert!(world.is_ejected(&lost), "nobody can probe it, but its node is silent");
        assert!(!world.probes().contains_key(&lost));
        assert_eq!(world.take_commands() == [Command::Reset(lost)], is_reset);
        world.at(13, success(&all[0]));
        assert!(!world.is_ejected(&lost));
    }
}

#[test]
fn small_services_are_probed_whole_and_large_ones_in_part() {
    let addresses: Vec<String> = (1..=40).map(|last| format!("10.1.0.{last}")).collect();
    let listed = |count: usize| {
        let addresses: Vec<&str> = addresses[..count].iter().map(String::as_str).collect();
        born(vec![service("a", "10.96.0.1", &addresses)])
    };
    assert_eq!(listed(16).probes().len(), 16);
    let mut world = listed(40);
    let first: Vec<BackendRef> = world.probes().into_keys().collect();
    assert_eq!(first.len(), 1, "one of the only tier");
    let used = backend("10.1.0.17");
    world.at(10, Input::Used(vec![used]));
    world.at(20, ejected("10.1.0.30", 1));
    let probed: BTreeSet<BackendRef> = world.probes().into_keys().collect();
    let wanted = [first[0], used, backend("10.1.0.30")];
    assert_eq!(probed, wanted.into());
    world.at(310, Input::Tick);
    assert!(!world.probes().contains_key(&used) || first[0] == used, "unused for five minutes");
    let others = (0..20).map(|number| {
        let mut world = listed(40);
        let node = Some(format!("n{number}").into());
        world.at(0, Input::Node(Locality { node, ..Locality::default() }));
        world.probes().into_keys().next()
    });
    assert!(others.collect::<BTreeSet<_>>().len() > 5, "nodes choose differently");
}

#[test]
fn in_a_large_cluster_services_that_nobody_here_uses_are_probed_in_part() {
    let address = |number: u32, of: u32| format!("10.{}.{}.{of}", 1 + number / 250, number % 250);
    let mut services: Vec<Service> = (0..1_000)
        .map(|number| {
            let backends: Vec<String> = (1..=10).map(|of| address(number, of)).collect();
            let backends: Vec<&str> = backends.iter().map(String::as_str).collect();
            let frontend = format!("10.96.{}.{}", number / 250, number % 250);
            service(&format!("s{number:04}"), &frontend, &backends)
        })
        .collect();
    let failback = Failback { mode: FailbackMode::Manual, hold_down_ms: 0, ramp_ms: 0 };
    services[700].policy.failback = Some(failback);
    let mut world = born(services);
    let probed_on = |world: &mut World, node: &str| -> BTreeSet<BackendRef> {
        let node = Some(node.into());
        world.at(0, Input::Node(Locality { node, ..Locality::default() }));
        world.probes().into_keys().collect()
    };
    let [one, other] = ["n1", "n2"].map(|node| probed_on(&mut world, node));
    for probed in [&one, &other] {
        assert_eq!(probed.len(), 2_050, "2,048, and the service that they end in is whole");
        assert!(probed.contains(&backend(&address(700, 1))), "it has a policy");
    }
    assert!(one.intersection(&other).count() < 1_000, "nodes choose differently");
    let unprobed = (0..1_000).find(|number| !other.contains(&backend(&address(*number, 1))));
    let unprobed = unprobed.expect("most are not probed");
    world.at(10, Input::Used(vec![backend(&address(unprobed, 3))]));
    let probed = world.probes();
    let of_used = (1..=10).filter(|of| probed.contains_key(&backend(&address(unprobed, *of))));
    assert_eq!(of_used.count(), 10, "what is used is probed whole");
    assert_eq!(probed.len(), 2_050, "in place of another one");
    world.at(311, Input::Tick);
    let first = address(unprobed, 1);
    assert!(!world.probes().contains_key(&backend(&first)), "unused for five minutes");
    world.at(312, ejected(&first, 1));
    assert!(world.probes().contains_key(&backend(&first)), "it is held back");
}

/// Six backends on three nodes, all of which have answered; this node is another one.
fn three_nodes() -> (World, Vec<String>) {
    let all: Vec<String> = (1..=6).map(|last| format!("10.1.0.{last}")).collect();
    let addresses: Vec<&str> = all.iter().map(String::as_str).collect();
    let mut listed = service("a", "10.96.0.1", &addresses);
    for (number, Backend { locality, .. }) in listed.backends.iter_mut().enumerate() {
        locality.node = Some(format!("n{}", 1 + number / 2).into());
    }
    let mut world = born(vec![listed]);
    let node = Some("n0".into());
    world.at(0, Input::Node(Locality { node, ..Locality::default() }));
    for address in &all {
        world.at(0, success(address));
    }
    (world, all)
}

fn resetting(backends: &[&str]) -> Service {
    let mut service = service("a", "10.96.0.1", backends);
    service.policy.on_backend_lost = OnBackendLost::Reset;
    service
}

fn with(services: &[Service], healthy: Option<u8>) -> World {
    let probe = healthy.map(|healthy| Probe { healthy, unhealthy: 100, ..PROBE });
    let mut services = services.to_vec();
    for service in &mut services {
        service.policy.probe.clone_from(&probe);
    }
    born(services)
}

fn born(services: Vec<Service>) -> World {
    let mut world = World::new();
    world.at(0, Input::Replace(services));
    world
}

impl World {
    /// Applies, checks what must hold after every input, and leaves out who failed over.
    fn at(&mut self, second: u64, input: Input) -> Vec<Transition> {
        let mut happened = self.apply(input, at(second));
        assert_eq!(*self.tables(), compile(self));
        assert!(self.next_deadline().is_none_or(|due| due > at(second)));
        happened.retain(|transition| {
            !matches!(transition, Transition::FailedOver { .. } | Transition::Ramped { .. })
        });
        happened
    }
}

fn at(second: u64) -> Moment {
    Moment(Duration::from_secs(second))
}

fn kernel(address: &str, event: KernelEvent) -> Input {
    Input::Kernel { backend: backend(address), event }
}

fn ejected(address: &str, ejections: u32) -> Input {
    let lasts = Duration::from_secs(10 << (ejections - 1));
    kernel(address, KernelEvent::Ejected { refused: true, client: None, lasts, ejections })
}

fn silent(address: &str, ejections: u32) -> Input {
    let lasts = Duration::from_secs(10 << (ejections - 1));
    kernel(address, KernelEvent::Ejected { refused: false, client: None, lasts, ejections })
}

fn seen_by(client: u64, address: &str) -> Input {
    let (client, lasts) = (Some(client), Duration::from_secs(10));
    kernel(address, KernelEvent::Ejected { refused: true, client, lasts, ejections: 1 })
}

fn out(address: &str, why: &str) -> Transition {
    Transition::Ejected { backend: backend(address), by: HealthByte::Passive, why: why.into() }
}

fn back(address: &str) -> Transition {
    Transition::Readmitted { backend: backend(address), by: HealthByte::Passive }
}

fn readmit(address: &str) -> Command {
    Command::Readmit { backend: backend(address), byte: HealthByte::Passive }
}
