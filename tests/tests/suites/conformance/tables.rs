//! What the kernel holds, and what it should, in the same words.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use redirector_tests::tables;
use serde_json::Value;

use super::{
    expected::{Protocol, Told},
    placed::Placed,
    places::Places,
};

/// What the tables hold of a Service port.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// `address:port/protocol`.
    pub frontends: BTreeSet<String>,
    /// `address:port`, of all tiers.
    pub backends: BTreeSet<String>,
}

/// What `redirector dump` says, by `namespace/name:port`.
pub fn held(dump: &Value) -> BTreeMap<String, Held> {
    let mut all = BTreeMap::<String, Held>::new();
    for service in tables::services(dump) {
        let held = all.entry(service["name"].as_str().expect("a name").to_owned()).or_default();
        for frontend in tables::list(&service["frontends"]) {
            let protocol = frontend["protocol"].as_str().expect("a protocol");
            held.frontends.insert(format!("{}/{protocol}", tables::address(frontend)));
        }
        let backends = tables::backends_of(service);
        held.backends.extend(backends.map(|backend| tables::address(backend).to_string()));
    }
    all
}

/// What cases promise.
pub fn promised(cases: &[Placed]) -> BTreeMap<String, Held> {
    let told = cases.iter().flat_map(|case| case.told.iter().map(|told| (told, case.places)));
    let held = |(told, places): (&Told, Places)| {
        let frontend = |(socket, protocol): &(SocketAddr, Protocol)| {
            format!("{socket}/{}", if *protocol == Protocol::Udp { "udp" } else { "tcp" })
        };
        let frontends = told.frontends.iter().map(frontend).collect();
        let backends = told.ranks.iter().flatten().map(|socket| places.socket(*socket).to_string());
        (told.service.clone(), Held { frontends, backends: backends.collect() })
    };
    told.map(held).collect()
}
