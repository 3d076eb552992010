//! How tiers lose their traffic and get it back, in simulated time.

mod support;

use std::{sync::Arc, time::Duration};

use redirector_common::{HealthByte, MAX_TIERS};
use redirector_core::{
    Command, Input, Moment, State, Transition,
    input::{ClientId, Drained, KernelEvent, Verb},
    service::{
        Backend, Failback, FailbackMode, Locality, Members, Mode, Policy, Probe, Service,
        ServiceRef, TierRule,
    },
    state::compile,
};
use support::{
    by_name::{self, backend, refusal, service, success},
    random::{Random, for_seeds},
    worlds,
};

const NEAR: &str = "10.1.0.1";
const FAR: &str = "10.1.0.2";

#[test]
fn a_tier_that_flaps_every_five_seconds_for_two_minutes_fails_over_once_and_never_back() {
    let mut fixture = Fixture::new(two_zones(Failback::default()));
    for number in 0..24 {
        fixture.probed_at(f64::from(number) * 5.0, NEAR, number % 2 == 1);
        assert_eq!(fixture.shares(), [0, 100], "at {number} times 5 s");
    }
    fixture.until(120.0);
    assert_eq!(fixture.failovers(), ["0.0: near to far"]);
    assert_eq!(fixture.ramps(), [] as [String; 0]);

    // The last probe, at 115 s, succeeded.
    assert_eq!(fixture.shares_at(144.999), [0, 100]);
    assert_eq!(fixture.shares_at(165.0), [100, 0]);
    assert_eq!(fixture.failovers(), ["0.0: near to far", "165.0: far to near"]);
    let ramps = fixture.ramps();
    assert_eq!(ramps.len(), 21, "0 to 100 in steps of 5");
    assert_eq!((&*ramps[0], &*ramps[1], &*ramps[20]), ("145.0: 0", "146.0: 5", "165.0: 100"));
    assert_eq!(fixture.state.next_deadline(), None, "nothing is left to wait for");
}

#[test]
fn the_share_only_grows_on_the_ramp_by_five_points_a_second() {
    let mut fixture = Fixture::new(two_zones(Failback::default()));
    fixture.outage(1.0, 2.0);
    let mut before = 0;
    for tenth in 320..=520 {
        fixture.until(f64::from(tenth) / 10.0);
        let [near, far] = fixture.shares();
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
    let mut fixture = Fixture::new(two_zones(Failback::default()));
    fixture.outage(1.0, 2.0);
    assert_eq!(fixture.shares_at(40.0), [40, 60]);
    fixture.outage(40.0, 40.5);
    assert_eq!(fixture.shares(), [0, 100]);
    assert_eq!(fixture.shares_at(70.4), [0, 100]);
    assert_eq!(fixture.shares_at(71.5), [5, 95]);
    assert_eq!(fixture.failovers(), ["1.0: near to far"], "40 % were not all of it, nor are 5 %");
    assert_eq!(fixture.shares_at(90.5), [100, 0]);
    assert_eq!(fixture.failovers(), ["1.0: near to far", "90.5: far to near"]);
}

#[test]
fn who_carries_the_load_of_a_ramp_may_fail_before_it_is_over() {
    let mut fixture = Fixture::new(two_zones(Failback::default()));
    fixture.outage(1.0, 2.0);
    assert_eq!(fixture.shares_at(40.0), [40, 60]);
    fixture.probed(FAR, false);
    assert_eq!(fixture.shares(), [100, 0], "nobody else is well");
    assert_eq!(fixture.failovers(), ["1.0: near to far", "40.0: far to near"]);
    fixture.until(100.0);
    assert_eq!(fixture.failovers().len(), 2);
}

#[test]
fn a_tier_that_was_down_for_no_time_has_not_been_down() {
    let mut fixture = Fixture::new(two_zones(Failback::default()));
    fixture.outage(1.0, 1.0);
    assert_eq!(fixture.shares(), [100, 0]);
    assert_eq!(fixture.state.next_deadline(), None);
}

#[test]
fn without_a_policy_traffic_returns_at_once() {
    let mut without = two_zones(Failback::default());
    without.policy.failback = None;
    let mut fixture = Fixture::new(without);
    fixture.outage(1.0, 2.0);
    assert_eq!(fixture.shares(), [100, 0]);
    assert_eq!(fixture.failovers(), ["1.0: near to far", "2.0: far to near"]);
    assert_eq!(fixture.ramps(), [] as [String; 0]);
}

#[test]
fn what_discovery_took_it_gives_back_at_once() {
    let both = two_zones(Failback::default());
    let mut without = both.clone();
    without.backends.remove(0);
    let mut fixture = Fixture::new(both.clone());
    fixture.at(1.0, Input::Put(without.clone()));
    assert_eq!(fixture.shares(), [0, 100]);
    fixture.at(2.0, Input::Put(both.clone()));
    assert_eq!(fixture.shares(), [100, 0]);

    // A tier without backends is held no longer.
    let mut held = Fixture::new(both.clone());
    held.outage(1.0, 2.0);
    held.at(3.0, Input::Put(without));
    held.at(4.0, Input::Put(both.clone()));
    assert_eq!(held.shares(), [100, 0]);

    // A backend that is already ejected joins, and leaves the tier without a healthy one.
    let mut other = service("other", &["10.96.0.2"], &["10.1.0.3"]);
    fixture.at(3.0, Input::Put(other.clone()));
    fixture.probed("10.1.0.3", true);
    fixture.probed("10.1.0.3", false);
    let mut third = both;
    other.backends[0].locality = zone("a");
    third.backends[0] = other.backends[0].clone();
    fixture.at(4.0, Input::Put(third));
    assert_eq!(fixture.shares(), [0, 100]);
    fixture.probed_at(5.0, "10.1.0.3", true);
    assert_eq!(fixture.shares(), [100, 0], "it had not lost anything by an ejection");
}

#[test]
fn nobody_waits_when_nobody_else_would_carry_the_load() {
    // No other tier is well when it falls.
    let mut fixture = Fixture::new(two_zones(Failback::default()));
    fixture.probed_at(1.0, FAR, false);
    fixture.outage(2.0, 3.0);
    assert_eq!(fixture.shares(), [100, 0]);
    fixture.probed_at(4.0, FAR, true);
    assert_eq!(fixture.shares(), [100, 0]);

    // The other tier falls during the hold-down: that ends the hold-down for good.
    fixture.outage(5.0, 6.0);
    assert_eq!(fixture.shares(), [0, 100]);
    fixture.probed_at(10.0, FAR, false);
    assert_eq!(fixture.shares(), [100, 0]);
    assert!(fixture.ramps().contains(&"10.0: 100".into()), "{:?}", fixture.ramps());
    fixture.probed_at(11.0, FAR, true);
    assert_eq!(fixture.shares(), [100, 0]);
}

#[test]
fn a_manual_fail_back_waits_for_the_operator_and_an_automatic_one_need_not() {
    for mode in [FailbackMode::Manual, FailbackMode::Automatic] {
        let mut fixture = Fixture::new(two_zones(Failback { mode, ..Failback::default() }));
        fixture.outage(1.0, 2.0);
        let until = if mode == FailbackMode::Manual { 100_000.0 } else { 10.0 };
        assert_eq!(fixture.shares_at(until), [0, 100]);
        let verb = Verb::Failback { service: ServiceRef("s".into()) };
        fixture.at(until, Input::Operator(verb.clone()));
        assert_eq!(fixture.shares(), [100, 0]);
        assert!(
            fixture.happened.iter().any(|(_, event)| *event == Transition::Ordered(verb.clone()))
        );
        fixture.says_nothing(until, Input::Operator(verb));
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
        let mut fixture = Fixture::new(two);
        fixture.at(1.0, Input::Operator(Verb::Drain(what.clone())));
        assert_eq!(fixture.shares(), [0, 100], "{what:?}");
        assert_eq!(fixture.state.orders().len(), 1);
        assert!(fixture.state.is_ejected(&backend(NEAR)));
        fixture.says_nothing(1.5, Input::Operator(Verb::Drain(what.clone())));
        fixture.at(2.0, Input::Operator(Verb::Undrain(what.clone())));
        assert_eq!(fixture.shares(), [100, 0], "{what:?}");
        assert!(fixture.state.orders().is_empty());
        fixture.says_nothing(2.5, Input::Operator(Verb::Undrain(what)));
    }
}

#[test]
fn a_drain_is_no_interruption_and_shortens_nothing() {
    let mut fixture = Fixture::new(two_zones(Failback::default()));
    let zone = Drained::Zone("a".into());
    fixture.outage(1.0, 2.0);
    fixture.at(10.0, Input::Operator(Verb::Drain(zone.clone())));
    fixture.at(12.0, Input::Operator(Verb::Undrain(zone)));
    assert_eq!(fixture.shares(), [0, 100], "it has been well since 2 s");
    assert_eq!(fixture.shares_at(33.0), [5, 95]);
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
    let mut fixture = Fixture { state, ..Fixture::default() };
    let both = two_zones(Failback::default());
    fixture.at(0.0, Input::Node(node()));
    fixture.at(0.0, Input::Replace(vec![both.clone()]));
    assert_eq!(fixture.shares(), [0, 100]);
    let mut more = both;
    more.backends.push(Backend { backend: backend("10.1.0.3"), ..more.backends[0].clone() });
    fixture.at(1.0, Input::Put(more.clone()));
    assert!(fixture.state.is_ejected(&backend("10.1.0.3")));
    assert_eq!(fixture.shares(), [0, 100]);
    more.backends[2].locality = zone("b");
    fixture.at(2.0, Input::Put(more));
    assert!(!fixture.state.is_ejected(&backend("10.1.0.3")), "it is in another zone now");
    fixture.at(3.0, Input::Operator(Verb::Undrain(Drained::Zone("a".into()))));
    assert_eq!(fixture.shares(), [100, 0], "forced, and able");
    assert_eq!(fixture.state.orders().len(), 1);
}

#[test]
fn a_forced_tier_carries_everything_while_it_has_a_healthy_backend() {
    let mut fixture = Fixture::new(two_zones(Failback::default()));
    fixture.at(1.0, Input::Operator(force("far")));
    assert_eq!(fixture.shares(), [0, 100]);
    assert_eq!(fixture.failovers(), ["1.0: near to far by Operator"], "nothing has failed");
    fixture.probed_at(2.0, FAR, false);
    assert_eq!(fixture.shares(), [100, 0], "what health says");
    fixture.probed_at(3.0, FAR, true);
    assert_eq!(fixture.shares(), [0, 100], "an order has no hold-down");
    fixture.at(4.0, Input::Operator(Verb::Failback { service: ServiceRef("s".into()) }));
    assert_eq!(fixture.shares(), [100, 0]);
    assert!(fixture.state.orders().is_empty());
}

#[test]
fn orders_for_what_is_not_there_are_rejected() {
    let mut fixture = Fixture::new(two_zones(Failback::default()));
    let other = ServiceRef("other".into());
    let none = Verb::Force { service: other.clone(), tier: "near".into() };
    for (verb, object, why) in [
        (force("middle"), "s", "it has no tier \"middle\", but near, far"),
        (none, "other", "there is no such service"),
        (Verb::Failback { service: other }, "other", "there is no such service"),
    ] {
        fixture.happened.clear();
        fixture.at(1.0, Input::Operator(verb));
        let object = ServiceRef(object.into());
        let rejected = Transition::Rejected { object, why: why.into() };
        assert_eq!(fixture.happened, [(at(1.0), rejected)]);
    }
    assert!(fixture.state.orders().is_empty());
}

#[test]
fn what_is_found_ejected_after_a_restart_comes_back_after_a_hold_down() {
    let mut fixture = Fixture::default();
    fixture.at(0.0, Input::Restore(vec![(backend(NEAR), HealthByte::Prober, 1)]));
    fixture.at(0.0, Input::Node(node()));
    fixture.at(0.0, Input::Replace(vec![two_zones(Failback::default())]));
    assert_eq!(fixture.shares(), [0, 100]);
    fixture.probed_at(5.0, NEAR, true);
    assert_eq!(fixture.shares(), [0, 100]);
    assert_eq!(fixture.shares_at(55.0), [100, 0]);
}

#[test]
fn a_partial_loss_spills_over_and_comes_back_without_delay() {
    let mut spill = two_zones(Failback::default());
    spill.policy.mode = Mode::Spill;
    spill.backends.push(Backend { backend: backend("10.1.0.3"), ..spill.backends[0].clone() });
    let mut fixture = Fixture::new(spill);
    fixture.probed_at(1.0, NEAR, false);
    assert_eq!(fixture.shares(), [70, 30]);
    fixture.probed_at(2.0, NEAR, true);
    assert_eq!(fixture.shares(), [100, 0]);
    assert_eq!(fixture.failovers(), [] as [String; 0]);
    fixture.probed_at(3.0, NEAR, false);
    fixture.probed_at(4.0, "10.1.0.3", false);
    assert_eq!(fixture.shares(), [0, 100]);
    fixture.probed_at(5.0, NEAR, true);
    assert_eq!(fixture.shares(), [0, 100], "now it was lost");
    assert_eq!(fixture.shares_at(45.0), [35, 65], "half of the 70 that it is due");
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
        let mut fixture = Fixture::new(two);
        fixture.at(1.0, Input::Kernel { backend: backend(NEAR), event });
        assert_eq!(fixture.shares(), [100, 0]);
        fixture.probed_at(2.0, NEAR, true);
        assert_eq!(
            (fixture.shares(), fixture.failovers().len(), fixture.ramps().len()),
            ([100, 0], 0, 0)
        );
        fixture.at(30.0, Input::Kernel { backend: backend(NEAR), event });
        fixture.probed(NEAR, false);
        assert_eq!(fixture.shares(), [0, 100]);
        let back = match event {
            KernelEvent::ListenerGone => KernelEvent::ListenerBack,
            _ => KernelEvent::Readmitted,
        };
        fixture.at(32.0, Input::Kernel { backend: backend(NEAR), event: back });
        assert_eq!(fixture.shares(), [0, 100]);
        assert_eq!(fixture.shares_at(82.0), [100, 0]);
        assert_eq!(fixture.failovers(), ["30.0: near to far", "82.0: far to near"]);
    }
}

#[test]
fn a_clock_that_steps_back_stands_still() {
    let mut fixture = Fixture::new(two_zones(Failback::default()));
    fixture.outage(10.0, 11.0);
    fixture.state.apply(Input::Tick, at(0.0));
    fixture.state.apply(Input::Tick, at(5.0));
    assert_eq!(fixture.state.next_deadline(), Some(at(41.0)));
    assert_eq!(fixture.shares_at(61.0), [100, 0]);
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
    let mut fixture = Fixture::new(one);
    fixture.probed_at(1.0, NEAR, false);
    let carrying = |fixture: &Fixture| {
        let tables = &fixture.state.tables().services[&ServiceRef("s".into())].v4;
        tables.carrying().map(|(number, name)| format!("{number} {name}"))
    };
    assert_eq!(carrying(&fixture), None);
    fixture.at(2.0, Input::Put(service("backup", &["10.96.0.2"], &[FAR])));
    assert_eq!(carrying(&fixture).as_deref(), Some("1 backup"));
    fixture.probed(FAR, true);
    fixture.probed(FAR, false);
    assert_eq!(carrying(&fixture), None);
    fixture.probed(FAR, true);
    assert_eq!(carrying(&fixture).as_deref(), Some("1 backup"));
    fixture.at(3.0, Input::Put(service("backup", &["10.96.0.2"], &["10.1.0.9"])));
    let tables = &fixture.state.tables().services[&ServiceRef("s".into())].v4;
    assert_eq!(tables.tiers[1].entries[0].backend, backend("10.1.0.9"));
    fixture.at(4.0, Input::Remove(ServiceRef("backup".into())));
    assert_eq!(carrying(&fixture), None);
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
        state.apply(success(&address), now);
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
        news.push(match event {
            Some(event) => Input::Kernel { backend, event },
            None if random.chance(60) => success(&address),
            None => refusal(&address),
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
        orders.push(Verb::Failback { service: ServiceRef("shop/cart".into()) });
    }
    orders.into_iter().map(Input::Operator).collect()
}

/// A state with one service `s`, and what happened in it.
#[derive(Default)]
struct Fixture {
    state: State,
    now: Moment,
    happened: Vec<(Moment, Transition)>,
}

impl Fixture {
    fn new(service: Service) -> Self {
        let mut fixture = Self::default();
        fixture.at(0.0, Input::Node(node()));
        let addresses: Vec<String> =
            service.backends.iter().map(|backend| backend.backend.address.to_string()).collect();
        fixture.at(0.0, Input::Replace(vec![service]));
        // One that has never answered cannot be ejected by its probes.
        for address in addresses {
            fixture.probed(&address, true);
        }
        fixture.happened.clear();
        fixture
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

    /// Gives an order that is in force already.
    fn says_nothing(&mut self, seconds: f64, order: Input) {
        let events = self.happened.len();
        self.at(seconds, order);
        assert_eq!(self.happened.len(), events, "said twice is nothing");
    }

    fn apply(&mut self, input: Input) {
        let happened = self.state.apply(input, self.now);
        self.happened.extend(happened.into_iter().map(|event| (self.now, event)));
        assert_eq!(*self.state.tables(), compile(&self.state));
    }

    fn probed(&mut self, address: &str, success: bool) {
        self.apply(if success { by_name::success(address) } else { refusal(address) });
    }

    fn probed_at(&mut self, seconds: f64, address: &str, success: bool) {
        self.until(seconds);
        self.probed(address, success);
    }

    /// Lets the near zone be down between these seconds.
    fn outage(&mut self, from: f64, to: f64) {
        self.probed_at(from, NEAR, false);
        self.probed_at(to, NEAR, true);
    }

    fn shares_at(&mut self, seconds: f64) -> [u8; 2] {
        self.until(seconds);
        self.shares()
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
