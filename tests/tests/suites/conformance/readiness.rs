//! How soon a connect obeys what the API server has said of an endpoint's readiness.

use std::{sync::mpsc::RecvTimeoutError, time::Duration};

use redirector_tests::{
    api::{Api, builders},
    cluster::{Cluster, Options, name, replica},
    dialer::{Dial, Dialled, Line, Load, LoadRun, now_us},
    size::sized,
};

const TRIALS: usize = 100;
/// What is promised of these trials, in microseconds from the put to the last connect to the removed
/// address; CI allows five times of it.
const LONGEST_US: u64 = 100_000;
/// So many may take longer.
const SLOW: usize = 1;
/// Dials per second.
const RATE: u32 = 400;
/// How long an endpoint is watched after it has become unready, and after it is ready again:
/// microseconds.
const WATCHED_US: u64 = 130_000;
const READY_US: u64 = 30_000;
const ADDRESS: &str = "10.96.0.10:80";
const LONGEST_SILENCE: Duration = Duration::from_secs(10);

#[test]
fn an_endpoint_that_becomes_unready_gets_no_connect_after_a_tenth_of_a_second() {
    let _alone = redirector_tests::one_at_a_time::one_at_a_time();
    let cluster = Cluster::new(Options { replicas: 2, ..Options::default() }).expect("a cluster");
    let service = builders::Service::redirected("shop", "web", "10.96.0.10");
    cluster.api.put(service).expect("a Service");
    put(&cluster.api, [true, true]);
    cluster.wait_for(&[("shop/web", 2)]);

    let dial = Dial::tcp(ADDRESS.parse().expect("an address"));
    let load = Load { dial, rate: RATE, threads: 4, duration_ms: None, every: true };
    let load = cluster.client().and_then(|client| client.load(load)).expect("a load");
    let (mut last, mut first, mut late, mut dials) = (Vec::new(), Vec::new(), 0, 0);
    for trial in 0..TRIALS {
        let removed = trial % 2;
        // Alternately, so that none is always the same.
        let before = now_us();
        put(&cluster.api, [removed != 0, removed != 1]);
        let seen = until(&load, before + WATCHED_US);
        let after = seen.iter().filter(|one| one.at_us >= before);
        let to_removed = after.filter(|one| is_by(one, removed)).map(|one| one.at_us - before);
        let latest = to_removed.clone().max().unwrap_or(0);
        late += to_removed.filter(|after| *after > LONGEST_US).count();
        last.push(latest);
        let back = now_us();
        put(&cluster.api, [true, true]);
        let seen_back = until(&load, back + READY_US);
        let served = seen_back.iter().filter(|one| one.at_us >= back && is_by(one, removed));
        first.extend(served.map(|one| one.at_us - back).min());
        dials += seen.len() + seen_back.len();
    }
    let (_, sums) = load.stop().expect("the end of the load");
    assert_eq!(sums.failed, 0, "failed connects");
    let slow = last.iter().filter(|latest| **latest > sized(1, 5) * LONGEST_US).count();
    println!(
        "readiness: {TRIALS} trials at {RATE} dials/s, {dials} dials: put to last connect to the \
         removed address, ms: {}; too late: {slow}; connects to it later than 100 ms: {late}",
        distribution(&mut last)
    );
    println!(
        "readiness: put to first connect to an endpoint that is ready again, ms: {}, in {} trials",
        distribution(&mut first),
        first.len()
    );
    assert!(slow <= SLOW, "{slow} trials took too long");
}

/// A slice in which so many are ready.
fn put(api: &Api, ready: [bool; 2]) {
    let mut slice = builders::EndpointSlice::new("shop", "web-1", "web").port("", "TCP", 8080);
    for (number, is_ready) in (1..).zip(ready) {
        let endpoint = builders::Endpoint::new(&replica(number)[0].to_string());
        slice = slice.endpoint(endpoint.ready(is_ready).node("replicas").zone("b"));
    }
    api.put(slice).expect("a slice");
}

/// What has been dialled until a dial began after that moment.
fn until(load: &LoadRun, end_us: u64) -> Vec<Dialled> {
    let mut seen = Vec::new();
    loop {
        match load.lines.recv_timeout(LONGEST_SILENCE) {
            Ok(Line::Dialled(dialled)) => {
                let is_last = dialled.at_us > end_us;
                seen.push(dialled);
                if is_last {
                    return seen;
                }
            }
            Ok(Line::Second(_)) => {}
            Ok(Line::Ended(_)) | Err(RecvTimeoutError::Disconnected) => {
                panic!("the load has ended")
            }
            Err(RecvTimeoutError::Timeout) => panic!("the load is silent"),
        }
    }
}

fn is_by(dialled: &Dialled, removed: usize) -> bool {
    dialled.outcome == Ok(name(removed as u8 + 1))
}

/// Median, 90 and 99 percent, the longest; of microseconds.
fn distribution(all: &mut [u64]) -> String {
    all.sort_unstable();
    let at = |percent: usize| match all.len() {
        0 => 0.0,
        length => all[(length * percent / 100).min(length - 1)] as f64 / 1e3,
    };
    format!("p50 {:.1}, p90 {:.1}, p98 {:.1}, longest {:.1}", at(50), at(90), at(98), at(100))
}
