//! Reads the backends of one service.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use redirector_common::{MAX_TIER_ENTRIES, MAX_TIERS};
use redirector_core::service::{Backend, BackendRef, Frontend, Locality, Protocol, Rank};

use super::{
    address,
    at::{At, Text},
    schema,
    validate::Validation,
};

/// The service whose backends are being read.
pub(super) struct Backends<'a> {
    pub validation: &'a mut Validation,
    /// How messages name the service.
    pub label: &'a str,
    /// Its protocol is that of its backends.
    pub protocol: Protocol,
    /// Where this node is.
    pub node: &'a Locality,
}

impl Backends<'_> {
    /// The valid ones; the others are problems of the file.
    pub fn read(&mut self, list: &[At<schema::Backend>]) -> Vec<Backend> {
        let mut lines = HashMap::with_capacity(list.len());
        let mut places = HashMap::new();
        let mut backends = Vec::with_capacity(list.len());
        for At { value: written, position } in list {
            let Some(address) = &written.address else {
                let message =
                    format_args!("{}: a backend has no address; write ADDRESS:PORT", self.label);
                self.validation.problems.missing(*position, "address", message);
                continue;
            };
            let weight = self.weight(written, address);
            let locality = self.locality(written, address);
            let Some(backend) = self.backend(address) else { continue };
            let position = address.position;
            match lines.entry(backend) {
                Entry::Vacant(free) => _ = free.insert(position.line),
                Entry::Occupied(taken) => {
                    let message = format_args!(
                        "{}: backend {} is already at line {}; for a larger share give it a weight",
                        self.label,
                        address,
                        taken.get()
                    );
                    self.validation.problems.add(position, message);
                    continue;
                }
            }
            // Backends of one place are certainly in one tier, however tiers are made.
            let place = (locality.clone(), backend.address.is_ipv4());
            let count = places.entry(place).or_insert(0_usize);
            *count += 1;
            if *count == MAX_TIER_ENTRIES + 1 {
                let message = format_args!(
                    "{}: more than {MAX_TIER_ENTRIES} backends in one place; split the service",
                    self.label
                );
                self.validation.problems.add(position, message);
            }
            backends.push(Backend { backend, locality, weight, rank: Rank::default() });
        }
        if let Some(first) = list.get(MAX_TIER_ENTRIES * MAX_TIERS) {
            let message = format_args!(
                "{}: {} backends; at most {} fit ({MAX_TIERS} tiers of {MAX_TIER_ENTRIES})",
                self.label,
                list.len(),
                MAX_TIER_ENTRIES * MAX_TIERS
            );
            self.validation.problems.add(first.position, message);
        }
        backends
    }

    fn backend(&mut self, text: &Text) -> Option<BackendRef> {
        let Validation { allow_loopback, problems, frontends, .. } = &mut *self.validation;
        let (label, protocol) = (self.label, self.protocol);
        let (address, port) = match address::backend(&text.value) {
            Ok(found) => found,
            Err(why) => {
                let message = format_args!("{label}: backend {text:?} {why}");
                problems.add(text.position, message);
                return None;
            }
        };
        if let Some(why) = address::objection(address, *allow_loopback) {
            problems.add(text.position, format_args!("{label}: backend {text} {why}"));
        }
        if let Some((at, owner)) = frontends.get(&Frontend { address, port, protocol }) {
            let message = format_args!(
                "{label}: backend {text} is a frontend, that of service {owner:?} at line {}; \
                 list what answers, not what is dialled",
                at.line
            );
            problems.add(text.position, message);
        }
        Some(BackendRef { address, port, protocol })
    }

    fn weight(&mut self, written: &schema::Backend, address: &Text) -> u16 {
        let Some(weight) = &written.weight else { return 1 };
        if let Ok(found @ 1..) = weight.value.parse() {
            return found;
        }
        let message = format_args!(
            "{}: backend {}: weight {weight} is not between 1 and 65535; \
             to give it nothing, leave it out",
            self.label, address
        );
        self.validation.problems.add(weight.position, message);
        1
    }

    fn locality(&mut self, written: &schema::Backend, address: &Text) -> Locality {
        let schema::Backend { address: _, node, zone, region, cluster, weight: _ } = written;
        let Validation { names, problems, .. } = &mut *self.validation;
        let label = self.label;
        let mut place = |field: &Option<Text>, what| -> Option<Arc<str>> {
            names.place(
                field.as_ref()?,
                format_args!("{label}: backend {address}: {what}"),
                problems,
            )
        };
        Locality {
            node: place(node, "node"),
            zone: place(zone, "zone"),
            region: place(region, "region"),
            // The core knows the own cluster as `None`, whether it is written or not.
            cluster: place(cluster, "cluster")
                .filter(|name| self.node.cluster.as_ref() != Some(name)),
        }
    }
}
