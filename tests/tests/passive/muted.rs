//! A client that alone sees failures: they can be ignored.

use std::time::Duration;

use redirector::datapath::View;

use crate::stage::{Stage, failed, tcp};

/// A refusal takes no time: a hundred of them are soon made.
const POLICY: &str = "probe: off, passive: {refused: 3, timeouts: 5, baseEjection: 300s}";

#[test]
fn a_muted_client_ejects_nobody_and_its_own_network_is_its_own_problem() {
    // The hostile client's own network answers for the replica, and refuses.
    let (stage, _replica) = Stage::hostile("reject with tcp reset", POLICY);
    stage.agent.freeze().expect("a frozen agent");
    let mut hostile = stage.client_on("n3", "hostile");
    let mut datapath = stage.datapath();
    let view = View::read(&datapath).expect("a view");
    let backend = view.services[0].tiers[0].backends[0].index;
    // The index is new: its generation is one of the first.
    let generation = (0..8).find(|generation| {
        let muted = stage.counter("muted");
        datapath
            .mute(stage.id("hostile"), backend, *generation, Duration::from_secs(60))
            .expect("muted");
        assert_eq!(failed(&hostile.dial(tcp(1), 1).expect("a dial")).len(), 1);
        stage.counter("muted") > muted
    });
    assert!(generation.is_some_and(|generation| generation < 2), "{generation:?}");

    assert_eq!(failed(&hostile.dial(tcp(1), 1_000).expect("dials")).len(), 1_000);
    assert_eq!(stage.counter("ejected"), 0);
    let dialled = stage.client("good").dial(tcp(1), 200).expect("dials");
    assert!(failed(&dialled).is_empty(), "{:?}", failed(&dialled)[0]);
    stage.agent.thaw().expect("an agent that goes on");
}
