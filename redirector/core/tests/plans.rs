//! Random worlds: every step of every plan is safe, as judged by the kernel's own decision.

mod support;

use std::{collections::BTreeSet, time::Duration};

use redirector_common::{HealthByte, HealthWord, ServiceWord};
use redirector_core::{
    Command, Input, Moment, State, Tables,
    input::{ClientId, KernelEvent, ProbeFailure},
    plan::{Installed, Plan, Step, plan, plan_scope},
    service::{BackendRef, Frontend},
    state::compile,
    tables::Scope,
};
use support::{
    expect::{View, assert_installed, is_right, usable, view},
    memory::Memory,
    random::{Random, for_seeds},
    worlds::{ROOMY, input, locality, pass, services, tight},
};

const NOW: Moment = Moment(std::time::Duration::ZERO);

#[test]
fn every_step_of_every_plan_is_safe() {
    for_seeds(200_000, |seed| {
        let mut random = Random::new(seed);
        let capacities = if random.chance(70) { ROOMY } else { tight(&mut random) };
        let mut state = born(&mut random);
        let mut memory = Memory::new(capacities);
        let mut installed = Installed::new(capacities);
        let mut now = NOW;
        for _ in 0..3 + random.below(4) {
            kernel_acts(&mut random, &mut state, &mut memory, &installed, now);
            for _ in 0..1 + random.below(3) {
                let now = pass(&mut random, &mut now);
                state.apply(input(&mut random), now);
                obey(&mut state, &mut memory, &installed);
            }
            assert_eq!(*state.tables(), compile(&state), "what the state keeps up to date");
            let changes = state.take_changes();
            let scope = if random.chance(50) { changes } else { Scope::All };
            let before = view(&memory);
            let plan = plan_scope(&mut installed, state.tables(), scope);
            follow(&mut memory, &plan, state.tables(), &mut random);
            assert_installed(&memory, state.tables(), &plan, &before);
            assert_nothing_to_do(&mut installed, state.tables(), &plan);
        }
    });
}

#[test]
fn a_crash_at_any_step_leaves_maps_that_the_next_process_adopts() {
    for_seeds(60_000, |seed| {
        let mut random = Random::new(seed);
        let capacities = if random.chance(70) { ROOMY } else { tight(&mut random) };
        let mut state = born(&mut random);
        let mut memory = Memory::new(capacities);
        let mut installed = Installed::new(capacities);
        let mut now = NOW;
        for _ in 0..2 + random.below(4) {
            kernel_acts(&mut random, &mut state, &mut memory, &installed, now);
            for _ in 0..1 + random.below(3) {
                let now = pass(&mut random, &mut now);
                state.apply(input(&mut random), now);
                obey(&mut state, &mut memory, &installed);
            }
            let before = view(&memory);
            let plan = plan(&mut installed, state.tables());
            let is_crash = random.chance(50);
            let until = if is_crash { random.below(plan.steps.len() + 1) } else { usize::MAX };
            follow_until(until, &mut memory, &plan, state.tables(), &mut random);
            if !is_crash {
                assert_installed(&memory, state.tables(), &plan, &before);
                continue;
            }
            installed = memory.adopt();
            if random.chance(50) {
                state = reborn(&mut random, &state, &installed);
                obey(&mut state, &mut memory, &installed);
            }
        }
        state.apply(Input::Replace(services(&mut random)), now);
        obey(&mut state, &mut memory, &installed);
        let before = view(&memory);
        let plan = plan(&mut installed, state.tables());
        follow(&mut memory, &plan, state.tables(), &mut random);
        assert_installed(&memory, state.tables(), &plan, &before);
        assert_nothing_to_do(&mut installed, state.tables(), &plan);
        if plan.rejected.is_empty() {
            assert_nothing_to_do(&mut memory.adopt(), state.tables(), &plan);
        }
    });
}

/// Applies a plan; after each step connects to every frontend there is, was or will be, also as a
/// reader that loaded its word at any time since the last barrier.
fn follow(memory: &mut Memory, plan: &Plan, desired: &Tables, random: &mut Random) {
    follow_until(usize::MAX, memory, plan, desired, random);
}

fn follow_until(
    until: usize,
    memory: &mut Memory,
    plan: &Plan,
    desired: &Tables,
    random: &mut Random,
) {
    let before = view(memory);
    let mut end = memory.clone();
    for step in &plan.steps {
        end.apply(step);
    }
    let after = view(&end);
    let usable = usable([&before, &after], desired);
    let between = Between { before, after, usable };
    memory.forget_held();
    assert_right(memory, &between, None, random);
    for step in plan.steps.iter().take(until) {
        memory.apply(step);
        assert_right(memory, &between, Some(step), random);
    }
}

/// The states that a plan leads from and to.
struct Between {
    before: View,
    after: View,
    usable: BTreeSet<BackendRef>,
}

fn assert_right(memory: &Memory, between: &Between, step: Option<&Step>, random: &mut Random) {
    let Between { before, after, usable } = between;
    let seeds = [random.next() as u32, random.next() as u32];
    let right = |frontend: &Frontend, held: Option<ServiceWord>, seed: u32| {
        let verdict = memory.connect(frontend, held, seed);
        let (before, after) = (before.get(frontend), after.get(frontend));
        assert!(
            is_right(verdict, before, after, usable),
            "{frontend}, word loaded earlier {held:?}: {verdict:?} after {step:?}\n\
             before: {before:?}\nafter: {after:?}"
        );
    };
    for frontend in before.keys().chain(after.keys()) {
        for seed in seeds {
            right(frontend, None, seed);
        }
    }
    for (frontend, word) in &memory.held {
        right(frontend, Some(ServiceWord(*word)), seeds[0]);
    }
}

/// A plan to where we are is empty.
fn assert_nothing_to_do(installed: &mut Installed, desired: &Tables, earlier: &Plan) {
    let again = plan(installed, desired);
    assert_eq!(again.steps, [], "planned twice; rejected before: {:?}", earlier.rejected);
    let names =
        |plan: &Plan| -> Vec<_> { plan.rejected.iter().map(|(name, _)| name.clone()).collect() };
    assert_eq!(names(&again), names(earlier));
}

/// Now and then the kernel ejects or re-admits a backend by itself, and says so.
fn kernel_acts(
    random: &mut Random,
    state: &mut State,
    memory: &mut Memory,
    installed: &Installed,
    now: Moment,
) {
    let is_listed = |(backend, _): &(&BackendRef, u32)| {
        let mut listed = state.services().flat_map(|service| &service.backends);
        listed.any(|listed| listed.backend == **backend)
    };
    let known: Vec<(BackendRef, u32)> =
        installed.backends().filter(is_listed).map(|(backend, index)| (*backend, index)).collect();
    if known.is_empty() || random.chance(70) {
        return;
    }
    let (backend, index) = *random.pick(&known);
    let (client, lasts) = (ClientId::default(), Duration::from_secs(10));
    let refused = random.chance(50);
    let suspected = KernelEvent::Suspected { refused, client, lasts, ejections: 1 };
    let (event, byte, value) = match random.below(5) {
        0..2 => (suspected, HealthByte::Passive, 1),
        2 => (KernelEvent::ListenerGone, HealthByte::Listener, 1),
        3 => (KernelEvent::ListenerBack, HealthByte::Listener, 0),
        _ => (KernelEvent::Readmitted, HealthByte::Passive, 0),
    };
    memory.store(&Step::SetHealth { backend: index, byte, value });
    if event == KernelEvent::Readmitted {
        let byte = HealthByte::Listener;
        memory.store(&Step::SetHealth { backend: index, byte, value });
    }
    state.apply(Input::Kernel { backend, event }, now);
    obey(state, memory, installed);
    // A suspicion is nothing that the tables say: the probes that it asks for end it.
    for outcome in [Err(ProbeFailure::TimedOut), Ok(())].into_iter().skip(random.below(2)) {
        let objections = state.tables().objections.get(&backend).copied().unwrap_or_default();
        if state.is_told(&backend, byte) && objections.byte(byte) == 0 {
            state.apply(Input::Probed { backend, outcome }, now);
            obey(state, memory, installed);
        }
    }
}

/// Does what the state asks for beside its tables.
fn obey(state: &mut State, memory: &mut Memory, installed: &Installed) {
    for command in state.take_commands() {
        let (backend, byte, value) = match command {
            Command::Readmit { backend, byte } => (backend, byte, 0),
            Command::Eject { backend, byte, .. } => (backend, byte, HealthWord::CONFIRMED),
            Command::Vouch { .. }
            | Command::Answered(_)
            | Command::Forgive(_)
            | Command::Reset(_)
            | Command::EndFlows(_) => continue,
        };
        if let Some((index, _)) = installed.backend(&backend) {
            memory.store(&Step::SetHealth { backend: index, byte, value });
        }
    }
}

fn born(random: &mut Random) -> State {
    let mut state = State::new();
    state.apply(Input::Node(locality(random)), NOW);
    if random.chance(70) {
        state.apply(Input::Replace(services(random)), NOW);
    }
    state
}

/// The state of a new process: it knows the ejections that the maps hold, and soon the services.
fn reborn(random: &mut Random, before: &State, installed: &Installed) -> State {
    let mut state = State::new();
    state.apply(Input::Restore(installed.objections()), NOW);
    state.apply(Input::Node(before.node().clone()), NOW);
    if random.chance(50) {
        let known = before.services().cloned().collect();
        state.apply(Input::Replace(known), NOW);
    }
    state
}
