//! The index by address: this node's backends are found by it, and no others.

use std::fmt::Write as _;

use aya::maps::MapData;
use redirector::datapath::Mapped;
use redirector_common::{
    BackendValue, HealthByte, HealthWord, IDS, IdBucket, IdWord, PROTOCOL_TCP, buckets_of,
    identity_of, mix,
};

use super::fixture::Fixture;

/// With as many elsewhere half of what the maps have room for: all are replaced while they serve.
const BACKENDS: u32 = 2_000;
const ROOM: [&str; 2] = ["--max-backends", "8192"];
/// From the number of a backend of this node to that of one elsewhere.
const ELSEWHERE: u32 = 1 << 16;

#[test]
fn every_backend_of_this_node_is_found_by_its_address_and_none_that_is_gone() {
    let mut site = Fixture::without_agent();
    site.start_agent_with(&config(0), &ROOM);
    assert_found(&site, 0);

    // Half of them go, as many come, and their indices are used again.
    site.thaw();
    for first in [BACKENDS / 2, BACKENDS, 0] {
        site.write(&config(first));
        site.wait_for("the new backends", |site| found(site).0 == expected(first));
        assert_found(&site, first);
    }
    site.finish();
}

fn assert_found(site: &Fixture, first: u32) {
    let (found, words) = found(site);
    assert_eq!(found, expected(first));
    assert_eq!(words, found.len(), "words for {} backends", found.len());
}

/// Backends in use that the index leads to, sorted; and all of its words.
fn found(site: &Fixture) -> (Vec<[u8; 16]>, usize) {
    let backends: Mapped<BackendValue> = open(site, "BACKENDS");
    let health: Mapped<HealthWord> = open(site, "HEALTH");
    let buckets = open::<IdBucket>(site, "BACKEND_IDS").read_all();
    let count = buckets[0].0[0].0 as u32;
    assert_eq!(count as usize, buckets.len() - 1, "the first word says how many buckets follow");
    let mut found = Vec::new();
    for (index, (value, state)) in (0..).zip(backends.read_all().iter().zip(health.read_all())) {
        if value.protocol != PROTOCOL_TCP || state.byte(HealthByte::Discovery) != 0 {
            continue;
        }
        let (numbers, check) = buckets_of(mix(&identity_of(value)), count);
        let word = IdWord::new(index, state.generation(), check);
        let holds = |number: &u32| {
            let bucket = &buckets[*number as usize + 1].0;
            let same = bucket.iter().filter(|there| there.check() == check).count();
            assert!(same <= 1, "two words of one bucket have the same check");
            bucket.contains(&word)
        };
        if numbers.iter().any(holds) {
            found.push(value.address);
        }
    }
    found.sort_unstable();
    let words = buckets[1..].iter().flat_map(|bucket| bucket.0);
    let words = words.filter(|word| *word != IdWord::default()).count();
    assert!(words <= count as usize * IDS);
    (found, words)
}

fn open<T: bytemuck::Pod>(site: &Fixture, name: &str) -> Mapped<T> {
    let map = MapData::from_pin(site.map(name)).expect("a pinned map");
    Mapped::new(name, map.fd()).expect("its memory")
}

/// 10.1.x.y with the numbers from `first` on.
fn address(number: u32) -> std::net::Ipv4Addr {
    (0x0a01_0000 + number).into()
}

fn expected(first: u32) -> Vec<[u8; 16]> {
    let mut all: Vec<_> =
        (first..first + BACKENDS).map(|number| address(number).to_ipv6_mapped().octets()).collect();
    all.sort_unstable();
    all
}

fn config(first: u32) -> String {
    let mut text = "node: {name: n1, zone: a, region: eu, cluster: local}\nservices:\n\
                    - name: shop/many\n  frontends: [\"10.96.0.30:80/tcp\"]\n  \
                    policy: {probe: off}\n  backends:\n"
        .to_owned();
    for number in first..first + BACKENDS {
        let _ = writeln!(text, "  - {{address: \"{}:8080\", node: n1}}", address(number));
        // As many on other nodes, also one of the same name in another cluster.
        let elsewhere = address(ELSEWHERE + number);
        let at = if number % 2 == 0 { "node: n2" } else { "node: n1, cluster: west" };
        let _ = writeln!(text, "  - {{address: \"{elsewhere}:8080\", {at}}}");
    }
    text
}
