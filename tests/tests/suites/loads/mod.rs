//! Tiers with real sockets: the share of each by health and mode, and how a tier gets its traffic
//! back.

mod returns;
mod share;
mod vectors;

use std::time::Instant;

use redirector_tests::{fixture::Fixture, replica::Replica, wait::wait_until_or, zones::answers};
use share::{draws, is_within};
use vectors::Vector;

#[test]
fn every_tier_gets_the_share_that_health_and_mode_give_it() {
    let vectors = vectors::all();
    let services: String = vectors.iter().map(Vector::service).collect();
    let mut zones = Fixture::of_zones(&vectors::groups(&vectors), &services);
    zones.wait_for_probes();
    zones.replicas.iter_mut().skip(vectors::LIVING).for_each(Replica::kill);
    for vector in &vectors {
        let loads = || zones.loads(&vector.name());
        let what = || format!("{}: {:?}", vector.what, loads());
        wait_until_or("the dead are ejected", || loads() == vector.shares, what);
    }

    for vector in &vectors {
        judge(&zones, vector);
    }
    zones.agent.finish().expect("the agent");
}

fn judge(zones: &Fixture, vector: &Vector) {
    let Vector { what, shares, .. } = vector;
    let draws = draws(shares);
    let start = Instant::now();
    let dialled = zones.dial(&vector.address(), draws);
    let took = start.elapsed();
    let answers = answers(&dialled);
    let count = |zone| answers.get(zone).copied().unwrap_or_default();
    let counts: Vec<u32> = vector.zones().map(count).collect();

    println!("{what}: {shares:?} % of {draws} connects are {counts:?}, in {took:.1?}");
    assert_eq!(counts.iter().sum::<u32>(), draws, "{what}: {answers:?}");
    for (count, share) in counts.iter().zip(shares) {
        assert!(is_within(*count, draws, *share), "{what}: {count} of {draws}, not {share} %");
    }
}
