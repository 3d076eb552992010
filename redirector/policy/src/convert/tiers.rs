//! Validates the tiers of a policy.

use std::{collections::HashMap, sync::Arc};

use redirector_core::service::{Members, ServiceRef, TierRule};

use super::{
    super::{
        Segment, TierServiceSpec, TierSpec,
        bounds::{PORT_NAME, TIER_NAME},
        rules::{LONGEST_PLACE, MAX_PLACES},
        tier::RESERVED,
    },
    Checks,
};

/// Most tiers.
const MAX_TIERS: usize = redirector_common::MAX_TIERS;

impl<R: FnMut(&TierServiceSpec) -> Result<ServiceRef, String>> Checks<'_, R> {
    pub(super) fn tiers(&mut self, tiers: &[TierSpec]) -> Vec<TierRule> {
        if tiers.is_empty() {
            self.add("lists no tier; list at least one, or leave it out for localities");
        }
        if tiers.len() > MAX_TIERS {
            let many = format!("is one too many; at most {MAX_TIERS} tiers are allowed");
            self.within(Segment::Index(MAX_TIERS), |checks| checks.add(many));
        }
        let mut names = HashMap::new();
        let mut rules = Vec::with_capacity(tiers.len());
        for (at, tier) in tiers.iter().enumerate() {
            let name = tier.name.as_str();
            let members = self.within(Segment::Index(at), |checks| {
                checks.tier_name(name);
                if let Some(first) = names.insert(name, at)
                    && !name.is_empty()
                {
                    let taken = format!("{name:?} is already that of tiers[{first}]");
                    checks.add_at("name", taken);
                }
                checks.members(tier)
            });
            rules.extend(members.map(|members| TierRule { name: name.into(), members }));
        }
        rules
    }

    fn tier_name(&mut self, name: &str) {
        if name.is_empty() {
            return self.add("has no name; give it one");
        }
        self.text("name", name, &TIER_NAME);
        if name == RESERVED {
            let taken = format!(
                "{name:?} is reserved for the tier of backends that are about to end; use another \
                 name"
            );
            self.add_at("name", taken);
        }
    }

    fn members(&mut self, tier: &TierSpec) -> Option<Members> {
        let TierSpec { name: _, locality, zones, regions, clusters, service } = tier;
        // Beside a service, clusters say which of its backends.
        let is_placed = zones.is_some() || regions.is_some();
        let is_named = is_placed || (clusters.is_some() && service.is_none());
        let mut places = |name, places: &Option<Vec<String>>| {
            self.of(name, places, |checks, places| checks.places(places))
        };
        match (locality, is_named, service) {
            (Some(locality), false, None) => Some(Members::Within((*locality).into())),
            (None, true, None) => Some(Members::Named {
                zones: places("zones", zones).unwrap_or_default(),
                regions: places("regions", regions).unwrap_or_default(),
                clusters: places("clusters", clusters).unwrap_or_default(),
            }),
            (None, false, Some(_)) => {
                let clusters = places("clusters", clusters);
                let found = self.of("service", service, Self::service).flatten()?;
                Some(match clusters {
                    Some(clusters) => Members::Exported { service: found, clusters },
                    None => Members::Service(found),
                })
            }
            (None, false, None) => {
                self.add(
                    "has no members; give it a locality, zones, regions, clusters or a service",
                );
                None
            }
            _ => {
                let many = "has members of several kinds; give it one of locality, \
                            zones/regions/clusters, and service";
                self.add(many);
                None
            }
        }
    }

    fn places(&mut self, names: &[String]) -> Vec<Arc<str>> {
        if names.is_empty() {
            self.add("lists nothing; list at least one, or leave it out for any");
        }
        if names.len() > MAX_PLACES {
            let many = format!("is one too many; at most {MAX_PLACES} are allowed");
            self.within(Segment::Index(MAX_PLACES), |checks| checks.add(many));
        }
        for (at, name) in names.iter().enumerate() {
            if let Some(why) = place_objection(name) {
                self.within(Segment::Index(at), |checks| checks.add(why));
            }
        }
        names.iter().map(|name| Arc::from(name.as_str())).collect()
    }

    fn service(&mut self, service: &TierServiceSpec) -> Option<ServiceRef> {
        if service.name.is_empty() {
            self.add("has no name; name another service");
            return None;
        }
        if let Some(port) = &service.port {
            self.text("port", port, &PORT_NAME);
        }
        let found = (self.refer)(service).map_err(|why| self.add_at("name", why)).ok()?;
        if found == *self.own {
            self.add("is the service itself; name another one");
        }
        Some(found)
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
