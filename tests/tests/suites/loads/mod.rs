//! Tiers with real sockets: the share of each by health and mode, and how a tier gets its traffic
//! back.

mod returns;
mod share;
mod vectors;

use std::time::Instant;

use redirector_tests::{
    replica::Replica,
    zones::{Zones, answers, wait_until},
};
use share::{draws, is_within};
use vectors::Vector;

#[test]
fn every_tier_gets_the_share_that_health_and_mode_give_it() {
    let vectors = vectors::all();
    let services: String = vectors.iter().map(Vector::service).collect();
    let mut zones = Zones::new(&vectors::groups(&vectors), &services).expect("the zones");
    zones.wait_for_probes().expect("probes");
    zones.replicas.iter_mut().skip(vectors::LIVING).for_each(Replica::kill);
    for vector in &vectors {
        let loads = || zones.loads(&vector.name()).expect("the status");
        wait_until("the dead are ejected", || loads() == vector.shares)
            .unwrap_or_else(|error| panic!("{}: {error}: {:?}", vector.what, loads()));
    }

    for vector in &vectors {
        judge(&zones, vector);
    }
    zones.agent.finish().expect("the agent");
}

fn judge(zones: &Zones, vector: &Vector) {
    let Vector { what, shares, .. } = vector;
    let draws = draws(shares);
    let start = Instant::now();
    let dialled = zones.dial(&vector.address(), draws).expect("dials");
    let took = start.elapsed();
    let answers = answers(&dialled).unwrap_or_else(|error| panic!("{what}: {error:#}"));
    let count = |zone| answers.get(zone).copied().unwrap_or_default();
    let counts: Vec<u32> = vector.zones().map(count).collect();

    println!("{what}: {shares:?} % of {draws} connects are {counts:?}, in {took:.1?}");
    assert_eq!(counts.iter().sum::<u32>(), draws, "{what}: {answers:?}");
    for (count, share) in counts.iter().zip(shares) {
        assert!(is_within(*count, draws, *share), "{what}: {count} of {draws}, not {share} %");
    }
}
