//! Which endpoints of other clusters answer for which port of a Service, and which of them count.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use redirector_core::service::Rank;

use super::RemoteSlices;
use crate::api::{Endpoint, EndpointSlice, Family, Service, ServicePort, Source};

/// An endpoint in another cluster.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct RemoteEndpoint<'a> {
    pub cluster: &'a Arc<str>,
    pub endpoint: &'a Endpoint,
    pub rank: Rank,
    /// What its cluster says of itself.
    pub source: &'a Source,
}

impl<'a> RemoteSlices<'a> {
    /// How many entries they could have in a port, by family. Duplicates count.
    pub fn count(&self, port: &ServicePort, service: &Service) -> [usize; 2] {
        let mut count = [0_usize; 2];
        for slices in self.used.values() {
            for (slice, _, _) in matched(slices, port, service).into_iter().flatten() {
                let of_family = &mut count[slice.family as usize];
                *of_family = of_family.saturating_add(slice.endpoints.len());
            }
        }
        count
    }

    /// Clusters whose endpoints are of no port that fits this one.
    pub fn mismatched(&self, port: &ServicePort, service: &Service) -> Vec<&'a Arc<str>> {
        let misses = |slices: &[(&EndpointSlice, &Source)]| {
            let has_endpoints = slices.iter().any(|(slice, _)| !slice.endpoints.is_empty());
            has_endpoints && matched(slices, port, service).is_none()
        };
        let all = self.used.iter().filter(|(_, slices)| misses(slices));
        all.map(|(cluster, _)| *cluster).collect()
    }

    /// The endpoints of a port and family, each address and port once: of duplicates the one that is
    /// most ready, of the first cluster by name.
    pub fn endpoints(
        &self,
        port: &ServicePort,
        service: &Service,
        family: Family,
    ) -> BTreeMap<(IpAddr, u16), RemoteEndpoint<'a>> {
        let mut found: BTreeMap<(IpAddr, u16), RemoteEndpoint<'a>> = BTreeMap::new();
        for (cluster, slices) in &self.used {
            let matched = matched(slices, port, service).into_iter().flatten();
            for (slice, source, number) in matched.filter(|(slice, ..)| slice.family == family) {
                for endpoint in &slice.endpoints {
                    let Some(rank) = rank(endpoint, source) else { continue };
                    let one = RemoteEndpoint { cluster, endpoint, rank, source };
                    let known = found.entry((endpoint.address, number)).or_insert(one);
                    if known.cluster == one.cluster && one.rank < known.rank {
                        *known = one;
                    }
                }
            }
        }
        found
    }
}

/// What becomes of an endpoint of another cluster; `None` is nothing. One of a cluster with weight 0 is
/// the last choice, as one that is about to end.
fn rank(endpoint: &Endpoint, source: &Source) -> Option<Rank> {
    let Endpoint { is_ready, is_serving, is_terminating, .. } = *endpoint;
    match (is_ready, is_serving && is_terminating) {
        (true, _) if source.weight > 0 => Some(Rank::Ready),
        (true, _) | (false, true) => Some(Rank::Terminating),
        (false, false) => None,
    }
}

type Matched<'a> = Vec<(&'a EndpointSlice, &'a Source, u16)>;

/// The slices of one cluster that answer for a port, with the numbers that they give it: by name and
/// protocol; else, if both sides have exactly one port of the protocol, that one. `None`: none fits.
fn matched<'a>(
    slices: &[(&'a EndpointSlice, &'a Source)],
    port: &ServicePort,
    service: &Service,
) -> Option<Matched<'a>> {
    let protocol = port.protocol?;
    let numbers = |is_wanted: &dyn Fn(&str) -> bool| -> Matched<'a> {
        let of_slice = |(slice, source): &(&'a EndpointSlice, &'a Source)| {
            let (slice, source) = (*slice, *source);
            let ports =
                slice.ports.iter().filter(|it| it.protocol == protocol && is_wanted(&it.name));
            ports.map(move |it| (slice, source, it.port)).collect::<Vec<_>>()
        };
        slices.iter().flat_map(of_slice).collect()
    };
    let found = numbers(&|name| name == &*port.name);
    if !found.is_empty() {
        return Some(found);
    }
    let is_only = service.ports.iter().filter(|it| it.protocol == Some(protocol)).count() == 1;
    let theirs = slices.iter().flat_map(|(slice, _)| &slice.ports);
    let names: BTreeSet<&str> =
        theirs.filter(|it| it.protocol == protocol).map(|it| &*it.name).collect();
    (is_only && names.len() == 1).then(|| numbers(&|_| true))
}
