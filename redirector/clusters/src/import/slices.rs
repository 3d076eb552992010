//! The slices of one cluster's export: which endpoint is in which, and what each looks like.
//!
//! An endpoint stays in its slice for as long as it is there, so that a change of one rewrites one.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use redirector_kube::api::labels::{SOURCE_CLUSTER, WEIGHT};
use redirector_kube::api::{
    Family, ObjectRef,
    labels::{IMPORTER, MANAGED_BY, MCS_SERVICE_NAME, PROXY, PROXY_NAME, REACH, REGIONS},
};
use redirector_policy::Reach;
use serde_json::{Map, Value, json};

use super::{
    desired::{Body, DesiredKind, Pace},
    outbox::Spot,
};
use crate::api::{OutboxEndpoint, OutboxPort, short_hash};

/// Most endpoints of a slice, as the endpoint slice controller has it.
const MAX_ENDPOINTS: usize = 100;
/// The label by which a slice is a Service's.
pub(super) const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// The slices of one Service of one cluster.
#[derive(Clone, Debug, Default)]
pub(super) struct Slices {
    /// In which slice each endpoint is.
    of: BTreeMap<Spot, u32>,
    each: BTreeMap<u32, Slice>,
}

#[derive(Clone, Debug)]
struct Slice {
    ports: Arc<[OutboxPort]>,
    family: Family,
    /// Whether each endpoint was ready when it was last written.
    ready: BTreeMap<IpAddr, bool>,
    count: usize,
}

/// What all slices of one Service of one cluster have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Heading<'h> {
    /// The Service.
    pub object: &'h ObjectRef,
    /// Where its endpoints are.
    pub cluster: &'h str,
    pub reach: Reach,
    /// 0 to 100.
    pub weight: u8,
    /// Which region each zone there is in.
    pub regions: &'h BTreeMap<String, String>,
    /// The derived Service whose slices they are too, with clusterset addresses.
    pub derived: Option<&'h str>,
    /// `metadata.uid` of the ServiceImport, which owns them.
    pub owner: Option<&'h str>,
    /// Ports that the clusterset address leads to this cluster with; `None` is all.
    pub ports: Option<&'h BTreeSet<(String, String)>>,
}

/// A slice to be written, with its name.
pub(super) type Written = (String, Body, Pace);

impl Slices {
    /// Remembers that an endpoint was found in the slice of that number.
    pub fn found(&mut self, spot: Spot, number: u32) {
        let slice = self.each.entry(number).or_insert_with(|| Slice::of(&spot));
        // A slice of another importer's hand may hold what does not belong together.
        if slice.ports == spot.ports && slice.family == spot.family() {
            slice.count += 1;
            self.of.insert(spot, number);
        }
    }

    /// Brings the slices to these endpoints: those that stay do not move. Returns every slice there is;
    /// the caller compares.
    pub fn update(
        &mut self,
        heading: &Heading<'_>,
        endpoints: &BTreeMap<&Spot, &OutboxEndpoint>,
    ) -> Vec<Written> {
        let gone: Vec<Spot> =
            self.of.keys().filter(|spot| !endpoints.contains_key(spot)).cloned().collect();
        for spot in gone {
            if let Some(number) = self.of.remove(&spot)
                && let Some(slice) = self.each.get_mut(&number)
            {
                slice.count -= 1;
            }
        }
        for spot in endpoints.keys() {
            if !self.of.contains_key(spot) {
                let number = self.place(spot);
                self.of.insert((*spot).clone(), number);
            }
        }
        self.each.retain(|_, slice| slice.count > 0);
        let mut listed: BTreeMap<u32, Vec<&OutboxEndpoint>> = BTreeMap::new();
        for (spot, number) in &self.of {
            if let Some(endpoint) = endpoints.get(spot) {
                listed.entry(*number).or_default().push(endpoint);
            }
        }
        let written = listed.into_iter().filter_map(|(number, endpoints)| {
            let slice = self.each.get_mut(&number)?;
            let pace = slice.note(&endpoints);
            let name = name(heading, number);
            let body = Body::from(&body(heading, &name, slice, &endpoints));
            Some((name, body, pace))
        });
        written.collect()
    }

    /// The slice that takes another endpoint: the first with room, else a new one with the lowest number.
    fn place(&mut self, spot: &Spot) -> u32 {
        let has_room = |slice: &Slice| {
            slice.count < MAX_ENDPOINTS
                && slice.family == spot.family()
                && slice.ports == spot.ports
        };
        let found = self.each.iter_mut().find(|(_, slice)| has_room(slice));
        if let Some((number, slice)) = found {
            slice.count += 1;
            return *number;
        }
        let number = (0..).find(|number| !self.each.contains_key(number)).unwrap_or(u32::MAX);
        self.each.insert(number, Slice { count: 1, ..Slice::of(spot) });
        number
    }
}

impl Slice {
    fn of(spot: &Spot) -> Self {
        let (ports, family) = (Arc::clone(&spot.ports), spot.family());
        Self { ports, family, ready: BTreeMap::new(), count: 0 }
    }

    /// Notes who is ready, and says how soon the slice is to be written: at once if that changed of an
    /// endpoint that was in it, or one left.
    fn note(&mut self, endpoints: &[&OutboxEndpoint]) -> Pace {
        let now: BTreeMap<IpAddr, bool> =
            endpoints.iter().map(|endpoint| (endpoint.address, endpoint.is_ready)).collect();
        let is_urgent = self.ready.iter().any(|(address, was)| now.get(address) != Some(was));
        self.ready = now;
        if is_urgent { Pace::AtOnce } else { Pace::Paced }
    }
}

/// What every slice of a Service of a cluster is called, but for its number: a hash tells `a-b` of `c`
/// from `a` of `b-c`.
pub(super) fn prefix(object: &ObjectRef, cluster: &str) -> String {
    let hash = short_hash(&format!("{object}/{cluster}"), 8);
    format!("{}-{cluster}-{hash}-", object.name)
}

fn name(heading: &Heading<'_>, number: u32) -> String {
    format!("{}{number}", prefix(heading.object, heading.cluster))
}

fn body(heading: &Heading<'_>, name: &str, slice: &Slice, endpoints: &[&OutboxEndpoint]) -> Value {
    let Heading { object, cluster, reach, weight, regions, derived, owner, ports } = heading;
    let mut labels = Map::new();
    labels.insert(MCS_SERVICE_NAME.to_owned(), json!(object.name));
    labels.insert(SOURCE_CLUSTER.to_owned(), json!(cluster));
    labels.insert(MANAGED_BY.to_owned(), json!(IMPORTER));
    match derived {
        Some(derived) => labels.insert(SERVICE_NAME.to_owned(), json!(derived)),
        // kube-proxy neither sees nor receives it.
        None => labels.insert(PROXY_NAME.to_owned(), json!(PROXY)),
    };
    // Only of zones in it: a zone elsewhere rewrites nothing.
    let zones: BTreeMap<&str, &String> = endpoints
        .iter()
        .filter_map(|endpoint| endpoint.zone.as_deref())
        .filter_map(|zone| Some((zone, regions.get(zone)?)))
        .collect();
    let is_wanted = |port: &&OutboxPort| {
        ports.is_none_or(|ports| ports.contains(&(port.name.clone(), port.protocol.clone())))
    };
    let mut metadata = json!({
        "name": name,
        "namespace": object.namespace,
        "labels": labels,
        "annotations": {
            REACH: reach,
            WEIGHT: weight.to_string(),
            REGIONS: json!(zones).to_string(),
        },
    });
    if let Some(owner) = owner {
        metadata["ownerReferences"] = owned(&object.name, owner);
    }
    json!({
        "apiVersion": DesiredKind::EndpointSlice.api_version(),
        "kind": DesiredKind::EndpointSlice.name(),
        "metadata": metadata,
        "addressType": match slice.family {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        },
        "ports": slice.ports.iter().filter(is_wanted).map(port).collect::<Vec<_>>(),
        "endpoints": endpoints.iter().map(|endpoint| listed(endpoint)).collect::<Vec<_>>(),
    })
}

/// `metadata.ownerReferences` of what a ServiceImport owns.
pub(super) fn owned(import: &str, uid: &str) -> Value {
    json!([{
        "apiVersion": DesiredKind::ServiceImport.api_version(),
        "kind": DesiredKind::ServiceImport.name(),
        "name": import,
        "uid": uid,
    }])
}

fn port(port: &OutboxPort) -> Value {
    let OutboxPort { name, protocol, app_protocol, port } = port;
    let mut json = json!({"name": name, "protocol": protocol, "port": port});
    if let Some(app_protocol) = app_protocol {
        json["appProtocol"] = json!(app_protocol);
    }
    json
}

fn listed(endpoint: &OutboxEndpoint) -> Value {
    let OutboxEndpoint { address, is_ready, is_serving, is_terminating, node, zone, hostname } =
        endpoint;
    let mut json = json!({
        "addresses": [address],
        "conditions": {"ready": is_ready, "serving": is_serving, "terminating": is_terminating},
    });
    for (field, text) in [("nodeName", node), ("zone", zone), ("hostname", hostname)] {
        if let Some(text) = text {
            json[field] = json!(text);
        }
    }
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spot(port: u16, last: u8) -> Spot {
        let port =
            OutboxPort { name: "http".into(), protocol: "TCP".into(), app_protocol: None, port };
        Spot { ports: [port].into(), address: IpAddr::from([10, 2, 0, last]) }
    }

    fn endpoint(spot: &Spot) -> OutboxEndpoint {
        OutboxEndpoint {
            address: spot.address,
            is_ready: true,
            is_serving: true,
            is_terminating: false,
            node: Some("n".into()),
            zone: Some("a".into()),
            hostname: None,
        }
    }

    #[test]
    fn a_change_of_one_endpoint_rewrites_one_slice_and_moves_nobody() {
        let object = ObjectRef { namespace: "shop".into(), name: "web".into() };
        let regions = [("a".to_owned(), "eu".to_owned()), ("b".to_owned(), "us".to_owned())].into();
        let heading = Heading {
            object: &object,
            cluster: "west",
            reach: Reach::Pod,
            weight: 100,
            regions: &regions,
            derived: None,
            owner: Some("u-1"),
            ports: None,
        };
        let spots: Vec<Spot> = (0..250).map(|last| spot(8080, last)).collect();
        let mut endpoints: BTreeMap<Spot, OutboxEndpoint> =
            spots.iter().map(|spot| (spot.clone(), endpoint(spot))).collect();
        let mut slices = Slices::default();
        let mut update =
            |endpoints: &BTreeMap<Spot, OutboxEndpoint>| -> BTreeMap<String, (Body, Pace)> {
                let written = slices.update(&heading, &endpoints.iter().collect());
                written.into_iter().map(|(name, body, pace)| (name, (body, pace))).collect()
            };
        let first = update(&endpoints);
        assert_eq!(first.len(), 3, "100, 100 and 50");
        let hash = short_hash("shop/web/west", 8);
        assert!(first.contains_key(&format!("web-west-{hash}-0")), "{:?}", first.keys());
        let changed = |before: &BTreeMap<String, (Body, Pace)>,
                       after: &BTreeMap<String, (Body, Pace)>| {
            let is_other = |(name, (body, _)): &(&String, &(Body, Pace))| {
                before.get(*name).is_none_or(|(before, _)| before != body)
            };
            after.iter().filter(is_other).map(|(_, (_, pace))| *pace).collect::<Vec<_>>()
        };
        endpoints.get_mut(&spots[120]).expect("it is there").is_ready = false;
        let second = update(&endpoints);
        assert_eq!(changed(&first, &second), [Pace::AtOnce], "unready");
        endpoints.remove(&spots[3]);
        let third = update(&endpoints);
        assert_eq!(changed(&second, &third), [Pace::AtOnce], "gone");
        endpoints.insert(spot(8080, 251), endpoint(&spot(8080, 251)));
        let fourth = update(&endpoints);
        assert_eq!(changed(&third, &fourth), [Pace::Paced], "new, in the place that is free");
        assert_eq!(fourth.len(), 3);
        endpoints.insert(spot(9090, 252), endpoint(&spot(9090, 252)));
        let fifth = update(&endpoints);
        assert_eq!(fifth.len(), 4, "another port is another slice");
        let body = fifth[&format!("web-west-{hash}-0")].0.value();
        assert_eq!(body["metadata"]["annotations"][REGIONS], "{\"a\":\"eu\"}");
        assert_eq!(body["metadata"]["ownerReferences"][0]["uid"], "u-1");
    }
}
