//! Which tier of a service a backend belongs to.

use std::{collections::BTreeMap, sync::Arc};

use redirector_common::MAX_TIERS;

use crate::{
    locality::Place,
    service::{ANY_OTHER, Backend, Locality, Members, Rank, Service, ServiceRef, TierRule},
};

/// Backends of a service with the numbers of their tiers: sorted by tier, then by backend, each
/// backend once. `is_of` chooses the address family.
///
/// Without rules the first tier are the backends that kube-proxy would choose among, and then a
/// tier is a [`Place`]. With rules a backend belongs to the first one it fits, and to none if it
/// fits none. A rule for another service takes what that service lists itself, never what its own
/// rules would add: circles are harmless. Either way those that are about to end come last.
pub(crate) fn members<'w>(
    service: &'w Service,
    node: &Locality,
    services: &'w BTreeMap<ServiceRef, Service>,
    is_of: impl Fn(&Backend) -> bool,
) -> Vec<(u8, &'w Backend)> {
    let rules = rules(service);
    let mut placed: Vec<(u8, &Backend)> = Vec::with_capacity(service.backends.len());
    let own = service.backends.iter().filter(|backend| is_of(backend));
    if rules.is_empty() {
        placed.extend(own.map(|backend| (number(node, backend), backend)));
    } else {
        let fits = |backend: &Backend| {
            if backend.rank == Rank::Terminating {
                return terminating(rules);
            }
            let rule = rules.iter().position(|rule| is_member(service, node, rule, backend));
            rule.map(|rule| rule as u8)
        };
        placed.extend(own.filter_map(|backend| Some((fits(backend)?, backend))));
        let protocol = service.frontends.first().map(|frontend| frontend.protocol);
        for (number, other) in others(service).filter(|(_, other)| **other != service.name) {
            let members = &rules[usize::from(number)].members;
            let theirs = services.get(other).into_iter().flat_map(|other| &other.backends);
            let theirs = theirs.filter(|backend| {
                backend.rank != Rank::Terminating
                    && protocol.is_none_or(|protocol| protocol == backend.backend.protocol)
                    && is_exported(members, node, backend)
            });
            placed.extend(theirs.filter(|backend| is_of(backend)).map(|backend| (number, backend)));
        }
    }
    placed.sort_unstable_by(|(one, a), (other, b)| (one, &a.backend).cmp(&(other, &b.backend)));
    if others(service).next().is_some() {
        keep_first(&mut placed);
    }
    placed
}

/// Numbers and names of the tiers that a service can have, in order.
pub(crate) fn names(service: &Service) -> Vec<(u8, Arc<str>)> {
    let has = |rank| service.backends.iter().any(|backend| backend.rank == rank);
    let rules = rules(service);
    let mut numbers: Vec<u8> = match rules {
        [] => has(Rank::Preferred).then_some(PREFERRED).into_iter().chain(PLACES).collect(),
        rules => (0..rules.len() as u8).collect(),
    };
    numbers.extend(terminating(rules).filter(|_| has(Rank::Terminating)));
    numbers.into_iter().map(|number| (number, name(service, number))).collect()
}

/// The name of the tier with that number.
pub(crate) fn name(service: &Service, number: u8) -> Arc<str> {
    let rules = rules(service);
    if Some(number) == terminating(rules) {
        return "terminating".into();
    }
    match (rules, number) {
        ([], PREFERRED) => "endpoints".into(),
        ([], place) => Place::ALL[usize::from(place - 1)].name().into(),
        (rules, number) => Arc::clone(&rules[usize::from(number)].name),
    }
}

/// The first tier of a service without rules.
const PREFERRED: u8 = 0;
/// The tiers behind it: one for each of [`Place::ALL`].
const PLACES: std::ops::RangeInclusive<u8> = 1..=Place::ALL.len() as u8;

/// The tier of a backend without rules.
fn number(node: &Locality, backend: &Backend) -> u8 {
    match backend.rank {
        Rank::Preferred => PREFERRED,
        Rank::Ready => 1 + Place::of(node, &backend.locality) as u8,
        Rank::Terminating => 1 + Place::ALL.len() as u8,
    }
}

/// The tier behind all others; `None` if there is no room for one more.
fn terminating(rules: &[TierRule]) -> Option<u8> {
    let before = if rules.is_empty() { 1 + Place::ALL.len() } else { rules.len() };
    (before < MAX_TIERS).then_some(before as u8)
}

/// Services whose backends are in tiers of this one, with the number of the tier.
pub(crate) fn others(service: &Service) -> impl Iterator<Item = (u8, &ServiceRef)> {
    (0..).zip(rules(service)).filter_map(|(number, rule)| Some((number, rule.members.service()?)))
}

/// The rules of a service's policy.
pub(super) fn rules(service: &Service) -> &[TierRule] {
    let rules = &service.policy.tiers;
    &rules[..rules.len().min(MAX_TIERS)]
}

/// Whether one of the service's own backends fits a rule.
pub(super) fn is_member(
    service: &Service,
    node: &Locality,
    rule: &TierRule,
    backend: &Backend,
) -> bool {
    let place = &backend.locality;
    match &rule.members {
        Members::Within(within) => Place::of(node, place) <= *within,
        Members::Named { zones, regions, clusters } => {
            let is_of_cluster = if clusters.is_empty() {
                place.other_cluster(node.cluster.as_ref()).is_none()
            } else {
                is_in(clusters, node, place)
            };
            is_of_cluster
                && is_any(zones, place.zone.as_ref())
                && is_any(regions, place.region.as_ref())
        }
        Members::Service(other) => *other == service.name,
        Members::Exported { service: other, .. } => {
            *other == service.name && is_exported(&rule.members, node, backend)
        }
    }
}

/// Whether a backend of the other service that a rule names is in the clusters that it names.
#[must_use]
pub fn is_exported(members: &Members, node: &Locality, backend: &Backend) -> bool {
    match members {
        Members::Exported { clusters, .. } => is_in(clusters, node, &backend.locality),
        Members::Service(_) | Members::Within(_) | Members::Named { .. } => true,
    }
}

/// Whether a place is in one of these clusters. Without a name it is in that of its client.
fn is_in(clusters: &[Arc<str>], node: &Locality, place: &Locality) -> bool {
    let own = node.cluster.as_ref();
    clusters.iter().any(|cluster| match &**cluster {
        ANY_OTHER => place.other_cluster(own).is_some(),
        _ => place.cluster.as_ref().or(own) == Some(cluster),
    })
}

fn is_any(names: &[Arc<str>], name: Option<&Arc<str>>) -> bool {
    names.is_empty() || name.is_some_and(|name| names.contains(name))
}

/// Keeps of each backend only the entry in the first tier.
fn keep_first(placed: &mut Vec<(u8, &Backend)>) {
    let mut firsts = BTreeMap::new();
    for (tier, backend) in placed.iter() {
        firsts.entry(backend.backend).or_insert(*tier);
    }
    let mut before = None;
    placed.retain(|(tier, backend)| {
        let is_twice = before == Some((*tier, backend.backend));
        before = Some((*tier, backend.backend));
        !is_twice && firsts.get(&backend.backend) == Some(tier)
    });
}

#[cfg(test)]
mod tests;
