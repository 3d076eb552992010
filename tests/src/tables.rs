//! Finds its way in what `redirector dump -o json` and `redirector status -o json` print.

use std::net::SocketAddr;

use serde_json::Value;

/// The items of a list; of anything else none.
pub fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// All services.
pub fn services(tables: &Value) -> impl Iterator<Item = &Value> {
    list(&tables["services"])
}

/// The backends of all services, in the order of their tiers.
pub fn backends(tables: &Value) -> impl Iterator<Item = &Value> {
    services(tables).flat_map(backends_of)
}

/// The backends of one service, in the order of its tiers.
pub fn backends_of(service: &Value) -> impl Iterator<Item = &Value> {
    list(&service["tiers"]).flat_map(|tier| list(&tier["backends"]))
}

/// Where a backend listens. Panics if it does not say so.
#[must_use]
pub fn address(backend: &Value) -> SocketAddr {
    let ip = backend["address"].as_str().and_then(|ip| ip.parse().ok());
    let port = backend["port"].as_u64().and_then(|port| u16::try_from(port).ok());
    let (Some(ip), Some(port)) = (ip, port) else { panic!("no backend: {backend}") };
    SocketAddr::new(ip, port)
}

/// Those who object to a backend, by their names.
#[must_use]
pub fn objections(backend: &Value) -> Vec<String> {
    list(&backend["objections"]).filter_map(|name| Some(name.as_str()?.to_owned())).collect()
}
