//! Validates the tiers of a policy.

use std::{collections::HashMap, sync::Arc};

use redirector_core::service::{Members, ServiceRef, TierRule};

use super::{
    super::{
        Field, TierServiceSpec, TierSpec,
        rules::{LONGEST_PLACE, MAX_PLACES},
        tier::RESERVED,
        words::is_label,
    },
    Checks, cut,
};

/// Most tiers.
const MAX_TIERS: usize = redirector_common::MAX_TIERS;

impl<R: FnMut(&TierServiceSpec) -> Result<ServiceRef, String>> Checks<'_, R> {
    pub(super) fn tiers(&mut self, field: &Field, tiers: Option<&[TierSpec]>) -> Vec<TierRule> {
        let Some(tiers) = tiers else { return Vec::new() };
        if tiers.is_empty() {
            self.add(field, "lists no tier; list at least one, or leave it out for localities");
        }
        if tiers.len() > MAX_TIERS {
            let many = format!("is one too many; at most {MAX_TIERS} tiers are allowed");
            self.add(&field.index(MAX_TIERS), many);
        }
        let mut names = HashMap::new();
        let mut rules = Vec::with_capacity(tiers.len());
        for (at, tier) in tiers.iter().enumerate() {
            let field = field.index(at);
            self.tier_name(&field, &tier.name);
            if let Some(first) = names.insert(tier.name.as_str(), at)
                && !tier.name.is_empty()
            {
                let taken = format!("{:?} is already that of tiers[{first}]", tier.name);
                self.add(&field.field("name"), taken);
            }
            if let Some(members) = self.members(&field, tier) {
                rules.push(TierRule { name: tier.name.as_str().into(), members });
            }
        }
        rules
    }

    fn tier_name(&mut self, field: &Field, name: &str) {
        if name.is_empty() {
            self.add(field, "has no name; give it one");
        } else if !is_label(name) {
            let odd = format!(
                "{:?} is none; use 1 to 63 lower-case letters, digits and, between them, dashes",
                cut(name)
            );
            self.add(&field.field("name"), odd);
        } else if name == RESERVED {
            let taken = format!(
                "{name:?} is reserved for the tier of backends that are about to end; use another \
                 name"
            );
            self.add(&field.field("name"), taken);
        }
    }

    fn members(&mut self, field: &Field, tier: &TierSpec) -> Option<Members> {
        let TierSpec { name: _, locality, zones, regions, clusters, service } = tier;
        let is_named = zones.is_some() || regions.is_some() || clusters.is_some();
        match (locality, is_named, service) {
            (Some(locality), false, None) => Some(Members::Within((*locality).into())),
            (None, true, None) => Some(Members::Named {
                zones: self.places(&field.field("zones"), zones.as_deref()),
                regions: self.places(&field.field("regions"), regions.as_deref()),
                clusters: self.places(&field.field("clusters"), clusters.as_deref()),
            }),
            (None, false, Some(service)) => self.service(&field.field("service"), service),
            (None, false, None) => {
                self.add(
                    field,
                    "has no members; give it a locality, zones, regions, clusters or a service",
                );
                None
            }
            _ => {
                let many = "has members of several kinds; give it one of locality, \
                            zones/regions/clusters, and service";
                self.add(field, many);
                None
            }
        }
    }

    fn places(&mut self, field: &Field, names: Option<&[String]>) -> Vec<Arc<str>> {
        let Some(names) = names else { return Vec::new() };
        if names.is_empty() {
            self.add(field, "lists nothing; list at least one, or leave it out for any");
        }
        if names.len() > MAX_PLACES {
            let many = format!("is one too many; at most {MAX_PLACES} are allowed");
            self.add(&field.index(MAX_PLACES), many);
        }
        for (at, name) in names.iter().enumerate() {
            if let Some(why) = place_objection(name) {
                self.add(&field.index(at), why);
            }
        }
        names.iter().map(|name| Arc::from(name.as_str())).collect()
    }

    fn service(&mut self, field: &Field, service: &TierServiceSpec) -> Option<Members> {
        if service.name.is_empty() {
            self.add(field, "has no name; name another service");
            return None;
        }
        if let Some(port) = service.port.as_deref().filter(|port| !is_label(port)) {
            let odd = format!(
                "{:?} is none; use the name or the number of a port, of 1 to 63 lower-case \
                 letters, digits and, between them, dashes",
                cut(port)
            );
            self.add(&field.field("port"), odd);
        }
        match (self.refer)(service) {
            Ok(found) if found == *self.own => {
                self.add(field, "is the service itself; name another one");
                Some(Members::Service(found))
            }
            Ok(found) => Some(Members::Service(found)),
            Err(why) => {
                self.add(&field.field("name"), why);
                None
            }
        }
    }
}

fn place_objection(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("is empty; give it a name or leave it out".to_owned());
    }
    if name.len() > LONGEST_PLACE {
        return Some(format!("is {} bytes long; at most {LONGEST_PLACE} are allowed", name.len()));
    }
    let odd = name.chars().find(|found| !found.is_ascii_graphic())?;
    Some(format!("contains {odd:?}; names of places have printable ASCII characters only"))
}
