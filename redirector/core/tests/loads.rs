//! Where the kernel's own decision sends connections of services with tiers.

mod support;

use std::{collections::BTreeMap, sync::Arc};

use redirector_core::{
    Input, Moment, State,
    plan::{Capacities, Installed, plan},
    service::{Members, Mode, Policy, Service, TierRule},
};
use support::{
    by_name::{frontend, refusal, service, success},
    memory::Memory,
    random::Random,
    reader::Verdict,
};

const NOW: Moment = Moment(std::time::Duration::ZERO);
const DIALS: u32 = 200_000;
const ROOM: Capacities =
    Capacities { frontends: 4, services: 4, backends: 64, nodes: 4, slots: 256 };

#[test]
fn connections_follow_envoys_loads_to_half_a_percent() {
    for (factor, tiers, wanted) in [
        (140, &[(10, 7), (10, 10)][..], &[98, 2][..]),
        (140, &[(3, 2), (3, 3)], &[93, 7]),
        (140, &[(2, 1), (2, 1)], &[70, 30]),
        (140, &[(4, 1), (2, 2)], &[35, 65]),
        (140, &[(5, 2), (5, 2), (5, 2)], &[56, 44, 0]),
        (100, &[(4, 2), (4, 2)], &[50, 50]),
        (100, &[(5, 2), (2, 1), (4, 4)], &[40, 50, 10]),
        (1_000, &[(20, 10), (10, 10)], &[100, 0]),
    ] {
        assert_spread(spill(factor), tiers, wanted, 0.5);
    }
}

#[test]
fn connections_follow_envoys_loads_just_as_well_where_nearly_all_are_dead() {
    // With 1 of 5 healthy, 16 draws in a tier meet no usable backend for 2.8 % of its connections,
    // with 1 of 10 for 18.5 %: the walk finds theirs in the same tier.
    for (tiers, wanted) in [
        (&[(4, 1), (4, 1), (5, 1)][..], &[37, 35, 28][..]),
        (&[(5, 0), (5, 2), (5, 1)], &[0, 67, 33]),
        (&[(10, 1), (10, 10)], &[14, 86]),
        (&[(10, 10), (10, 1)], &[100, 0]),
        (&[(10, 1), (10, 1)], &[50, 50]),
    ] {
        assert_spread(spill(140), tiers, wanted, 0.5);
    }
}

#[test]
fn connections_follow_a_threshold_and_the_last_resort() {
    let threshold = || Policy { mode: Mode::Threshold, ..all() };
    assert_spread(threshold(), &[(2, 1), (2, 2)], &[100, 0], 0.0);
    assert_spread(threshold(), &[(3, 1), (2, 2)], &[0, 100], 0.0);
    assert_spread(threshold(), &[(4, 1), (4, 1)], &[100, 0], 0.0);
    let last_resort = || Policy { mode: Mode::LastResort, ..all() };
    assert_spread(last_resort(), &[(9, 1), (9, 9)], &[100, 0], 0.0);
    assert_spread(last_resort(), &[(9, 0), (9, 1), (9, 9)], &[0, 100, 0], 0.0);
}

#[test]
fn in_a_panic_tiers_are_used_by_size_when_they_spill_and_in_order_when_not() {
    let policy = |mode| Policy { mode, ..all() };
    assert_spread(policy(Mode::Spill), &[(1, 0), (3, 0)], &[25, 75], 0.5);
    assert_spread(policy(Mode::LastResort), &[(1, 0), (3, 0)], &[100, 0], 0.0);
    assert_spread(policy(Mode::Threshold), &[(1, 0), (3, 0)], &[100, 0], 0.0);
}

#[test]
fn an_empty_tier_keeps_its_number_and_takes_no_room() {
    let mut state = State::new();
    state.apply(Input::Replace(vec![tiered(all(), &[(0, 0), (2, 2), (0, 0), (1, 1)])]), NOW);
    let (_, table) = state.tables().services.iter().next().expect("one service");
    let tiers: Vec<(u8, &str)> =
        table.v4.tiers.iter().map(|tier| (tier.number, &*tier.name)).collect();
    assert_eq!(tiers, [(1, "tier-1"), (3, "tier-3")]);
    assert_eq!(table.v4.carrying(), Some((1, "tier-1")));
}

/// {backends, healthy} of each tier, and the percentages of dials that reach each, but for `off`
/// points.
fn assert_spread(policy: Policy, tiers: &[(u8, u8)], wanted: &[u8], off: f64) {
    let mut state = State::new();
    state.apply(Input::Replace(vec![tiered(policy, tiers)]), NOW);
    for (tier, (total, healthy)) in (0..).zip(tiers) {
        for number in *healthy..*total {
            for input in [success, refusal].map(|probed| probed(&address(tier, number))) {
                state.apply(input, NOW);
            }
        }
    }
    let mut memory = Memory::new(ROOM);
    for step in plan(&mut Installed::new(ROOM), state.tables()).steps {
        memory.apply(&step);
    }
    let mut random = Random::new(u64::from(wanted[0]));
    let mut picked: BTreeMap<u8, u32> = BTreeMap::new();
    for _ in 0..DIALS {
        match memory.connect(&frontend("10.96.0.1"), None, random.next() as u32) {
            Verdict::To(backend) => {
                let std::net::IpAddr::V4(four) = backend.address else { panic!("{backend}") };
                let [.., tier, number] = four.octets();
                let (total, healthy) = tiers[usize::from(tier)];
                assert!(number < healthy || tiers.iter().all(|(_, healthy)| *healthy == 0));
                assert!(number < total);
                *picked.entry(tier).or_default() += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    for (tier, percent) in (0..).zip(wanted) {
        let got = 100.0 * f64::from(picked.get(&tier).copied().unwrap_or(0)) / f64::from(DIALS);
        let wanted = f64::from(*percent);
        assert!((got - wanted).abs() <= off, "{got} instead of {wanted}: tier {tier} of {tiers:?}");
    }
}

/// A service whose tiers are zones of that many backends, probed.
fn tiered(policy: Policy, tiers: &[(u8, u8)]) -> Service {
    let addresses: Vec<String> = (0..)
        .zip(tiers)
        .flat_map(|(tier, (total, _))| (0..*total).map(move |number| address(tier, number)))
        .collect();
    let mut service = service("s", &["10.96.0.1"], &addresses);
    for (listed, address) in service.backends.iter_mut().zip(&addresses) {
        let tier = address.split('.').nth(2).expect("four octets");
        listed.locality.zone = Some(Arc::from(tier));
    }
    let rule = |tier: usize| TierRule {
        name: format!("tier-{tier}").into(),
        members: Members::Named {
            zones: vec![tier.to_string().into()],
            regions: Vec::new(),
            clusters: Vec::new(),
        },
    };
    let tiers = (0..tiers.len()).map(rule).collect();
    service.policy = Policy { tiers, probe: service.policy.probe.clone(), ..policy };
    service
}

fn spill(overprovisioning_percent: u16) -> Policy {
    Policy { mode: Mode::Spill, overprovisioning_percent, ..all() }
}

fn all() -> Policy {
    Policy::default()
}

fn address(tier: u8, number: u8) -> String {
    format!("10.1.{tier}.{number}")
}
