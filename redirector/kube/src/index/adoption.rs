//! Whether a Service is ours, what it wants and what it needs, whatever the others want.

use std::collections::BTreeSet;

use redirector_common::MAX_TIER_ENTRIES;
use redirector_core::service::Frontend;

use super::{
    Index,
    endpoints::{answers, count},
    frontends::{Claim, claims},
    notice::{Notice, reason},
    quota::Demand,
    settings::Scope,
};
use crate::api::{Family, Maker, Node, ObjectRef, Service, ServiceKind};

/// What each table has beside its entries, at most, in slots: header, settings and eight tiers.
const TABLE_SLOTS: u64 = 10;

/// A Service that is ours, as far as it alone decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Adoption {
    /// It is not redirected itself: it is the tier of another Service.
    pub is_only_tier: bool,
    /// The addresses that it wants, sorted.
    pub claims: Vec<(Frontend, Claim)>,
    /// The Services that tiers of its policy name.
    pub references: BTreeSet<ObjectRef>,
    /// Those of them of which a tier names what other clusters export.
    pub exports: BTreeSet<ObjectRef>,
    /// What it needs of the tables; without the entries of the Services that it references, and without
    /// endpoints of other clusters.
    pub demand: Demand,
    /// What it needs more for endpoints of other clusters.
    pub remote: Demand,
    /// Its own endpoints leave too little room in a tier for those of other clusters.
    pub is_full: bool,
}

impl Index {
    /// In order: `default/kubernetes` is never ours; neither is what label, policy and scope do not ask
    /// for; what kube-proxy does not serve (its `util.ShouldSkipService` and the selector of its watches)
    /// is left alone, as is what stands for the exports of several clusters; and a Service is left to
    /// kube-proxy as a whole when two of its ports have one name, when a slice of it is not trusted, or
    /// when a tier could not hold its endpoints. Slices of other clusters are no reason for that: they are
    /// left out, each alone, or all where there is no room.
    pub(super) fn adoption(
        &self,
        object: &ObjectRef,
        node: &Node,
    ) -> (Option<Adoption>, Option<Notice>) {
        if is_api_server(object) {
            return (None, None);
        }
        let Some(service) = self.served(object) else { return (None, None) };
        let service = &*service;
        let is_asked_for = service.label == Some(true) || self.has_policy(object);
        let is_in_scope = self.settings.scope == Scope::All && service.label.is_none();
        let is_only_tier = !is_asked_for && !is_in_scope;
        let is_tier = self.referrers.contains_key(object);
        if is_only_tier && !is_tier {
            return (None, None);
        }
        let left =
            |reason, message| (None, Some(Notice { object: object.clone(), reason, message }));
        let is_wanted = is_asked_for || is_tier;
        if let Some(why) = not_served(service.kind) {
            let notice = |reason| left(reason, format!("{why}; it is left alone"));
            return match service.kind {
                ServiceKind::LinkerdMirror => notice(reason::LINKERD_GATEWAY),
                _ if is_wanted => notice(reason::NOT_SERVED),
                _ => (None, None),
            };
        }
        if self.cache.is_stand_in(service) {
            let message = "the Service stands for what several clusters export, over which kube-proxy \
                           spreads; it is left alone; name the exported Service instead";
            return match is_wanted {
                true => left(reason::CLUSTER_SET_SERVICE, message.to_owned()),
                false => (None, None),
            };
        }
        if let Some(name) = twice(service) {
            return left(
                reason::PORT_TWICE,
                format!("two ports are called {name:?}; the Service is left to kube-proxy"),
            );
        }
        if let Some(slice) = self.cache.untrusted(service, &self.settings.trusted) {
            let maker = match &slice.maker {
                Maker::Controller => "its label, though the Service has no selector".to_owned(),
                Maker::Other(Some(name)) => format!("{name:?}"),
                Maker::Other(None) => "nobody".to_owned(),
            };
            return left(
                reason::UNTRUSTED_SLICE,
                format!(
                    "EndpointSlice {} has addresses outside --trusted-cidr and is vouched for by \
                     {maker}; the Service is left to kube-proxy",
                    slice.object
                ),
            );
        }
        let counts = count(&answers(self.cache.own_slices(object)), service);
        if let Some(most) = counts.iter().flatten().max().filter(|most| **most > MAX_TIER_ENTRIES) {
            return left(
                reason::TOO_MANY_ENDPOINTS,
                format!(
                    "a port has {most} endpoints, at most {MAX_TIER_ENTRIES} fit into a tier; \
                     the Service is left to kube-proxy"
                ),
            );
        }
        let claims = if is_only_tier { Vec::new() } else { claims(service, node, &self.settings) };
        let demand = demand(service, &counts, &claims);
        let slices = self.remote_slices(service);
        let theirs: Vec<_> = service.ports.iter().map(|port| slices.count(port, service)).collect();
        let mut sums = counts.iter().flatten().zip(theirs.iter().flatten());
        let is_full = sums.any(|(own, theirs)| own.saturating_add(*theirs) > MAX_TIER_ENTRIES);
        let remote = if is_full { Demand::default() } else { remote_demand(&theirs) };
        let (references, exports) = self.references(object);
        let adoption =
            Adoption { is_only_tier, claims, references, exports, demand, remote, is_full };
        (Some(adoption), None)
    }
}

/// The agent reaches the API server without itself.
pub(super) fn is_api_server(object: &ObjectRef) -> bool {
    (&*object.namespace, &*object.name) == ("default", "kubernetes")
}

fn not_served(kind: ServiceKind) -> Option<&'static str> {
    match kind {
        ServiceKind::Proxied => None,
        ServiceKind::Headless => Some("the Service is headless or has no address"),
        ServiceKind::ExternalName => Some("the Service is an ExternalName"),
        ServiceKind::OtherProxy => Some("the Service is another proxy's"),
        ServiceKind::LinkerdMirror => {
            Some("the Service is a mirror whose gateway only Linkerd's proxies can use")
        }
    }
}

fn twice(service: &Service) -> Option<&str> {
    let mut names: Vec<&str> = service.ports.iter().map(|port| &*port.name).collect();
    names.sort_unstable();
    names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

fn demand(service: &Service, counts: &[[usize; 2]], claims: &[(Frontend, Claim)]) -> Demand {
    let mut demand = Demand::default();
    for (port, [four, six]) in service.ports.iter().zip(counts) {
        if port.protocol.is_none() {
            continue;
        }
        let [four, six] = [*four as u64, *six as u64];
        demand.slots += 2 * TABLE_SLOTS + four + 2 * six;
        demand.backends += four + six;
        demand.services += 1;
    }
    let of = |family| {
        claims.iter().filter(|(claimed, _)| Family::of(claimed.address) == family).count() as u64
    };
    Demand { frontends4: of(Family::V4), frontends6: of(Family::V6), ..demand }
}

/// What endpoints of other clusters need beside a Service's own.
fn remote_demand(counts: &[[usize; 2]]) -> Demand {
    let mut demand = Demand::default();
    for [four, six] in counts {
        let [four, six] = [*four as u64, *six as u64];
        demand.slots += four + 2 * six;
        demand.backends += four + six;
    }
    demand
}
