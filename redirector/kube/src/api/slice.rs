//! What is kept of an EndpointSlice: under 100 bytes per endpoint.

mod source;

use std::{net::IpAddr, sync::Arc};

use k8s_openapi::api::discovery::v1 as discovery;
use redirector_core::service::Protocol;

use super::{
    Object, ObjectRef,
    address::{Family, Refused, read_of},
    decode,
    labels::{MANAGED_BY, PROXY},
    names::Names,
    object_ref,
    service::{HEADLESS, PROXY_NAME, protocol},
};

pub use source::Source;

/// The label that says whose endpoints they are.
const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// The controller that lists the pods which a Service selects.
const CONTROLLER: &str = "endpointslice-controller.k8s.io";
/// How many refused addresses are remembered.
const REMEMBERED: usize = 4;

/// What is kept of an EndpointSlice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSlice {
    /// Which EndpointSlice it is.
    pub object: ObjectRef,
    /// Name of its Service, in its own namespace. `None`: it belongs to none, or is not looked at
    /// (headless, another proxy's, names instead of addresses).
    pub service: Option<Arc<str>>,
    /// Of another cluster's: which, and what it says of that; mostly all slices of a cluster say the
    /// same. `None` is this cluster's.
    pub source: Option<Arc<Source>>,
    /// Name of the other Service for which kube-proxy takes its endpoints: one that stands for what
    /// several clusters export.
    pub lent_to: Option<Arc<str>>,
    /// Who made it, as its label says.
    pub maker: Maker,
    /// The family of its addresses.
    pub family: Family,
    /// Named ports with a number, of our protocols.
    pub ports: Box<[SlicePort]>,
    /// The endpoints whose first address may be used.
    pub endpoints: Box<[Endpoint]>,
    /// The first few whose address may not be used.
    pub refused: Box<[Refused]>,
    /// How many addresses may not be used.
    pub refused_count: usize,
}

/// Who made a slice. Any writer may set that label, so it is believed only where the controller
/// would undo a forgery: at a Service with a selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Maker {
    /// The endpoint slice controller, from pods.
    Controller,
    /// Another writer; also the controller that copies Endpoints, which users write.
    Other(Option<Arc<str>>),
}

/// One of its ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlicePort {
    /// The name of a port of the Service; empty for the only one.
    pub name: Arc<str>,
    /// Its protocol, which with the name says which port of the Service it is.
    pub protocol: Protocol,
    /// Where the endpoints answer.
    pub port: u16,
}

/// One endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `addresses[0]`, canonical and allowed.
    pub address: IpAddr,
    /// `conditions.ready`; not given is true.
    pub is_ready: bool,
    /// `conditions.serving`; not given is true.
    pub is_serving: bool,
    /// `conditions.terminating`; not given is false.
    pub is_terminating: bool,
    /// `nodeName`.
    pub node: Option<Arc<str>>,
    /// `zone`.
    pub zone: Option<Arc<str>>,
    /// Which zones and nodes should use it.
    pub hints: Option<Arc<Hints>>,
}

/// Which zones and nodes should use an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hints {
    /// `hints.forZones[].name`.
    pub zones: Vec<Arc<str>>,
    /// `hints.forNodes[].name`.
    pub nodes: Vec<Arc<str>>,
}

const _: () = assert!(size_of::<Endpoint>() <= 64);

impl Object for EndpointSlice {
    const PATH: &'static str = "/apis/discovery.k8s.io/v1/endpointslices";
    const KIND: &'static str = "EndpointSlice";

    fn decode(json: &[u8]) -> Result<Self, String> {
        let slice: discovery::EndpointSlice = decode(json)?;
        let object = object_ref(&slice.metadata)?;
        let labels = slice.metadata.labels.unwrap_or_default();
        let family = Family::named(&slice.address_type);
        let maker = match labels.get(MANAGED_BY).map(String::as_str) {
            Some(CONTROLLER) => Maker::Controller,
            other => Maker::Other(other.map(Into::into)),
        };
        let is_of_pods = maker == Maker::Controller;
        let (source, exported) =
            source::read(&labels, slice.metadata.annotations.as_ref(), is_of_pods).unzip();
        let proxy = labels.get(PROXY_NAME).map(String::as_str);
        let is_read = match proxy {
            None => true,
            Some(name) => source.is_some() && name == PROXY,
        };
        let is_read = is_read && family.is_some() && !labels.contains_key(HEADLESS);
        let named = labels.get(SERVICE_NAME).filter(|name| !name.is_empty());
        let named = named.filter(|_| is_read).map(|name| Arc::from(name.as_str()));
        let service = exported.flatten().filter(|_| is_read).or_else(|| named.clone());
        let mut slice_of = Self {
            object,
            lent_to: named.filter(|named| proxy.is_none() && service.as_ref() != Some(named)),
            source: source.map(|mut source: Source| {
                source.is_proxied &= proxy.is_none();
                Arc::new(source)
            }),
            service,
            maker,
            family: family.unwrap_or(Family::V4),
            ports: Box::default(),
            endpoints: Box::default(),
            refused: Box::default(),
            refused_count: 0,
        };
        // The index asks for nothing more of a slice that belongs to no Service.
        if slice_of.service.is_some() {
            slice_of.ports = slice.ports.iter().flatten().filter_map(port).collect();
            slice_of.fill(&slice.endpoints);
        }
        Ok(slice_of)
    }
}

impl EndpointSlice {
    /// kube-proxy: `EndpointSliceCache.addEndpoints`: only the first address of each counts, and
    /// one without an address is none.
    fn fill(&mut self, listed: &[discovery::Endpoint]) {
        let mut names = Names::default();
        let mut last: Option<Arc<Hints>> = None;
        let mut endpoints = Vec::with_capacity(listed.len());
        let mut refused = Vec::new();
        for endpoint in listed {
            let Some(first) = endpoint.addresses.first() else { continue };
            let address = match read_of(self.family, first) {
                Ok(address) => address,
                Err(why) => {
                    self.refused_count += 1;
                    refused.extend((refused.len() < REMEMBERED).then_some(why));
                    continue;
                }
            };
            let conditions = endpoint.conditions.as_ref();
            let condition = |of: fn(&discovery::EndpointConditions) -> Option<bool>, default| {
                conditions.and_then(of).unwrap_or(default)
            };
            let mut place = |name: &Option<String>| {
                name.as_deref().filter(|name| !name.is_empty()).map(|name| names.name(name))
            };
            endpoints.push(Endpoint {
                address,
                is_ready: condition(|conditions| conditions.ready, true),
                is_serving: condition(|conditions| conditions.serving, true),
                is_terminating: condition(|conditions| conditions.terminating, false),
                node: place(&endpoint.node_name),
                zone: place(&endpoint.zone),
                hints: hints(endpoint.hints.as_ref(), &mut last),
            });
        }
        self.endpoints = endpoints.into();
        self.refused = refused.into();
    }
}

/// The hints of an endpoint; neighbours mostly share them.
fn hints(
    hints: Option<&discovery::EndpointHints>,
    last: &mut Option<Arc<Hints>>,
) -> Option<Arc<Hints>> {
    let hints = hints?;
    let zones = hints.for_zones.iter().flatten().map(|zone| zone.name.as_str().into()).collect();
    let nodes = hints.for_nodes.iter().flatten().map(|node| node.name.as_str().into()).collect();
    let hints = Hints { zones, nodes };
    if hints == Hints::default() {
        return None;
    }
    if last.as_deref() != Some(&hints) {
        *last = Some(Arc::new(hints));
    }
    last.clone()
}

/// kube-proxy: `endpointInfoByServicePort`: a port without a name or a number is ignored.
fn port(port: &discovery::EndpointPort) -> Option<SlicePort> {
    Some(SlicePort {
        name: port.name.as_deref()?.into(),
        protocol: protocol(port.protocol.as_deref())?,
        port: u16::try_from(port.port?).ok().filter(|port| *port != 0)?,
    })
}
