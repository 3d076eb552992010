//! When no backend is usable, those that are merely drained come before those that are dead.

use std::net::SocketAddr;

use redirector_tests::{dialer::Second, wait::wait_until};

use super::{
    fixture::{AgentIs, Fixture},
    services::{Family, PORT, PROBED, TIERS, near, service, west},
    watch::assert_served_by,
};

/// One drained, one killed.
const MIXED: u16 = 1;
/// Killed in the first tier, drained in the second.
const TIERED: u16 = 2;
const DIALS: u32 = 40;

fn assert_drained_serve(site: &Fixture) {
    let mut client = site.client("victim", "victim");
    for family in Family::ALL {
        for (service, drained) in [(MIXED, "near"), (TIERED, "west")] {
            let sums = Second::of(&client.dial(family.dial(service), DIALS).expect("dials"));
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
    let mut site = Fixture::new(&replicas, &services.concat());
    site.wait_for_probes(&[MIXED, TIERED]);
    for node in ["near", "west"] {
        for address in site.addresses(node) {
            let _ = site
                .agent
                .answer("drain", &[&format!("backend={}", SocketAddr::new(address, PORT))]);
        }
    }
    site.replicas[1].kill();
    site.replicas[2].kill();
    wait_until("all are out", || site.objections().len() == 8);
    assert_drained_serve(&site);
    site.let_agent_be(AgentIs::Killed);
    assert_drained_serve(&site);
}
