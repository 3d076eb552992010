//! What operators and reporters ask: answered by the one task that knows.

use std::{collections::BTreeSet, sync::Arc};

use redirector_common::ServiceName;
use redirector_core::{
    explain::NotInstalled,
    input::{Drained, Verb},
    service::{BackendRef, Service, ServiceRef},
    tables::{ServiceTables, Table},
};
use redirector_kube::index::PortState;
use tracing::warn;

use super::Agent;
use crate::control::{Ask, Snapshot, nowhere, there_are};

/// So many backends are copied for a question before the agent looks at its news again; those of one
/// service, at most 65,535, always together.
const COPIED_PER_TURN: usize = 4_096;

impl Agent {
    /// Carries out an order or answers. The client may not be waiting for the answer any more.
    pub(super) fn answer(&mut self, ask: Ask) {
        match ask {
            Ask::Order(order, asker) if !asker.waits() => {
                warn!(%order, "not carried out: its client has given up");
            }
            Ask::Order(order, asker) => {
                let result = tokio::task::block_in_place(|| self.order(order));
                // The order is in force before the answer says so.
                self.retry_at = self.reconcile();
                asker.answer(result);
            }
            Ask::Check(orders, answer) => {
                let check = |order: &Verb| self.check(order, self.is_in_force(order));
                let _ = answer.send(orders.iter().try_for_each(check));
            }
            Ask::Orders(answer) => {
                let _ = answer.send(self.orders_in_force());
            }
            Ask::Named(service, answer) => {
                let named = tokio::task::block_in_place(|| self.named(service.as_deref()));
                let _ = answer.send(named);
            }
            Ask::Snapshot(services, answer) => {
                let _ = answer.send(tokio::task::block_in_place(|| self.snapshot(services)));
            }
            Ask::NotInstalled(answer) => {
                let _ = answer.send(self.all_not_installed());
            }
            Ask::Health(services, answer) => {
                let told = services.iter().map(|service| self.health(service)).collect();
                let _ = answer.send(told);
            }
        }
    }

    fn health(&self, service: &ServiceRef) -> Option<PortState> {
        let tables = self.state.tables();
        let of = tables.services.get(service)?;
        let tiers = of.v4.tiers.iter().chain(&of.v6.tiers);
        let backends: BTreeSet<_> =
            tiers.flat_map(|tier| &tier.entries).map(|entry| entry.backend).collect();
        let is_healthy = |backend: &&BackendRef| {
            tables.objections.get(backend).is_none_or(|word| word.is_usable())
        };
        let lost = self.outputs.lost().map(|lost| lost.to_string());
        let not_installed = lost.or_else(|| Some(self.not_installed(service)?.why));
        Some(PortState {
            is_programmed: not_installed.is_none(),
            not_installed: not_installed.map(Into::into),
            away: away(of),
            vacancies: self.state.vacancies(service),
            backends: backends.len(),
            healthy: backends.iter().filter(is_healthy).count(),
        })
    }

    /// Why the kernel does not have what the sources say of a service. In order: there is no room
    /// for it; the maps cannot be changed; its newest version is refused.
    fn not_installed(&self, service: &ServiceRef) -> Option<NotInstalled> {
        let told = |why: String, seconds: Option<f64>| NotInstalled {
            service: service.to_string(),
            why,
            is_refused: false,
            seconds,
            has_earlier: self.installed.service(service).is_some(),
        };
        let since = |at: std::time::Instant| Some(at.elapsed().as_secs_f64());
        if let Some((limit, at)) = self.rejected.get(service) {
            return Some(told(limit.to_string(), since(*at)));
        }
        if let Some((why, at)) = &self.unapplied {
            return Some(told(why.to_string(), since(*at)));
        }
        let refusal = self.state.refusal(service);
        let from_source = || {
            let left = self.outputs.left();
            let file = left.file.as_ref().map(|(_, why)| why);
            left.newest.get(object_of(&service.0)).or(file).cloned()
        };
        let why = refusal.or_else(from_source)?;
        Some(NotInstalled { is_refused: true, ..told(why, None) })
    }

    fn all_not_installed(&self) -> Vec<NotInstalled> {
        let named: BTreeSet<&ServiceRef> = match &self.unapplied {
            Some(_) => self.state.services().map(|service| &service.name).collect(),
            None => self.rejected.keys().collect(),
        };
        let left = self.outputs.left().clone();
        let is_outdated = |service: &&ServiceRef| {
            !left.newest.is_empty() && left.newest.contains_key(object_of(&service.0))
        };
        let services = self.state.services().map(|service| &service.name);
        let outdated = services.filter(is_outdated);
        let named: BTreeSet<_> =
            named.into_iter().chain(self.state.refused()).chain(outdated).collect();
        let told = named.into_iter().filter_map(|service| self.not_installed(service));
        let file = left.file.map(|(file, why)| NotInstalled {
            service: file,
            why,
            is_refused: true,
            has_earlier: self.state.is_synced(),
            ..NotInstalled::default()
        });
        let left = left.services.into_iter();
        let left =
            left.map(|(service, why)| NotInstalled { service, why, ..NotInstalled::default() });
        file.into_iter().chain(told).chain(left).collect()
    }

    /// The services that are meant, or all.
    fn named(&self, service: Option<&str>) -> Result<Vec<ServiceRef>, String> {
        if !self.state.is_synced() {
            let why = "it is not known yet what services there are: no source has been heard; \
                       `redirector status` shows what is in force";
            return Err(why.to_owned());
        }
        match service {
            Some(service) => self.find_services(service),
            None => Ok(self.state.services().map(|service| service.name.clone()).collect()),
        }
    }

    /// What explains the first of these services, and the others.
    fn snapshot(&self, mut services: Vec<ServiceRef>) -> (Snapshot, Vec<ServiceRef>) {
        let (state, count) = self.state.first_excerpt(&services, COPIED_PER_TURN);
        let left = services.split_off(count);
        let unserved = state.services().flat_map(|service| self.unserved(&service.name));
        let not_installed = services.iter();
        let not_installed =
            not_installed.filter_map(|name| Some((name.clone(), self.not_installed(name)?)));
        let snapshot = Snapshot {
            now: self.now(),
            lost: self.outputs.lost(),
            not_installed: not_installed.collect(),
            unserved: unserved.collect(),
            services,
            state,
        };
        (snapshot, left)
    }

    /// Whether the subject is there; the error says which others there are.
    pub(super) fn find(&self, subject: &Drained) -> Result<(), String> {
        if self.state.extent(subject).backends > 0 {
            return Ok(());
        }
        Err(nowhere(subject, &self.state.like(subject)))
    }

    /// The services that an operator means by a name: the one that is called so, and one for each of
    /// its named ports. Else which others there are.
    pub(super) fn find_services(&self, name: &str) -> Result<Vec<ServiceRef>, String> {
        let is_meant = |service: &&Service| {
            let full = &service.name.0;
            let rest = full.strip_prefix(name);
            // Or it is cut as in `NAMES`.
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
                || ServiceName::new(full).as_str() == name
        };
        let meant = self.state.services().filter(is_meant).map(|service| service.name.clone());
        let meant: Vec<ServiceRef> = meant.collect();
        if !meant.is_empty() {
            return Ok(meant);
        }
        if let Some(why) = self.state.refusal(&ServiceRef(name.into())) {
            return Err(format!("the service {name} is not installed, it is refused: {why}"));
        }
        let object = object_of(name);
        if let Some(why) = self.outputs.left().services.get(object) {
            return Err(format!("the service {object} is not redirected: {why}"));
        }
        let names = self.state.services().map(|service| service.name.to_string());
        Err(format!("no service {name} is redirected here{}", there_are(name, names)))
    }
}

/// The Service of a service's name, without its port.
fn object_of(name: &str) -> &str {
    name.split_once(':').map_or(name, |(object, _)| object)
}

/// For each family whose load its first tier does not carry: the carrier, or `none`, and that tier.
fn away(tables: &ServiceTables) -> Vec<(Arc<str>, Arc<str>)> {
    let of = |table: &Table| {
        let first = table.tiers.first()?;
        let carrier = table.tiers.get(usize::from(table.carrier?))?;
        let is_away = carrier.number != first.number;
        is_away.then(|| (Arc::clone(&carrier.name), Arc::clone(&first.name)))
    };
    let mut away: Vec<_> = [&tables.v4, &tables.v6].into_iter().filter_map(of).collect();
    away.dedup();
    away
}
