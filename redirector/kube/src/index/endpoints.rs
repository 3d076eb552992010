//! Which endpoints of a Service port are listed, and which of them kube-proxy would choose among.
//!
//! Pure; one family at a time, as kube-proxy has one proxier per family.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use redirector_core::service::{Protocol, Rank};

use crate::api::{Endpoint, EndpointSlice, Family, Hints, Service, ServicePort};

/// Where this agent runs and what its kube-proxy does.
#[derive(Clone, Copy, Debug)]
pub(super) struct NodeContext<'a> {
    /// Name of the node; empty is none.
    pub node: &'a str,
    /// Its zone, if it has one.
    pub zone: Option<&'a str>,
    /// `PreferSameTrafficDistribution`: hints for nodes count.
    pub has_node_hints: bool,
}

/// An endpoint of one port.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate<'a> {
    /// Where it answers.
    pub address: IpAddr,
    /// Host order.
    pub port: u16,
    /// What its slice says.
    pub endpoint: &'a Endpoint,
}

/// Who answers for a port: slices, with the numbers that they give it.
pub(super) type Answers<'a> = BTreeMap<(&'a str, Protocol), Vec<(&'a EndpointSlice, u16)>>;

/// The ports of the slices of a Service.
///
/// kube-proxy: `endpointInfoByServicePort` matches ports by name and protocol; one name may have
/// several numbers, in one slice or in several.
pub(super) fn answers<'a>(slices: impl IntoIterator<Item = &'a EndpointSlice>) -> Answers<'a> {
    let mut answers = Answers::new();
    for slice in slices {
        for port in &slice.ports {
            answers.entry((&*port.name, port.protocol)).or_default().push((slice, port.port));
        }
    }
    answers
}

/// The endpoints of one port and family, each address and port once, in their order.
///
/// kube-proxy: `addEndpoints` takes of duplicates one that is not terminating (an address that a
/// new pod has while the old one still ends); where kube-proxy leaves the choice to chance it is,
/// in order: ready, serving, local, the first slice by name.
pub(super) fn merge<'a>(
    answers: &Answers<'a>,
    port: (&str, Protocol),
    family: Family,
    here: NodeContext<'_>,
) -> Vec<Candidate<'a>> {
    let all = answers.get(&port).into_iter().flatten();
    let mut found: Vec<Candidate<'a>> = all
        .filter(|(slice, _)| slice.family == family)
        .flat_map(|(slice, port)| {
            slice.endpoints.iter().map(|endpoint| Candidate {
                address: endpoint.address,
                port: *port,
                endpoint,
            })
        })
        .collect();
    let preference = |candidate: &Candidate<'_>| {
        let Endpoint { is_ready, is_serving, is_terminating, .. } = *candidate.endpoint;
        (is_terminating, !is_ready, !is_serving, !is_local(candidate.endpoint, here))
    };
    // Stable: the slices come by name.
    found.sort_by(|one, other| {
        let keys = (one.address, one.port).cmp(&(other.address, other.port));
        keys.then_with(|| preference(one).cmp(&preference(other)))
    });
    found.dedup_by(|later, kept| (later.address, later.port) == (kept.address, kept.port));
    found
}

/// What becomes of each; those that are not listed are gone.
///
/// kube-proxy: `CategorizeEndpoints`. In order: with `internalTrafficPolicy: Local` only endpoints
/// of this node; the ready ones, of these the hinted ones before the others; then those that serve
/// and terminate, among which kube-proxy chooses when none is ready.
pub(super) fn rank<'a>(
    candidates: Vec<Candidate<'a>>,
    is_internal_local: bool,
    here: NodeContext<'_>,
) -> Vec<(Candidate<'a>, Rank)> {
    let hinted = (!is_internal_local).then(|| hinted(&candidates, here)).flatten();
    let rank = |endpoint: &Endpoint| {
        if is_internal_local && !is_local(endpoint, here) {
            return None;
        }
        if endpoint.is_ready {
            let is_narrowed = hinted.is_some_and(|hinted| !hinted.is_for(endpoint, here));
            return Some(if is_narrowed { Rank::Ready } else { Rank::Preferred });
        }
        (endpoint.is_serving && endpoint.is_terminating).then_some(Rank::Terminating)
    };
    candidates
        .into_iter()
        .filter_map(|candidate| Some((candidate, rank(candidate.endpoint)?)))
        .collect()
}

/// How many entries the ports of a Service would have, by family: counted before any is made.
/// Duplicates count, and endpoints that are not ready.
pub(super) fn count(answers: &Answers<'_>, service: &Service) -> Vec<[usize; 2]> {
    let of = |port: &ServicePort| {
        let mut count = [0_usize; 2];
        let port = port.protocol.and_then(|protocol| answers.get(&(&*port.name, protocol)));
        for (slice, _) in port.into_iter().flatten() {
            let of_family = &mut count[slice.family as usize];
            *of_family = of_family.saturating_add(slice.endpoints.len());
        }
        count
    };
    service.ports.iter().map(of).collect()
}

/// kube-proxy: `EndpointSliceCache.isLocal`.
fn is_local(endpoint: &Endpoint, here: NodeContext<'_>) -> bool {
    !here.node.is_empty() && endpoint.node.as_deref() == Some(here.node)
}

/// Which hints hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hinted {
    Node,
    Zone,
}

impl Hinted {
    /// kube-proxy: `availableForTopology`.
    fn is_for(self, endpoint: &Endpoint, here: NodeContext<'_>) -> bool {
        let Some(hints) = &endpoint.hints else { return false };
        match self {
            Self::Node => is_listed(&hints.nodes, here.node),
            // A node without a zone asks for the empty one, which no hint names.
            Self::Zone => is_listed(&hints.zones, here.zone.unwrap_or_default()),
        }
    }
}

/// kube-proxy: `topologyModeFromHints`. Of the ready ones all must have a hint, and one must be for
/// this node, or else for this zone.
fn hinted(candidates: &[Candidate<'_>], here: NodeContext<'_>) -> Option<Hinted> {
    let ready = || candidates.iter().map(|found| found.endpoint).filter(|found| found.is_ready);
    let holds = |mode: Hinted, names: fn(&Hints) -> &Vec<Arc<str>>| {
        let is_hinted =
            |found: &Endpoint| found.hints.as_deref().is_some_and(|hints| !names(hints).is_empty());
        ready().all(is_hinted) && ready().any(|found| mode.is_for(found, here))
    };
    if here.has_node_hints && holds(Hinted::Node, |hints| &hints.nodes) {
        return Some(Hinted::Node);
    }
    holds(Hinted::Zone, |hints| &hints.zones).then_some(Hinted::Zone)
}

fn is_listed(names: &[Arc<str>], name: &str) -> bool {
    !name.is_empty() && names.iter().any(|listed| **listed == *name)
}
