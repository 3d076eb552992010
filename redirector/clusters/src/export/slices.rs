//! Which slices of the outbox one Service has.
//!
//! Each slice of the Service is copied by itself, under a name that is made of its own: one change of a
//! slice here is one write there, and no endpoint moves that the controller has not moved.

use std::net::IpAddr;

use ipnet::IpNet;
use redirector_kube::api::{Family, ObjectRef, labels};
use serde_json::{Value, json};

use super::local::{LocalService, LocalSlice};
use crate::api::{
    EXPORTED_SERVICE, OUTBOX, OutboxEndpoint, OutboxPort, OutboxSlice, export_label, export_name,
    short_hash,
};

/// Most endpoints of one slice, as the endpoint slice controller has by default.
const MAX_ENDPOINTS: usize = 100;

/// Who writes the outbox, as its slices' label says.
pub const EXPORTER: &str = "exports.redirector.dev";

/// The endpoints of a slice that may be exported. In order:
///
/// - all that the endpoint slice controller lists of a Service with a selector;
/// - of what any other writer lists, those within the ranges of `--export-cidr`.
pub(super) fn exported<'s>(
    service: &LocalService,
    slice: &'s LocalSlice,
    trusted: &[IpNet],
) -> Vec<&'s OutboxEndpoint> {
    let is_believed = service.has_selector && slice.is_controllers;
    let is_trusted = |address: IpAddr| trusted.iter().any(|cidr| cidr.contains(&address));
    let all = slice.endpoints.iter();
    all.filter(|endpoint| is_believed || is_trusted(endpoint.address)).collect()
}

/// The copies of a slice: none of one without endpoints.
pub(super) fn copies(slice: &LocalSlice, endpoints: &[&OutboxEndpoint]) -> Vec<OutboxSlice> {
    let LocalSlice { object, service, family, ports, .. } = slice;
    let ObjectRef { namespace, name } = object;
    let export = export_name(namespace, service.as_deref().unwrap_or_default());
    let hash = short_hash(&format!("{namespace}/{name}"), 10);
    let ports: std::sync::Arc<[OutboxPort]> = ports.as_slice().into();
    let chunks = endpoints.chunks(MAX_ENDPOINTS).enumerate();
    let copy = |(number, endpoints): (usize, &[&OutboxEndpoint])| OutboxSlice {
        name: format!("{export}-{hash}-{number}").into(),
        service: export_label(&export).into(),
        family: *family,
        ports: ports.clone(),
        endpoints: endpoints.iter().copied().cloned().collect(),
    };
    chunks.map(copy).collect()
}

/// A slice of the outbox as the API server keeps it.
#[must_use]
pub fn object(slice: &OutboxSlice) -> Value {
    let OutboxSlice { name, service, family, ports, endpoints } = slice;
    let port = |port: &OutboxPort| {
        let OutboxPort { name, protocol, app_protocol, port } = port;
        let mut object = json!({"name": name, "protocol": protocol, "port": port});
        if let Some(app_protocol) = app_protocol {
            object["appProtocol"] = json!(app_protocol);
        }
        object
    };
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "namespace": OUTBOX,
            "name": name,
            // Of no Service here: kube-proxy would log each of its changes as an error
            // (`endpointSliceCacheKeys`), so it is to see none.
            "labels": {
                EXPORTED_SERVICE: service,
                labels::MANAGED_BY: EXPORTER,
                labels::PROXY_NAME: labels::PROXY,
            },
        },
        "addressType": match family {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        },
        "ports": ports.iter().map(port).collect::<Vec<_>>(),
        "endpoints": endpoints.iter().map(endpoint).collect::<Vec<_>>(),
    })
}

fn endpoint(endpoint: &OutboxEndpoint) -> Value {
    let OutboxEndpoint { address, is_ready, is_serving, is_terminating, node, zone, hostname } =
        endpoint;
    let mut object = json!({
        "addresses": [address],
        "conditions": {"ready": is_ready, "serving": is_serving, "terminating": is_terminating},
    });
    for (field, value) in [("nodeName", node), ("zone", zone), ("hostname", hostname)] {
        if let Some(value) = value {
            object[field] = json!(value);
        }
    }
    object
}
