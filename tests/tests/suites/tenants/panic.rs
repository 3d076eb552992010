//! When no backend is usable, those that are merely drained come before those that are dead.

use std::net::SocketAddr;

use redirector_tests::wait::wait_until;

use crate::tenants::{
    services::{Family, PORT, PROBED, TIERS, near, service, west},
    stage::{AgentIs, Stage},
    watch::{assert_served_by, count},
};

/// One drained, one killed.
const MIXED: u16 = 1;
/// Killed in the first tier, drained in the second.
const TIERED: u16 = 2;
const DIALS: u32 = 40;

fn assert_drained_serve(stage: &Stage) {
    let mut client = stage.client("victim", "victim");
    for family in Family::ALL {
        for (service, drained) in [(MIXED, "near"), (TIERED, "west")] {
            let sums = count(&client.dial(family.dial(service), DIALS).expect("dials"));
            assert_served_by(drained, &sums);
        }
    }
}

#[test]
fn drained_backends_of_any_tier_serve_before_dead_ones() {
    let replicas = [("near", PORT), ("near", PORT + 1), ("near", PORT + 2), ("west", PORT)];
    let services = [
        service(MIXED, PROBED, &[near(PORT), near(PORT + 1)]),
        service(TIERED, &format!("{TIERS}, {PROBED}"), &[near(PORT + 2), west(PORT)]),
    ];
    let mut stage = Stage::new(&replicas, &services.concat());
    stage.wait_for_probes(&[MIXED, TIERED]);
    for node in ["near", "west"] {
        for address in stage.addresses(node) {
            stage.order("drain", &format!("backend={}", SocketAddr::new(address, PORT)));
        }
    }
    stage.replicas[1].kill();
    stage.replicas[2].kill();
    wait_until("all are out", || stage.objections().len() == 8);
    assert_drained_serve(&stage);
    stage.let_agent_be(AgentIs::Killed);
    assert_drained_serve(&stage);
}
