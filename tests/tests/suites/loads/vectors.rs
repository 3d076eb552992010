//! Services whose health is arranged, and what each tier should get.
//!
//! The shares are written down, worked by hand from Envoy's formula ("Priority levels"): nothing
//! here computes them.

use std::{fmt::Write as _, ops::Range};

use redirector_tests::zones::Group;

/// How often replicas are asked. They refuse at once: only a busy machine needs the timeout.
pub(crate) const PROBE: &str =
    "probe: {tcp: {}, interval: 300ms, timeout: 300ms, unhealthy: 2, healthy: 1}";
/// Groups that go on living: the first of [`groups`].
pub(crate) const LIVING: usize = ZONES.len();

const ZONES: [&str; 3] = ["a", "b", "x"];
const TWO_ZONES: &str = "tiers: [{name: near, zones: [a]}, {name: far, zones: [b]}]";
/// What a zone lists is called like this, when it belongs to another service.
const BACKUP: &str = "loads/backup";

/// A service with ports of its own.
pub(crate) struct Vector {
    /// From 0: the number in its name, address and ports.
    number: u16,
    pub(crate) what: String,
    /// The policy without probe, a field a line.
    policy: Vec<&'static str>,
    tiers: Vec<Tier>,
    /// Percent of each tier.
    pub(crate) shares: Vec<u64>,
}

/// One tier's replicas.
#[derive(Clone, Copy)]
struct Tier {
    zone: &'static str,
    healthy: u16,
    total: u16,
}

pub(crate) fn all() -> Vec<Vector> {
    let mut vectors = Vec::new();
    let mut add = |policy: &[&'static str], tiers: &[(&'static str, u16, u16)], shares: &[u64]| {
        let health: Vec<_> =
            tiers.iter().map(|(_, healthy, total)| format!("{healthy} of {total}")).collect();
        let tiers = tiers.iter().map(|(zone, healthy, total)| Tier {
            zone,
            healthy: *healthy,
            total: *total,
        });
        vectors.push(Vector {
            number: vectors.len() as u16,
            what: format!("{}, {}", policy.join(", "), health.join(" and ")),
            policy: policy.to_vec(),
            tiers: tiers.collect(),
            shares: shares.to_vec(),
        });
    };
    // 140 % of 7/10 is 98 %.
    add(&["mode: Spill", TWO_ZONES], &[("a", 7, 10), ("b", 2, 2)], &[98, 2]);
    // 140 % of 2/3 is 93.3 %.
    add(
        &["mode: Spill", "tiers: [{name: near, locality: Zone}, {name: far, locality: Cluster}]"],
        &[("a", 2, 3), ("b", 3, 3)],
        &[93, 7],
    );
    // Each could carry 70 %.
    add(
        &["mode: Spill", "tiers: [{name: home, clusters: [home]}, {name: west, clusters: [west]}]"],
        &[("a", 1, 2), ("x", 1, 2)],
        &[70, 30],
    );
    // 35, 35 and 28 % are 98 %: normalized 35, 35 and 28, and the first has the rest.
    add(
        &[
            "mode: Spill",
            "tiers: [{name: near, zones: [a]}, {name: region, regions: [eu]}, \
             {name: backup, service: {name: loads/backup}}]",
        ],
        &[("a", 1, 4), ("b", 1, 4), ("x", 1, 5)],
        &[37, 35, 28],
    );
    add(
        &["mode: Spill", "overprovisioningPercent: 100", TWO_ZONES],
        &[("a", 9, 10), ("b", 1, 1)],
        &[90, 10],
    );
    for (mode, healthy, shares) in [
        (&["mode: Threshold", "minHealthyPercent: 60"][..], 6, [100, 0]),
        (&["mode: Threshold", "minHealthyPercent: 60"], 5, [0, 100]),
        (&["mode: LastResort"], 1, [100, 0]),
        (&["mode: LastResort"], 0, [0, 100]),
    ] {
        let policy = [mode, &[TWO_ZONES]].concat();
        add(&policy, &[("a", healthy, 10), ("b", 2, 2)], &shares);
    }
    vectors
}

/// All replicas of these services: for each zone those that live, then those that shall die.
pub(crate) fn groups(vectors: &[Vector]) -> Vec<Group> {
    let ports = |zone: &str, of: fn(&Vector, &Tier) -> Range<u16>| -> Vec<u16> {
        let tiers = vectors.iter().flat_map(|vector| {
            vector.tiers.iter().filter(|tier| tier.zone == zone).map(move |tier| of(vector, tier))
        });
        tiers.flatten().collect()
    };
    let living = ZONES.map(|zone| Group::new(zone, ports(zone, Vector::healthy)));
    let dying = ZONES.map(|zone| Group::new(zone, ports(zone, Vector::dead)));
    living.into_iter().chain(dying).collect()
}

impl Vector {
    pub(crate) fn name(&self) -> String {
        format!("loads/{}", self.number)
    }

    pub(crate) fn address(&self) -> String {
        format!("10.96.0.{}:80", self.number + 1)
    }

    /// The zone of each tier: what its replicas answer with.
    pub(crate) fn zones(&self) -> impl Iterator<Item = &'static str> {
        self.tiers.iter().map(|tier| tier.zone)
    }

    /// Its lines of the file, with those of its backup.
    pub(crate) fn service(&self) -> String {
        let (name, address) = (self.name(), self.address());
        let mut own = self.tiers.clone();
        let mut text = String::new();
        if self.policy.iter().any(|line| line.contains(BACKUP)) {
            let backup = own.split_off(own.len() - 1);
            let backends = self.backends(&backup);
            let _ = write!(
                text,
                "- name: {BACKUP}\n  frontends: ['10.96.1.1:80/tcp']\n  policy: {{{PROBE}}}\n  \
                 backends:\n{backends}"
            );
        }
        let backends = self.backends(&own);
        let policy: Vec<_> =
            self.policy.iter().chain([&PROBE]).map(|line| format!("    {line}\n")).collect();
        let _ = write!(
            text,
            "- name: {name}\n  frontends: ['{address}/tcp']\n  policy:\n{}  backends:\n{backends}",
            policy.concat()
        );
        text
    }

    fn backends(&self, tiers: &[Tier]) -> String {
        let all = |tier: &Tier| [self.healthy(tier), self.dead(tier)].into_iter().flatten();
        tiers.iter().map(|tier| Group::new(tier.zone, all(tier)).backends()).collect()
    }

    fn healthy(&self, tier: &Tier) -> Range<u16> {
        let first = 8_000 + 20 * self.number;
        first..first + tier.healthy
    }

    fn dead(&self, tier: &Tier) -> Range<u16> {
        let first = self.healthy(tier).end;
        first..first + tier.total - tier.healthy
    }
}
