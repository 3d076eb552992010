//! Plans by example: which steps, in which order; full maps; maps full of garbage.

mod support;

use std::time::Duration;

use redirector_common::{HealthByte, NodeWord, ServiceName, ServiceWord, Slot};
use redirector_core::{
    Command, Input, Moment, State,
    plan::{Capacities, Installed, Plan, Step, plan, plan_scope},
    service::{Locality, Service},
};
use support::{
    by_name::{failure, frontend, service, success},
    expect::{assert_installed, view},
    memory::Memory,
    random::{Random, for_seeds},
    worlds::{ROOMY, input, services},
};

const NOW: Moment = Moment(Duration::ZERO);

#[test]
fn into_empty_maps_everything_is_written_before_it_is_pointed_at() {
    let (mut state, mut maps) = begin(ROOMY);
    let list = vec![service("a", &["10.96.0.1", "10.96.0.2"], &["10.1.0.1"])];
    let steps = kinds(&maps.follow(&mut state, Input::Replace(list)));
    assert_eq!(steps, "backend name slots publish publish insert insert");
}

#[test]
fn a_frontend_says_whether_a_host_may_have_its_address() {
    let (mut state, mut maps) = begin(ROOMY);
    let mut both = service("a", &["10.96.0.1", "192.0.2.1"], &["10.1.0.1"]);
    both.virtual_addresses = vec![both.frontends[0].address];
    let plan = maps.follow(&mut state, Input::Replace(vec![both]));
    let inserted: Vec<_> = plan
        .steps
        .iter()
        .filter_map(|step| match step {
            Step::InsertFrontend { frontend, is_virtual, .. } => Some((*frontend, *is_virtual)),
            _ => None,
        })
        .collect();
    assert_eq!(inserted, [(frontend("10.96.0.1"), true), (frontend("192.0.2.1"), false)]);
}

#[test]
fn an_ejection_is_one_store() {
    let (mut state, mut maps) = begin(ROOMY);
    let list = vec![service("a", &["10.96.0.1"], &["10.1.0.1", "10.1.0.2"])];
    maps.follow(&mut state, Input::Replace(list));
    assert_eq!(maps.follow(&mut state, success("10.1.0.2")).steps, []);
    let plan = maps.follow(&mut state, failure("10.1.0.2"));
    assert_eq!(plan.steps, [Step::SetHealth { backend: 1, byte: HealthByte::Prober, value: 1 }]);
    let plan = maps.follow(&mut state, success("10.1.0.2"));
    assert_eq!(plan.steps, [Step::SetHealth { backend: 1, byte: HealthByte::Prober, value: 0 }]);
}

#[test]
fn a_failover_ejects_first() {
    let (mut state, mut maps) = begin(ROOMY);
    let mut near = service("a", &["10.96.0.1"], &["10.1.0.1", "10.1.0.2"]);
    near.backends[0].locality.zone = Some("b".into());
    let node = Locality { zone: Some("b".into()), ..Locality::default() };
    state.apply(Input::Node(node), NOW);
    maps.follow(&mut state, Input::Replace(vec![near]));
    state.apply(success("10.1.0.1"), NOW);
    let steps = kinds(&maps.follow(&mut state, failure("10.1.0.1")));
    assert_eq!(steps, "health slots publish barrier");
}

#[test]
fn a_new_frontend_waits_for_a_barrier_only_where_one_is_removed() {
    let (mut state, mut maps) = begin(ROOMY);
    let at = |frontends: &[&str]| Input::Put(service("a", frontends, &["10.1.0.1"]));
    maps.follow(&mut state, Input::Replace(vec![]));
    maps.follow(&mut state, at(&["10.96.0.1"]));
    let more = maps.follow(&mut state, at(&["10.96.0.1", "10.96.0.2"]));
    assert_eq!(kinds(&more), "publish insert");
    let exchanged = maps.follow(&mut state, at(&["10.96.0.1", "10.96.0.3"]));
    assert_eq!(kinds(&exchanged), "publish remove barrier unpublish insert");
}

#[test]
fn a_frontend_that_moves_to_another_service_is_one_store() {
    let (mut state, mut maps) = begin(ROOMY);
    let list = |one: &[&str], other: &[&str]| {
        Input::Replace(vec![service("a", one, &["10.1.0.1"]), service("b", other, &["10.1.0.2"])])
    };
    maps.follow(&mut state, list(&["10.96.0.1", "10.96.0.2"], &["10.96.0.3"]));
    let moved = maps.follow(&mut state, list(&["10.96.0.1"], &["10.96.0.2", "10.96.0.3"]));
    assert_eq!(kinds(&moved), "publish");
}

#[test]
fn a_service_keeps_its_id_under_a_new_name_and_over_a_restart() {
    let (mut state, mut maps) = begin(ROOMY);
    let called = |name: &str| service(name, &["10.96.0.1", "10.96.0.2"], &["10.1.0.1"]);
    maps.follow(
        &mut state,
        Input::Replace(vec![service("0", &["10.96.0.9"], &["10.1.0.1"]), called("a")]),
    );
    let renamed = maps.follow(&mut state, Input::Replace(vec![called("b")]));
    assert_eq!(kinds(&renamed), "name remove barrier unpublish");
    maps.installed = maps.memory.adopt();
    let renamed = maps.follow(&mut state, Input::Replace(vec![called("c")]));
    assert_eq!(kinds(&renamed), "name");
    assert_eq!(maps.installed.service(&called("c").name), Some(1));
}

#[test]
fn before_it_is_known_what_there_is_nothing_is_removed() {
    let (mut state, mut maps) = begin(ROOMY);
    let list = vec![
        service("a", &["10.96.0.1"], &["10.1.0.1"]),
        service("b", &["10.96.0.2"], &["10.1.0.2"]),
    ];
    maps.follow(&mut state, Input::Replace(list));
    maps.installed = maps.memory.adopt();
    let mut state = State::new();
    let early = maps.follow(&mut state, Input::Put(service("a", &["10.96.0.3"], &["10.1.0.1"])));
    assert_eq!(kinds(&early), "barrier slots publish insert");
    let only = vec![service("a", &["10.96.0.3"], &["10.1.0.1"])];
    let synced = maps.follow(&mut state, Input::Replace(only));
    assert_eq!(kinds(&synced), "remove remove barrier health unpublish unpublish");
}

#[test]
fn a_service_that_does_not_fit_stays_as_it_was_until_there_is_room() {
    let small = Capacities { frontends: 2, services: 2, backends: 3, nodes: 2, slots: 16 };
    let fits = service("b", &["10.96.0.1"], &["10.1.0.1"]);
    let on = |nodes: &[&str]| {
        let mut service = service("a", &["10.96.0.2"], &["10.1.0.2", "10.1.0.3"]);
        for (backend, node) in service.backends.iter_mut().zip(nodes) {
            backend.locality.node = Some((*node).into());
        }
        service
    };
    for (too_much, why) in [
        (
            service("a", &["10.96.0.2", "10.96.0.3"], &["10.1.0.2"]),
            "needs 2 more frontends, 1 of 2 are free",
        ),
        (
            service("a", &["10.96.0.2"], &["10.1.0.2", "10.1.0.3", "10.1.0.4"]),
            "needs 3 more backends, 2 of 3 are free",
        ),
        (on(&["n1", "n2"]), "needs 2 more nodes, 0 of 2 are free"),
        (
            service("a", &["10.96.0.2", "fd00:96::2"], &["10.1.0.1", "fd00::1", "fd00::2"]),
            "needs 8 table slots in one piece, 4 of 16 are free",
        ),
    ] {
        let (mut state, mut maps) = begin(small);
        maps.follow(&mut state, Input::Replace(vec![fits.clone()]));
        let plan = maps.follow(&mut state, Input::Put(too_much.clone()));
        let limits: Vec<String> =
            plan.rejected.iter().map(|(_, limit)| limit.to_string()).collect();
        assert_eq!(limits, [why]);
        assert_eq!(plan.steps, [], "{why}");
        let better = Input::Put(service("a", &["10.96.0.2"], &["10.1.0.2"]));
        assert_eq!(maps.follow(&mut state, better).rejected, [], "{why}");
    }
}

#[test]
fn what_did_not_fit_is_tried_again_when_others_go() {
    let (mut state, mut maps) =
        begin(Capacities { frontends: 8, services: 1, backends: 8, nodes: 2, slots: 64 });
    let list = ["a", "b"].map(|name| {
        service(name, &[if name == "a" { "10.96.0.1" } else { "10.96.0.2" }], &["10.1.0.1"])
    });
    let plan = maps.follow(&mut state, Input::Replace(list.to_vec()));
    let rejected: Vec<String> =
        plan.rejected.iter().map(|(name, limit)| format!("{name} {limit}")).collect();
    assert_eq!(rejected, ["b needs one more service, 0 of 1 are free"]);
    // The input says nothing about b: the plan remembers it.
    let plan = maps.follow(&mut state, Input::Remove(list[0].name.clone()));
    assert_eq!(plan.rejected, []);
    assert!(maps.installed.service(&list[1].name).is_some());
}

#[test]
fn a_tier_of_more_than_65535_is_refused_as_a_whole() {
    let addresses: Vec<String> =
        (0..65_536).map(|number| format!("10.1.{}.{}", number >> 8, number & 255)).collect();
    let capacities = Capacities { backends: 100_000, slots: 400_000, ..ROOMY };
    for (count, steps) in [(65_535, 65_535 + 4), (65_536, 0)] {
        let mut state = State::new();
        let huge = service("huge", &["10.96.0.1"], &addresses[..count]);
        state.apply(Input::Replace(vec![huge]), NOW);
        let plan = plan(&mut Installed::new(capacities), state.tables());
        assert_eq!((plan.steps.len(), plan.rejected.is_empty()), (steps, steps > 0));
    }
}

#[test]
fn garbage_in_the_maps_is_replaced_by_what_is_desired() {
    for_seeds(50_000, |seed| {
        let mut random = Random::new(seed);
        let (mut state, mut maps) = begin(ROOMY);
        for _ in 0..4 {
            maps.follow(&mut state, input(&mut random));
        }
        let memory = &mut maps.memory;
        for _ in 0..1 + random.below(12) {
            spoil(memory, &mut random);
        }
        maps.installed = memory.adopt();
        // As every agent begins: nothing but the maps tells it of the kernel's own bytes.
        let mut state = State::new();
        state.apply(Input::Restore(maps.installed.objections()), NOW);
        state.apply(Input::Replace(services(&mut random)), NOW);
        let plan = plan(&mut maps.installed, state.tables());
        for step in &plan.steps {
            memory.store(step);
        }
        // What looks like the kernel's suspicion is one until a probe says so, or for a while.
        let suspected = state.tables().clone();
        state.apply(Input::Tick, Moment(Duration::from_secs(10)));
        for command in state.take_commands() {
            if let Command::Readmit { backend, byte } = command
                && !suspected.objections.contains_key(&backend)
                && let Some((backend, _)) = maps.installed.backend(&backend)
            {
                memory.store(&Step::SetHealth { backend, byte, value: 0 });
            }
        }
        assert_installed(memory, &suspected, &plan, &Default::default());
    });
}

/// One random value at one random place.
fn spoil(memory: &mut Memory, random: &mut Random) {
    let garbage = random.next() >> [0, 8, 32, 56][random.below(4)];
    match random.below(8) {
        0 => *random.pick_mut(&mut memory.words) = ServiceWord(garbage),
        1 => {
            let Slot(bytes) = random.pick_mut(&mut memory.arena);
            *random.pick_mut(bytes) = garbage as u8;
        }
        2 => *random.pick_mut(&mut memory.arena) = Slot([garbage as u8; 16]),
        3 => random.pick_mut(&mut memory.health).0 = garbage,
        4 => random.pick_mut(&mut memory.backends).address[15] = garbage as u8,
        5 => random.pick_mut(&mut memory.backends).protocol = garbage as u8,
        6 => *random.pick_mut(&mut memory.nodes[1..]) = NodeWord(garbage),
        _ => *random.pick_mut(&mut memory.names) = ServiceName([garbage as u8; 64]),
    }
    if random.chance(10) {
        let address = format!("10.96.0.{}", random.below(10));
        memory.frontends.insert(frontend(&address), garbage as u32);
    }
}

/// Maps, and what is known of them.
struct Maps {
    memory: Memory,
    installed: Installed,
}

fn begin(capacities: Capacities) -> (State, Maps) {
    let maps = Maps { memory: Memory::new(capacities), installed: Installed::new(capacities) };
    (State::new(), maps)
}

impl Maps {
    /// Takes in an input, plans and applies.
    fn follow(&mut self, state: &mut State, input: Input) -> Plan {
        state.apply(input, NOW);
        let before = view(&self.memory);
        let changes = state.take_changes();
        let plan = plan_scope(&mut self.installed, state.tables(), changes);
        for step in &plan.steps {
            self.memory.apply(step);
        }
        assert_installed(&self.memory, state.tables(), &plan, &before);
        plan
    }
}

fn kinds(plan: &Plan) -> String {
    let kind = |step: &Step| match step {
        Step::PutBackend { .. } => "backend",
        Step::PutNode { .. } | Step::SetNode { .. } => "node",
        Step::PutName { .. } => "name",
        Step::SetHealth { .. } => "health",
        Step::WriteSlots { .. } => "slots",
        Step::Publish { .. } => "publish",
        Step::InsertFrontend { .. } => "insert",
        Step::RemoveFrontend { .. } => "remove",
        Step::Unpublish { .. } => "unpublish",
        Step::Barrier => "barrier",
    };
    plan.steps.iter().map(kind).collect::<Vec<_>>().join(" ")
}

#[test]
fn services_are_compared_by_value() {
    let list: Vec<Service> = vec![service("a", &["10.96.0.1"], &["10.1.0.1"])];
    let (mut state, mut maps) = begin(ROOMY);
    maps.follow(&mut state, Input::Replace(list.clone()));
    assert_eq!(maps.follow(&mut state, Input::Replace(list)).steps, []);
}
