//! What is said about services, as they are and as they would be.

use super::*;
use crate::{
    Input,
    by_name::{self, refusal, service},
    input::{Drained, Verb},
    locality::Place,
    service::{Members, TierRule},
};

#[test]
fn every_tier_and_member_is_explained() {
    let mut state = state();
    probed(&mut state, "10.1.0.1", 1.0, false);
    let all = explain(&state, 1.0);
    assert_eq!(
        lines(&all),
        [
            "0 near: 70 of 70 %, 1/2 healthy",
            "  10.1.0.1 weight 1: 0.0 %, prober: connection refused since 1s",
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
    assert_eq!(near(&state, 2.0), (0, 0, Some(HoldState::Down)));
    probed(&mut state, "10.1.0.1", 10.0, true);
    let waiting = |left| Some(HoldState::Waiting(Some(Duration::from_secs(left))));
    assert_eq!(near(&state, 10.0), (0, 70, waiting(30)));
    assert_eq!(near(&state, 35.0), (0, 70, waiting(5)));
    while let Some(due) = state.next_deadline().filter(|due| *due <= at(50.0)) {
        state.apply(Input::Tick, due);
    }
    let remaining = Duration::from_secs(10);
    assert_eq!(near(&state, 50.0), (35, 70, Some(HoldState::Ramping { percent: 50, remaining })));
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
    assert_eq!(lines[1], "  10.1.0.1 weight 1: 0.0 %, operator: node n1 is drained since 3s");
}

#[test]
fn a_supposed_death_changes_the_copy_and_not_the_world() {
    let state = state();
    let before = explain(&state, 5.0);
    let supposed = state.clone().with_dead(&state.meant(&[Drained::Zone("a".into())]));
    let after = explain(&supposed, 5.0);
    assert_eq!(after.families[0].tiers[0].load, 0);
    assert_eq!(after.families[0].tiers[2].load, 100);
    assert_eq!(after.families[0].tiers[0].hold, Some(HoldState::Down));
    let everything = [Drained::Cluster("home".into())];
    let down = explain(&state.clone().with_dead(&state.meant(&everything)), 5.0);
    assert!(down.families[0].is_all_down);
    let shares = down.families[0].tiers.iter().flat_map(|tier| &tier.members);
    let sum: f64 = shares.map(|member| member.share).sum();
    assert!((sum - 100.0).abs() < 1e-9, "a panic uses everyone");
    assert_eq!(explain(&state, 5.0), before);
}

/// Load, due and hold of the first tier.
fn near(state: &State, seconds: f64) -> (u8, u8, Option<HoldState>) {
    let tier = &explain(state, seconds).families[0].tiers[0];
    (tier.load, tier.due, tier.hold)
}

fn lines(explanation: &Explanation) -> Vec<String> {
    let mut lines = Vec::new();
    for family in &explanation.families {
        for tier in &family.tiers {
            let Count { total, healthy } = tier.count;
            let of = match &tier.of {
                Some((of, true)) => format!(", of {of}"),
                Some((of, false)) => format!(", of {of}, which is not there"),
                None => String::new(),
            };
            let TierExplained { number, name, load, due, .. } = tier;
            lines
                .push(format!("{number} {name}: {load} of {due} %, {healthy}/{total} healthy{of}"));
            for Member { backend, weight, share, objections, .. } in &tier.members {
                let address = backend.address;
                let objections = objections.iter().map(|(by, Veto { why, since })| {
                    format!(", {}: {why} since {:?}", by.name(), since.0)
                });
                let objections: String = objections.collect();
                lines.push(format!("  {address} weight {weight}: {share:.1} %{objections}"));
            }
        }
        lines.extend(family.without_tier.iter().map(|(backend, locality)| {
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
