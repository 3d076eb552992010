//! What nodes and zones of one cluster are called decides nothing, least of all for another one.

mod support;

use std::{cell::Cell, collections::BTreeMap, sync::Arc};

use redirector_common::NodeWord;
use redirector_core::{
    Input, Moment, State, Tables, Transition,
    identity::{NodeRef, ZoneRef},
    input::{ClusterEvent, Drained, ProbeFailure, ProbeOrder, Verb},
    service::{ANY_OTHER, Backend, BackendRef, Locality, Members, Protocol, Service, TierRule},
};
use support::{
    random::{Random, for_seeds},
    worlds::{input, pass, remote_clusters, service, services},
};

#[test]
fn what_one_cluster_calls_its_nodes_and_zones_decides_nothing() {
    let (silences, suspicions, drains) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let clusters = Cell::new(0);
    for_seeds(3_000, |seed| {
        let mut random = Random::new(seed);
        let own = random.chance(50).then(|| Arc::from("home"));
        let renamed = if random.chance(50) { Cluster::Own } else { Cluster::West };
        let mut now = Moment::default();
        let (mut one, mut other) = (State::new(), State::new());
        for step in 0..40 {
            for news in news(&mut random, step, &one) {
                let news = at_home(news, own.as_ref(), &mut random);
                if matches!(news, Input::Tick) {
                    now = one.next_deadline().unwrap_or(now);
                }
                let happened = one.apply(news.clone(), now);
                let happened_too = other.apply(rename(news, renamed), now);
                let happened: Vec<Transition> = happened.into_iter().map(without_marks).collect();
                let happened_too: Vec<Transition> =
                    happened_too.into_iter().map(without_marks).collect();
                for transition in &happened {
                    let count = match transition {
                        Transition::Ejected { why, .. } if why.ends_with("silent") => &silences,
                        Transition::Ejected { why, .. } if why.ends_with("drained") => &drains,
                        Transition::Ordered(Verb::Drain(Drained::Node(_))) => &drains,
                        Transition::NodeSuspect(true) => &suspicions,
                        Transition::Cluster {
                            event: ClusterEvent::Unreachable { out: 1.., .. },
                            ..
                        } => &clusters,
                        _ => continue,
                    };
                    count.set(count.get() + 1);
                }
                assert_eq!(happened, happened_too, "step {step}");
                assert_eq!(numbered(one.tables()), numbered(other.tables()), "step {step}");
                assert_eq!(probes(&one), probes(&other), "step {step}");
                assert_eq!(one.take_commands(), other.take_commands(), "step {step}");
                assert_eq!(one.next_deadline(), other.next_deadline(), "step {step}");
            }
            pass(&mut random, &mut now);
        }
    });
    let counts = [silences, suspicions, drains, clusters].map(|count| count.get());
    assert!(counts.iter().all(|count| *count > 100), "too little to decide: {counts:?}");
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cluster {
    Own,
    West,
}

/// What is probed. In which order those at rest are is each node's own, so that not all ask the same.
fn probes(state: &State) -> BTreeMap<BackendRef, ProbeOrder> {
    let mut probes = state.probes();
    for rest in probes.values_mut().filter_map(|order| order.rest.as_mut()) {
        rest.rank = 0;
    }
    probes
}

/// Random news; often that many backends do not answer, and then the time that it takes to see it.
fn news(random: &mut Random, step: usize, state: &State) -> Vec<Input> {
    match random.below(12) {
        _ if step == 0 => vec![Input::Node(Locality::default()), Input::Replace(services(random))],
        0..4 => {
            let listed = state.services().flat_map(|service| &service.backends);
            let listed: Vec<&Backend> =
                listed.filter(|listed| listed.backend.protocol == Protocol::Tcp).collect();
            let Some(first) = listed.get(random.below(listed.len().max(1))) else { return vec![] };
            let is_a_node = random.chance(50);
            let is_struck = |listed: &&Backend| {
                let (one, other) = (&listed.locality, &first.locality);
                !is_a_node || (&one.node, &one.cluster) == (&other.node, &other.cluster)
            };
            let struck: Vec<&Backend> = listed.iter().copied().filter(is_struck).collect();
            let probed = |listed: &Backend, is_well: bool| Input::Probed {
                backend: listed.backend,
                outcome: if is_well { Ok(()) } else { Err(ProbeFailure::TimedOut) },
            };
            let answers = struck.iter().map(|listed| probed(listed, true));
            let failures = struck.iter().map(|listed| probed(listed, false));
            answers.chain(failures).chain([Input::Tick, Input::Tick]).collect()
        }
        4 => vec![Input::RemoteClusters(remote_clusters(random))],
        5..6 => (0..8).map(|_| Input::Put(service(random))).collect(),
        _ => vec![input(random)],
    }
}

/// Puts the node into the own cluster; the backends there name it or do not.
fn at_home(news: Input, own: Option<&Arc<str>>, random: &mut Random) -> Input {
    match news {
        Input::Node(node) => Input::Node(Locality { cluster: own.cloned(), ..node }),
        news => each_locality(news, &mut |place: &mut Locality| {
            if place.cluster.is_none() && random.chance(50) {
                place.cluster = own.cloned();
            }
        }),
    }
}

/// Gives all names of nodes and zones of a cluster a mark.
fn rename(news: Input, renamed: Cluster) -> Input {
    let news = match news {
        Input::Operator(Verb::Drain(what)) => {
            Input::Operator(Verb::Drain(rename_drained(what, renamed)))
        }
        Input::Operator(Verb::Undrain(what)) => {
            Input::Operator(Verb::Undrain(rename_drained(what, renamed)))
        }
        news => news,
    };
    let news = each_rule(news, &|rule: &mut TierRule| {
        if let Members::Named { zones, clusters, .. } = &mut rule.members
            && cluster(clusters.first()) == renamed
        {
            zones.iter_mut().for_each(mark);
        }
    });
    each_locality(news, &mut |place: &mut Locality| {
        if cluster(place.cluster.as_ref()) == renamed {
            place.node.iter_mut().for_each(mark);
            place.zone.iter_mut().for_each(mark);
        }
    })
}

fn rename_drained(what: Drained, renamed: Cluster) -> Drained {
    match what {
        Drained::Node(NodeRef { cluster: its, mut name }) => {
            if cluster(its.as_ref()) == renamed {
                mark(&mut name);
            }
            Drained::Node(NodeRef { cluster: its, name })
        }
        Drained::Zone(ZoneRef { cluster: its, mut name }) => {
            if cluster(its.as_ref()) == renamed {
                mark(&mut name);
            }
            Drained::Zone(ZoneRef { cluster: its, name })
        }
        Drained::Backend(_) | Drained::Cluster(_) => what,
    }
}

/// Any other one (`*`) is west: there is no third.
fn cluster(name: Option<&Arc<str>>) -> Cluster {
    if name.is_some_and(|name| ["west", ANY_OTHER].contains(&&**name)) {
        Cluster::West
    } else {
        Cluster::Own
    }
}

fn mark(name: &mut Arc<str>) {
    *name = format!("@{name}").into();
}

fn each_locality(news: Input, change: &mut impl FnMut(&mut Locality)) -> Input {
    let mut of = |service: &mut Service| {
        service.backends.iter_mut().for_each(|listed| change(&mut listed.locality));
    };
    match news {
        Input::Put(mut service) => {
            of(&mut service);
            Input::Put(service)
        }
        Input::Replace(mut services) => {
            services.iter_mut().for_each(of);
            Input::Replace(services)
        }
        Input::Node(mut node) => {
            change(&mut node);
            Input::Node(node)
        }
        news => news,
    }
}

fn each_rule(news: Input, change: &impl Fn(&mut TierRule)) -> Input {
    let of = |service: &mut Service| service.policy.tiers.iter_mut().for_each(change);
    match news {
        Input::Put(mut service) => {
            of(&mut service);
            Input::Put(service)
        }
        Input::Replace(mut services) => {
            services.iter_mut().for_each(of);
            Input::Replace(services)
        }
        news => news,
    }
}

/// What happened, by the names without that mark.
fn without_marks(transition: Transition) -> Transition {
    let unmarked = |name: &str| -> Arc<str> { name.replace('@', "").into() };
    match transition {
        Transition::Ejected { backend, by, why } => {
            Transition::Ejected { backend, by, why: unmarked(&why) }
        }
        Transition::Ordered(Verb::Drain(what)) => {
            Transition::Ordered(Verb::Drain(drained_without_marks(what)))
        }
        Transition::Ordered(Verb::Undrain(what)) => {
            Transition::Ordered(Verb::Undrain(drained_without_marks(what)))
        }
        other => other,
    }
}

fn drained_without_marks(what: Drained) -> Drained {
    match what {
        Drained::Node(node) => Drained::Node(node.to_string().replace('@', "").as_str().into()),
        Drained::Zone(zone) => Drained::Zone(zone.to_string().replace('@', "").as_str().into()),
        Drained::Backend(_) | Drained::Cluster(_) => what,
    }
}

/// The tables with a number in place of each node's word: which backends share a node.
fn numbered(tables: &Tables) -> Tables {
    let mut numbers = BTreeMap::from([(NodeWord::default(), 0)]);
    let mut tables = tables.clone();
    for service in tables.services.values_mut() {
        let service = Arc::make_mut(service);
        let tiers = service.v4.tiers.iter_mut().chain(&mut service.v6.tiers);
        for entry in tiers.flat_map(|tier| &mut tier.entries) {
            let next = numbers.len() as u64;
            entry.node = NodeWord(*numbers.entry(entry.node).or_insert(next));
        }
    }
    tables
}
