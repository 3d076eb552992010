//! What is kept of this cluster's own Services, slices and Nodes for what it exports of them.

use std::{net::IpAddr, sync::Arc};

use ipnet::IpNet;
use k8s_openapi::{
    api::{core::v1 as core, discovery::v1 as discovery},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use redirector_core::address::usable;
use redirector_kube::api::{
    Family, Node, Object, ObjectRef,
    labels::{IMPORTER, MANAGED_BY, MCS_SERVICE_NAME, SOURCE_CLUSTER},
};
use serde::Deserialize;

use crate::api::{OUTBOX, OutboxEndpoint, OutboxPort, decode, endpoint, object_ref, port};

const SERVICE_NAME: &str = "kubernetes.io/service-name";
const CONTROLLER: &str = "endpointslice-controller.k8s.io";

/// A Service that may be exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalService {
    /// Which one.
    pub object: ObjectRef,
    /// What kind it is.
    pub kind: LocalKind,
    /// It has a selector, so the endpoint slice controller lists its pods.
    pub has_selector: bool,
    /// Its ports that have a number.
    pub ports: Vec<LocalPort>,
    /// `sessionAffinity`.
    pub session_affinity: Option<String>,
    /// `sessionAffinityConfig.clientIP.timeoutSeconds`.
    pub affinity_seconds: Option<i32>,
    /// `internalTrafficPolicy`.
    pub internal_traffic_policy: Option<String>,
    /// `trafficDistribution`.
    pub traffic_distribution: Option<String>,
    /// `ipFamilies`, in order.
    pub ip_families: Vec<String>,
    /// `externalTrafficPolicy: Local`: only nodes with endpoints answer at its node ports.
    pub is_external_local: bool,
    /// Where its load balancer is.
    pub load_balancers: Vec<Place>,
}

/// What kind of Service it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalKind {
    /// It has, or will have, an address.
    Addressed,
    /// `clusterIP: None`.
    Headless,
    /// A name of DNS: it has no endpoints to export.
    ExternalName,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalPort {
    /// Empty for the only one.
    pub name: String,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// What the application speaks.
    pub app_protocol: Option<String>,
    /// 1 to 65,535.
    pub port: u16,
    /// Its port on every node.
    pub node_port: Option<u16>,
}

/// Where a load balancer is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// An address that may be used.
    Address(IpAddr),
    /// A name of DNS.
    Name(String),
}

impl Object for LocalService {
    const PATH: &'static str = "/api/v1/services";
    const KIND: &'static str = "Service";

    fn decode(json: &[u8]) -> Result<Self, String> {
        let core::Service { metadata, spec, status } = decode(json)?;
        let spec = spec.unwrap_or_default();
        let config = spec.session_affinity_config.and_then(|config| config.client_ip);
        let ingress = status.and_then(|status| status.load_balancer?.ingress).unwrap_or_default();
        let mut load_balancers: Vec<Place> = ingress.iter().filter_map(place).collect();
        load_balancers.sort_unstable();
        load_balancers.dedup();
        Ok(Self {
            object: object_ref(&metadata)?,
            kind: if spec.type_.as_deref() == Some("ExternalName") {
                LocalKind::ExternalName
            } else if spec.cluster_ip.as_deref() == Some("None") {
                LocalKind::Headless
            } else {
                LocalKind::Addressed
            },
            has_selector: spec.selector.is_some_and(|selector| !selector.is_empty()),
            ports: spec.ports.iter().flatten().filter_map(local_port).collect(),
            session_affinity: spec.session_affinity,
            affinity_seconds: config.and_then(|client| client.timeout_seconds),
            internal_traffic_policy: spec.internal_traffic_policy,
            traffic_distribution: spec.traffic_distribution,
            ip_families: spec.ip_families.unwrap_or_default(),
            is_external_local: spec.external_traffic_policy.as_deref() == Some("Local"),
            load_balancers,
        })
    }
}

fn local_port(port: &core::ServicePort) -> Option<LocalPort> {
    let number = |number: i32| u16::try_from(number).ok().filter(|number| *number != 0);
    let protocol = port.protocol.clone().filter(|protocol| !protocol.is_empty());
    Some(LocalPort {
        name: port.name.clone().unwrap_or_default(),
        protocol: protocol.unwrap_or_else(|| "TCP".to_owned()),
        app_protocol: port.app_protocol.clone(),
        port: number(port.port)?,
        node_port: port.node_port.and_then(number),
    })
}

fn place(ingress: &core::LoadBalancerIngress) -> Option<Place> {
    let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    match text(&ingress.ip) {
        Some(ip) => usable(ip.parse().ok()?).ok().map(Place::Address),
        None => text(&ingress.hostname).map(Place::Name),
    }
}

/// A slice of this cluster, with every endpoint that has an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalSlice {
    /// Which one.
    pub object: ObjectRef,
    /// Name of its Service; `None`: it is of none, or of another cluster, or it lists names.
    pub service: Option<Arc<str>>,
    /// The endpoint slice controller made it, as its label says: believed where that controller
    /// would undo a forgery, at a Service with a selector.
    pub is_controllers: bool,
    /// The family of its addresses.
    pub family: Family,
    /// Its ports that have a number.
    pub ports: Vec<OutboxPort>,
    /// Its endpoints.
    pub endpoints: Vec<OutboxEndpoint>,
}

impl Object for LocalSlice {
    const PATH: &'static str = "/apis/discovery.k8s.io/v1/endpointslices";
    const KIND: &'static str = "EndpointSlice";

    fn decode(json: &[u8]) -> Result<Self, String> {
        let slice: discovery::EndpointSlice = decode(json)?;
        let object = object_ref(&slice.metadata)?;
        let labels = slice.metadata.labels.unwrap_or_default();
        let made_by = labels.get(MANAGED_BY).map(String::as_str);
        let family = match &*slice.address_type {
            "IPv4" => Some(Family::V4),
            "IPv6" => Some(Family::V6),
            _ => None,
        };
        let is_of_a_cluster = labels.contains_key(SOURCE_CLUSTER)
            || labels.contains_key(MCS_SERVICE_NAME)
            || made_by == Some(IMPORTER)
            || &*object.namespace == OUTBOX;
        let service = labels.get(SERVICE_NAME).filter(|name| !name.is_empty());
        let service = service.filter(|_| family.is_some() && !is_of_a_cluster);
        let family = family.unwrap_or(Family::V4);
        let mut found = Self {
            object,
            service: service.map(|name| name.as_str().into()),
            is_controllers: made_by == Some(CONTROLLER),
            family,
            ports: Vec::new(),
            endpoints: Vec::new(),
        };
        // Nothing more is asked of a slice that is of no Service here.
        if found.service.is_some() {
            found.ports = slice.ports.iter().flatten().filter_map(port).collect();
            found.ports.sort_unstable();
            found.endpoints =
                slice.endpoints.iter().filter_map(|listed| endpoint(family, listed)).collect();
        }
        Ok(found)
    }
}

/// A Node, with the ranges of its pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalNode {
    /// Where it is, and its addresses.
    pub node: Node,
    /// `spec.podCIDRs`.
    pub pod_cidrs: Vec<IpNet>,
}

impl Object for LocalNode {
    const PATH: &'static str = Node::PATH;
    const KIND: &'static str = Node::KIND;

    fn decode(json: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Partial {
            #[serde(default)]
            spec: Spec,
        }
        #[derive(Default, Deserialize)]
        struct Spec {
            #[serde(default, rename = "podCIDRs")]
            pod_cidrs: Vec<String>,
        }
        let Partial { spec } = decode(json)?;
        let pod_cidrs = spec.pod_cidrs.iter().filter_map(|cidr| cidr.parse().ok()).collect();
        Ok(Self { node: Node::decode(json)?, pod_cidrs })
    }
}

/// What is asked of a namespace for exports: of kube-system its UID, which is the cluster's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalNamespace {
    /// `metadata.name`.
    pub name: Arc<str>,
    /// `metadata.uid`.
    pub uid: Arc<str>,
}

impl Object for LocalNamespace {
    const PATH: &'static str = "/api/v1/namespaces";
    const KIND: &'static str = "Namespace";

    fn decode(json: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Partial {
            metadata: ObjectMeta,
        }
        let Partial { metadata } = decode(json)?;
        let ObjectRef { name, .. } = object_ref(&metadata)?;
        Ok(Self { name, uid: metadata.uid.unwrap_or_default().into() })
    }
}
