//! What a Service's ports have in other clusters.

use std::{collections::BTreeSet, sync::Arc};

use redirector_core::service::{Backend, BackendRef, Locality};

use super::{
    super::{
        notice::reason,
        remote::{RemoteEndpoint, RemoteSlices},
    },
    Answer,
};
use crate::api::{Endpoint, ServicePort};

impl<'a> Answer<'a> {
    /// The slices of other clusters that it gets, unless there is no room for them.
    pub(super) fn remote(&mut self) -> RemoteSlices<'a> {
        let mut found = self.index.remote_slices(self.service);
        self.notices.append(&mut found.notices);
        if found.used.is_empty() {
            return found;
        }
        let is_crowded = self.index.crowded.contains(&self.service.object);
        if is_crowded || self.adoption.is_full {
            let why = if is_crowded {
                "the tables are too small for all"
            } else {
                "with them a tier would have more than 65535 endpoints"
            };
            let message =
                format!("{why}; endpoints of other clusters are left out, its own are not");
            self.note(reason::NO_ROOM_FOR_REMOTE, message);
            found.used.clear();
        }
        found
    }

    /// Adds the endpoints that other clusters have for a port. An address that is an endpoint here
    /// already stays that.
    pub(super) fn add_remote(
        &mut self,
        remote: &RemoteSlices<'a>,
        port: &ServicePort,
        listed: &mut Vec<Backend>,
    ) {
        let Some(protocol) = port.protocol.filter(|_| !remote.used.is_empty()) else { return };
        let service = self.service;
        for cluster in remote.mismatched(port, service) {
            let name =
                if port.name.is_empty() { port.port.to_string() } else { port.name.to_string() };
            let message = format!(
                "cluster {cluster} exports no {protocol} port for port {name}; give the ports one name"
            );
            self.note(reason::PORT_MISMATCH, message);
        }
        let own: BTreeSet<BackendRef> = listed.iter().map(|listed| listed.backend).collect();
        let begin = listed.len();
        let mut shares = Vec::new();
        for family in self.families() {
            for ((address, number), found) in remote.endpoints(port, service, family) {
                let backend = BackendRef { address, port: number, protocol };
                if own.contains(&backend) || self.is_frontend(&backend) {
                    continue;
                }
                let RemoteEndpoint { cluster, endpoint, rank, source } = found;
                let Endpoint { node, zone, .. } = endpoint;
                let region = zone.as_ref().and_then(|zone| source.regions.get(zone)).cloned();
                let locality = Locality {
                    node: node.clone(),
                    zone: zone.clone(),
                    region,
                    cluster: Some(Arc::clone(cluster)),
                };
                shares.push(u16::from(source.weight).max(1));
                listed.push(Backend { backend, locality, weight: 1, rank });
            }
        }
        // Percent, if any cluster asks for less than its share.
        if shares.iter().any(|share| *share != 100 && *share != 1) {
            let shares = std::iter::repeat_n(100, begin).chain(shares);
            listed.iter_mut().zip(shares).for_each(|(listed, share)| listed.weight = share);
        }
        listed.shrink_to_fit();
    }
}
