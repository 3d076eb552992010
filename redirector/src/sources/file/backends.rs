//! Reads the backends of one service.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    net::IpAddr,
};

use redirector_common::{MAX_TIER_ENTRIES, MAX_TIERS};
use redirector_core::service::{Backend, BackendRef, Frontend, Locality, Protocol, Rank};

use super::{
    address, clusters,
    fields::Fields,
    tree::{Position, Text, Tree},
    validate::Validation,
};

const FIELDS: &[&str] = &["address", "node", "zone", "region", "cluster", "weight"];

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
    pub fn read(&mut self, list: &[Tree<'_>]) -> Vec<Backend> {
        let mut lines = HashMap::with_capacity(list.len());
        let mut places = HashMap::new();
        let mut backends = Vec::with_capacity(list.len());
        for tree in list {
            let Some((address, found)) = self.one(tree) else { continue };
            let Text { position, .. } = address;
            match lines.entry(found.backend) {
                Entry::Vacant(free) => _ = free.insert(position.line),
                Entry::Occupied(taken) => {
                    let line = taken.get();
                    let message = format_args!(
                        "backend {address} is already at line {line}; for a larger share give it \
                         a weight"
                    );
                    self.problem(position, message);
                    continue;
                }
            }
            // Backends of one place are certainly in one tier, however tiers are made.
            let place = (found.locality.clone(), found.backend.address.is_ipv4());
            let count = places.entry(place).or_insert(0_usize);
            *count += 1;
            if *count == MAX_TIER_ENTRIES + 1 {
                let message = format_args!(
                    "more than {MAX_TIER_ENTRIES} backends in one place; split the service"
                );
                self.problem(position, message);
            }
            backends.push(found);
        }
        if let Some(first) = list.get(MAX_TIER_ENTRIES * MAX_TIERS) {
            let message = format_args!(
                "{} backends; at most {} fit ({MAX_TIERS} tiers of {MAX_TIER_ENTRIES})",
                list.len(),
                MAX_TIER_ENTRIES * MAX_TIERS
            );
            self.problem(first.position, message);
        }
        backends
    }

    /// A backend, with its address as it is written.
    fn one<'t>(&mut self, tree: &'t Tree<'_>) -> Option<(Text<'t>, Backend)> {
        let problems = &mut self.validation.problems;
        let fields = Fields::of(tree, FIELDS, problems)?;
        let Some(address) = fields.text("address", problems).ok()? else {
            self.problem(tree.position, "a backend has no address; write ADDRESS:PORT");
            return None;
        };
        let weight = self.weight(&fields, address);
        let locality = self.locality(&fields, address);
        let backend = self.backend(address)?;
        self.hold_to_ranges(address, backend.address, &locality);
        Some((address, Backend { backend, locality, weight, rank: Rank::default() }))
    }

    fn backend(&mut self, text: Text<'_>) -> Option<BackendRef> {
        let (address, port) = match address::backend(text.value) {
            Ok(found) => found,
            Err(why) => {
                self.problem(text.position, format_args!("backend {text:?} {why}"));
                return None;
            }
        };
        let (label, protocol) = (self.label, self.protocol);
        let Validation { allow_loopback, problems, frontends, .. } = &mut *self.validation;
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

    /// A backend of a cluster that is stated is in its ranges, and no other one is.
    fn hold_to_ranges(&mut self, text: Text<'_>, address: IpAddr, locality: &Locality) {
        let stated_clusters = &self.validation.clusters;
        let of = locality.cluster.as_deref();
        let stated = stated_clusters.iter().find(|stated| Some(stated.name.as_str()) == of);
        let message = match (stated, clusters::pods_at(stated_clusters, address)) {
            (Some(own), _) if !own.valid.has(address) => format!(
                "backend {text} is outside the ranges of cluster {:?} at line {}",
                own.name, own.position.line
            ),
            (_, Some(other)) if Some(other.name.as_str()) != of => format!(
                "backend {text} is in the ranges of cluster {:?} at line {}, and not of that cluster; \
                 with reach Pod an address must be one pod's",
                other.name, other.position.line
            ),
            _ => return,
        };
        self.problem(text.position, message);
    }

    fn weight(&mut self, fields: &Fields<'_>, address: Text<'_>) -> u16 {
        let written = fields.text("weight", &mut self.validation.problems);
        let Ok(Some(weight)) = written else { return 1 };
        if let Ok(found @ 1..) = weight.value.parse() {
            return found;
        }
        let message = format_args!(
            "backend {address}: weight {weight} is not between 1 and 65535; to give it nothing, \
             leave it out"
        );
        self.problem(weight.position, message);
        1
    }

    fn problem(&mut self, position: Position, message: impl fmt::Display) {
        self.validation.problems.add(position, format_args!("{}: {message}", self.label));
    }

    fn locality(&mut self, fields: &Fields<'_>, address: Text<'_>) -> Locality {
        let of = format_args!("{}: backend {address}", self.label);
        let found = self.validation.locality(fields, "node", of);
        // The core knows the own cluster as `None`, whether it is written or not.
        let cluster = found.cluster.filter(|name| self.node.cluster.as_ref() != Some(name));
        Locality { cluster, ..found }
    }
}
