//! A cluster of the size to plan for, as objects, and what becomes of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
};

use anyhow::Result;
use redirector_tests::{
    api::{
        Api,
        builders::{Endpoint, EndpointSlice, Service},
    },
    cluster::PORT,
};
use serde_json::{Value, json};

pub const NAMESPACE: &str = "scale";
pub const SERVICES: u32 = 10_000;
/// One Service in so many is large.
const LARGE_ONES: u32 = 100;
/// Endpoints of a large Service, and of any other.
const LARGE: u32 = 510;
const SMALL: u32 = 10;
/// The endpoint-slice controller puts at most so many into a slice.
const SLICE: u32 = 100;
pub const ENDPOINTS: u32 =
    SERVICES / LARGE_ONES * LARGE + (SERVICES - SERVICES / LARGE_ONES) * SMALL;
const NODES: u32 = 5_000;
/// Where all endpoints are.
pub const PODS: &str = "10.128.0.0/9";
const FIRST: u32 = u32::from_be_bytes([10, 128, 0, 0]);
/// Addresses of pods that have replaced others.
const FIRST_NEW: u32 = u32::from_be_bytes([10, 192, 0, 0]);

/// What the API server has.
#[derive(Debug, Default)]
pub struct Population {
    /// By Service, then by slice: how often its first pod has been replaced, counted over all.
    replaced: BTreeMap<(u32, u32), u32>,
    replacements: u32,
}

impl Population {
    /// Puts everything there.
    pub fn put(&self, api: &Api) -> Result<()> {
        for service in 0..SERVICES {
            let [_, _, third, fourth] = service.to_be_bytes();
            let object = Service::new(NAMESPACE, &name(service))
                .port("", "TCP", 80)
                .cluster_ips(&[&format!("10.96.{third}.{fourth}")])
                .spec("selector", json!({"app": name(service)}));
            api.put(object)?;
            for part in 0..parts(service) {
                api.put(self.slice(service, part))?;
            }
        }
        Ok(())
    }

    /// Replaces one pod of a Service by another one, in a slice that `which` chooses. The slice as
    /// it is now.
    pub fn replace(&mut self, service: u32, which: u32) -> Value {
        let part = which % parts(service);
        self.replacements += 1;
        self.replaced.insert((service, part), self.replacements);
        self.slice(service, part).into()
    }

    /// Where the endpoints of a Service are now.
    pub fn endpoints(&self, service: u32) -> BTreeSet<IpAddr> {
        let all = (0..parts(service)).flat_map(|part| self.addresses(service, part));
        all.map(IpAddr::V4).collect()
    }

    fn slice(&self, service: u32, part: u32) -> EndpointSlice {
        let (service_name, slice_name) = (name(service), format!("{}-{part}", name(service)));
        let slice = EndpointSlice::new(NAMESPACE, &slice_name, &service_name);
        let slice = slice.port("", "TCP", PORT);
        self.addresses(service, part).fold(slice, |slice, address| {
            let node = scattered(address.to_bits()) % NODES;
            let zone = ["a", "b", "c"][(node % 3) as usize];
            let endpoint = Endpoint::new(&address.to_string()).ready(true);
            slice.endpoint(endpoint.node(&format!("node-{node}")).zone(zone))
        })
    }

    fn addresses(&self, service: u32, part: u32) -> impl Iterator<Item = Ipv4Addr> + use<> {
        let new = self.replaced.get(&(service, part)).map(|count| FIRST_NEW + count);
        let large_before = service.div_ceil(LARGE_ONES);
        let first = FIRST + large_before * LARGE + (service - large_before) * SMALL + part * SLICE;
        let end = first + (size(service) - part * SLICE).min(SLICE);
        let rest = if new.is_some() { first + 1 } else { first };
        new.into_iter().chain(rest..end).map(Ipv4Addr::from)
    }
}

/// Of a Service, without its namespace.
pub fn name(service: u32) -> String {
    format!("s{service:05}")
}

/// In no order that anything here has.
pub fn scattered(number: u32) -> u32 {
    let mixed = (number ^ number >> 15).wrapping_mul(0x2c1b_3c6d);
    mixed ^ mixed >> 12
}

fn size(service: u32) -> u32 {
    if service.is_multiple_of(LARGE_ONES) { LARGE } else { SMALL }
}

fn parts(service: u32) -> u32 {
    size(service).div_ceil(SLICE)
}
