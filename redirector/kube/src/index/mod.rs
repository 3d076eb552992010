//! From API objects to what the core is told, by kube-proxy's rules. Pure.
//!
//! The rules are kube-proxy's, each with its function, in `endpoints` (which endpoints),
//! `frontends` (which addresses) and `adoption` (which Services); who gets what when there is
//! not enough is in `quota`. Only what a piece of news touches is looked at again, and only
//! Services whose value really changed are said again.
//!
//! UDP: kube-proxy (`conntrack.CleanStaleEntries`) lets a flow stay with an endpoint as long as
//! that one serves, also while it terminates, and ends it otherwise. Here that is a property of
//! the table: every endpoint that is ready, or serves and terminates, is listed, and nothing else.
//! A socket's earlier choice that is still found in the table is kept, any other is made anew.

mod adoption;
mod cache;
mod endpoints;
mod facts;
mod frontends;
mod notice;
mod ports;
mod quota;
mod reconcile;
mod remote;
mod settings;
mod take;
mod troubles;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use ipnet::IpNet;
use redirector_core::{
    Input,
    remote_cluster::RemoteCluster as CoreCluster,
    service::{BackendRef, Frontend, Locality},
};

use self::{
    adoption::Adoption,
    cache::Cache,
    frontends::{Claim, Claims},
    ports::PublishedPort,
    quota::Demand,
};
use crate::{
    api::{Batch, EndpointSlice, FailoverPolicy, Node, Object, ObjectRef, RemoteCluster, Service},
    clusters::Clusters,
    policies::Policies,
};

pub use self::{
    facts::PortState,
    notice::{Notice, reason},
    settings::{Features, Quotas, Scope, Settings},
};

/// What a watch has to say.
#[derive(Clone, Debug)]
pub enum News {
    /// Services of all namespaces.
    Services(Batch<Service>),
    /// Slices of all namespaces.
    Slices(Batch<EndpointSlice>),
    /// Policies of all namespaces.
    Policies(Batch<FailoverPolicy>),
    /// The own Node; others are ignored.
    Node(Batch<Node>),
    /// Which region each zone is in: [`regions`](crate::api::regions) of all Nodes.
    Regions(BTreeMap<Arc<str>, Arc<str>>),
    /// Where all Nodes and their pods are: [`Node::ranges`] of all of them.
    Nodes(Vec<IpNet>),
    /// Addresses of the pod that this agent runs in.
    Agent(Vec<IpAddr>),
    /// RemoteClusters.
    Clusters(Batch<RemoteCluster>),
    /// The id that a ClusterProperty says the own cluster has; `None` if none says any.
    ClusterProperty(Option<Arc<str>>),
}

/// Everything that the watches have said, and what the core was told of it.
#[derive(Debug, Default)]
pub struct Index {
    settings: Settings,
    cache: Cache,
    policies: Policies,
    clusters: Clusters,
    /// What a ClusterProperty says of the own cluster; the outer `None` is not heard yet.
    property: Option<Option<Arc<str>>>,
    /// The other clusters as the core was told of them.
    told_clusters: Vec<CoreCluster>,
    node: Option<Node>,
    /// The regions of zones as they were told; `None` is not yet.
    told_regions: Option<BTreeMap<Arc<str>, Arc<str>>>,
    /// The regions that were told, and that of the own node.
    regions: BTreeMap<Arc<str>, Arc<str>>,
    synced: Synced,
    /// Services of which something has changed since they were last looked at.
    touched: BTreeSet<ObjectRef>,
    are_all_touched: bool,
    /// Services that are ours, as far as they alone decide.
    adoptions: BTreeMap<ObjectRef, Adoption>,
    /// What those Services need in all, without tiers that are other Services.
    demanded: Demand,
    /// Services that tiers name, and the Services whose tiers they are.
    referrers: BTreeMap<ObjectRef, BTreeSet<ObjectRef>>,
    claims: Claims,
    /// The endpoints of each Service at addresses that a Service claims.
    linked: BTreeMap<ObjectRef, BTreeSet<IpAddr>>,
    /// Services over their namespace's quota.
    left: BTreeSet<ObjectRef>,
    /// Services without room for endpoints of other clusters.
    crowded: BTreeSet<ObjectRef>,
    /// Zones in no region that is known, and how many backends are told to be there.
    unplaced: BTreeMap<Arc<str>, usize>,
    /// What the core knows; `None` is nothing yet.
    published: Option<(Locality, BTreeMap<ObjectRef, Vec<PublishedPort>>)>,
    notices: BTreeMap<ObjectRef, Vec<Notice>>,
    unreadable: BTreeMap<(&'static str, ObjectRef), Box<str>>,
    api_servers: Vec<SocketAddr>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Synced {
    services: bool,
    slices: bool,
}

impl Index {
    /// An index that knows nothing yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let mut index = Self { settings, ..Self::default() };
        index.identify();
        index
    }

    /// What the core is to be told now. Nothing before Services, slices, policies and RemoteClusters are
    /// known as a whole and the own Node has been heard of, and the own cluster's id, if it matters; then
    /// where this agent runs and all there is; then differences.
    pub fn inputs(&mut self) -> Vec<Input> {
        let Synced { services: true, slices: true } = self.synced else { return Vec::new() };
        if !self.policies.is_synced() || !self.clusters.is_synced() {
            return Vec::new();
        }
        let is_unheard = self.property.is_none() && self.published.is_none();
        if is_unheard && self.wants_property() {
            return Vec::new();
        }
        let Some(node) = self.node.clone() else { return Vec::new() };
        self.are_all_touched |= self.clusters.judge();
        let place = ports::place(self, &node);
        let (place_before, published) = self.published.take().unzip();
        let mut published = published.unwrap_or_default();
        let mut inputs = Vec::new();
        if place_before.as_ref() != Some(&place) {
            inputs.push(Input::Node(place.clone()));
        }
        let clusters = self.clusters.told();
        if self.told_clusters != clusters {
            inputs.push(Input::RemoteClusters(clusters.clone()));
            self.told_clusters = clusters;
        }
        let affected = self.reconcile(&node);
        let is_first = place_before.is_none();
        let (mut put, mut remove) = (Vec::new(), Vec::new());
        for object in affected {
            let (now, notices) = self.answer(&object, &node);
            set(&mut self.notices, &object, notices);
            let before = published.remove(&object).unwrap_or_default();
            self.count_unplaced(&before, &now);
            let mut gone: BTreeMap<_, _> =
                before.iter().map(|port| (&port.service.name, &port.service)).collect();
            for PublishedPort { service, .. } in &now {
                if gone.remove(&service.name) != Some(service) {
                    put.push(service.clone());
                }
            }
            remove.extend(gone.into_keys().cloned());
            set(&mut published, &object, now);
        }
        if is_first {
            inputs.push(Input::Replace(put));
        } else if !put.is_empty() || !remove.is_empty() {
            inputs.push(Input::Change { put, remove });
        }
        self.published = Some((place, published));
        inputs
    }

    /// What people should know of the objects as they are now; the caller says what is new.
    #[must_use]
    pub fn notices(&self) -> BTreeSet<Notice> {
        let zones = self.told_regions.as_ref().map(|_| self.unknown_zones()).unwrap_or_default();
        let zones = zones.into_iter().map(|zone| Notice {
            message: format!(
                "no Node says in which region zone {zone} is; its endpoints are the last choice"
            ),
            object: ObjectRef { namespace: "".into(), name: zone },
            reason: reason::UNKNOWN_ZONE,
        });
        let services = self.notices.values().flatten().cloned();
        let unreadable = self.unreadable.iter().map(|((kind, object), why)| Notice {
            object: object.clone(),
            reason: reason::UNREADABLE,
            message: format!("{kind} cannot be read: {why}; its last good version holds"),
        });
        let policies = self.policies.invalid().map(|(policy, message)| Notice {
            object: policy.clone(),
            reason: reason::INVALID_POLICY,
            message,
        });
        let of_cluster = |(name, reason, message): (&Arc<str>, _, String)| Notice {
            object: ObjectRef { namespace: "".into(), name: Arc::clone(name) },
            reason,
            message: format!("RemoteCluster {name} {message}"),
        };
        let refused = self.clusters.refused().map(|(name, why)| {
            (name, why.reason(), format!("is refused: {why}; none of its endpoints is used"))
        });
        let outdated = self.clusters.outdated().map(|(name, why)| {
            (
                name,
                reason::INVALID_CLUSTER,
                format!("is invalid: {why}; its last good version holds"),
            )
        });
        let clusters = refused.chain(outdated).map(of_cluster);
        services.chain(unreadable).chain(zones).chain(policies).chain(clusters).collect()
    }

    /// Whether it matters what the own cluster is called: there are others, or a policy names some.
    #[must_use]
    pub fn wants_property(&self) -> bool {
        !self.clusters.is_empty() || self.policies.name_clusters()
    }

    /// Services that are left to kube-proxy though they are asked for, and why.
    #[must_use]
    pub fn left(&self) -> BTreeMap<String, String> {
        let left = self.notices.iter().filter(|(object, _)| !self.is_ours(object));
        left.filter_map(|(object, notices)| {
            let notice = notices.iter().find(|notice| reason::LEAVES.contains(&notice.reason))?;
            Some((object.to_string(), notice.message.clone()))
        })
        .collect()
    }

    /// Services of which an object's newest version cannot be read, and why: what holds is the one
    /// before.
    #[must_use]
    pub fn outdated(&self) -> BTreeMap<String, String> {
        let unreadable = self.unreadable.iter().filter_map(|((kind, object), why)| {
            let service = match *kind {
                Service::KIND => Some(object),
                EndpointSlice::KIND => self.cache.home(object),
                _ => None,
            };
            let service = service.filter(|service| self.is_ours(service))?;
            Some((service.to_string(), format!("{kind} {object} cannot be read: {why}")))
        });
        unreadable.collect()
    }

    /// Whether Services, slices, policies and the own Node have been heard in full, and the core has
    /// been told.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        self.published.is_some()
    }

    /// A Service as the API server has it, whether it is ours or not.
    #[must_use]
    pub fn service(&self, object: &ObjectRef) -> Option<&Service> {
        self.cache.services.get(object)
    }

    /// Whether a Service is redirected: by what was last told to the core. If it is not, a
    /// [`Notice`] about it says why, or it was not asked for.
    #[must_use]
    pub fn is_ours(&self, object: &ObjectRef) -> bool {
        self.ports(object).iter().any(|port| !port.service.frontends.is_empty())
    }

    /// Zones of backends in no region that is known: a reason to look at the Nodes again.
    #[must_use]
    pub fn unknown_zones(&self) -> BTreeSet<Arc<str>> {
        self.unplaced.keys().cloned().collect()
    }

    /// Where the API server answers: the endpoints of `default/kubernetes`, the last ones if there
    /// are none now.
    #[must_use]
    pub fn api_servers(&self) -> Vec<SocketAddr> {
        self.api_servers.clone()
    }

    /// The ports of a Service, as the core was told of them.
    fn ports(&self, object: &ObjectRef) -> &[PublishedPort] {
        let ports = self.published.as_ref().and_then(|(_, published)| published.get(object));
        ports.map_or(&[], Vec::as_slice)
    }

    /// Counts the backends in zones of no region, of a Service as the core was told and is to be.
    fn count_unplaced(&mut self, before: &[PublishedPort], now: &[PublishedPort]) {
        for zone in now.iter().flat_map(unplaced) {
            *self.unplaced.entry(Arc::clone(zone)).or_default() += 1;
        }
        for zone in before.iter().flat_map(unplaced) {
            if let Some(count) = self.unplaced.get_mut(zone) {
                *count -= 1;
            }
        }
        self.unplaced.retain(|_, count| *count > 0);
    }

    /// What the core and people are to be told of a Service.
    fn answer(&mut self, object: &ObjectRef, node: &Node) -> (Vec<PublishedPort>, Vec<Notice>) {
        let notices = self.notices.remove(object).unwrap_or_default();
        let Some(adoption) = self.adoptions.get(object).cloned() else {
            // The notices that `adopt` left about it.
            return (Vec::new(), notices);
        };
        if self.left.contains(object) {
            let message = format!(
                "the tables are too small for all, and namespace {} wants more than its share; the \
                 Service is left to kube-proxy",
                object.namespace
            );
            let object = object.clone();
            return (Vec::new(), vec![Notice { object, reason: reason::OVER_SHARE, message }]);
        }
        let Some(service) = self.served(object) else { return (Vec::new(), notices) };
        let service = service.into_owned();
        self.publish(&service, &adoption, node)
    }

    fn has_policy(&self, object: &ObjectRef) -> bool {
        self.policies.of(object).is_some()
    }

    /// The claim that has an address. Pods of other clusters are no Service's either.
    fn holder(&self, frontend: &Frontend) -> Option<&Claim> {
        self.claims.holder(frontend, |frontend| {
            if self.clusters.holder(frontend.address).is_some() {
                return true;
            }
            let mut there = self.claims.endpoints_at(&frontend.address);
            there.any(|object| self.cache.has_pod_at(object, frontend))
        })
    }

    /// The claim whose address a backend is, if the core knows it as that.
    fn holder_at(&self, backend: &BackendRef) -> Option<&Claim> {
        let BackendRef { address, port, protocol } = *backend;
        let holder = self.holder(&Frontend { address, port, protocol })?;
        (!self.left.contains(&holder.object)).then_some(holder)
    }
}

/// The zone of each backend that is in no region.
fn unplaced(port: &PublishedPort) -> impl Iterator<Item = &Arc<str>> {
    let places = port.service.backends.iter().map(|backend| &backend.locality);
    let own = places.filter(|place| place.cluster.is_none());
    own.filter(|place| place.region.is_none()).filter_map(|place| place.zone.as_ref())
}

/// Sets the list of an object; an empty one is removed.
fn set<T>(lists: &mut BTreeMap<ObjectRef, Vec<T>>, object: &ObjectRef, list: Vec<T>) {
    if list.is_empty() {
        lists.remove(object);
    } else {
        lists.insert(object.clone(), list);
    }
}
