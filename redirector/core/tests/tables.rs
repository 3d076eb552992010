//! What the tables and the maps do not depend on, and how connections spread over the weights.

mod support;

use std::collections::BTreeMap;

use redirector_common::HealthByte;
use redirector_core::{
    Input, Moment, State,
    plan::{Capacities, Installed, Step, plan},
    service::{BackendRef, Service},
};
use support::{
    by_name::{backend, failure, frontend, service, success},
    expect::view,
    memory::Memory,
    random::{Random, for_seeds},
    reader::Verdict,
    worlds::{ROOMY, input, locality, services},
};

const NOW: Moment = Moment(std::time::Duration::ZERO);

#[test]
fn the_order_of_a_list_does_not_matter() {
    for_seeds(50_000, |seed| {
        let mut random = Random::new(seed);
        let mut one = State::new();
        for _ in 0..random.below(6) {
            one.apply(input(&mut random), NOW);
        }
        let mut other = one.clone();
        let mut list = services(&mut random);
        let mut happened = one.apply(Input::Replace(list.clone()), NOW);
        random.shuffle(&mut list);
        for service in &mut list {
            random.shuffle(&mut service.frontends);
            random.shuffle(&mut service.backends);
        }
        let mut happened_too = other.apply(Input::Replace(list), NOW);
        assert_eq!(one.tables(), other.tables());
        for list in [&mut happened, &mut happened_too] {
            list.retain(|transition| {
                !matches!(transition, redirector_core::Transition::Rejected { .. })
            });
        }
        assert_eq!(happened, happened_too);
    });
}

#[test]
fn the_order_of_independent_inputs_does_not_matter() {
    for_seeds(50_000, |seed| {
        let mut random = Random::new(seed);
        let mut inputs: Vec<Input> = compatible(&mut random).into_iter().map(Input::Put).collect();
        inputs.push(Input::Node(locality(&mut random)));
        let ejected = (0..random.below(4)).map(|_| {
            let last = random.below(8);
            (backend(&format!("10.1.0.{last}")), redirector_common::HealthByte::Prober, 1)
        });
        inputs.push(Input::Restore(ejected.collect()));
        let mut one = State::new();
        for input in &inputs {
            one.apply(input.clone(), NOW);
        }
        random.shuffle(&mut inputs);
        let mut other = State::new();
        for input in inputs {
            other.apply(input, NOW);
        }
        assert_eq!(one.tables(), other.tables());
    });
}

#[test]
fn how_the_maps_came_to_be_does_not_matter() {
    for_seeds(20_000, |seed| {
        let mut random = Random::new(seed);
        let mut state = State::new();
        let (mut evolved, mut fresh) = (Memory::new(ROOMY), Memory::new(ROOMY));
        let mut installed = Installed::new(ROOMY);
        for _ in 0..5 {
            state.apply(input(&mut random), NOW);
            for step in plan(&mut installed, state.tables()).steps {
                evolved.apply(&step);
            }
        }
        state.apply(Input::Replace(services(&mut random)), NOW);
        for step in plan(&mut installed, state.tables()).steps {
            evolved.apply(&step);
        }
        for step in plan(&mut Installed::new(ROOMY), state.tables()).steps {
            fresh.apply(&step);
        }
        let logical = |memory: &Memory| {
            let mut view = view(memory);
            // Ids and the order of indices are what history leaves.
            for seen in view.values_mut() {
                seen.service = 0;
                seen.usable.sort_unstable();
            }
            view
        };
        assert_eq!(logical(&evolved), logical(&fresh));
    });
}

#[test]
fn connections_spread_by_weight() {
    for weights in [
        &[1, 1][..],
        &[1, 2],
        &[1, 2, 3, 4, 5],
        &[65_535, 1],
        &[1, 65_535, 65_535],
        &[1, 1, 1, 1, 1, 1, 1, 1, 1, 91],
        &[99, 1, 50, 50, 17, 3],
        &[1; 50],
    ] {
        assert_spread(weights, &[]);
    }
}

#[test]
fn the_share_of_the_ejected_spreads_over_the_healthy_by_weight() {
    assert_spread(&[1, 2, 3, 4], &[1]);
    assert_spread(&[1, 1, 1, 1, 1], &[0, 3]);
    assert_spread(&[5, 1, 1], &[0]);
}

/// The kernel ejects by itself, the tables stay as they are: no ejected backend is chosen, however
/// few are healthy.
#[test]
fn no_subset_of_up_to_64_backends_is_too_large_to_be_ejected() {
    const CAPACITIES: Capacities = Capacities { backends: 80, slots: 512, ..ROOMY };
    for count in 1..=64 {
        let addresses: Vec<String> = (0..count).map(|last| format!("10.1.0.{last}")).collect();
        let mut state = State::new();
        let listed = service("any", &["10.96.0.1"], &addresses);
        state.apply(Input::Replace(vec![listed]), NOW);
        let mut installed = Installed::new(CAPACITIES);
        let mut whole = Memory::new(CAPACITIES);
        for step in plan(&mut installed, state.tables()).steps {
            whole.apply(&step);
        }
        for_seeds(30, |seed| {
            let mut random = Random::new(seed << 8 | count as u64);
            let mut memory = whole.clone();
            let mut order: Vec<usize> = (0..count).collect();
            random.shuffle(&mut order);
            // One is healthy, or any number of them.
            let healthy = if seed == 0 { 1 } else { 1 + random.below(count) };
            let (healthy, ejected) = order.split_at(healthy);
            for number in ejected {
                let (index, _) =
                    installed.backend(&backend(&addresses[*number])).expect("it is in");
                let byte = HealthByte::Passive;
                memory.apply(&Step::SetHealth { backend: index, byte, value: 1 });
            }
            let healthy: Vec<BackendRef> =
                healthy.iter().map(|number| backend(&addresses[*number])).collect();
            for _ in 0..200 {
                match memory.connect(&frontend("10.96.0.1"), None, random.next() as u32) {
                    Verdict::To(backend) => assert!(healthy.contains(&backend), "{backend}"),
                    other => panic!("{other:?}: {} of {count} are healthy", healthy.len()),
                }
            }
        });
    }
}

/// 100,000 connections to one service; each backend's share is right within 1 %.
fn assert_spread(weights: &[u16], ejected: &[usize]) {
    const PICKS: u32 = 100_000;
    let backends: Vec<String> = (0..weights.len()).map(|last| format!("10.1.0.{last}")).collect();
    let mut of_weights = service("weights", &["10.96.0.1"], &backends);
    for (backend, weight) in of_weights.backends.iter_mut().zip(weights) {
        backend.weight = *weight;
    }
    let mut state = State::new();
    state.apply(Input::Replace(vec![of_weights]), NOW);
    for number in ejected {
        for input in [success, failure].map(|probed| probed(&backends[*number])) {
            state.apply(input, NOW);
        }
    }
    let mut memory = Memory::new(ROOMY);
    for step in plan(&mut Installed::new(ROOMY), state.tables()).steps {
        memory.apply(&step);
    }
    let mut random = Random::new(weights.len() as u64);
    let mut picked: BTreeMap<BackendRef, u32> = BTreeMap::new();
    for _ in 0..PICKS {
        match memory.connect(&frontend("10.96.0.1"), None, random.next() as u32) {
            Verdict::To(backend) => *picked.entry(backend).or_default() += 1,
            other => panic!("{other:?}"),
        }
    }
    let is_healthy = |number: &usize| !ejected.contains(number);
    let total: u32 =
        (0..weights.len()).filter(is_healthy).map(|number| u32::from(weights[number])).sum();
    for (number, address) in backends.iter().enumerate() {
        let weight = if is_healthy(&number) { weights[number] } else { 0 };
        let wanted = f64::from(weight) / f64::from(total);
        let got = f64::from(picked.get(&backend(address)).copied().unwrap_or(0)) / f64::from(PICKS);
        assert!((got - wanted).abs() < 0.01, "{got} instead of {wanted}: {number} of {weights:?}");
    }
}

/// Services that are not in each other's way.
fn compatible(random: &mut Random) -> Vec<Service> {
    let mut state = State::new();
    state.apply(Input::Replace(services(random)), NOW);
    state.services().cloned().collect()
}
