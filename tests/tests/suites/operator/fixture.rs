//! Four replicas in three zones, two services, and what an operator types.

use std::collections::BTreeSet;

use redirector_tests::{dialer::Dialled, fixture::Fixture, wait::wait_until, zones::Group};

/// All replicas alike.
pub(crate) const FLAT: &str = "10.96.0.10:80";
/// Zone a, zone b, the rest.
pub(crate) const TIERED: &str = "10.96.0.11:80";
/// Dials per second: two replicas of four are met every millisecond.
const RATE: u32 = 2_000;

/// In this order.
pub(crate) fn groups() -> [Group; 4] {
    [
        Group::new("a", [8001]).named("a1"),
        Group::new("a", [8002]).named("a2"),
        Group::new("b", [8001]),
        Group::new("x", [8001]),
    ]
}

/// Everything, up and probed.
pub(crate) fn zones() -> Fixture {
    let groups = groups();
    let backends: String = groups.iter().map(Group::backends).collect();
    let mut services = String::new();
    for (name, address, tiers) in [
        ("operator/flat", FLAT, "[{name: all, clusters: [home, west]}]"),
        (
            "operator/tiered",
            TIERED,
            "[{name: near, zones: [a]}, {name: far, zones: [b]}, {name: west, clusters: [west]}]",
        ),
    ] {
        services.push_str(&format!(
            "- name: {name}\n  frontends: ['{address}/tcp']\n  policy:\n    tiers: {tiers}\n    \
             probe: {{tcp: {{}}, interval: 100ms, timeout: 100ms, unhealthy: 2, healthy: 1}}\n  \
             backends:\n{backends}"
        ));
    }
    let zones = Fixture::of_zones(&groups, &services);
    zones.wait_for_probes();
    zones
}

/// A load on a service.
pub(crate) fn load(zones: &Fixture, address: &str) -> redirector_tests::dialer::LoadRun {
    zones.load(address, RATE)
}

/// Who answered.
pub(crate) fn names<'d>(dialled: impl IntoIterator<Item = &'d Dialled>) -> BTreeSet<&'d str> {
    dialled.into_iter().filter_map(|one| one.outcome.as_deref().ok()).collect()
}

/// Polls until the replicas that answer are these.
pub(crate) fn wait_for(zones: &Fixture, address: &str, wanted: &[&str]) {
    let is_so = || names(&zones.dial(address, 200)).iter().eq(wanted);
    wait_until(&format!("{wanted:?} answer"), is_so);
}
