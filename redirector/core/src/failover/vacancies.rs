//! Tiers that a policy asks for and that have no backend: they take no traffic, whatever happens.

use std::{fmt, sync::Arc};

pub use super::tiers::is_exported;
use super::tiers::{is_member, rules};
use crate::{
    locality::Place,
    service::{ANY_OTHER, Backend, Locality, Members, Rank, Service, ServiceRef, TierRule},
    tables::ServiceTables,
};

/// A tier without a backend, of either family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vacancy {
    /// Counted from 0.
    pub number: u8,
    /// The tier's name in the policy.
    pub name: Arc<str>,
    /// Why it has none.
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

/// The vacant tiers of a service with rules that has these tables, in their order. `is_there` says
/// whether there is a service. A service without any backend has none: that is another trouble.
pub(crate) fn vacancies(
    service: &Service,
    tables: &ServiceTables,
    node: &Locality,
    is_there: impl Fn(&ServiceRef) -> bool,
) -> Vec<Vacancy> {
    let placed = || tables.v4.tiers.iter().chain(&tables.v6.tiers);
    if placed().next().is_none() {
        return Vec::new();
    }
    let rules = rules(service);
    let vacant = (0..).zip(rules).filter(|(number, _)| placed().all(|tier| tier.number != *number));
    vacant
        .map(|(number, rule)| {
            let shadow = shadow(&rules[..usize::from(number)], rule, node.cluster.as_ref());
            let mut own = service.backends.iter();
            let why = match (shadow, &rule.members) {
                (_, Members::Service(other) | Members::Exported { service: other, .. })
                    if !is_there(other) =>
                {
                    Vacant::OfService(other.clone(), false)
                }
                (Some(earlier), _) => Vacant::Shadowed(Arc::clone(earlier)),
                (None, Members::Service(other) | Members::Exported { service: other, .. })
                    if *other != service.name =>
                {
                    Vacant::OfService(other.clone(), true)
                }
                _ if own.any(|own| fits(service, node, rule, own)) => Vacant::Taken,
                (None, Members::Within(_)) => Vacant::NotHere,
                _ => Vacant::Nowhere,
            };
            Vacancy { number, name: Arc::clone(&rule.name), why }
        })
        .collect()
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
    fn behind_any_other_cluster_only_the_own_one_can_have_a_backend() {
        let named = |clusters: &[&str]| Members::Named {
            zones: Vec::new(),
            regions: Vec::new(),
            clusters: clusters.iter().map(|cluster| Arc::from(*cluster)).collect(),
        };
        let home: Arc<str> = "home".into();
        for (earlier, later, is_shadowed) in [
            (&["*"][..], &["west"][..], true),
            (&["*"], &["*"], true),
            (&["*"], &["home"], false),
            (&["*"], &["west", "home"], false),
            (&["*", "home"], &["west", "home"], true),
            (&["west"], &["*"], false),
            (&["west"], &["west"], true),
        ] {
            let before = [TierRule { name: "before".into(), members: named(earlier) }];
            let rule = TierRule { name: "rule".into(), members: named(later) };
            let found = shadow(&before, &rule, Some(&home)).is_some();
            assert_eq!(found, is_shadowed, "{earlier:?} before {later:?}");
        }
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
