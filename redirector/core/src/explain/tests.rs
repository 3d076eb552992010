//! What is said about services, as they are and as they would be.

use super::*;
use crate::{
    Input,
    by_name::{self, refusal, service},
    input::{ClientId, Drained, Verb},
    locality::Place,
    service::{Members, Mode, TierRule},
};

#[test]
fn modes_and_policies_are_called_as_they_are_written() {
    let modes = [Mode::LastResort, Mode::Spill, Mode::Threshold].map(|mode| format!("{mode:?}"));
    assert_eq!(modes, ["LastResort", "Spill", "Threshold"]);
    let policies = [AllDown::Panic, AllDown::Refuse, AllDown::PassThrough];
    let policies = policies.map(|policy| format!("{policy:?}"));
    assert_eq!(policies, ["Panic", "Refuse", "PassThrough"]);
}

#[test]
fn every_tier_and_member_is_explained() {
    let mut state = state();
    probed(&mut state, "10.1.0.1", 1.0, false);
    let all = explain(&state, 1.0);
    assert_eq!(
        lines(&all),
        [
            "0 near: 70 of 70 %, 1/2 healthy",
            "  10.1.0.1 weight 1: 0.0 %, prober: connection refused for 0 s",
            "  10.1.0.2 weight 1: 70.0 %",
            "1 empty: 0 of 0 %, 0/0 healthy",
            "2 backup: 30 of 30 %, 2/2 healthy, of backup",
            "  10.2.0.1 weight 1: 7.5 %",
            "  10.2.0.2 weight 3: 22.5 %",
            "3 gone: 0 of 0 %, 0/0 healthy, of gone, which is not there",
            "without tier: 10.1.0.9 in us",
        ]
    );
    assert_eq!(all.families.len(), 1, "no IPv6 frontend");
    assert!(!all.families[0].is_all_down);
    assert_eq!(state.explain(&ServiceRef("other".into()), at(1.0)), None);
}

#[test]
fn what_a_tier_waits_for_is_explained_with_the_time_that_remains() {
    let mut state = state();
    for address in ["10.1.0.1", "10.1.0.2"] {
        probed(&mut state, address, 1.0, false);
    }
    assert_eq!(near(&state, 2.0), (0, 0, down()));
    probed(&mut state, "10.1.0.1", 10.0, true);
    let waiting = |left| Some(format!("hold-down, {left} s left"));
    assert_eq!(near(&state, 10.0), (0, 70, waiting(30)));
    assert_eq!(near(&state, 35.0), (0, 70, waiting(5)));
    while let Some(due) = state.next_deadline().filter(|due| *due <= at(50.0)) {
        state.apply(Input::Tick, due);
    }
    assert_eq!(near(&state, 50.0), (35, 70, Some("ramp at 50 %, 10 s left".to_owned())));
    let tier = "backup".into();
    let service = ServiceRef("s".into());
    state.apply(Input::Operator(Verb::Force { service, tier }), at(51.0));
    assert_eq!(explain(&state, 51.0).forced.as_deref(), Some("backup"));
    assert_eq!(near(&state, 51.0).0, 0);
}

#[test]
fn a_drain_is_named_as_what_it_is() {
    let mut state = state();
    let drain = Verb::Drain(Drained::Node("n1".into()));
    state.apply(Input::Operator(drain), at(3.0));
    let lines = lines(&explain(&state, 4.0));
    assert_eq!(lines[1], "  10.1.0.1 weight 1: 0.0 %, operator: node n1 is drained for 1 s");
}

#[test]
fn a_supposed_death_changes_the_copy_and_not_the_world() {
    let state = state();
    let before = explain(&state, 5.0);
    let with_dead = |dead| state.clone().with_dead(&state.meant(&[dead]));
    let supposed = with_dead(Drained::Zone("a".into()));
    let after = explain(&supposed, 5.0);
    assert_eq!(after.families[0].tiers[0].load, 0);
    assert_eq!(after.families[0].tiers[2].load, 100);
    assert_eq!(after.families[0].tiers[0].hold, down());
    let down = explain(&with_dead(Drained::Cluster("home".into())), 5.0);
    assert!(down.families[0].is_all_down);
    let shares = down.families[0].tiers.iter().flat_map(|tier| &tier.backends);
    let sum: f64 = shares.map(|member| member.share).sum();
    assert!((sum - 100.0).abs() < 0.05, "a panic uses everyone");
    assert_eq!(explain(&state, 5.0), before);
}

#[test]
fn a_suspicion_says_who_saw_what_and_who_is_kept_away_meanwhile() {
    let client = ClientId { cgroup: 7, netns: 9 };
    let one = Sight::Connects { refused: true, client: Some(client) };
    let several = Sight::Connects { refused: false, client: Some(client) };
    for (sight, is_held, said) in [
        (
            one,
            false,
            "connects of cgroup 7 in network namespace 9 were refused; a probe is being asked, and \
             meanwhile that client avoids it",
        ),
        (
            several,
            true,
            "connects of several clients, cgroup 7 in network namespace 9 among them, were not \
             answered; a probe is being asked, and meanwhile nobody on this node uses it",
        ),
        (
            Sight::ListenerGone,
            true,
            "nobody listens there any more; a probe is being asked, and meanwhile nobody on this \
             node uses it",
        ),
    ] {
        let since = Moment::default();
        assert_eq!(suspected(&health::Suspicion { sight, since, is_held }), said);
    }
}

/// Load, due and hold of the first tier.
fn near(state: &State, seconds: f64) -> (u8, u8, Option<String>) {
    let tier = &explain(state, seconds).families[0].tiers[0];
    (tier.load, tier.due, tier.hold.clone())
}

fn down() -> Option<String> {
    Some("it is not well".to_owned())
}

fn lines(explanation: &Explanation) -> Vec<String> {
    let mut lines = Vec::new();
    for family in &explanation.families {
        for tier in &family.tiers {
            let Tier { number, name, of_service, is_unresolved, load, due, healthy, .. } = tier;
            let of = of_service.as_ref().map(|of| format!(", of {of}")).unwrap_or_default();
            let gone = if *is_unresolved { ", which is not there" } else { "" };
            let total = tier.backends.len();
            lines.push(format!(
                "{number} {name}: {load} of {due} %, {healthy}/{total} healthy{of}{gone}"
            ));
            for Member { backend, weight, share, objections, .. } in &tier.backends {
                let address = backend.address;
                let objections = objections
                    .iter()
                    .map(|Objection { by, why, seconds }| format!(", {by}: {why} for {seconds} s"));
                let objections: String = objections.collect();
                lines.push(format!("  {address} weight {weight}: {share:.1} %{objections}"));
            }
        }
        let localities = &family.without_tier_localities;
        lines.extend(family.without_tier.iter().zip(localities).map(|(backend, locality)| {
            let region = locality.region.as_deref().unwrap_or("no region");
            format!("without tier: {} in {region}", backend.address)
        }));
    }
    lines
}

fn explain(state: &State, seconds: f64) -> Explanation {
    state.explain(&ServiceRef("s".into()), at(seconds)).expect("the service is there")
}

fn probed(state: &mut State, address: &str, seconds: f64, success: bool) {
    let input = if success { by_name::success(address) } else { refusal(address) };
    state.apply(input, at(seconds));
}

/// A service with two backends in the zone; a tier is empty, one of another service, one of none.
fn state() -> State {
    let mut one = service("s", &["10.96.0.1"], &["10.1.0.1", "10.1.0.2", "10.1.0.9"]);
    for number in 0..2 {
        one.backends[number].locality.zone = Some("a".into());
    }
    one.backends[0].locality.node = Some("n1".into());
    one.backends[2].locality.region = Some("us".into());
    let rule = |name: &str, members| TierRule { name: name.into(), members };
    let named = |zone: &str| Members::Named {
        zones: vec![zone.into()],
        regions: Vec::new(),
        clusters: Vec::new(),
    };
    one.policy.mode = Mode::Spill;
    one.policy.failback = Some(Failback::default());
    one.policy.tiers = vec![
        rule("near", Members::Within(Place::Zone)),
        rule("empty", named("x")),
        rule("backup", Members::Service(ServiceRef("backup".into()))),
        rule("gone", Members::Service(ServiceRef("gone".into()))),
    ];
    let mut backup = service("backup", &["10.96.0.2"], &["10.2.0.1", "10.2.0.2"]);
    backup.backends[1].weight = 3;
    let mut state = State::new();
    let node =
        Locality { zone: Some("a".into()), cluster: Some("home".into()), ..Locality::default() };
    state.apply(Input::Node(node), at(0.0));
    state.apply(Input::Replace(vec![one, backup]), at(0.0));
    for address in ["10.1.0.1", "10.1.0.2"] {
        probed(&mut state, address, 0.0, true);
    }
    state
}

fn at(seconds: f64) -> Moment {
    Moment(Duration::from_secs_f64(seconds))
}
