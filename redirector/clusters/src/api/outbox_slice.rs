//! The EndpointSlices of the outbox: the endpoints of one ExportedService, at most 100 in each.

use std::{net::IpAddr, sync::Arc};

use k8s_openapi::api::discovery::v1 as discovery;
use redirector_core::address::usable;
use redirector_kube::api::{Family, Object};
use serde::Serialize;

use super::EXPORTED_SERVICE;

/// What is kept of a slice in the outbox. Its JSON is what [`slices_digest`](super::slices_digest)
/// is made of; `name` is not part of it, so endpoints may be in any slice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OutboxSlice {
    /// `metadata.name`.
    #[serde(skip)]
    pub name: Arc<str>,
    /// Of which ExportedService it is: its label [`EXPORTED_SERVICE`], made by
    /// [`export_label`](super::export_label).
    #[serde(skip)]
    pub service: Arc<str>,
    /// `IPv4` or `IPv6`.
    #[serde(serialize_with = "family")]
    pub family: Family,
    /// Where its endpoints answer.
    pub ports: Arc<[OutboxPort]>,
    /// Its endpoints, in the order of the object.
    pub endpoints: Arc<[OutboxEndpoint]>,
}

/// A port of a slice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct OutboxPort {
    /// The name of a port of the Service; empty for the only one.
    pub name: String,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// What the application speaks.
    pub app_protocol: Option<String>,
    /// 1 to 65,535.
    pub port: u16,
}

/// An endpoint of a slice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OutboxEndpoint {
    /// `addresses[0]`, canonical.
    pub address: IpAddr,
    /// `conditions.ready`; not given is true.
    pub is_ready: bool,
    /// `conditions.serving`; not given is as ready.
    pub is_serving: bool,
    /// `conditions.terminating`; not given is false.
    pub is_terminating: bool,
    /// `nodeName`.
    pub node: Option<Arc<str>>,
    /// `zone`.
    pub zone: Option<Arc<str>>,
    /// `hostname`, of pods of a headless Service.
    pub hostname: Option<Arc<str>>,
}

impl Object for OutboxSlice {
    // The credentials of an importer are for this namespace alone.
    const PATH: &'static str =
        "/apis/discovery.k8s.io/v1/namespaces/redirector-exports/endpointslices";
    const KIND: &'static str = "EndpointSlice";

    /// A slice of names, or without the label, is an error: the exporter writes none. An endpoint whose
    /// address is none that may be used is left out; the digest then differs, which is what it is for.
    fn decode(json: &[u8]) -> Result<Self, String> {
        let slice: discovery::EndpointSlice =
            serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let name = slice.metadata.name.filter(|name| !name.is_empty());
        let labels = slice.metadata.labels.unwrap_or_default();
        let family = match slice.address_type.as_str() {
            "IPv4" => Family::V4,
            "IPv6" => Family::V6,
            other => return Err(format!("addressType {other:?} is not IPv4 or IPv6")),
        };
        let service = labels.get(EXPORTED_SERVICE).filter(|name| !name.is_empty());
        let endpoints = slice.endpoints.iter().filter_map(|listed| endpoint(family, listed));
        Ok(Self {
            name: name.ok_or("metadata.name is missing")?.into(),
            service: service.ok_or(format!("label {EXPORTED_SERVICE} is missing"))?.as_str().into(),
            family,
            ports: slice.ports.iter().flatten().filter_map(port).collect(),
            endpoints: endpoints.collect(),
        })
    }
}

fn family<S: serde::Serializer>(family: &Family, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    })
}

pub(crate) fn port(port: &discovery::EndpointPort) -> Option<OutboxPort> {
    Some(OutboxPort {
        name: port.name.clone().unwrap_or_default(),
        protocol: port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
        app_protocol: port.app_protocol.clone().filter(|protocol| !protocol.is_empty()),
        port: u16::try_from(port.port?).ok().filter(|port| *port != 0)?,
    })
}

pub(crate) fn endpoint(family: Family, listed: &discovery::Endpoint) -> Option<OutboxEndpoint> {
    let address: IpAddr = listed.addresses.first()?.parse().ok()?;
    let address = usable(address).ok().filter(|address| Family::of(*address) == family)?;
    let conditions = listed.conditions.clone().unwrap_or_default();
    let is_ready = conditions.ready.unwrap_or(true);
    let text = |text: &Option<String>| {
        text.as_deref().filter(|text| !text.is_empty()).map(Arc::<str>::from)
    };
    Some(OutboxEndpoint {
        address,
        is_ready,
        is_serving: conditions.serving.unwrap_or(is_ready),
        is_terminating: conditions.terminating.unwrap_or(false),
        node: text(&listed.node_name),
        zone: text(&listed.zone),
        hostname: text(&listed.hostname),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_slice_is_read_and_what_is_none_of_ours_says_why() {
        let mut slice = json!({
            "metadata": {"name": "a", "labels": {EXPORTED_SERVICE: "shop.web"}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 8080}],
            "endpoints": [
                {"addresses": ["10.2.0.1"], "nodeName": "n", "zone": "", "conditions": {"ready": false}},
                {"addresses": ["fd00::1"]}, {"addresses": ["127.0.0.1"]}, {"addresses": ["west"]},
            ],
        });
        let read = |slice: &serde_json::Value| OutboxSlice::decode(slice.to_string().as_bytes());
        let found = read(&slice).expect("a slice");
        assert_eq!((&*found.name, &*found.service), ("a", "shop.web"));
        let endpoint = &found.endpoints[0];
        assert_eq!((endpoint.is_ready, endpoint.is_serving), (false, false));
        assert_eq!((endpoint.node.as_deref(), &endpoint.zone), (Some("n"), &None));
        assert_eq!(found.endpoints.len(), 1, "another family, loopback, a name");
        slice["addressType"] = "FQDN".into();
        assert_eq!(read(&slice), Err("addressType \"FQDN\" is not IPv4 or IPv6".to_owned()));
        slice["addressType"] = "IPv4".into();
        slice["metadata"]["labels"] = json!({});
        assert_eq!(
            read(&slice),
            Err("label redirector.dev/exported-service is missing".to_owned())
        );
    }
}
