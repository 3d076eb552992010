//! A cluster in a few lines of text, as the API server would list it.
//!
//! ```text
//! node zone=a region=eu addresses=192.168.0.1
//! service web ip=10.96.0.1 port=http:80/TCP:30080 affinity=60
//! slice web-1 of=web v4 port=http:8080/TCP
//!   10.1.0.1@n1/a -ready +serving +terminating ~a %n1
//! ```
//!
//! Of other clusters:
//!
//! ```text
//! property east
//! nodes 10.1.0.0/24 10.1.1.0/24
//! agent 10.1.0.7
//! cluster west cidrs=10.2.0.0/16 encryption=Off
//! slice web-west v4 port=http:8080/TCP by=me mcs=web from=west said=redirector.dev/reach:Pod
//!   10.2.0.1@n1/a
//! ```
//!
//! An endpoint is its addresses, node and zone, conditions (`+` true, `-` false, else not given),
//! hints for zones (`~`) and nodes (`%`). A line `later` separates what happens afterwards.
//!
//! Nothing here knows who reads the objects: a suite in another crate gives them to an API server.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// What a case says that there is, at first and later.
#[derive(Debug, Default)]
pub struct Script {
    /// Words about how the agent is set up, if any.
    pub settings: Option<Vec<String>>,
    pub steps: Vec<Step>,
}

/// Objects that are put or removed at once.
#[derive(Debug, Default)]
pub struct Step {
    pub node: Option<Value>,
    pub regions: Option<BTreeMap<String, String>>,
    /// Where all Nodes and their pods are.
    pub nodes: Option<Vec<String>>,
    /// Where the agent's own pod is.
    pub agent: Option<Vec<String>>,
    pub services: Vec<Value>,
    pub slices: Vec<Value>,
    pub removed_services: Vec<Name>,
    pub removed_slices: Vec<Name>,
    pub clusters: Vec<Value>,
    pub removed_clusters: Vec<Name>,
    /// What the ClusterProperty says the own cluster is called.
    pub property: Option<String>,
}

/// Namespace and name of an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    pub namespace: String,
    pub name: String,
}

impl Name {
    /// `namespace/name`; without a namespace it is `shop`.
    pub fn read(text: &str) -> Self {
        let (namespace, name) = text.split_once('/').unwrap_or(("shop", text));
        Self { namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

impl Script {
    /// Reads a script.
    pub fn read(text: &str) -> Self {
        let mut script = Self::default();
        script.steps.push(Step::default());
        for line in text.lines().map(str::trim_end).filter(|line| !line.trim().is_empty()) {
            let is_endpoint = line.trim_start().starts_with(|first: char| !first.is_alphabetic())
                || line.trim_start().split(['@', '/', ' ', ',']).next().is_some_and(is_address);
            let step = script.steps.last_mut().expect("a step");
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[0] {
                _ if is_endpoint => {
                    let slice = step.slices.last_mut().expect("a slice before its endpoints");
                    slice["endpoints"].as_array_mut().expect("a list").push(endpoint(&words));
                }
                "later" => script.steps.push(Step::default()),
                "settings" => {
                    script.settings = Some(words[1..].iter().map(ToString::to_string).collect());
                }
                "node" => step.node = Some(node(&words[1..])),
                "nodes" => step.nodes = Some(words[1..].iter().map(ToString::to_string).collect()),
                "agent" => step.agent = Some(words[1..].iter().map(ToString::to_string).collect()),
                "regions" => step.regions = Some(pairs(&words[1..])),
                "service" => step.services.push(service(words[1], &words[2..])),
                "slice" => step.slices.push(slice(words[1], &words[2..])),
                "cluster" => step.clusters.push(cluster(words[1], &words[2..])),
                "property" => step.property = Some(words[1].to_owned()),
                "remove-cluster" => {
                    step.removed_clusters.push(Name::read(&format!("/{}", words[1])));
                }
                "remove-service" => step.removed_services.push(Name::read(words[1])),
                "remove-slice" => step.removed_slices.push(Name::read(words[1])),
                other => panic!("a script has no {other:?}: {line}"),
            }
        }
        script.steps[0].node.get_or_insert_with(|| {
            node(&["zone=a", "region=eu", "addresses=192.168.0.1,fd00:a::1"])
        });
        script
    }
}

/// A RemoteCluster; `encryption` is not filled in, as it has no default.
fn cluster(name: &str, words: &[&str]) -> Value {
    let mut written = json!({
        "metadata": {
            "name": name, "uid": format!("{name}-1"), "generation": 1,
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {},
        "status": {},
    });
    for word in words {
        match word.split_once('=').unwrap_or((word, "")) {
            ("cidrs", list) => {
                written["spec"]["cidrs"] = list.split(',').collect::<Vec<_>>().into();
            }
            ("encryption", mode) => written["spec"]["encryption"] = json!({"mode": mode}),
            ("local", id) => written["status"]["localCluster"] = id.into(),
            ("phase", phase) => written["status"]["phase"] = phase.into(),
            ("uid", uid) => written["metadata"]["uid"] = uid.into(),
            ("created", date) => {
                written["metadata"]["creationTimestamp"] = format!("{date}T00:00:00Z").into();
            }
            ("leaving", _) => {
                written["metadata"]["deletionTimestamp"] = "2026-01-02T00:00:00Z".into();
            }
            (field @ ("reach" | "onSilence"), value) => written["spec"][field] = value.into(),
            _ => panic!("no field of a RemoteCluster: {word}"),
        }
    }
    written
}

fn node(words: &[&str]) -> Value {
    let mut labels = Map::new();
    let mut addresses = Vec::new();
    let mut pods: Vec<&str> = Vec::new();
    let mut name = "n1";
    for word in words {
        match word.split_once('=').expect("field=value") {
            ("name", value) => name = value,
            ("pods", list) => pods = list.split(',').collect(),
            (field @ ("zone" | "region"), value) => {
                labels.insert(format!("topology.kubernetes.io/{field}"), value.into());
            }
            ("addresses", list) => addresses.extend(list.split(',').map(|address| {
                let (kind, address) = address.split_once('!').unwrap_or(("InternalIP", address));
                json!({"type": kind, "address": address})
            })),
            _ => panic!("no field of a node: {word}"),
        }
    }
    json!({
        "metadata": {"name": name, "labels": labels},
        "spec": {"podCIDRs": pods},
        "status": {"addresses": addresses},
    })
}

/// A Service; not given is as the API server fills it in.
fn service(name: &str, words: &[&str]) -> Value {
    let mut labels = Map::new();
    let mut metadata = json!({"creationTimestamp": "2026-01-01T00:00:00Z"});
    let mut spec = json!({"selector": {"app": name}, "ports": []});
    let mut ingress = Vec::new();
    for word in words {
        let (field, value) = word.split_once('=').unwrap_or((word, ""));
        let list = || value.split(',').filter(|one| !one.is_empty()).collect::<Vec<_>>();
        match field {
            "ip" => {
                let addresses = list();
                spec["clusterIP"] = addresses.first().copied().unwrap_or_default().into();
                spec["clusterIPs"] = addresses.clone().into();
                let family = |address: &str| if address.contains(':') { "IPv6" } else { "IPv4" };
                let families = addresses.iter().map(|address| family(address));
                spec["ipFamilies"] = families.collect::<Vec<_>>().into();
            }
            "families" => spec["ipFamilies"] = list().into(),
            "port" => {
                let ports = spec["ports"].as_array_mut().expect("a list");
                ports.push(service_port(value));
            }
            "type" => spec["type"] = value.into(),
            "external" => spec["externalIPs"] = list().into(),
            "ranges" => spec["loadBalancerSourceRanges"] = list().into(),
            "internal" => spec["internalTrafficPolicy"] = value.into(),
            "externally" => spec["externalTrafficPolicy"] = value.into(),
            "distribution" => spec["trafficDistribution"] = value.into(),
            "publish-not-ready" => spec["publishNotReadyAddresses"] = true.into(),
            "affinity" => {
                spec["sessionAffinity"] = "ClientIP".into();
                if let Ok(seconds) = value.parse::<i32>() {
                    spec["sessionAffinityConfig"] =
                        json!({"clientIP": {"timeoutSeconds": seconds}});
                }
            }
            "affinity-none" => spec["sessionAffinity"] = "None".into(),
            "vip" => ingress.extend(list().into_iter().map(|vip| match vip.split_once('!') {
                Some((address, mode)) => json!({"ip": address, "ipMode": mode}),
                None => json!({"ip": vip}),
            })),
            "vip-host" => ingress.push(json!({"hostname": value})),
            "label" => {
                let (key, value) = value.split_once(':').expect("key:value");
                labels.insert(key.to_owned(), value.into());
            }
            "no-selector" => {
                spec.as_object_mut().expect("a map").remove("selector");
            }
            "created" => metadata["creationTimestamp"] = format!("{value}T00:00:00Z").into(),
            _ => panic!("no field of a service: {word}"),
        }
    }
    let object = Name::read(name);
    metadata["name"] = object.name.into();
    metadata["namespace"] = object.namespace.into();
    metadata["labels"] = labels.into();
    json!({"metadata": metadata, "spec": spec, "status": {"loadBalancer": {"ingress": ingress}}})
}

/// `name:80/TCP:30080`; name, protocol and node port may be left out.
fn service_port(text: &str) -> Value {
    let parts: Vec<&str> = text.split(':').collect();
    let (port, protocol) = parts[1].split_once('/').unwrap_or((parts[1], ""));
    let mut written = json!({"port": port.parse::<i32>().expect("a port")});
    if !parts[0].is_empty() {
        written["name"] = parts[0].into();
    }
    if !protocol.is_empty() {
        written["protocol"] = protocol.into();
    }
    if let Some(node_port) = parts.get(2) {
        written["nodePort"] = node_port.parse::<i32>().expect("a port").into();
    }
    written
}

/// An EndpointSlice of the controller, unless `by` says another.
fn slice(name: &str, words: &[&str]) -> Value {
    const LABEL: &str = "endpointslice.kubernetes.io/managed-by";
    const MCS: &str = "multicluster.kubernetes.io";
    let object = Name::read(name);
    let mut labels = Map::new();
    labels.insert(LABEL.to_owned(), "endpointslice-controller.k8s.io".into());
    let mut annotations = Map::new();
    let mut family = "IPv4";
    let mut ports = Vec::new();
    for word in words {
        match word.split_once('=').unwrap_or((word, "")) {
            ("of", service) => {
                labels.insert("kubernetes.io/service-name".to_owned(), service.into());
            }
            ("v4", _) => family = "IPv4",
            ("v6", _) => family = "IPv6",
            ("fqdn", _) => family = "FQDN",
            ("port", text) => ports.push(slice_port(text)),
            ("by", "nobody") => _ = labels.remove(LABEL),
            ("by", maker) => _ = labels.insert(LABEL.to_owned(), maker.into()),
            ("label", label) => {
                let (key, value) = label.split_once(':').expect("key:value");
                labels.insert(key.to_owned(), value.into());
            }
            ("from", cluster) => {
                labels.insert(format!("{MCS}/source-cluster"), cluster.into());
            }
            ("mcs", service) => {
                labels.insert(format!("{MCS}/service-name"), service.into());
            }
            ("said", said) => {
                let (key, value) = said.split_once(':').expect("key:value");
                annotations.insert(key.to_owned(), value.into());
            }
            _ => panic!("no field of a slice: {word}"),
        }
    }
    json!({
        "metadata": {
            "namespace": object.namespace, "name": object.name, "labels": labels,
            "annotations": annotations,
        },
        "addressType": family,
        "ports": ports,
        "endpoints": [],
    })
}

/// `name:8080/TCP`; a name `-` is none, an empty one is empty.
fn slice_port(text: &str) -> Value {
    let (name, rest) = text.split_once(':').expect("name:port");
    let (port, protocol) = rest.split_once('/').unwrap_or((rest, ""));
    let mut written = json!({});
    if name != "-" {
        written["name"] = name.into();
    }
    if !port.is_empty() {
        written["port"] = port.parse::<i32>().expect("a port").into();
    }
    if !protocol.is_empty() {
        written["protocol"] = protocol.into();
    }
    written
}

fn endpoint(words: &[&str]) -> Value {
    let (rest, zone) = words[0].split_once('/').unwrap_or((words[0], ""));
    let (addresses, node) = rest.split_once('@').unwrap_or((rest, ""));
    let addresses: Vec<&str> = addresses.split(',').filter(|one| *one != "-").collect();
    let mut written = json!({"addresses": addresses, "conditions": {}});
    if !zone.is_empty() {
        written["zone"] = zone.into();
    }
    if !node.is_empty() {
        written["nodeName"] = node.into();
    }
    for word in &words[1..] {
        let (mark, name) = word.split_at(1);
        match mark {
            "+" | "-" => written["conditions"][name] = (mark == "+").into(),
            "~" => hint(&mut written, "forZones", name),
            "%" => hint(&mut written, "forNodes", name),
            _ => panic!("no mark of an endpoint: {word}"),
        }
    }
    written
}

fn hint(endpoint: &mut Value, list: &str, name: &str) {
    let hints = &mut endpoint["hints"][list];
    if hints.is_null() {
        *hints = json!([]);
    }
    hints.as_array_mut().expect("a list").push(json!({"name": name}));
}

fn is_address(text: &str) -> bool {
    text.parse::<std::net::IpAddr>().is_ok()
}

fn pairs(words: &[&str]) -> BTreeMap<String, String> {
    let pair = |word: &&str| {
        let (key, value) = word.split_once('=').expect("key=value");
        (key.to_owned(), value.to_owned())
    };
    words.iter().map(pair).collect()
}
