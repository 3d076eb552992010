//! A node goes and comes back by one store, however many backends are on it.

mod support;

use std::time::Duration;

use redirector_common::{HealthByte, HealthWord, NodeWord};
use redirector_core::{
    Input, Moment, State,
    input::{Drained, ProbeFailure, Verb},
    plan::{Capacities, Installed, Step, plan},
    service::{Locality, Service},
};
use support::{
    by_name::{backend, service},
    memory::Memory,
    worlds::ROOMY,
};

const MANY: Capacities =
    Capacities { frontends: 8, services: 8, backends: 4_096, nodes: 8, slots: 16_384 };
/// The one owner's and the other's backend on `n1` that probes ask.
const PROBED: [&str; 2] = ["10.1.0.1", "fd00::1"];

#[test]
fn a_silent_node_with_500_backends_is_one_store_and_so_is_its_return() {
    for backends in [v4 as fn(u32) -> String, v6] {
        let mut agent = Agent::new(Installed::new(MANY), 500, backends);
        let mut stores = Vec::new();
        for second in 1..=3 {
            for address in PROBED {
                stores.extend(agent.told(second, answer(address, false)));
            }
        }
        let own = |step: &Step| matches!(step, Step::SetHealth { byte: HealthByte::Prober, .. });
        let (of_probed, of_node): (Vec<_>, Vec<_>) = stores.into_iter().partition(own);
        assert_eq!(of_node, [set_node(HealthByte::Prober)]);
        assert!(of_probed.len() <= PROBED.len(), "{of_probed:?}");
        let back = agent.told(10, answer(PROBED[0], true));
        let of_node: Vec<_> = back.iter().filter(|step| !own(step)).collect();
        assert_eq!(of_node, [&Step::SetNode { index: 1, vetoes: 0 }]);
        assert!(back.len() <= 1 + PROBED.len(), "{back:?}");
    }
}

#[test]
fn a_drained_node_with_500_backends_is_one_store_and_so_is_its_return() {
    for backends in [v4 as fn(u32) -> String, v6] {
        let mut agent = Agent::new(Installed::new(MANY), 500, backends);
        let drained = Drained::Node("n1".into());
        let steps = agent.told(1, Input::Operator(Verb::Drain(drained.clone())));
        assert_eq!(steps, [set_node(HealthByte::Operator)]);
        let steps = agent.told(2, Input::Operator(Verb::Undrain(drained)));
        assert_eq!(steps, [Step::SetNode { index: 1, vetoes: 0 }]);
    }
}

#[test]
fn one_backend_more_on_a_node_that_is_out_keeps_the_others_out() {
    let mut agent = Agent::new(Installed::new(MANY), 4, v4);
    agent.told(1, Input::Operator(Verb::Drain(Drained::Node("n1".into()))));
    // Another service says that one of them runs elsewhere: who is right is not known.
    let mut other = service("d/dns", &["10.96.0.9"], &["10.1.1.0"]);
    other.policy.probe = None;
    other.backends[0].locality.node = Some("n2".into());
    let steps = agent.told(2, Input::Put(other));
    let place = |wanted: fn(&Step) -> bool| steps.iter().position(wanted).expect("the step");
    let cleared = place(|step| matches!(step, Step::SetNode { vetoes: 0, .. }));
    let kept = |step: &&Step| matches!(step, Step::SetHealth { byte: HealthByte::Operator, .. });
    assert_eq!(steps[..cleared].iter().filter(kept).count(), 4 + PROBED.len(), "{steps:?}");
    assert!(cleared < place(|step| matches!(step, Step::Publish { .. })), "{steps:?}");
}

#[test]
fn the_next_agent_keeps_out_what_probes_must_bring_back() {
    let mut agent = Agent::new(Installed::new(ROOMY), 6, v4);
    let mut memory = Memory::new(ROOMY);
    for step in &agent.first {
        memory.apply(step);
    }
    for address in PROBED {
        for step in agent.told(1, answer(address, false)) {
            memory.apply(&step);
        }
    }
    assert!(memory.nodes[1].vetoes() != 0, "the node is silent");
    let mut installed = memory.adopt();
    let mut state = State::new();
    state.apply(Input::Restore(installed.objections()), at(0));
    state.apply(Input::Node(here()), at(0));
    state.apply(Input::Replace(services(6, v4)), at(0));
    for step in plan(&mut installed, state.tables()).steps {
        memory.apply(&step);
        for address in PROBED {
            let (index, _) = installed.backend(&backend(address)).expect("it is listed");
            let word = memory.health[index as usize].on(memory.nodes[1]);
            assert!(!word.is_usable(), "{address} after {step:?}");
        }
    }
}

#[test]
fn an_earlier_version_finds_each_backend_of_a_silent_node_ejected() {
    let mut agent = Agent::new(Installed::new(MANY), 20, v4);
    for address in PROBED {
        agent.told(1, answer(address, false));
    }
    let spelt = agent.installed.spell_out().steps;
    let own = |step: &&Step| matches!(step, Step::SetHealth { byte: HealthByte::Prober, .. });
    assert_eq!(spelt.iter().filter(own).count(), spelt.len());
    assert!((20..=22).contains(&spelt.len()), "{spelt:?}");
    assert_eq!(plan(&mut agent.installed, agent.state.tables()).steps, []);
    let back = agent.told(10, answer(PROBED[0], true));
    assert!(back.contains(&Step::SetNode { index: 1, vetoes: 0 }));
    let lifted = |step: &&Step| matches!(step, Step::SetHealth { value: 0, .. });
    assert_eq!(back.iter().filter(lifted).count(), 21, "the 20, and the one that answered");
}

#[test]
fn a_node_is_out_when_its_backends_are_whichever_way_a_program_asks() {
    let (drained, suspected) = (HealthWord::OPERATOR, HealthWord::SUSPECTED_BITS);
    for vetoes in 0..=u8::MAX {
        let node = NodeWord::named("n1").with_vetoes(vetoes);
        let backend = HealthWord::new(7).on(node);
        assert_eq!(backend.generation(), 7);
        for ignored in [0, drained, suspected, drained | suspected] {
            let asked = node.vetoes_despite(ignored) == 0;
            assert_eq!(asked, backend.is_usable_despite(ignored), "{vetoes:#x} {ignored:#x}");
        }
    }
    for byte in [HealthByte::Prober, HealthByte::Operator] {
        let node = NodeWord::named("n1").with_vetoes(NodeWord::veto(byte));
        let objecting =
            HealthByte::ALL.into_iter().filter(|of| HealthWord::new(7).on(node).byte(*of) != 0);
        assert_eq!(objecting.collect::<Vec<_>>(), [byte]);
    }
}

/// What an agent knows and has installed.
struct Agent {
    state: State,
    installed: Installed,
    /// The steps of its first plan.
    first: Vec<Step>,
}

impl Agent {
    fn new(mut installed: Installed, count: u32, address: fn(u32) -> String) -> Self {
        let mut state = State::new();
        state.apply(Input::Node(here()), at(0));
        state.apply(Input::Replace(services(count, address)), at(0));
        for address in PROBED {
            state.apply(answer(address, true), at(0));
        }
        let first = plan(&mut installed, state.tables()).steps;
        Self { state, installed, first }
    }

    /// The stores that an input leads to; planned once more, there is none.
    fn told(&mut self, second: u64, input: Input) -> Vec<Step> {
        self.state.apply(input, at(second));
        let steps = plan(&mut self.installed, self.state.tables()).steps;
        assert_eq!(plan(&mut self.installed, self.state.tables()).steps, []);
        steps
    }
}

/// One probed backend each of two owners on `n1`, and there, and on `n2`, so many of a third one that
/// nothing asks.
fn services(count: u32, address: fn(u32) -> String) -> Vec<Service> {
    let on = |service: &mut Service, node: fn(usize) -> &'static str| {
        for (number, listed) in service.backends.iter_mut().enumerate() {
            listed.locality.node = Some(node(number).into());
        }
    };
    let mut a = service("a/web", &["10.96.0.1"], &PROBED[..1]);
    let mut b = service("b/web", &["fd96::1"], &PROBED[1..]);
    on(&mut a, |_| "n1");
    on(&mut b, |_| "n1");
    let addresses: Vec<String> = (0..2 * count).map(address).collect();
    let frontend = if addresses[0].contains(':') { "fd96::3" } else { "10.96.0.3" };
    let mut c = service("c/dns", &[frontend], &addresses);
    c.policy.probe = None;
    on(&mut c, |number| if number.is_multiple_of(2) { "n1" } else { "n2" });
    vec![a, b, c]
}

fn v4(number: u32) -> String {
    format!("10.1.{}.{}", 1 + number / 250, number % 250)
}

fn v6(number: u32) -> String {
    format!("fd00::1:{number:x}")
}

fn here() -> Locality {
    Locality { node: Some("n0".into()), ..Locality::default() }
}

fn answer(address: &str, success: bool) -> Input {
    let outcome = if success { Ok(()) } else { Err(ProbeFailure::TimedOut) };
    Input::Probed { backend: backend(address), outcome }
}

fn set_node(byte: HealthByte) -> Step {
    Step::SetNode { index: 1, vetoes: NodeWord::veto(byte) }
}

fn at(second: u64) -> Moment {
    Moment(Duration::from_secs(second))
}
