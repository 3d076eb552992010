//! What a valid file says and hardly means: tiers and places that no backend has, backends that no
//! tier has.

use std::{collections::HashMap, sync::Arc};

use redirector_core::{
    failover::vacancies::{fits, is_exported, shadow},
    service::{ANY_OTHER, Locality, Members, Rank, Service, ServiceRef, TierRule},
};
use redirector_policy::Field;

use super::{
    clusters::Stated,
    problems::Problems,
    tree::{Position, Tree},
    validate::Headed,
};

/// Warnings about clusters that are valid.
pub(super) fn of_clusters(clusters: &[Stated]) -> Problems {
    let mut warnings = Problems::default();
    for Stated { name, position, valid } in clusters {
        if valid.spec().server.is_some() {
            let why = "has a server, which only `redirector clusters` asks; list its backends here";
            warnings.add(*position, format_args!("cluster {name:?} {why}"));
        }
    }
    for stated in clusters.iter().filter(|stated| stated.is_out()) {
        let message = format_args!(
            "cluster {:?}: its encryption mode is Required, and no guard says that the way there is \
             encrypted (NoGuard); its backends are left out",
            stated.name
        );
        warnings.add(stated.position, message);
    }
    warnings
}

/// Adds warnings about services that are valid, in the order in which they are written.
pub(super) fn of(
    written: &[Headed<'_>],
    services: &[Service],
    node: &Locality,
    warnings: &mut Problems,
) {
    let listed: HashMap<&ServiceRef, &Service> =
        services.iter().map(|service| (&service.name, service)).collect();
    for (Headed { label, fields, .. }, service) in written.iter().zip(services) {
        let Some(tree) = fields.get("policy") else { continue };
        if service.policy.tiers.is_empty() || service.backends.is_empty() {
            continue;
        }
        let mut of = Of { label, tree, service, node, warnings };
        for (number, rule) in service.policy.tiers.iter().enumerate() {
            of.tier(number, rule, |name| listed.get(name).copied());
        }
        of.without_tier(fields.get("backends").and_then(Tree::list).unwrap_or_default());
    }
}

struct Of<'a> {
    /// How messages name the service.
    label: &'a str,
    /// Its policy.
    tree: &'a Tree<'a>,
    service: &'a Service,
    node: &'a Locality,
    warnings: &'a mut Problems,
}

impl<'a> Of<'a> {
    fn tier(
        &mut self,
        number: usize,
        rule: &TierRule,
        listed: impl Fn(&ServiceRef) -> Option<&'a Service>,
    ) {
        let field = Field::default().field("tiers").index(number);
        let name = &rule.name;
        let own = self.node.cluster.as_ref();
        if let Some(earlier) = shadow(&self.service.policy.tiers[..number], rule, own) {
            let why = format_args!(
                "tier {name:?} can never have a backend: tier {earlier:?} takes all that it could \
                 have"
            );
            return self.warn(&field, why);
        }
        match &rule.members {
            Members::Within(_) => {}
            Members::Service(other) | Members::Exported { service: other, .. } => {
                let is_there = |backend| is_exported(&rule.members, self.node, backend);
                let why = match listed(other).map(|other| &other.backends) {
                    None => "is not listed here",
                    Some(backends) if backends.iter().any(is_there) => return,
                    Some(backends) if backends.is_empty() => "has no backends",
                    Some(_) => "has no backends in the clusters that are named",
                };
                let why = format_args!("tier {name:?} is empty: service {other} {why}");
                self.warn(&field.field("service"), why);
            }
            Members::Named { zones, regions, clusters } => {
                let is_missing = self
                    .places(&field.field("zones"), "zone", zones, |at| at.zone.as_ref())
                    | self.places(&field.field("regions"), "region", regions, |at| {
                        at.region.as_ref()
                    })
                    | self.places(&field.field("clusters"), "cluster", clusters, |at| {
                        at.cluster.as_ref().or(own)
                    });
                let (service, node) = (self.service, self.node);
                let is_empty = !service.backends.iter().any(|own| fits(service, node, rule, own));
                if is_empty && !is_missing {
                    let why = format_args!(
                        "tier {name:?} is empty: no backend is in all of the places that it names"
                    );
                    self.warn(&field, why);
                }
            }
        }
    }

    /// Warns of places without a backend; says whether there is one.
    fn places(
        &mut self,
        field: &Field,
        kind: &str,
        names: &[Arc<str>],
        of: impl Fn(&'a Locality) -> Option<&'a Arc<str>>,
    ) -> bool {
        let service = self.service;
        let mut is_missing = false;
        let is_name = |name: &Arc<str>| kind != "cluster" || **name != *ANY_OTHER;
        for (number, name) in names.iter().enumerate().filter(|(_, name)| is_name(name)) {
            if service.backends.iter().any(|backend| of(&backend.locality) == Some(name)) {
                continue;
            }
            is_missing = true;
            self.warn(&field.index(number), format_args!("no backend is in {kind} {name:?}"));
        }
        is_missing
    }

    /// Warns once about all backends that fit no tier.
    fn without_tier(&mut self, written: &[Tree<'_>]) {
        let Self { label, service, node, warnings, .. } = self;
        let has_none = |position: &usize| {
            let own = &service.backends[*position];
            own.rank != Rank::Terminating
                && !service.policy.tiers.iter().any(|rule| fits(service, node, rule, own))
        };
        let mut without = (0..service.backends.len()).filter(has_none);
        let Some(first) = without.next() else { return };
        let others = without.count();
        let position = written.get(first).map_or(Position::FILE, |at| at.position);
        let backend = &service.backends[first].backend;
        let more = if others == 0 { String::new() } else { format!(", like {others} more") };
        let message =
            format_args!("{label}: backend {backend} fits no tier and gets no connections{more}");
        warnings.add(position, message);
    }

    fn warn(&mut self, field: &Field, message: std::fmt::Arguments<'_>) {
        let position = self.tree.at(field).position;
        self.warnings.add(position, format_args!("{}: {message}", self.label));
    }
}
