//! A client that fails and succeeds in turn has the agent ask, and not as often as it likes.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use redirector_tests::tenant::Attempt;

use super::{
    fixture::{AgentIs, Fixture},
    services::{Family, PORT, PROBED, near, service},
};

const SERVICE: u16 = 1;
/// Refused connects after which a client avoids a backend.
const REFUSED: u32 = 3;
/// How long the attack lasts, and how often it makes a question at least.
const LASTS: Duration = Duration::from_secs(3);
const QUESTIONS: u32 = 20;

#[test]
fn a_client_that_fails_and_succeeds_in_turn_is_asked_about_once_a_second() {
    let site = Fixture::new(&[("near", PORT)], &service(SERVICE, PROBED, &[near(PORT)]));
    site.wait_for_probes(&[SERVICE]);
    let mut attacker = site.tenant("pod1", "attacker");
    let addresses = site.addresses("near");
    let own = SocketAddr::new(addresses[0], PORT);
    let frontend = [Family::V4.frontend(SERVICE)];
    let begin = Instant::now();
    let mut questions = 0;
    while begin.elapsed() < LASTS {
        attacker.own(&addresses).expect("a network without a listener");
        let failed = attacker.attempt(Attempt::new(&frontend, REFUSED)).expect("failures");
        attacker.own(&addresses).expect("a network with one");
        attacker.listen(own).expect("a listener");
        let succeeded = attacker.attempt(Attempt::new(&frontend, 1)).expect("a success");
        questions += u32::from(failed.refused == REFUSED && succeeded.connected == 1);
    }
    let asked = site.transitions("contradicted");
    println!("{questions} times a question in {:?}: asked {asked} times", begin.elapsed());
    assert!(questions >= QUESTIONS, "the attack is none: {questions}");
    let most = begin.elapsed().as_secs() + 2;
    assert!((1..=most).contains(&asked), "asked {asked} times");
    site.assert_unmoved(&[SERVICE], AgentIs::Alive);
}
