//! How tiers lose their traffic and get it back, in simulated time.

mod support;

use std::{sync::Arc, time::Duration};

use redirector_common::{HealthByte, MAX_TIERS};
use redirector_core::{
    Command, Input, Moment, State, Transition,
    input::{ClientId, Drained, KernelEvent, ProbeFailure, Verb},
    service::{
        Backend, Failback, FailbackMode, Locality, Members, Mode, Policy, Probe, Service,
        ServiceRef, TierRule,
    },
    state::compile,
};
use support::{
    by_name::{backend, service},
    random::{Random, for_seeds},
    worlds,
};

const NEAR: &str = "10.1.0.1";
const FAR: &str = "10.1.0.2";

#[test]
fn a_tier_that_flaps_every_five_seconds_for_two_minutes_fails_over_once_and_never_back() {
    let mut stage = Stage::new(two_zones(Failback::default()));
    for number in 0..24 {
        stage.until(f64::from(number) * 5.0);
        stage.probed(NEAR, number % 2 == 1);
        assert_eq!(stage.shares(), [0, 100], "at {number} times 5 s");
    }
    stage.until(120.0);
    assert_eq!(stage.failovers(), ["0.0: near to far"]);
    assert_eq!(stage.ramps(), [] as [String; 0]);

    // The last probe, at 115 s, succeeded.
    stage.until(144.999);
    assert_eq!(stage.shares(), [0, 100]);
    stage.until(165.0);
    assert_eq!(stage.shares(), [100, 0]);
    assert_eq!(stage.failovers(), ["0.0: near to far", "165.0: far to near"]);
    let ramps = stage.ramps();
    assert_eq!(ramps.len(), 21, "0 to 100 in steps of 5");
    assert_eq!((&*ramps[0], &*ramps[1], &*ramps[20]), ("145.0: 0", "146.0: 5", "165.0: 100"));
    assert_eq!(stage.state.next_deadline(), None, "nothing is left to wait for");
}

#[test]
fn the_share_only_grows_on_the_ramp_by_five_points_a_second() {
    let mut stage = Stage::new(two_zones(Failback::default()));
    stage.outage(1.0, 2.0);
    let mut before = 0;
    for tenth in 320..=520 {
        stage.until(f64::from(tenth) / 10.0);
        let [near, far] = stage.shares();
        let exact = (f64::from(tenth) / 10.0 - 32.0) * 5.0;
        assert!((f64::from(near) - exact).abs() <= 5.0, "{near} at {tenth}");
        assert!(near >= before && near - before <= 5, "{before} to {near} at {tenth}");
        assert_eq!(near + far, 100);
        before = near;
    }
    assert_eq!(before, 100);
}

#[test]
fn an_interruption_starts_over_whenever_it_comes() {
    let mut stage = Stage::new(two_zones(Failback::default()));
    stage.outage(1.0, 2.0);
    stage.until(40.0);
    assert_eq!(stage.shares(), [40, 60]);
    stage.outage(40.0, 40.5);
    assert_eq!(stage.shares(), [0, 100]);
    stage.until(70.4);
    assert_eq!(stage.shares(), [0, 100]);
    stage.until(71.5);
    assert_eq!(stage.shares(), [5, 95]);
    assert_eq!(stage.failovers(), ["1.0: near to far"], "40 % were not all of it, nor are 5 %");
    stage.until(90.5);
    assert_eq!(stage.shares(), [100, 0]);
    assert_eq!(stage.failovers(), ["1.0: near to far", "90.5: far to near"]);
}

#[test]
fn who_carries_the_load_of_a_ramp_may_fail_before_it_is_over() {
    let mut stage = Stage::new(two_zones(Failback::default()));
    stage.outage(1.0, 2.0);
    stage.until(40.0);
    assert_eq!(stage.shares(), [40, 60]);
    stage.probed(FAR, false);
    assert_eq!(stage.shares(), [100, 0], "nobody else is well");
    assert_eq!(stage.failovers(), ["1.0: near to far", "40.0: far to near"]);
    stage.until(100.0);
    assert_eq!(stage.failovers().len(), 2);
}

#[test]
fn a_tier_that_was_down_for_no_time_has_not_been_down() {
    let mut stage = Stage::new(two_zones(Failback::default()));
    stage.outage(1.0, 1.0);
    assert_eq!(stage.shares(), [100, 0]);
    assert_eq!(stage.state.next_deadline(), None);
}

#[test]
fn without_a_policy_traffic_returns_at_once() {
    let mut without = two_zones(Failback::default());
    without.policy.failback = None;
    let mut stage = Stage::new(without);
    stage.outage(1.0, 2.0);
    assert_eq!(stage.shares(), [100, 0]);
    assert_eq!(stage.failovers(), ["1.0: near to far", "2.0: far to near"]);
    assert_eq!(stage.ramps(), [] as [String; 0]);
}

#[test]
fn what_discovery_took_it_gives_back_at_once() {
    let both = two_zones(Failback::default());
    let mut without = both.clone();
    without.backends.remove(0);
    let mut stage = Stage::new(both.clone());
    stage.at(1.0, Input::Put(without));
    assert_eq!(stage.shares(), [0, 100]);
    stage.at(2.0, Input::Put(both.clone()));
    assert_eq!(stage.shares(), [100, 0]);

    // A backend that is already ejected joins, and leaves the tier without a healthy one.
    let mut other = service("other", &["10.96.0.2"], &["10.1.0.3"]);
    stage.at(3.0, Input::Put(other.clone()));
    stage.answered("10.1.0.3");
    stage.probed("10.1.0.3", false);
    let mut third = both;
    other.backends[0].locality = zone("a");
    third.backends[0] = other.backends[0].clone();
    stage.at(4.0, Input::Put(third));
    assert_eq!(stage.shares(), [0, 100]);
    stage.until(5.0);
    stage.probed("10.1.0.3", true);
    assert_eq!(stage.shares(), [100, 0], "it had not lost anything by an ejection");
}

#[test]
fn nobody_waits_when_nobody_else_would_carry_the_load() {
    // No other tier is well when it falls.
    let mut stage = Stage::new(two_zones(Failback::default()));
    stage.until(1.0);
    stage.probed(FAR, false);
    stage.outage(2.0, 3.0);
    assert_eq!(stage.shares(), [100, 0]);
    stage.until(4.0);
    stage.probed(FAR, true);
    assert_eq!(stage.shares(), [100, 0]);

    // The other tier falls during the hold-down: that ends the hold-down for good.
    stage.outage(5.0, 6.0);
    assert_eq!(stage.shares(), [0, 100]);
    stage.until(10.0);
    stage.probed(FAR, false);
    assert_eq!(stage.shares(), [100, 0]);
    assert!(stage.ramps().contains(&"10.0: 100".into()), "{:?}", stage.ramps());
    stage.until(11.0);
    stage.probed(FAR, true);
    assert_eq!(stage.shares(), [100, 0]);
}

#[test]
fn a_manual_fail_back_waits_for_the_operator_and_an_automatic_one_need_not() {
    for mode in [FailbackMode::Manual, FailbackMode::Automatic] {
        let mut stage = Stage::new(two_zones(Failback { mode, ..Failback::default() }));
        stage.outage(1.0, 2.0);
        let until = if mode == FailbackMode::Manual { 100_000.0 } else { 10.0 };
        stage.until(until);
        assert_eq!(stage.shares(), [0, 100]);
        let verb = Verb::Failback(ServiceRef("s".into()));
        stage.at(until, Input::Operator(verb.clone()));
        assert_eq!(stage.shares(), [100, 0]);
        assert!(
            stage.happened.iter().any(|(_, event)| *event == Transition::Ordered(verb.clone()))
        );
        let events = stage.happened.len();
        stage.at(until, Input::Operator(verb));
        assert_eq!(stage.happened.len(), events, "said twice is nothing");
    }
}

#[test]
fn a_drain_moves_traffic_at_once_and_its_end_brings_it_back_at_once() {
    for what in [
        Drained::Zone("a".into()),
        Drained::Backend(backend(NEAR)),
        Drained::Node("n1".into()),
        Drained::Cluster("home".into()),
    ] {
        let mut two = two_zones(Failback::default());
        two.backends[0].locality.node = Some("n1".into());
        two.backends[1].locality.cluster = Some("west".into());
        if let Members::Named { clusters, .. } = &mut two.policy.tiers[1].members {
            clusters.push("west".into());
        }
        let mut stage = Stage::new(two);
        stage.at(1.0, Input::Operator(Verb::Drain(what.clone())));
        assert_eq!(stage.shares(), [0, 100], "{what:?}");
        assert_eq!(stage.state.orders().len(), 1);
        assert!(stage.state.is_ejected(&backend(NEAR)));
        let events = stage.happened.len();
        stage.at(1.5, Input::Operator(Verb::Drain(what.clone())));
        assert_eq!(stage.happened.len(), events, "said twice is nothing");
        stage.at(2.0, Input::Operator(Verb::Undrain(what.clone())));
        assert_eq!(stage.shares(), [100, 0], "{what:?}");
        assert!(stage.state.orders().is_empty());
        let events = stage.happened.len();
        stage.at(2.5, Input::Operator(Verb::Undrain(what)));
        assert_eq!(stage.happened.len(), events, "said twice is nothing");
    }
}

#[test]
fn a_drain_is_no_interruption_and_shortens_nothing() {
    let mut stage = Stage::new(two_zones(Failback::default()));
    let zone = Drained::Zone("a".into());
    stage.outage(1.0, 2.0);
    stage.at(10.0, Input::Operator(Verb::Drain(zone.clone())));
    stage.at(12.0, Input::Operator(Verb::Undrain(zone)));
    assert_eq!(stage.shares(), [0, 100], "it has been well since 2 s");
    stage.until(33.0);
    assert_eq!(stage.shares(), [5, 95]);
}

#[test]
fn drains_hold_for_backends_that_appear_later_and_after_a_restart() {
    let mut first = State::new();
    let verb = Verb::Drain(Drained::Zone("a".into()));
    first.apply(Input::Operator(verb.clone()), at(0.0));
    first.apply(Input::Operator(force("near")), at(0.0));
    let mut state = State::new();
    for verb in first.orders() {
        state.apply(Input::Operator(verb.clone()), at(0.0));
    }
    let mut stage = Stage { state, now: at(0.0), happened: Vec::new() };
    let both = two_zones(Failback::default());
    stage.at(0.0, Input::Node(node()));
    stage.at(0.0, Input::Replace(vec![both.clone()]));
    assert_eq!(stage.shares(), [0, 100]);
    let mut more = both;
    more.backends.push(Backend { backend: backend("10.1.0.3"), ..more.backends[0].clone() });
    stage.at(1.0, Input::Put(more.clone()));
    assert!(stage.state.is_ejected(&backend("10.1.0.3")));
    assert_eq!(stage.shares(), [0, 100]);
    more.backends[2].locality = zone("b");
    stage.at(2.0, Input::Put(more));
    assert!(!stage.state.is_ejected(&backend("10.1.0.3")), "it is in another zone now");
    stage.at(3.0, Input::Operator(Verb::Undrain(Drained::Zone("a".into()))));
    assert_eq!(stage.shares(), [100, 0], "forced, and able");
    assert_eq!(stage.state.orders().len(), 1);
}

#[test]
fn a_forced_tier_carries_everything_while_it_has_a_healthy_backend() {
    let mut stage = Stage::new(two_zones(Failback::default()));
    stage.at(1.0, Input::Operator(force("far")));
    assert_eq!(stage.shares(), [0, 100]);
    assert_eq!(stage.failovers(), ["1.0: near to far by Operator"], "nothing has failed");
    stage.until(2.0);
    stage.probed(FAR, false);
    assert_eq!(stage.shares(), [100, 0], "what health says");
    stage.until(3.0);
    stage.probed(FAR, true);
    assert_eq!(stage.shares(), [0, 100], "an order has no hold-down");
    stage.at(4.0, Input::Operator(Verb::Failback(ServiceRef("s".into()))));
    assert_eq!(stage.shares(), [100, 0]);
    assert!(stage.state.orders().is_empty());
}

#[test]
fn orders_for_what_is_not_there_are_rejected() {
    let mut stage = Stage::new(two_zones(Failback::default()));
    let other = ServiceRef("other".into());
    let none = Verb::Force { service: other.clone(), tier: "near".into() };
    for (verb, object, why) in [
        (force("middle"), "s", "it has no tier \"middle\", but near, far"),
        (none, "other", "there is no such service"),
        (Verb::Failback(other), "other", "there is no such service"),
    ] {
        stage.happened.clear();
        stage.at(1.0, Input::Operator(verb));
        let object = ServiceRef(object.into());
        let rejected = Transition::Rejected { object, why: why.into() };
        assert_eq!(stage.happened, [(at(1.0), rejected)]);
    }
    assert!(stage.state.orders().is_empty());
}

#[test]
fn what_is_found_ejected_after_a_restart_comes_back_after_a_hold_down() {
    let mut stage = Stage { state: State::new(), now: at(0.0), happened: Vec::new() };
    stage.at(0.0, Input::Restore(vec![(backend(NEAR), HealthByte::Prober, 1)]));
    stage.at(0.0, Input::Node(node()));
    stage.at(0.0, Input::Replace(vec![two_zones(Failback::default())]));
    assert_eq!(stage.shares(), [0, 100]);
    stage.until(5.0);
    stage.probed(NEAR, true);
    assert_eq!(stage.shares(), [0, 100]);
    stage.until(55.0);
    assert_eq!(stage.shares(), [100, 0]);
}

#[test]
fn a_partial_loss_spills_over_and_comes_back_without_delay() {
    let mut spill = two_zones(Failback::default());
    spill.policy.mode = Mode::Spill;
    spill.backends.push(Backend { backend: backend("10.1.0.3"), ..spill.backends[0].clone() });
    let mut stage = Stage::new(spill);
    stage.until(1.0);
    stage.probed(NEAR, false);
    assert_eq!(stage.shares(), [70, 30]);
    stage.until(2.0);
    stage.probed(NEAR, true);
    assert_eq!(stage.shares(), [100, 0]);
    assert_eq!(stage.failovers(), [] as [String; 0]);
    stage.until(3.0);
    stage.probed(NEAR, false);
    stage.until(4.0);
    stage.probed("10.1.0.3", false);
    assert_eq!(stage.shares(), [0, 100]);
    stage.until(5.0);
    stage.probed(NEAR, true);
    assert_eq!(stage.shares(), [0, 100], "now it was lost");
    stage.until(45.0);
    assert_eq!(stage.shares(), [35, 65], "half of the 70 that it is due");
}

#[test]
fn only_what_a_probe_has_confirmed_fails_over() {
    let (client, lasts) = (ClientId::default(), Duration::from_secs(10));
    let suspected = KernelEvent::Suspected { refused: true, client, lasts, ejections: 1 };
    for event in
        [KernelEvent::Avoided { refused: true, client }, suspected, KernelEvent::ListenerGone]
    {
        let mut two = two_zones(Failback::default());
        two.policy.probe = Some(Probe { unhealthy: 100, ..Probe::default() });
        let mut stage = Stage::new(two);
        stage.at(1.0, Input::Kernel { backend: backend(NEAR), event });
        assert_eq!(stage.shares(), [100, 0]);
        stage.until(2.0);
        stage.probed(NEAR, true);
        assert_eq!(
            (stage.shares(), stage.failovers().len(), stage.ramps().len()),
            ([100, 0], 0, 0)
        );
        stage.at(30.0, Input::Kernel { backend: backend(NEAR), event });
        stage.probed(NEAR, false);
        assert_eq!(stage.shares(), [0, 100]);
        let back = match event {
            KernelEvent::ListenerGone => KernelEvent::ListenerBack,
            _ => KernelEvent::Readmitted,
        };
        stage.at(32.0, Input::Kernel { backend: backend(NEAR), event: back });
        assert_eq!(stage.shares(), [0, 100]);
        stage.until(82.0);
        assert_eq!(stage.shares(), [100, 0]);
        assert_eq!(stage.failovers(), ["30.0: near to far", "82.0: far to near"]);
    }
}

#[test]
fn a_clock_that_steps_back_stands_still() {
    let mut stage = Stage::new(two_zones(Failback::default()));
    stage.outage(10.0, 11.0);
    stage.state.apply(Input::Tick, at(0.0));
    stage.state.apply(Input::Tick, at(5.0));
    assert_eq!(stage.state.next_deadline(), Some(at(41.0)));
    stage.until(61.0);
    assert_eq!(stage.shares(), [100, 0]);
}

#[test]
fn a_tier_of_another_service_follows_that_service() {
    let mut one = service("s", &["10.96.0.1"], &[NEAR]);
    let members = Members::Service(ServiceRef("backup".into()));
    one.policy.tiers = vec![
        TierRule {
            name: "own".into(),
            members: Members::Within(redirector_core::locality::Place::Remote),
        },
        TierRule { name: "backup".into(), members },
    ];
    let mut stage = Stage::new(one);
    stage.until(1.0);
    stage.probed(NEAR, false);
    let carrying = |stage: &Stage| {
        let tables = &stage.state.tables().services[&ServiceRef("s".into())].v4;
        tables.carrying().map(|(number, name)| format!("{number} {name}"))
    };
    assert_eq!(carrying(&stage), None);
    stage.at(2.0, Input::Put(service("backup", &["10.96.0.2"], &[FAR])));
    assert_eq!(carrying(&stage).as_deref(), Some("1 backup"));
    stage.answered(FAR);
    stage.probed(FAR, false);
    assert_eq!(carrying(&stage), None);
    stage.probed(FAR, true);
    assert_eq!(carrying(&stage).as_deref(), Some("1 backup"));
    stage.at(3.0, Input::Put(service("backup", &["10.96.0.2"], &["10.1.0.9"])));
    let tables = &stage.state.tables().services[&ServiceRef("s".into())].v4;
    assert_eq!(tables.tiers[1].entries[0].backend, backend("10.1.0.9"));
    stage.at(4.0, Input::Remove(ServiceRef("backup".into())));
    assert_eq!(carrying(&stage), None);
}

#[test]
fn the_order_of_one_instants_news_does_not_matter() {
    for_seeds(30_000, |seed| {
        let mut random = Random::new(seed);
        let (mut one, mut now) = (State::new(), Moment::default());
        one.apply(Input::Replace(worlds::services(&mut random)), now);
        answer(&mut one, now);
        for _ in 0..10 {
            now.0 += Duration::from_millis([1, 500, 3_000][random.below(3)]);
            let mut inputs = news(&mut random);
            inputs.extend(orders(&mut random));
            let mut other = one.clone();
            for input in &inputs {
                one.apply(input.clone(), now);
            }
            random.shuffle(&mut inputs);
            for input in inputs {
                other.apply(input, now);
            }
            assert_eq!(one.tables(), other.tables());
            assert_eq!(one.next_deadline(), other.next_deadline());
            assert_eq!(sorted(one.take_commands()), sorted(other.take_commands()));
            if random.chance(20) {
                one.apply(worlds::input(&mut random), now);
                answer(&mut one, now);
                one.take_commands();
            }
        }
    });
}

#[test]
fn in_every_world_only_tiers_with_a_healthy_backend_carry_load_and_time_never_stands_still() {
    for_seeds(30_000, |seed| {
        let mut random = Random::new(seed);
        let (mut state, mut now) = (State::new(), Moment::default());
        for _ in 0..30 {
            let until = worlds::pass(&mut random, &mut now);
            while let Some(at) = state.next_deadline().filter(|at| *at <= until) {
                state.apply(Input::Tick, at);
                assert!(state.next_deadline() > Some(at) || state.next_deadline().is_none());
            }
            state.apply(worlds::input(&mut random), until);
            let tables = state.tables();
            assert_eq!(*tables, compile(&state));
            for table in tables.services.values().flat_map(|service| [&service.v4, &service.v6]) {
                let is_healthy = |tier: &redirector_core::tables::Tier| {
                    let mut entries = tier.entries.iter();
                    entries.any(|entry| !tables.objections.contains_key(&entry.backend))
                };
                let is_anybody = table.tiers.iter().any(is_healthy);
                assert_eq!(table.carrier.is_some(), is_anybody);
                for (position, tier) in table.tiers.iter().enumerate() {
                    let is_used = table.share(position) > 0;
                    assert!(!is_used || !is_anybody || is_healthy(tier), "{table:?}");
                }
                let full = if table.tiers.is_empty() { 0 } else { 100 };
                assert_eq!(table.loads[MAX_TIERS - 1], full);
                assert!(table.loads.is_sorted());
            }
        }
    });
}

fn addresses() -> impl Iterator<Item = String> {
    (0..8).flat_map(|last| [format!("10.1.0.{last}"), format!("fd00:a:1::{last}")])
}

/// Lets every backend answer: of one that never has, hearsay depends on which others are out.
fn answer(state: &mut State, now: Moment) {
    for address in addresses() {
        state.apply(Input::Probed { backend: backend(&address), outcome: Ok(()) }, now);
    }
}

fn sorted(commands: Vec<Command>) -> Vec<String> {
    let mut commands: Vec<String> = commands.iter().map(|it| format!("{it:?}")).collect();
    commands.sort_unstable();
    commands
}

/// What probes and the kernel say of different backends, and nothing that makes one depend on
/// another.
fn news(random: &mut Random) -> Vec<Input> {
    let mut news = Vec::new();
    for address in addresses() {
        let backend = backend(&address);
        let (client, lasts) = (ClientId::default(), Duration::from_secs(10));
        let refused = random.chance(50);
        let event = match random.below(10) {
            0..6 => None,
            6 => Some(KernelEvent::Avoided { refused, client }),
            7 => Some(KernelEvent::Suspected { refused, client, lasts, ejections: 1 }),
            8 => Some(KernelEvent::ListenerGone),
            _ => Some(*random.pick(&[KernelEvent::Readmitted, KernelEvent::ListenerBack])),
        };
        let refused = || Err(ProbeFailure::Failed("refused".into()));
        news.push(match event {
            Some(event) => Input::Kernel { backend, event },
            None if random.chance(60) => Input::Probed { backend, outcome: Ok(()) },
            None => Input::Probed { backend, outcome: refused() },
        });
    }
    news.retain(|_| random.chance(60));
    news
}

/// Orders that have nothing to do with each other.
fn orders(random: &mut Random) -> Vec<Input> {
    let mut orders = Vec::new();
    for what in [
        Drained::Backend(backend("10.1.0.3")),
        Drained::Node("n1".into()),
        Drained::Zone("a".into()),
        Drained::Cluster("west".into()),
    ] {
        if random.chance(10) {
            let is_end = random.chance(50);
            orders.push(if is_end { Verb::Undrain(what) } else { Verb::Drain(what) });
        }
    }
    if random.chance(10) {
        orders.push(Verb::Failback(ServiceRef("shop/cart".into())));
    }
    orders.into_iter().map(Input::Operator).collect()
}

/// A state with one service `s`, and what happened in it.
struct Stage {
    state: State,
    now: Moment,
    happened: Vec<(Moment, Transition)>,
}

impl Stage {
    fn new(service: Service) -> Self {
        let mut stage = Self { state: State::new(), now: at(0.0), happened: Vec::new() };
        stage.at(0.0, Input::Node(node()));
        let addresses: Vec<String> =
            service.backends.iter().map(|backend| backend.backend.address.to_string()).collect();
        stage.at(0.0, Input::Replace(vec![service]));
        for address in addresses {
            stage.answered(&address);
        }
        stage.happened.clear();
        stage
    }

    /// Lets time pass until then, with a tick at each deadline.
    fn until(&mut self, seconds: f64) {
        while let Some(due) = self.state.next_deadline().filter(|due| *due <= at(seconds)) {
            self.now = due.max(self.now);
            self.apply(Input::Tick);
        }
        self.now = at(seconds);
    }

    fn at(&mut self, seconds: f64, input: Input) {
        self.until(seconds);
        self.apply(input);
    }

    fn apply(&mut self, input: Input) {
        let happened = self.state.apply(input, self.now);
        self.happened.extend(happened.into_iter().map(|event| (self.now, event)));
        assert_eq!(*self.state.tables(), compile(&self.state));
    }

    /// Lets a backend answer a probe: one that never has cannot be ejected by its probes.
    fn answered(&mut self, address: &str) {
        self.probed(address, true);
    }

    fn probed(&mut self, address: &str, success: bool) {
        let refused = || Err(ProbeFailure::Failed("refused".into()));
        let outcome = if success { Ok(()) } else { refused() };
        self.apply(Input::Probed { backend: backend(address), outcome });
    }

    /// Lets the near zone be down between these seconds.
    fn outage(&mut self, from: f64, to: f64) {
        self.until(from);
        self.probed(NEAR, false);
        self.until(to);
        self.probed(NEAR, true);
    }

    /// Percent of the near and of the far tier.
    fn shares(&self) -> [u8; 2] {
        let table = &self.state.tables().services[&ServiceRef("s".into())].v4;
        ["near", "far"].map(|name| {
            let position = table.tiers.iter().position(|tier| &*tier.name == name);
            position.map_or(0, |position| table.share(position))
        })
    }

    fn failovers(&self) -> Vec<String> {
        let name = |tier: &Option<(u8, Arc<str>)>| {
            tier.as_ref().map_or_else(|| "none".to_owned(), |(_, name)| name.to_string())
        };
        let failovers = self.happened.iter().filter_map(|(at, event)| match event {
            Transition::FailedOver { from, to, .. } => {
                Some(format!("{:.1}: {} to {}", at.0.as_secs_f64(), name(from), name(to)))
            }
            Transition::Rerouted { from, to, by, .. } => {
                let (from, to) = (name(from), name(to));
                Some(format!("{:.1}: {from} to {to} by {by:?}", at.0.as_secs_f64()))
            }
            _ => None,
        });
        failovers.collect()
    }

    fn ramps(&self) -> Vec<String> {
        let ramps = self.happened.iter().filter_map(|(at, event)| match event {
            Transition::Ramped { percent, .. } => {
                Some(format!("{:.1}: {percent}", at.0.as_secs_f64()))
            }
            _ => None,
        });
        ramps.collect()
    }
}

/// One backend in the client's zone a, and one in zone b.
fn two_zones(failback: Failback) -> Service {
    let mut two = service("s", &["10.96.0.1"], &[NEAR, FAR]);
    two.backends[0].locality = zone("a");
    two.backends[1].locality = zone("b");
    let named = |name: &str, zone: &str| TierRule {
        name: name.into(),
        members: Members::Named { zones: vec![zone.into()], regions: vec![], clusters: vec![] },
    };
    let tiers = vec![named("near", "a"), named("far", "b")];
    two.policy = Policy { tiers, failback: Some(failback), ..two.policy };
    two
}

fn node() -> Locality {
    Locality { cluster: Some("home".into()), ..zone("a") }
}

fn zone(name: &str) -> Locality {
    Locality { zone: Some(name.into()), ..Locality::default() }
}

fn force(tier: &str) -> Verb {
    Verb::Force { service: ServiceRef("s".into()), tier: tier.into() }
}

fn at(seconds: f64) -> Moment {
    Moment(Duration::from_secs_f64(seconds))
}
