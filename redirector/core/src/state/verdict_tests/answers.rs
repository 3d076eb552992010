//! What becomes of a backend that accepts connections and does not answer.

use super::*;
use crate::{input::ProbeFailure, service::ProbeKind};

const LISTED: [&str; 4] = [A, B, "10.1.0.3", "10.1.0.4"];

#[test]
fn that_a_connection_is_accepted_does_not_contradict_several_clients() {
    let mut state = probed(ProbeKind::Tcp, &LISTED);
    assert_eq!(state.at(1, silent_to(A, true)), [], "a question first");
    let why = "requests were not answered; its probes ask no request";
    assert_eq!(state.at(1, success(A)), [out(A, why)]);
    let eject =
        Command::Eject { backend: backend(A), byte: HealthByte::Passive, unresponsive: true };
    assert_eq!(state.take_commands(), [eject]);
    for second in 2..11 {
        assert_eq!(state.at(second, success(A)), [], "nor does it re-admit");
    }
    assert_eq!(state.at(11, Input::Tick), [back(A)], "but time does");
    assert!(state.take_commands().contains(&readmit(A)));
    assert_eq!(state.at(12, success(A)), []);
}

#[test]
fn one_clients_word_that_no_probe_can_judge_moves_nothing_and_is_gone() {
    let mut state = probed(ProbeKind::Tcp, &LISTED);
    let before = state.tables().clone();
    assert_eq!(state.at(1, silent_to(A, false)), []);
    assert_eq!(state.at(1, success(A)), []);
    assert_eq!(*state.tables(), before);
    assert!(!state.is_asked(&backend(A)));
    assert_eq!(state.take_commands(), []);
    state.at(2, Input::Tick);
    assert_eq!(state.take_commands(), [Command::Answered(backend(A))], "a question a second");
    assert_eq!(state.next_deadline(), None);
}

#[test]
fn a_probe_that_is_answered_contradicts_and_vouches_for_answers_too() {
    for is_held in [false, true] {
        let mut state = probed(http(), &LISTED);
        state.at(1, silent_to(A, is_held));
        let contradicted = Transition::Contradicted {
            backend: backend(A),
            client: Some(client(7)),
            refused: false,
            unresponsive: true,
        };
        assert_eq!(state.at(1, success(A)), [contradicted]);
        let vouch =
            Command::Vouch { backend: backend(A), lasts: Duration::from_secs(20), answers: true };
        assert_eq!(state.take_commands().contains(&vouch), is_held);
        if is_held {
            state.at(2, silent_to(A, true));
            assert!(state.take_commands().contains(&readmit(A)), "clients are not believed");
        }
    }
}

#[test]
fn a_probe_that_is_not_answered_confirms_and_only_one_that_is_readmits() {
    let mut state = probed(http(), &LISTED);
    state.at(1, silent_to(A, true));
    assert_eq!(state.at(1, failure(A)), [out(A, "requests were not answered")]);
    let eject =
        Command::Eject { backend: backend(A), byte: HealthByte::Passive, unresponsive: true };
    assert_eq!(state.take_commands(), [eject, Command::Answered(backend(A))]);
    assert_eq!(state.at(11, Input::Tick), [], "time alone does not");
    state.at(12, success(A));
    state.at(13, success(A));
    assert_eq!(state.at(14, success(A)), [back(A)]);
}

#[test]
fn a_probe_that_is_told_no_has_been_answered() {
    for is_held in [false, true] {
        let mut state = probed(http(), &LISTED);
        state.at(1, silent_to(A, is_held));
        let outcome = Err(ProbeFailure::Failed("answered 503".into()));
        state.at(1, Input::Probed { backend: backend(A), outcome });
        assert!(!state.is_ejected(&backend(A)), "its probes decide, by their own threshold");
        assert_eq!(state.take_commands().contains(&readmit(A)), is_held);
    }
}

#[test]
fn what_accepts_connections_is_no_sign_of_a_dead_node() {
    let mut state = probed(http(), &LISTED);
    state.at(1, silent_to(A, true));
    state.at(1, failure(A));
    let of = state.backends.get(&backend(A)).expect("it is listed");
    assert!(of.is_reached() && !of.is_refusing());
}

#[test]
fn half_of_a_service_may_be_silent_and_the_silence_of_more_is_slowness() {
    let mut state = probed(ProbeKind::Tcp, &LISTED);
    for address in &LISTED[..2] {
        state.at(1, silent_to(address, true));
        assert_eq!(state.at(1, success(address)).len(), 1, "{address} is out");
    }
    state.take_commands();
    let [third, fourth] = [LISTED[2], LISTED[3]];
    state.at(2, silent_to(third, true));
    assert_eq!(state.at(2, success(third)), [back(A), back(B)], "as many as there are");
    let commands = state.take_commands();
    for address in LISTED {
        let vouched = commands.iter().any(|command| {
            matches!(command, Command::Vouch { backend: of, answers: true, lasts }
                if *of == backend(address) && *lasts == Duration::from_secs(300))
        });
        assert!(vouched, "{address}: {commands:?}");
    }
    assert_eq!(state.at(3, silent_to(fourth, true)), [], "not again");
    assert_eq!(state.take_commands(), [readmit(fourth)]);
    assert!(LISTED.iter().all(|address| !state.is_ejected(&backend(address))));
}

#[test]
fn the_silence_of_a_tier_is_withdrawn_where_the_next_one_is_silent_too() {
    let mut tiers = service("a", "10.96.0.1", &["10.1.0.3", "10.1.0.4", "10.1.0.5", A]);
    tiers.backends[3].locality.zone = Some("b".into());
    for near in &mut tiers.backends[..3] {
        near.locality.zone = Some("c".into());
    }
    let mut state = with(&[tiers], Some(3));
    let zone = Some("b".into());
    state.at(0, Input::Node(Locality { zone, ..Locality::default() }));
    for address in [A, "10.1.0.3", "10.1.0.4", "10.1.0.5"] {
        state.at(0, success(address));
    }
    state.at(1, silent_to(A, true));
    assert_eq!(state.at(1, success(A)).len(), 1, "its tier is it alone: the next one serves");
    state.at(2, silent_to("10.1.0.3", true));
    assert_eq!(state.at(2, success("10.1.0.3")), [back(A)], "and does not answer either");
}

#[test]
fn what_an_earlier_agent_left_of_silence_ends_by_time_not_by_a_connect() {
    for (left, is_verdict) in [(HealthWord::CONFIRMED, true), (HealthWord::SUSPECTED, false)] {
        let mut state = probed(ProbeKind::Tcp, &LISTED);
        let left = left | HealthWord::UNRESPONSIVE;
        state.at(1, Input::Restore(vec![(backend(A), HealthByte::Passive, left)]));
        state.at(2, success(A));
        state.at(3, success(A));
        state.at(4, success(A));
        assert!(state.is_ejected(&backend(A)), "verdict {is_verdict}");
        state.at(12, Input::Tick);
        assert!(!state.is_ejected(&backend(A)), "verdict {is_verdict}");
    }
}

#[test]
fn what_no_service_lists_is_answered_or_remembered_with_how_it_failed() {
    let mut state = with(&[], None);
    state.at(1, silent_to(A, false));
    assert_eq!(state.take_commands(), [Command::Answered(backend(A))]);
}

/// Services whose backends have answered a probe of that kind.
fn probed(kind: ProbeKind, addresses: &[&str]) -> State {
    let mut listed = service("a", "10.96.0.1", addresses);
    let probe = Probe { kind, healthy: 3, unhealthy: 100, ..PROBE };
    listed.policy.probe = Some(probe);
    let mut state = born(vec![listed]);
    for address in addresses {
        state.at(0, success(address));
    }
    state.take_commands();
    state
}

fn http() -> ProbeKind {
    ProbeKind::Http { path: "/".into(), host: None, status: (200, 399) }
}

/// One client, or several, had no answer.
fn silent_to(address: &str, is_held: bool) -> Input {
    kernel(address, KernelEvent::Unresponsive { client: client(7), is_held })
}
