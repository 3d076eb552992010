//! What kernel, probes and time make of a backend together.

mod answers;

use std::{collections::BTreeMap, time::Duration};

use redirector_common::{HealthByte, HealthWord};

use super::{
    tests::{PROBE, backend, failure, refusal, service, success},
    *,
};
use crate::{
    health::{ProbeHealth, TRIAL},
    input::{ClientId, KernelEvent, Network, Verb},
    service::{Backend, Failback, FailbackMode, OnBackendLost, Probe, Protocol, Service},
};

const A: &str = "10.1.0.1";
const B: &str = "10.1.0.2";

#[test]
fn what_clients_saw_moves_nothing_and_is_gone_when_a_probe_contradicts_it() {
    let client = client(7);
    for (event, byte, is_held) in [
        (avoided(A, true), HealthByte::Passive, false),
        (suspected(A, 1), HealthByte::Passive, true),
        (kernel(A, KernelEvent::ListenerGone), HealthByte::Listener, true),
    ] {
        let mut state = with(&[two_tiers()], Some(3));
        state.at(0, success(A));
        state.at(0, success(B));
        let before = (state.tables().clone(), state.probes()[&backend(A)].urgency);
        assert_eq!(state.at(1, event.clone()), []);
        assert_ne!(state.probes()[&backend(A)].urgency, before.1, "a probe at once");
        let health = state.health_of(&backend(A)).expect("it is listed");
        assert_eq!((health.objections.len(), health.suspicions.len()), (0, 1));
        assert_eq!((health.suspicions[0].since, health.suspicions[0].is_held), (at(1), is_held));
        assert_eq!(state.is_told(&backend(A), byte), is_held);
        assert_eq!(state.is_asked(&backend(A)), byte == HealthByte::Passive);
        let urgency = state.probes()[&backend(A)].urgency;
        state.at(1, event);
        assert_eq!(state.probes()[&backend(A)].urgency, urgency, "once, until it is answered");
        assert_eq!(state.take_commands(), []);

        let client = (byte == HealthByte::Passive).then_some(client);
        let contradicted = Transition::Contradicted {
            backend: backend(A),
            client,
            refused: true,
            unresponsive: false,
        };
        assert_eq!(state.at(2, success(A)), [contradicted]);
        assert_eq!(*state.tables(), before.0);
        assert!(!state.is_asked(&backend(A)));
        assert_eq!(state.health_of(&backend(A)).expect("it is listed").suspicions, []);
        let mut commands = Vec::new();
        if is_held {
            commands.push(Command::Readmit { backend: backend(A), byte });
        }
        if byte == HealthByte::Passive {
            commands.extend(is_held.then_some(Command::Forgive(backend(A))));
        }
        if is_held {
            commands.push(vouch(20));
        }
        assert_eq!(state.take_commands(), commands);
        if byte == HealthByte::Passive {
            assert_eq!(state.next_deadline(), Some(at(3)));
            state.at(3, Input::Tick);
            let answered = [Command::Answered(backend(A))];
            assert_eq!(state.take_commands(), answered, "one question a second");
        }
        assert_eq!(state.next_deadline(), is_held.then_some(at(22)));
        state.at(22, Input::Tick);
        assert_eq!(state.next_deadline(), None, "all is forgotten");
    }
}

#[test]
fn a_failed_probe_makes_what_one_client_saw_everybodys() {
    for (event, byte, why) in [
        (avoided(A, true), HealthByte::Passive, "connects were refused"),
        (avoided(A, false), HealthByte::Passive, "connects were not answered or found no route"),
        (suspected(A, 1), HealthByte::Passive, "connects were refused"),
        (
            kernel(A, KernelEvent::ListenerGone),
            HealthByte::Listener,
            "nobody listens there any more",
        ),
    ] {
        let mut state = with(&[two_tiers()], Some(3));
        state.at(0, success(A));
        assert_eq!(state.at(1, event), []);
        let ejected = Transition::Ejected { backend: backend(A), by: byte, why: why.into() };
        assert_eq!(state.at(2, refusal(A)), [ejected]);
        let eject = Command::Eject { backend: backend(A), byte, unresponsive: false };
        let answered = (byte == HealthByte::Passive).then_some(Command::Answered(backend(A)));
        let commands: Vec<Command> = [eject].into_iter().chain(answered).collect();
        assert_eq!(state.take_commands(), commands);
        assert_eq!(state.health_of(&backend(A)).expect("it is listed").suspicions, []);
    }
}

#[test]
fn a_backend_that_is_ejected_returns_after_as_many_successes_as_its_probe_asks_for() {
    let mut state = with(&[service("a", "10.96.0.1", &[A, B])], Some(3));
    state.at(0, success(A));
    assert_eq!(state.ejects(1, A), [out(A, "connects were refused")]);
    state.take_commands();
    assert_eq!(state.at(2, success(A)), []);
    assert_eq!(state.at(3, success(A)), []);
    assert_eq!(state.at(4, success(A)), [back(A)], "though it would last until 11");
    assert_eq!(state.take_commands(), [readmit(A), Command::Answered(backend(A))]);
    assert_eq!(state.next_deadline(), Some(at(304)));
    assert_eq!(state.at(304, Input::Tick), []);
    assert_eq!(state.take_commands(), [Command::Forgive(backend(A))]);
    assert_eq!(state.next_deadline(), None, "all is forgotten");
}

#[test]
fn only_a_first_ejection_ends_before_its_time() {
    let mut state = with(&[service("a", "10.96.0.1", &[A])], Some(1));
    state.at(0, success(A));
    state.ejects(1, A);
    assert_eq!(state.at(1, success(A)), [back(A)]);
    state.ejects(1, A);
    assert_eq!(state.at(2, success(A)), []);
    assert_eq!(state.next_deadline(), Some(at(21)));
    assert_eq!(state.at(21, Input::Tick), [back(A)]);
    state.ejects(22, A);
    state.at(30, success(A));
    state.at(31, failure(A));
    assert_eq!(state.at(62, Input::Tick), [], "its last probe failed");
    assert_eq!(state.at(63, success(A)), [back(A)]);
}

#[test]
fn what_probes_contradicted_makes_no_later_ejection_longer() {
    let mut state = with(&[service("a", "10.96.0.1", &[A])], Some(1));
    for second in 0..10 {
        state.at(second * 30, suspected(A, 1 + second as u32));
        state.at(second * 30, success(A));
    }
    state.ejects(300, A);
    assert_eq!(state.next_deadline(), Some(at(310)), "a first one");
}

#[test]
fn a_probe_that_may_have_been_lost_beside_one_clients_word_is_made_again() {
    for (event, twice) in [
        (avoided(A, false), true),
        (kernel(A, KernelEvent::ListenerGone), true),
        (suspected(A, 1), false),
    ] {
        let mut state = with(&[two_tiers()], Some(3));
        state.at(0, success(A));
        state.at(1, event);
        let urgency = state.probes()[&backend(A)].urgency;
        if twice {
            assert_eq!(state.at(2, failure(A)), [], "packets get lost");
            assert_ne!(state.probes()[&backend(A)].urgency, urgency, "at once");
        }
        assert!(!state.at(3, failure(A)).is_empty(), "the verdict");
    }
}

#[test]
fn clients_are_not_believed_of_a_backend_that_has_just_contradicted_them() {
    let mut state = with(&[service("a", "10.96.0.1", &[A])], Some(1));
    state.at(0, suspected(A, 1));
    state.at(0, success(A));
    state.at(1, Input::Tick);
    state.take_commands();
    assert_eq!(state.at(19, suspected(A, 2)), []);
    assert_eq!(state.take_commands(), [readmit(A)], "at once: it crossed the command");
    assert!(!state.is_told(&backend(A), HealthByte::Passive));
    assert_eq!(state.at(19, refusal(A)), [out(A, "connects were refused")], "but it is asked");
    state.at(31, success(A));
    state.at(32, suspected(A, 1));
    assert!(state.is_told(&backend(A), HealthByte::Passive), "nobody has vouched for it since");
}

#[test]
fn of_a_backend_that_no_probe_has_reached_one_client_is_not_believed_and_several_are_for_a_while() {
    let mut state = with(&[service("a", "10.96.0.1", &[A, B])], Some(1));
    for second in 0..5 {
        assert_eq!(state.at(second, failure(A)), [], "that says nothing");
    }
    let health = |state: &State| state.health_of(&backend(A)).expect("it is listed");
    assert_eq!(health(&state).probes, ProbeHealth::Unknown);
    state.at(5, avoided(A, false));
    assert_eq!(state.at(5, failure(A)), []);
    assert_eq!(state.take_commands(), [Command::Answered(backend(A))], "it moves itself");
    for (ejections, second) in [(1, 6), (2, 17), (3, 28)] {
        assert_eq!(state.at(second, suspected(A, ejections)), []);
        let why = "connects were refused; no probe has ever reached it";
        assert_eq!(state.at(second, failure(A)), [out(A, why)]);
        assert_eq!(health(&state).objections[0].0, HealthByte::Passive);
        state.at(second + 1, failure(A));
        assert_eq!(state.at(second + 10, Input::Tick), [back(A)], "no longer than a first one");
        let eject =
            Command::Eject { backend: backend(A), byte: HealthByte::Passive, unresponsive: false };
        let (forgive, answered) = (Command::Forgive(backend(A)), Command::Answered(backend(A)));
        assert_eq!(state.take_commands(), [eject, readmit(A), forgive, answered]);
    }
    state.at(40, suspected(A, 4));
    state.at(40, failure(A));
    let client = client(7);
    let contradicted = Transition::Contradicted {
        backend: backend(A),
        client: Some(client),
        refused: true,
        unresponsive: false,
    };
    assert_eq!(state.at(41, success(A)), [back(A), contradicted], "a probe can reach it");
}

#[test]
fn clients_alone_take_out_no_more_than_half_of_what_no_probe_has_reached() {
    let all = ["10.1.0.1", "10.1.0.2", "10.1.0.3", "10.1.0.4", "10.1.0.5", "fd00::1"];
    let mut both = service("a", "10.96.0.1", &all);
    both.frontends.extend(service("six", "fd96::1", &[]).frontends);
    let mut state = with(&[both, service("b", "10.96.0.2", &all[..3])], Some(1));
    let by = HealthByte::Passive;
    for (address, is_believed) in all.into_iter().zip([true, false, false, true, false, false]) {
        state.at(1, suspected(address, 1));
        let happened = state.at(1, failure(address));
        assert_eq!(state.is_ejected(&backend(address)), is_believed, "{address}: {happened:?}");
        let commands = state.take_commands();
        let vouch = Command::Vouch {
            backend: backend(address),
            lasts: Duration::from_secs(10),
            answers: false,
        };
        let readmit = Command::Readmit { backend: backend(address), byte: by };
        assert_eq!(commands.contains(&vouch), !is_believed, "{address}");
        assert_eq!(commands.contains(&readmit), !is_believed, "{address}");
    }
}

#[test]
fn hearsay_never_takes_the_last_one() {
    let mut state = with(&[service("a", "10.96.0.1", &[A, B])], Some(1));
    state.at(0, Input::Operator(Verb::Drain(crate::input::Drained::Backend(backend(B)))));
    state.at(1, suspected(A, 1));
    state.at(1, failure(A));
    assert!(!state.is_ejected(&backend(A)));
}

#[test]
fn a_question_that_no_probe_answers_ends_when_the_kernel_would_try_again() {
    for (event, byte, is_held) in [
        (avoided(A, true), HealthByte::Passive, false),
        (suspected(A, 4), HealthByte::Passive, true),
        (kernel(A, KernelEvent::ListenerGone), HealthByte::Listener, true),
    ] {
        let mut state = with(&[service("a", "10.96.0.1", &[A])], Some(1));
        state.at(0, success(A));
        state.at(1, event);
        assert_eq!(state.next_deadline(), Some(at(11)), "a first ejection's time, at most");
        assert_eq!(state.at(11, Input::Tick), []);
        let commands = state.take_commands();
        let readmit = Command::Readmit { backend: backend(A), byte };
        assert_eq!(commands.contains(&readmit), is_held, "{commands:?}");
        let answered = commands.contains(&Command::Answered(backend(A)));
        assert_eq!(answered, byte == HealthByte::Passive, "{commands:?}");
        assert_eq!(state.next_deadline(), None);
    }
}

#[test]
fn nothing_that_answered_before_returns_without_an_answer() {
    let mut state = with(&[service("a", "10.96.0.1", &[A])], Some(1));
    state.at(0, success(A));
    state.ejects(1, A);
    state.take_commands();
    for second in 2..600 {
        for transition in state.at(second, failure(A)) {
            assert!(!matches!(transition, Transition::Readmitted { .. }), "{transition:?}");
        }
    }
    assert_eq!(state.take_commands(), []);
}

#[test]
fn what_nobody_probes_is_probed_while_the_kernel_suspects_it() {
    let mut a = service("a", "10.96.0.1", &[A]);
    a.policy.probe = None;
    let mut state = born(vec![a]);
    assert_eq!(state.probes(), BTreeMap::new());
    state.at(1, avoided(A, true));
    assert_eq!(state.probes()[&backend(A)].probe, TRIAL);
    state.at(2, success(A));
    assert_eq!(state.probes(), BTreeMap::new());
    state.ejects(3, A);
    assert_eq!(state.probes()[&backend(A)].probe, TRIAL);
    assert_eq!(state.at(4, success(A)), [back(A)], "one success is enough");
    assert_eq!(state.probes(), BTreeMap::new());
}

#[test]
fn a_listeners_death_ends_with_a_listener_or_with_proof_of_one() {
    let mut state = with(&[service("a", "10.96.0.1", &[A])], Some(3));
    state.at(0, success(A));
    let by = HealthByte::Listener;
    let gone = kernel(A, KernelEvent::ListenerGone);
    let lifted = Transition::Readmitted { backend: backend(A), by };
    let readmit = Command::Readmit { backend: backend(A), byte: by };
    for (end, commands) in
        [(kernel(A, KernelEvent::ListenerBack), vec![]), (success(A), vec![readmit])]
    {
        let why = "nobody listens there any more".into();
        let ejected = Transition::Ejected { backend: backend(A), by, why };
        assert_eq!(state.at(1, gone.clone()), []);
        assert!(state.at(2, refusal(A)).starts_with(&[ejected]));
        state.take_commands();
        assert!(state.at(5, end).starts_with(std::slice::from_ref(&lifted)));
        assert_eq!(state.take_commands(), commands);
    }
}

#[test]
fn a_listeners_death_is_believed_for_a_while_where_no_probe_has_reached_it() {
    let mut state = with(&[service("a", "10.96.0.1", &[A])], Some(3));
    let by = HealthByte::Listener;
    state.at(1, kernel(A, KernelEvent::ListenerGone));
    assert_eq!(state.at(2, failure(A)).len(), 1);
    assert!(state.is_ejected(&backend(A)));
    assert_eq!(state.at(11, Input::Tick), [Transition::Readmitted { backend: backend(A), by }]);
    let [eject, readmit] = [
        Command::Eject { backend: backend(A), byte: by, unresponsive: false },
        Command::Readmit { backend: backend(A), byte: by },
    ];
    assert_eq!(state.take_commands(), [eject, readmit]);
}

#[test]
fn news_that_crosses_a_command_is_put_right() {
    let mut state = with(&[service("a", "10.96.0.1", &[A])], Some(1));
    state.at(0, success(A));
    for (second, byte, event, end) in [
        (1, HealthByte::Passive, suspected(A, 1), KernelEvent::Readmitted),
        (10, HealthByte::Listener, kernel(A, KernelEvent::ListenerGone), KernelEvent::ListenerBack),
    ] {
        let eject = Command::Eject { backend: backend(A), byte, unresponsive: false };
        let readmit = Command::Readmit { backend: backend(A), byte };
        state.at(second, event.clone());
        state.at(second, refusal(A));
        state.take_commands();
        state.at(second, event.clone());
        assert_eq!(state.take_commands(), [eject], "what the kernel wrote is no verdict");
        state.at(second, kernel(A, end));
        assert!(state.take_commands().contains(&readmit), "the verdict came later");
        state.at(second, event);
        state.at(second, refusal(A));
        state.at(second + 2, kernel(A, end));
        assert!(!state.is_ejected(&backend(A)));
        assert!(!state.take_commands().contains(&readmit), "long ago");
    }
}

#[test]
fn the_kernel_may_readmit_by_itself() {
    let mut state = with(&[service("a", "10.96.0.1", &[A])], Some(1));
    state.at(0, success(A));
    state.ejects(1, A);
    state.take_commands();
    assert_eq!(state.at(20, kernel(A, KernelEvent::Readmitted)), [back(A)]);
    assert_eq!(state.take_commands(), []);
    assert_eq!(state.next_deadline(), Some(at(320)), "when it is forgiven");
    state.at(30, suspected(A, 1));
    assert_eq!(state.at(31, kernel(A, KernelEvent::Readmitted)), []);
    assert_eq!(state.take_commands(), [Command::Answered(backend(A))]);
}

#[test]
fn verdicts_survive_a_restart_and_suspicions_are_asked_about() {
    let bytes = [HealthByte::Passive, HealthByte::Listener];
    let restored = |value: u8| Input::Restore(bytes.map(|by| (backend(A), by, value)).to_vec());
    let listed = || Input::Replace(vec![service("a", "10.96.0.1", &[A])]);

    let mut state = State::new();
    state.at(0, restored(HealthWord::CONFIRMED));
    state.at(3, listed());
    let health = |state: &State| state.health_of(&backend(A)).expect("it is listed");
    assert_eq!((health(&state).objections.len(), health(&state).suspicions.len()), (2, 0));
    assert_eq!(state.next_deadline(), Some(at(13)), "it was out long before, perhaps");
    let ended = state.at(4, success(A));
    assert_eq!(ended.len(), 2, "{ended:?}");
    assert!(!state.is_ejected(&backend(A)));

    let mut state = State::new();
    state.at(0, restored(HealthWord::SUSPECTED));
    assert!(!state.is_ejected(&backend(A)));
    state.at(3, listed());
    assert_eq!((health(&state).objections.len(), health(&state).suspicions.len()), (0, 2));
    assert_ne!(state.probes()[&backend(A)].urgency, 0);
    let contradicted = Transition::Contradicted {
        backend: backend(A),
        client: None,
        refused: true,
        unresponsive: false,
    };
    assert_eq!(state.at(4, success(A)), [contradicted.clone(), contradicted], "of no known client");
    let commands = state.take_commands();
    for byte in bytes {
        assert!(commands.contains(&Command::Readmit { backend: backend(A), byte }));
    }
}

#[test]
fn a_forgotten_backend_starts_anew_in_the_kernel_too() {
    for is_confirmed in [true, false] {
        let mut state = with(&[service("a", "10.96.0.1", &[A])], Some(1));
        state.at(0, success(A));
        state.at(1, suspected(A, 1));
        if is_confirmed {
            state.at(1, failure(A));
        }
        state.take_commands();
        state.at(2, Input::Put(service("a", "10.96.0.1", &[])));
        assert_eq!(state.take_commands()[0], readmit(A));
        assert_eq!(state.next_deadline(), None);
        state.at(3, Input::Put(service("a", "10.96.0.1", &[A])));
        assert!(!state.is_ejected(&backend(A)));
        assert!(!state.is_told(&backend(A), HealthByte::Passive));
    }
}

#[test]
fn whatever_several_clients_say_of_backends_that_answer_no_node_is_suspect_silent_or_reset() {
    let (mut state, all) = three_nodes();
    let mut listed = state.services().next().expect("a service").clone();
    listed.policy.on_backend_lost = OnBackendLost::Reset;
    state.at(0, Input::Put(listed));
    let tables = state.tables().clone();
    for second in 1..120 {
        for address in &all {
            assert_eq!(state.at(second, silent(address)), []);
        }
        assert_eq!(*state.tables(), tables);
        for address in &all {
            for transition in state.at(second, success(address)) {
                assert!(matches!(transition, Transition::Contradicted { .. }), "{transition:?}");
            }
        }
    }
    let mut commands = state.take_commands();
    commands.retain(|command| matches!(command, Command::Reset(_) | Command::Eject { .. }));
    assert_eq!(commands, []);
}

#[test]
fn a_node_that_nobody_answers_suspects_itself() {
    let (mut state, all) = three_nodes();
    for address in &all[..4] {
        assert_eq!(state.at(10, failure(address)), []);
    }
    assert_eq!(state.next_deadline(), Some(Moment(Duration::from_millis(12_500))));
    state.at(13, Input::Tick);
    assert!(state.probes().keys().count() > 0);
    assert_eq!(state.at(15, Input::Tick), [Transition::NodeSuspect(true)]);
    for address in &all {
        assert_eq!(state.at(16, failure(address)), [], "nobody is blamed");
    }
    assert_eq!(state.at(17, silent(&all[0])), []);
    assert_eq!(state.at(17, failure(&all[0])), [], "nobody is blamed for what clients saw, either");
    assert_eq!(state.take_commands(), []);
    assert_eq!(state.next_deadline(), Some(at(27)), "no longer than a first one");
    let urgency = state.probes()[&backend(&all[0])].urgency;
    assert_eq!(state.at(18, success(&all[5])), [Transition::NodeSuspect(false)]);
    assert_ne!(state.probes()[&backend(&all[0])].urgency, urgency, "it is asked again");
    assert_eq!(state.at(18, failure(&all[0])).len(), 2, "now it counts");
    assert_ne!(state.at(19, failure(&all[1])), [], "of all of them");
}

#[test]
fn only_what_answers_a_network_of_the_system_speaks_for_this_nodes_own() {
    let (mut state, all) = three_nodes();
    for address in &all[..4] {
        state.at(10, failure(address));
    }
    state.at(13, Input::Tick);
    assert_eq!(state.at(15, Input::Tick), [Transition::NodeSuspect(true)]);
    let used = |network| Input::Used(vec![(backend(&all[5]), network)]);
    assert_eq!(state.at(16, used(Network::OfSystem)), [], "perhaps from before");
    for second in 17..30 {
        assert_eq!(state.at(second, used(Network::OfProcess)), []);
    }
    assert_eq!(state.at(30, used(Network::OfSystem)), [Transition::NodeSuspect(false)]);
}

#[test]
fn one_node_that_answers_is_enough_to_trust_the_own_one() {
    let (mut state, all) = three_nodes();
    for second in 10..60 {
        for address in &all[..4] {
            let happened = state.at(second, failure(address));
            assert!(!happened.contains(&Transition::NodeSuspect(true)), "{happened:?}");
        }
        state.at(second, success(&all[4]));
    }
    assert_eq!(state.next_deadline(), None);
}

#[test]
fn who_was_stopped_does_not_suspect_itself_when_it_goes_on() {
    let (mut state, all) = three_nodes();
    for address in &all[..4] {
        state.at(10, failure(address));
    }
    assert_eq!(state.at(100, Input::Tick), []);
    assert!(state.next_deadline() > Some(at(100)));
}

#[test]
fn a_silent_node_is_out_as_a_whole_and_back_with_its_first_answer() {
    let (mut state, all) = three_nodes();
    let unasked = "10.1.1.1";
    let mut other = service("other", "10.96.0.9", &[unasked]);
    other.policy.probe = None;
    other.backends[0].locality.node = Some("n1".into());
    state.at(1, Input::Put(other));
    for second in 10..12 {
        for address in &all[..2] {
            state.at(second, failure(address));
        }
    }
    assert!(state.is_ejected(&backend(unasked)));
    let why = &state.health_of(&backend(unasked)).expect("it is listed").objections[0].1.why;
    assert_eq!(&**why, "its node n1 is silent");
    assert!(state.probes().contains_key(&backend(unasked)));
    let mut late = service("late", "10.96.0.10", &["10.1.1.2"]);
    late.backends[0].locality.node = Some("n1".into());
    state.at(13, Input::Put(late));
    assert!(state.is_ejected(&backend("10.1.1.2")), "it shares the fate of its node");
    state.at(20, success(&all[1]));
    assert!(!state.is_ejected(&backend(unasked)));
    assert!(!state.is_ejected(&backend("10.1.1.2")));
    assert!(state.is_ejected(&backend(&all[0])), "its own probe has not succeeded");
}

#[test]
fn a_node_that_refuses_is_alive() {
    let (mut state, all) = three_nodes();
    let mut other = service("other", "10.96.0.9", &["10.1.1.1"]);
    other.backends[0].locality.node = Some("n1".into());
    state.at(1, Input::Put(other));
    for second in 10..20 {
        state.at(second, failure(&all[0]));
        state.at(second, refusal(&all[1]));
    }
    assert!(state.is_ejected(&backend(&all[0])) && state.is_ejected(&backend(&all[1])));
    assert!(!state.is_ejected(&backend("10.1.1.1")));
}

#[test]
fn only_what_was_lost_without_a_word_is_reset_and_only_once() {
    let without = Input::Put(resetting(&[B]));
    let drain = Input::Operator(Verb::Drain(crate::input::Drained::Backend(backend(A))));
    for (news, is_reset) in [
        (vec![failure(A), failure(A), failure(A), failure(A)], true),
        (vec![refusal(A), refusal(A), failure(A), failure(A)], false),
        (vec![silent(A)], false),
        (vec![silent(A), failure(A)], true),
        (vec![avoided(A, false), failure(A), failure(A), failure(A)], true),
        (vec![suspected(A, 1), failure(A), refusal(A)], false),
        (vec![silent(A), success(A)], false),
        (vec![kernel(A, KernelEvent::ListenerGone), failure(A), without.clone()], false),
        (vec![kernel(A, KernelEvent::ListenerGone), without.clone()], false),
        (vec![drain, without.clone()], false),
        (vec![failure(A), failure(A), without.clone()], true),
        (vec![without], true),
        (vec![Input::Remove(resetting(&[]).name)], true),
    ] {
        let mut state = born(vec![resetting(&[A, B])]);
        state.at(0, success(A));
        state.at(0, success(B));
        for (second, input) in (1..).zip(news.clone()) {
            state.at(second, input);
        }
        let is_of_a = |command: &Command| *command == Command::Reset(backend(A));
        let resets = state.take_commands().into_iter().filter(is_of_a).count();
        assert_eq!(resets, usize::from(is_reset), "{news:?}");
    }
}

#[test]
fn udp_is_reset_only_where_somebody_else_serves() {
    for (others, is_reset) in [(&["10.1.2.2"][..], true), (&[], false)] {
        let (mut state, all) = three_nodes();
        let lost = "10.1.2.1";
        let mut udp = service("udp", "10.96.0.9", &[&[lost], others].concat());
        udp.policy.on_backend_lost = OnBackendLost::Reset;
        udp.frontends[0].protocol = Protocol::Udp;
        for listed in &mut udp.backends {
            listed.backend.protocol = Protocol::Udp;
        }
        udp.backends[0].locality.node = Some("n1".into());
        let lost = udp.backends[0].backend;
        state.at(1, Input::Put(udp));
        for second in 10..12 {
            for address in &all[..2] {
                state.at(second, failure(address));
            }
        }
        assert!(state.is_ejected(&lost), "nobody can probe it, but its node is silent");
        assert!(!state.probes().contains_key(&lost));
        assert_eq!(state.take_commands() == [Command::Reset(lost)], is_reset);
        state.at(13, success(&all[0]));
        assert!(!state.is_ejected(&lost));
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
    let mut state = listed(40);
    let first: Vec<BackendRef> = state.probes().into_keys().collect();
    assert_eq!(first.len(), 1, "one of the only tier");
    let used = backend("10.1.0.17");
    state.at(10, Input::Used(vec![(used, Network::OfProcess)]));
    state.at(20, suspected("10.1.0.30", 1));
    let probed: BTreeSet<BackendRef> = state.probes().into_keys().collect();
    let wanted = [first[0], used, backend("10.1.0.30")];
    assert_eq!(probed, wanted.into());
    state.at(310, Input::Tick);
    assert!(!state.probes().contains_key(&used) || first[0] == used, "unused for five minutes");
    let others = (0..20).map(|number| {
        let mut state = listed(40);
        let node = Some(format!("n{number}").into());
        state.at(0, Input::Node(Locality { node, ..Locality::default() }));
        state.probes().into_keys().next()
    });
    assert!(others.collect::<BTreeSet<_>>().len() > 5, "nodes choose differently");
}

#[test]
fn of_a_large_service_all_backends_of_this_node_are_probed() {
    let addresses: Vec<String> = (1..=40).map(|last| format!("10.1.0.{last}")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let mut large = service("a", "10.96.0.1", &addresses);
    let on = |name: &str| Locality { node: Some(name.into()), ..Locality::default() };
    large.backends[..4].iter_mut().for_each(|listed| listed.locality = on("n1"));
    let mut state = born(vec![large]);
    state.at(0, Input::Node(on("n1")));
    let probed = state.probes();
    let own = addresses[..4].iter().all(|address| probed.contains_key(&backend(address)));
    // A connection that one of them accepts tells the kernel which process serves it.
    assert!(own && probed.len() <= 5, "{:?}", probed.keys());
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
    let mut state = born(services);
    let probed_on = |state: &mut State, node: &str| -> BTreeSet<BackendRef> {
        let node = Some(node.into());
        state.at(0, Input::Node(Locality { node, ..Locality::default() }));
        state.probes().into_keys().collect()
    };
    let [one, other] = ["n1", "n2"].map(|node| probed_on(&mut state, node));
    for probed in [&one, &other] {
        assert_eq!(probed.len(), 2_050, "2,048, and the service that they end in is whole");
        assert!(probed.contains(&backend(&address(700, 1))), "it has a policy");
    }
    assert!(one.intersection(&other).count() < 1_000, "nodes choose differently");
    let unprobed = (0..1_000).find(|number| !other.contains(&backend(&address(*number, 1))));
    let unprobed = unprobed.expect("most are not probed");
    state.at(10, Input::Used(vec![(backend(&address(unprobed, 3)), Network::OfSystem)]));
    let probed = state.probes();
    let of_used = (1..=10).filter(|of| probed.contains_key(&backend(&address(unprobed, *of))));
    assert_eq!(of_used.count(), 10, "what is used is probed whole");
    assert_eq!(probed.len(), 2_050, "in place of another one");
    state.at(311, Input::Tick);
    let first = address(unprobed, 1);
    assert!(!state.probes().contains_key(&backend(&first)), "unused for five minutes");
    state.at(312, suspected(&first, 1));
    assert!(state.probes().contains_key(&backend(&first)), "it is held back");
}

#[test]
fn the_many_services_of_one_owner_keep_nobody_else_from_being_probed() {
    let failback = Failback { mode: FailbackMode::Manual, hold_down_ms: 0, ramp_ms: 0 };
    let owned = |owner: &str, number: u32| {
        let at = |block: u32| format!("10.{block}.{}.{}", number / 250, number % 250);
        let mut service = service(&format!("{owner}/s{number:04}"), &at(96), &[&at(1)]);
        service.policy.failback = (owner == "evil").then_some(failback);
        service
    };
    let evil = (0..4_000).map(|number| owned("evil", number));
    let shop = (4_000..4_010).map(|number| owned("shop", number));
    let state = born(evil.chain(shop).collect());
    let probes = state.probes();
    assert_eq!(probes.len(), 2_048);
    let of_shop = probes.values().filter(|order| *order.owners == ["shop".into()]);
    assert_eq!(of_shop.count(), 10);
}

/// Six backends on three nodes, all of which have answered; this node is another one.
fn three_nodes() -> (State, Vec<String>) {
    let all: Vec<String> = (1..=6).map(|last| format!("10.1.0.{last}")).collect();
    let addresses: Vec<&str> = all.iter().map(String::as_str).collect();
    let mut listed = service("a", "10.96.0.1", &addresses);
    for (number, Backend { locality, .. }) in listed.backends.iter_mut().enumerate() {
        locality.node = Some(format!("n{}", 1 + number / 2).into());
    }
    let mut state = born(vec![listed]);
    let node = Some("n0".into());
    state.at(0, Input::Node(Locality { node, ..Locality::default() }));
    for address in &all {
        state.at(0, success(address));
    }
    (state, all)
}

fn resetting(backends: &[&str]) -> Service {
    let mut service = service("a", "10.96.0.1", backends);
    service.policy.on_backend_lost = OnBackendLost::Reset;
    service
}

fn with(services: &[Service], healthy: Option<u8>) -> State {
    let probe = healthy.map(|healthy| Probe { healthy, unhealthy: 100, ..PROBE });
    let mut services = services.to_vec();
    for service in &mut services {
        service.policy.probe.clone_from(&probe);
    }
    born(services)
}

fn born(services: Vec<Service>) -> State {
    let mut state = State::new();
    state.at(0, Input::Replace(services));
    state
}

impl State {
    /// Several clients' connects are refused, and then a probe.
    fn ejects(&mut self, second: u64, address: &str) -> Vec<Transition> {
        assert_eq!(self.at(second, suspected(address, 1)), []);
        self.at(second, failure(address))
    }

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

fn vouch(seconds: u64) -> Command {
    Command::Vouch { backend: backend(A), lasts: Duration::from_secs(seconds), answers: false }
}

fn at(second: u64) -> Moment {
    Moment(Duration::from_secs(second))
}

fn kernel(address: &str, event: KernelEvent) -> Input {
    Input::Kernel { backend: backend(address), event }
}

fn client(cgroup: u64) -> ClientId {
    ClientId { cgroup, netns: 9 }
}

fn avoided(address: &str, refused: bool) -> Input {
    kernel(address, KernelEvent::Avoided { refused, client: client(7) })
}

/// What the kernel says when that is its own count of ejections.
fn suspected(address: &str, ejections: u32) -> Input {
    let (client, lasts) = (client(7), Duration::from_secs(10 << (ejections - 1)));
    kernel(address, KernelEvent::Suspected { refused: true, client, lasts, ejections })
}

fn silent(address: &str) -> Input {
    let (client, lasts) = (client(7), Duration::from_secs(10));
    kernel(address, KernelEvent::Suspected { refused: false, client, lasts, ejections: 1 })
}

/// A service whose backends are in two tiers.
fn two_tiers() -> Service {
    let mut service = service("a", "10.96.0.1", &[A, B]);
    service.policy.failback = Some(Failback::default());
    service.backends[1].locality.cluster = Some("west".into());
    service
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
