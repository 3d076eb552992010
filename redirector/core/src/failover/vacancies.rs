//! Tiers that a policy asks for and that cannot do what they are for: they have no backend, or are of
//! clusters that do not exist or are not heard.

use std::{collections::BTreeSet, fmt, sync::Arc};

pub use super::tiers::is_exported;
use super::tiers::{is_member, rules};
use crate::{
    locality::Place,
    service::{ANY_OTHER, Backend, Locality, Members, Rank, Service, ServiceRef, TierRule},
    tables::ServiceTables,
};

/// A tier without a backend, of either family; or of other clusters, one of which there is not or
/// none of which is heard, whatever backends it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vacancy {
    /// Counted from 0.
    pub number: u8,
    /// The tier's name in the policy.
    pub name: Arc<str>,
    /// Why it has none, or may have none before long.
    pub why: Vacant,
}

/// Why a tier has no backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vacant {
    /// No backend is that near to this node. To other nodes there may be one.
    NotHere,
    /// All that it could have are in earlier tiers. That may change with what there is.
    Taken,
    /// Whatever it could have fits this earlier tier, too: it can never have any.
    Shadowed(Arc<str>),
    /// No backend is in the places that it names.
    Nowhere,
    /// The other service that it names has none, or none of this protocol; `false` if there is no
    /// such service.
    OfService(ServiceRef, bool),
    /// It names these clusters, and there are none of these names: nothing was said of them, and no
    /// backend of any service is there. What it has of others it keeps.
    NoSuchCluster(Vec<Arc<str>>),
    /// All clusters that it is of are silent or lost, these. Backends of a silent one that answer are
    /// in it as before; which others it has by now is not known.
    ClusterSilent(Vec<Arc<str>>),
}

/// How a cluster stands that a tier names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// There is none of that name.
    Unknown,
    /// It is silent or lost.
    Silent,
    /// It is the own one, or it is heard, or nothing else was said.
    Heard,
}

/// What there is beside a service, for its tiers.
pub(crate) struct Surroundings<'s> {
    /// Where the agent runs.
    pub(crate) node: &'s Locality,
    /// Whether there is a service.
    pub(crate) is_there: &'s dyn Fn(&ServiceRef) -> bool,
    /// How a cluster stands.
    pub(crate) standing: &'s dyn Fn(&Arc<str>) -> Standing,
    /// All other clusters that there are.
    pub(crate) clusters: Vec<Arc<str>>,
}

impl fmt::Display for Vacant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHere => f.write_str("no backend is that near to this node"),
            Self::Taken => f.write_str("all that it could have are in earlier tiers"),
            Self::Shadowed(earlier) => {
                write!(
                    f,
                    "it can never have a backend: tier {earlier} takes all that it could have"
                )
            }
            Self::Nowhere => f.write_str("no backend is in the places that it names"),
            Self::OfService(service, true) => write!(f, "service {service} has no backend for it"),
            Self::OfService(service, false) => write!(f, "there is no service {service}"),
            Self::NoSuchCluster(names) => match &names[..] {
                [one] => write!(f, "there is no cluster {one}"),
                several => write!(f, "there are no clusters {}", several.join(", ")),
            },
            Self::ClusterSilent(names) => match &names[..] {
                [one] => write!(f, "cluster {one} is silent"),
                several => write!(f, "clusters {} are silent", several.join(", ")),
            },
        }
    }
}

impl Vacant {
    /// Whether it is a fault of the policy or of what there is. Else it is as it should be: on a
    /// node without a replica the tier of that node is empty.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        !matches!(self, Self::NotHere | Self::Taken)
    }
}

/// The vacant tiers of a service with rules that has these tables, in their order. Of a service
/// without any backend only those that are so because of a cluster: that is another trouble.
pub(crate) fn vacancies(
    service: &Service,
    tables: &ServiceTables,
    around: &Surroundings<'_>,
) -> Vec<Vacancy> {
    let placed = || tables.v4.tiers.iter().chain(&tables.v6.tiers);
    let is_bare = placed().next().is_none();
    let rules = rules(service);
    let vacancy = |(number, rule): (u8, &TierRule)| {
        let is_empty = placed().all(|tier| tier.number != number);
        let why = of_clusters(rule, around).or_else(|| {
            let before = &rules[..usize::from(number)];
            (is_empty && !is_bare).then(|| why_empty(service, before, rule, around))
        });
        Some(Vacancy { number, name: Arc::clone(&rule.name), why: why? })
    };
    (0..).zip(rules).filter_map(vacancy).collect()
}

/// Why a tier has no backend, behind those that come before it.
fn why_empty(
    service: &Service,
    before: &[TierRule],
    rule: &TierRule,
    around: &Surroundings<'_>,
) -> Vacant {
    let mut own = service.backends.iter();
    let shadow = shadow(before, rule, around.node.cluster.as_ref());
    match (shadow, rule.members.service()) {
        (_, Some(other)) if !(around.is_there)(other) => Vacant::OfService(other.clone(), false),
        (Some(earlier), _) => Vacant::Shadowed(Arc::clone(earlier)),
        (None, Some(other)) if *other != service.name => Vacant::OfService(other.clone(), true),
        _ if own.any(|own| fits(service, around.node, rule, own)) => Vacant::Taken,
        _ if matches!(rule.members, Members::Within(_)) => Vacant::NotHere,
        _ => Vacant::Nowhere,
    }
}

/// What is wrong with the clusters that a tier names.
fn of_clusters(rule: &TierRule, around: &Surroundings<'_>) -> Option<Vacant> {
    let clusters = rule.members.clusters();
    let is_any = |name: &Arc<str>| **name == *ANY_OTHER;
    let of = |standing: Standing| {
        let named = clusters.iter().filter(|name| !is_any(name));
        named.filter(move |name| (around.standing)(name) == standing)
    };
    let unknown: Vec<Arc<str>> = of(Standing::Unknown).cloned().collect();
    if !unknown.is_empty() {
        return Some(Vacant::NoSuchCluster(unknown));
    }
    let others = around.clusters.iter().filter(|_| clusters.iter().any(is_any));
    let meant = || clusters.iter().filter(|name| !is_any(name)).chain(others.clone());
    let is_silent = |name: &Arc<str>| (around.standing)(name) == Standing::Silent;
    let is_all = meant().next().is_some() && meant().all(is_silent);
    is_all.then(|| {
        let names: BTreeSet<&Arc<str>> = meant().collect();
        Vacant::ClusterSilent(names.into_iter().cloned().collect())
    })
}

/// Whether a backend of the service's own could be in the tier of that rule.
#[must_use]
pub fn fits(service: &Service, node: &Locality, rule: &TierRule, own: &Backend) -> bool {
    own.rank != Rank::Terminating && is_member(service, node, rule, own)
}

/// The tier before, of those of the same service, that takes whatever could be in this one. `own` is
/// the client's cluster.
#[must_use]
pub fn shadow<'r>(
    before: &'r [TierRule],
    rule: &TierRule,
    own: Option<&Arc<str>>,
) -> Option<&'r Arc<str>> {
    let earlier = before.iter().find(|earlier| covers(&earlier.members, &rule.members, own));
    earlier.map(|earlier| &earlier.name)
}

/// Whether every backend that fits the later rule fits the earlier one, whatever there is.
fn covers(earlier: &Members, later: &Members, own: Option<&Arc<str>>) -> bool {
    let has_all = |earlier: &[Arc<str>], later: &[Arc<str>]| {
        earlier.is_empty() || (!later.is_empty() && later.iter().all(|name| earlier.contains(name)))
    };
    let has_clusters = |earlier: &[Arc<str>], later: &[Arc<str>]| {
        let has_others = earlier.iter().any(|name| **name == *ANY_OTHER);
        later.iter().all(|name| earlier.contains(name) || (has_others && Some(name) != own))
    };
    match (earlier, later) {
        (Members::Within(earlier), Members::Within(later)) => later <= earlier,
        (Members::Within(Place::Cluster), Members::Named { clusters, .. }) => clusters.is_empty(),
        (
            Members::Named { zones, regions, clusters },
            Members::Named { zones: zones2, regions: regions2, clusters: clusters2 },
        ) => {
            // Without clusters both mean the own one.
            let is_cluster = match (clusters.is_empty(), clusters2.is_empty()) {
                (true, true) => true,
                (false, false) => has_clusters(clusters, clusters2),
                _ => false,
            };
            is_cluster && has_all(zones, zones2) && has_all(regions, regions2)
        }
        (
            Members::Service(earlier),
            Members::Service(later) | Members::Exported { service: later, .. },
        ) => earlier == later,
        (
            Members::Exported { service: earlier, clusters },
            Members::Exported { service: later, clusters: clusters2 },
        ) => earlier == later && has_clusters(clusters, clusters2),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        by_name::service,
        input::{Input, Moment},
        remote_cluster::{ClusterPhase, OnSilence, RemoteCluster},
        state::State,
    };

    #[test]
    fn a_vacant_tier_says_why() {
        let named = |zones: &[&str]| Members::Named {
            zones: zones.iter().map(|zone| Arc::from(*zone)).collect(),
            regions: Vec::new(),
            clusters: Vec::new(),
        };
        let of = |name: &str| ServiceRef(name.into());
        let other = |name: &str| Members::Service(of(name));
        for (rules, expected) in [
            (vec![named(&["a"]), named(&["b"])], vec![]),
            (vec![Members::Within(Place::Node), named(&["a", "b"])], vec![(0, Vacant::NotHere)]),
            (vec![named(&["a", "b"]), named(&["nosuch"])], vec![(1, Vacant::Nowhere)]),
            (vec![named(&["a", "b"]), named(&["b"])], vec![(1, Vacant::Shadowed("t0".into()))]),
            (
                vec![Members::Within(Place::Region), Members::Within(Place::Zone)],
                vec![(1, Vacant::Shadowed("t0".into()))],
            ),
            (
                vec![named(&["a"]), named(&["b"]), Members::Within(Place::Cluster)],
                vec![(2, Vacant::Taken)],
            ),
            (
                vec![Members::Within(Place::Cluster), other("gone"), other("empty"), other("full")],
                vec![
                    (1, Vacant::OfService(of("gone"), false)),
                    (2, Vacant::OfService(of("empty"), true)),
                ],
            ),
        ] {
            let mut tried = service("s", &["10.96.0.1"], &["10.1.0.1", "10.1.0.2"]);
            for (backend, zone) in tried.backends.iter_mut().zip(["a", "b"]) {
                backend.locality = Locality {
                    zone: Some(zone.into()),
                    region: Some("eu".into()),
                    ..Locality::default()
                };
            }
            let tier = |(number, members)| TierRule { name: format!("t{number}").into(), members };
            tried.policy.tiers = rules.into_iter().enumerate().map(tier).collect();
            let mut state = State::new();
            let node = Locality { region: Some("eu".into()), ..Locality::default() };
            let now = Moment::default();
            state.apply(Input::Node(node), now);
            let others = [
                service("empty", &["10.96.0.2"], &[""; 0]),
                service("full", &["10.96.0.3"], &["10.1.0.9"]),
            ];
            state.apply(Input::Replace([tried.clone()].into_iter().chain(others).collect()), now);
            let found: Vec<_> =
                state.vacancies(&tried.name).into_iter().map(|it| (it.number, it.why)).collect();
            assert_eq!(found, expected, "{:?}", tried.policy.tiers);
        }
    }

    #[test]
    fn a_tier_of_clusters_that_are_unknown_or_silent_says_which() {
        use ClusterPhase::{Live, Lost, Silent};
        let none = |names: &[&str]| Some(Vacant::NoSuchCluster(arcs(names)));
        let silent = |names: &[&str]| Some(Vacant::ClusterSilent(arcs(names)));
        // West has a backend, and all others have none.
        for (told, clusters, expected) in [
            (&[][..], &["west"][..], None),
            (&[], &["nosuch"], none(&["nosuch"])),
            (&[], &["west", "nosuch"], none(&["nosuch"])),
            (&[("east", Live)], &["east"], Some(Vacant::Nowhere)),
            (&[("west", Live)], &["west"], None),
            (&[("west", Silent)], &["west"], silent(&["west"])),
            (&[("west", Lost)], &["west"], silent(&["west"])),
            (&[("west", Silent), ("east", Live)], &["west", "east"], None),
            (&[("west", Silent), ("east", Lost)], &["west", "east"], silent(&["east", "west"])),
            (&[("west", Silent)], &["west", "home"], None),
            (&[], &["*"], None),
            (&[("west", Silent)], &["*"], silent(&["west"])),
            (&[("west", Silent), ("east", Live)], &["*"], None),
            (&[("west", Silent), ("home", Live)], &["*"], silent(&["west"])),
        ] {
            let mut tried = service("s", &["10.96.0.1"], &["10.1.0.1", "10.2.0.1"]);
            tried.backends[1].locality.cluster = Some("west".into());
            let members =
                Members::Named { zones: Vec::new(), regions: Vec::new(), clusters: arcs(clusters) };
            let here = TierRule { name: "here".into(), members: Members::Within(Place::Cluster) };
            tried.policy.tiers = vec![here, TierRule { name: "far".into(), members }];
            let on_silence = OnSilence::KeepReachable;
            let cluster = |(name, phase): &(&str, ClusterPhase)| RemoteCluster {
                name: (*name).into(),
                phase: *phase,
                on_silence,
            };
            let node = Locality { cluster: Some("home".into()), ..Locality::default() };
            let mut inputs = vec![
                Input::Node(node),
                Input::Replace(vec![tried.clone()]),
                Input::RemoteClusters(told.iter().map(cluster).collect()),
            ];
            for _ in 0..2 {
                let mut state = State::new();
                state.apply(Input::All(inputs.clone()), Moment::default());
                let found = state.vacancies(&tried.name).into_iter().map(|it| it.why).next();
                assert_eq!(found, expected, "{told:?} {clusters:?}");
                inputs.reverse();
            }
        }
    }

    fn arcs(names: &[&str]) -> Vec<Arc<str>> {
        names.iter().map(|name| Arc::from(*name)).collect()
    }

    #[test]
    fn a_service_without_a_backend_has_no_vacant_tier() {
        let mut tried = service("s", &["10.96.0.1"], &[""; 0]);
        let members = Members::Within(Place::Zone);
        tried.policy.tiers = vec![TierRule { name: "near".into(), members }];
        let mut state = State::new();
        state.apply(Input::Replace(vec![tried.clone()]), Moment::default());
        assert_eq!(state.vacancies(&tried.name), []);
    }
}
