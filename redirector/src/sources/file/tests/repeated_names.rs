//! A file with two clusters that call nodes and zones alike: what fails in one touches the other in
//! nothing.

use std::{collections::BTreeSet, time::Duration};

use redirector_core::{
    Input, Moment, State,
    input::{Drained, ProbeFailure, Verb},
    remote_cluster::{ClusterPhase, OnSilence, RemoteCluster},
    service::ServiceRef,
};

use crate::sources::file::{Config, parse};

/// Each cluster has nodes n8 and n9 in zone a, with two probed backends on n9; 10.2 is west.
const TEXT: &str = r#"
node: {name: n1, zone: a, region: eu, cluster: home}
services:
- name: shop/web
  frontends: ["10.96.0.1:80/tcp"]
  backends:
  - {address: "10.1.0.1:80", node: n9, zone: a, region: eu}
  - {address: "10.1.0.2:80", node: n9, zone: a, region: eu, cluster: home}
  - {address: "10.1.0.3:80", node: n8, zone: a, region: eu}
  - {address: "10.2.0.1:80", node: n9, zone: a, region: eu, cluster: west}
  - {address: "10.2.0.2:80", node: n9, zone: a, region: eu, cluster: west}
  - {address: "10.2.0.3:80", node: n8, zone: a, region: eu, cluster: west}
  policy:
    tiers:
    - {name: near, zones: [a]}
    - {name: far, clusters: [west], zones: [a]}
- name: shop/dns
  frontends: ["10.96.0.2:53/udp"]
  backends:
  - {address: "10.1.0.9:53", node: n9, zone: a, region: eu}
  - {address: "10.2.0.9:53", node: n9, zone: a, region: eu, cluster: west}
"#;

#[test]
fn a_tier_by_zone_has_none_of_the_other_cluster() {
    let told = state().explain(&ServiceRef("shop/web".into()), at(0)).expect("it is listed");
    let tiers = told.families[0].tiers.iter();
    let tiers: Vec<Vec<String>> = tiers
        .map(|tier| tier.backends.iter().map(|member| member.backend.address.to_string()).collect())
        .collect();
    let of = |prefix: &str| [1, 2, 3].map(|last| format!("{prefix}.0.{last}")).to_vec();
    assert_eq!(tiers, [of("10.1"), of("10.2")]);
}

#[test]
fn orders_and_suppositions_mean_the_cluster_that_they_name() {
    for (subject, cluster) in [
        ("node=n9", "10.1."),
        ("node=home/n9", "10.1."),
        ("node=west/n9", "10.2."),
        ("zone=a", "10.1."),
        ("zone=west/a", "10.2."),
        ("cluster=home", "10.1."),
        ("cluster=west", "10.2."),
    ] {
        let subject: Drained = subject.parse().expect("a subject");
        let mut state = state();
        let dead = state.clone().with_dead(&state.meant(std::slice::from_ref(&subject)));
        state.apply(Input::Operator(Verb::Drain(subject.clone())), at(1));
        for (state, what) in [(&dead, "supposed to be dead"), (&state, "drained")] {
            let out = out(state);
            assert!(out.len() >= 3, "{subject} {what}: {out:?}");
            assert!(out.iter().all(|it| it.starts_with(cluster)), "{subject} {what}: {out:?}");
        }
    }
}

#[test]
fn a_silent_node_is_one_of_its_own_cluster() {
    for (prefix, cluster) in [("10.1.0", "10.1."), ("10.2.0", "10.2.")] {
        let mut state = state();
        for second in 1..4 {
            for last in [1, 2] {
                probed(&mut state, &format!("{prefix}.{last}"), false, second);
            }
        }
        // 9 is not probed, and on that node.
        let expected: BTreeSet<String> = [1, 2, 9].map(|last| format!("{cluster}0.{last}")).into();
        assert_eq!(out(&state), expected);
    }
}

#[test]
fn a_silent_cluster_takes_its_own_with_it_and_nobody_else() {
    for phase in [ClusterPhase::Silent, ClusterPhase::Lost] {
        for name in ["west", "home", "nosuch"] {
            let mut state = state();
            let on_silence = OnSilence::Drop;
            let told = vec![RemoteCluster { name: name.into(), phase, on_silence }];
            state.apply(Input::RemoteClusters(told), at(1));
            let west = [1, 2, 3, 9].map(|last| format!("10.2.0.{last}"));
            let expected = if name == "west" { west.into() } else { BTreeSet::new() };
            assert_eq!(out(&state), expected, "{name} is {phase:?}");
        }
    }
}

#[test]
fn a_dead_cluster_is_found_without_a_word_from_an_importer() {
    let mut state = state();
    let west = ["10.2.0.1", "10.2.0.2", "10.2.0.3"];
    for second in 1..8 {
        for address in ["10.1.0.1", "10.1.0.2", "10.1.0.3"] {
            probed(&mut state, address, true, second);
        }
        for address in west {
            probed(&mut state, address, false, second);
        }
        state.apply(Input::Tick, at(second));
    }
    let all: BTreeSet<String> = west.iter().chain(&["10.2.0.9"]).map(ToString::to_string).collect();
    assert_eq!(out(&state), all);
    assert!(state.is_unreachable("west"));
}

/// At 0 s every backend that can be probed answers.
fn state() -> State {
    let Config { node, services, .. } = parse("f", TEXT).expect("a good file");
    let mut state = State::new();
    state.apply(Input::All(vec![Input::Node(node), Input::Replace(services)]), at(0));
    for cluster in ["10.1", "10.2"] {
        (1..=3).for_each(|last| probed(&mut state, &format!("{cluster}.0.{last}"), true, 0));
    }
    state
}

fn probed(state: &mut State, address: &str, is_well: bool, second: u64) {
    let backend = format!("{address}:80/tcp").parse().expect("a backend");
    let outcome = if is_well { Ok(()) } else { Err(ProbeFailure::TimedOut) };
    state.apply(Input::Probed { backend, outcome }, at(second));
}

fn out(state: &State) -> BTreeSet<String> {
    state.tables().objections.keys().map(|backend| backend.address.to_string()).collect()
}

fn at(seconds: u64) -> Moment {
    Moment(Duration::from_secs(seconds))
}
