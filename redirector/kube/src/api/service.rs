//! What is kept of a Service.

use std::sync::Arc;

use k8s_openapi::api::core::v1 as core;
use redirector_core::service::Protocol;

use super::{
    Object, ObjectRef,
    address::{Address, Family, read},
    decode,
    labels::{LINKERD_MIRROR, MCS_SERVICE_NAME},
    object_ref,
};

/// The label of what another proxy than kube-proxy serves: a Service, or its slices.
pub(super) const PROXY_NAME: &str = "service.kubernetes.io/service-proxy-name";
/// The label of a Service that is headless, whatever else it says.
pub(super) const HEADLESS: &str = "service.kubernetes.io/headless";
/// `"true"`: a Service is ours without a policy too. `"false"`: only with one, whatever the scope.
const FAILOVER: &str = "redirector.dev/failover";
/// `timeoutSeconds` where it is not given; the API server writes it.
const AFFINITY_SECONDS: i32 = 10_800;
/// The API's maximum of `timeoutSeconds`.
const MAX_AFFINITY_SECONDS: i32 = 86_400;

/// What is kept of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Which Service it is.
    pub object: ObjectRef,
    /// `metadata.creationTimestamp` in milliseconds since 1970: of two that want one address the
    /// older has it.
    pub created: i64,
    /// What its label `redirector.dev/failover` says.
    pub label: Option<bool>,
    /// Who serves it.
    pub kind: ServiceKind,
    /// Name of the Service, in its own namespace, for whose exports of several clusters it stands.
    pub stands_for: Option<Arc<str>>,
    /// It has a selector, so its slices are made by the endpoint slice controller.
    pub has_selector: bool,
    /// Cluster addresses, at most one of each family.
    pub cluster_ips: Box<[Address]>,
    /// Its ports, in the order of the object.
    pub ports: Box<[ServicePort]>,
    /// `spec.externalIPs`.
    pub external_ips: Box<[Address]>,
    /// `status.loadBalancer.ingress[].ip` whose mode is VIP.
    pub load_balancer_ips: Box<[Address]>,
    /// It has `spec.loadBalancerSourceRanges`.
    pub has_source_ranges: bool,
    /// Seconds of session affinity by client address, 1 to 86,400.
    pub affinity_seconds: Option<u32>,
    /// `internalTrafficPolicy: Local`.
    pub is_internal_local: bool,
}

impl Service {
    /// A Service that only other clusters have: no client can dial it here.
    pub(crate) fn exported(object: ObjectRef, ports: Box<[ServicePort]>) -> Self {
        Self {
            object,
            created: 0,
            label: None,
            kind: ServiceKind::Proxied,
            stands_for: None,
            has_selector: false,
            cluster_ips: Box::default(),
            ports,
            external_ips: Box::default(),
            load_balancer_ips: Box::default(),
            has_source_ranges: false,
            affinity_seconds: None,
            is_internal_local: false,
        }
    }
}

/// Who serves a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceKind {
    /// kube-proxy.
    Proxied,
    /// No proxy: it has no address (yet), or the label that says so.
    Headless,
    /// DNS.
    ExternalName,
    /// The proxy that its label names.
    OtherProxy,
    /// Linkerd's proxies: its endpoints are gateways of another cluster.
    LinkerdMirror,
}

/// One of its ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// Empty for the only one.
    pub name: Arc<str>,
    /// `None` is one that is not ours: SCTP.
    pub protocol: Option<Protocol>,
    /// Host order.
    pub port: u16,
    /// Its port on every node.
    pub node_port: Option<u16>,
}

impl Object for Service {
    const PATH: &'static str = "/api/v1/services";
    const KIND: &'static str = "Service";

    fn decode(json: &[u8]) -> Result<Self, String> {
        let core::Service { metadata, spec, status } = decode(json)?;
        let object = object_ref(&metadata)?;
        let spec = spec.unwrap_or_default();
        let labels = metadata.labels.unwrap_or_default();
        let created = metadata.creation_timestamp.map_or(0, |time| time.0.as_millisecond());
        let ports: Result<_, _> = spec.ports.iter().flatten().map(port).collect();
        let ingress = status.and_then(|status| status.load_balancer?.ingress).unwrap_or_default();
        let read_all = |texts: &[String]| texts.iter().map(|text| read(text)).collect();
        Ok(Self {
            object,
            created,
            label: labels.get(FAILOVER).and_then(|value| value.parse().ok()),
            kind: if labels.contains_key(PROXY_NAME) {
                ServiceKind::OtherProxy
            } else if labels.get(LINKERD_MIRROR).is_some_and(|value| value == "true") {
                ServiceKind::LinkerdMirror
            } else if spec.type_.as_deref() == Some("ExternalName") {
                ServiceKind::ExternalName
            } else if labels.contains_key(HEADLESS) || !has_address(&spec) {
                ServiceKind::Headless
            } else {
                ServiceKind::Proxied
            },
            stands_for: labels
                .get(MCS_SERVICE_NAME)
                .filter(|name| !name.is_empty())
                .map(|name| name.as_str().into()),
            has_selector: spec.selector.as_ref().is_some_and(|selector| !selector.is_empty()),
            cluster_ips: cluster_ips(&spec).into_iter().map(read).collect(),
            ports: ports?,
            external_ips: read_all(spec.external_ips.as_deref().unwrap_or_default()),
            load_balancer_ips: ingress
                .iter()
                .filter(|ingress| ingress.ip_mode.as_deref().is_none_or(|mode| mode == "VIP"))
                .filter_map(|ingress| ingress.ip.as_deref().filter(|ip| !ip.is_empty()))
                .map(read)
                .collect(),
            has_source_ranges: spec
                .load_balancer_source_ranges
                .as_ref()
                .is_some_and(|ranges| !ranges.is_empty()),
            affinity_seconds: affinity(&spec)?,
            is_internal_local: spec.internal_traffic_policy.as_deref() == Some("Local"),
        })
    }
}

/// kube-proxy: `util.ShouldSkipService`, `helper.IsServiceIPSet`.
fn has_address(spec: &core::ServiceSpec) -> bool {
    spec.cluster_ip.as_deref().is_some_and(|address| !address.is_empty() && address != "None")
}

/// kube-proxy: `util.GetClusterIPByFamily`. Without families the one that is given; else the first
/// of each family, by its place in the list.
fn cluster_ips(spec: &core::ServiceSpec) -> Vec<&str> {
    let families = spec.ip_families.as_deref().unwrap_or_default();
    if families.is_empty() {
        return spec.cluster_ip.as_deref().filter(|_| has_address(spec)).into_iter().collect();
    }
    let addresses = spec.cluster_ips.as_deref().unwrap_or_default();
    [Family::V4, Family::V6]
        .into_iter()
        .filter_map(|family| {
            let at = families.iter().position(|name| Family::named(name) == Some(family))?;
            addresses.get(at).map(String::as_str)
        })
        .collect()
}

/// kube-proxy: `newBaseServiceInfo`.
fn affinity(spec: &core::ServiceSpec) -> Result<Option<u32>, String> {
    if spec.session_affinity.as_deref() != Some("ClientIP") {
        return Ok(None);
    }
    let config = spec.session_affinity_config.as_ref();
    let seconds = config.and_then(|config| config.client_ip.as_ref()?.timeout_seconds);
    let seconds = seconds.unwrap_or(AFFINITY_SECONDS);
    if !(1..=MAX_AFFINITY_SECONDS).contains(&seconds) {
        return Err(format!(
            "spec.sessionAffinityConfig.clientIP.timeoutSeconds is {seconds}; 1 to \
             {MAX_AFFINITY_SECONDS} are allowed"
        ));
    }
    Ok(u32::try_from(seconds).ok())
}

fn port(port: &core::ServicePort) -> Result<ServicePort, String> {
    let number = |number: i32| u16::try_from(number).ok().filter(|number| *number != 0);
    let name = port.name.as_deref().unwrap_or_default();
    let odd = |what, found| format!("{what} {found} of port {name:?} is outside 1 to 65535");
    Ok(ServicePort {
        name: name.into(),
        protocol: protocol(port.protocol.as_deref()),
        port: number(port.port).ok_or_else(|| odd("port", port.port))?,
        node_port: match port.node_port {
            None | Some(0) => None,
            Some(found) => Some(number(found).ok_or_else(|| odd("nodePort", found))?),
        },
    })
}

/// The protocol of that name; not given is TCP.
pub(super) fn protocol(name: Option<&str>) -> Option<Protocol> {
    match name {
        None | Some("" | "TCP") => Some(Protocol::Tcp),
        Some("UDP") => Some(Protocol::Udp),
        Some(_) => None,
    }
}
