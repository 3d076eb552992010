//! Whatever happened before, what the core was told is what a fresh index says of the objects as
//! they are now, and the core takes all of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use ipnet::IpNet;
use redirector_core::{Input, Moment, State};
use redirector_kube::{
    api::{Batch, Change, Node, Object, ObjectRef, RemoteCluster},
    index::{Index, News, Scope, Settings},
};
use serde_json::{Value, json};

use super::{
    random::{Random, for_seeds},
    told::{Script, Told, line},
};

/// Everything that the cluster has.
#[derive(Default)]
struct Cluster {
    /// The objects by kind and name.
    objects: BTreeMap<(&'static str, String), Value>,
    regions: BTreeMap<Arc<str>, Arc<str>>,
    /// What the ClusterProperty says.
    property: Option<Arc<str>>,
    /// Where all Nodes and their pods are.
    nodes: Vec<IpNet>,
    /// Where the agent's own pod is.
    agent: Vec<IpAddr>,
}

#[test]
fn any_way_to_the_same_objects_tells_the_core_the_same() {
    for_seeds(200, |seed| {
        let mut random = Random::new(seed);
        let settings = settings(&mut random);
        let mut cluster = Cluster::default();
        let mut index = Index::new(settings.clone());
        let mut told = Told::default();
        let mut state = State::new();
        cluster.node(&mut random);
        for news in cluster.all(&mut random) {
            index.take(news);
        }
        for step in 0..60 {
            for _ in 0..=random.below(3) {
                let news = cluster.happen(&mut random);
                index.take(news);
            }
            let inputs = index.inputs();
            assert_differ(&told, &inputs, step);
            told.take(inputs.clone());
            for input in inputs {
                state.apply(input, Moment::default());
            }
            let taken: Vec<String> = state.services().map(line).collect();
            assert_eq!(taken, told.lines(), "step {step}: the core refuses some");
            assert!(index.inputs().is_empty(), "step {step}: nothing has happened");
        }
        let mut fresh = Index::new(settings);
        for news in cluster.all(&mut random) {
            fresh.take(news);
        }
        let mut told_at_once = Told::default();
        told_at_once.take(fresh.inputs());
        assert_eq!(told.lines(), told_at_once.lines());
        assert_eq!(told.services, told_at_once.services);
        assert_eq!(index.notices(), fresh.notices());
    });
}

/// Nothing is said that the core knows already, and nothing twice.
fn assert_differ(told: &Told, inputs: &[Input], step: usize) {
    let mut said = BTreeSet::new();
    for input in inputs {
        match input {
            Input::Change { put, remove } => {
                for service in put {
                    let name = &service.name;
                    assert!(said.insert(name), "step {step}: {name} is said twice");
                    let before = told.services.get(name);
                    assert_ne!(before, Some(service), "step {step}: {name} is said again");
                }
                for name in remove {
                    assert!(said.insert(name), "step {step}: {name} is said twice");
                    assert!(told.services.contains_key(name), "step {step}: {name} was never said");
                }
            }
            Input::Replace(_) => assert_eq!(step, 0, "everything is said once"),
            Input::Node(_) | Input::RemoteClusters(_) => {}
            other => panic!("step {step}: no source says {other:?}"),
        }
    }
}

fn settings(random: &mut Random) -> Settings {
    let mut settings = Settings::new("n1");
    settings.scope = if random.chance(50) { Scope::All } else { Scope::Labelled };
    settings.external_ips = random.chance(50);
    if random.chance(50) {
        settings.trusted.push("10.1.0.0/16".parse().expect("a network"));
    }
    if random.chance(50) {
        settings.quotas.slots = 60 + random.below(200) as u64;
    }
    if random.chance(70) {
        settings.cluster = Some("east".into());
    }
    settings
}

impl Cluster {
    /// Makes one piece of news happen.
    fn happen(&mut self, random: &mut Random) -> News {
        match random.below(26) {
            0 => self.node(random),
            24 => {
                self.nodes = nodes(random);
                News::Nodes(self.nodes.clone())
            }
            25 => {
                let agent = random.pick(&["10.2.0.9", "10.1.0.9"]).parse().expect("an address");
                self.agent = if random.chance(50) { vec![agent] } else { Vec::new() };
                News::Agent(self.agent.clone())
            }
            20 => {
                self.property = match random.below(4) {
                    0 => None,
                    1 => Some("home".into()),
                    _ => Some("east".into()),
                };
                News::ClusterProperty(self.property.clone())
            }
            21..=23 => self.cluster(random),
            1 => {
                self.regions = regions(random);
                News::Regions(self.regions.clone())
            }
            2..=7 => self.change(random, "service", service, News::Services),
            8..=10 => self.change(random, "policy", policy, News::Policies),
            _ => self.change(random, "slice", slice, News::Slices),
        }
    }

    fn node(&mut self, random: &mut Random) -> News {
        let zone = random.pick(&["zone=a", "zone=b", ""]);
        let address = random.pick(&["192.168.0.1", "192.168.0.1,fd00:a::1", "192.168.0.2"]);
        let pods = random.pick(&["", "", "", "pods=10.2.0.0/24"]);
        let text = format!("node {zone} region=eu addresses={address} {pods}");
        let node = Script::read(&text).steps[0].node.clone().expect("a node");
        self.objects.insert(("node", "n1".to_owned()), node.clone());
        News::Node(Batch { changes: vec![put::<Node>(&node)], is_synced: true })
    }

    /// Puts or removes a RemoteCluster.
    fn cluster(&mut self, random: &mut Random) -> News {
        let name = random.pick(&["west", "north", "east"]);
        let key = ("cluster", format!("/{name}"));
        let change = if random.chance(20) {
            self.objects.remove(&key);
            Change::Remove(ObjectRef { namespace: "".into(), name: name.into() })
        } else {
            let cluster = remote_cluster(name, random);
            let change = put::<RemoteCluster>(&cluster);
            self.objects.insert(key, cluster);
            change
        };
        News::Clusters(Batch { changes: vec![change], is_synced: false })
    }

    /// Puts or removes an object of a kind.
    fn change<T: Object>(
        &mut self,
        random: &mut Random,
        kind: &'static str,
        make: fn(&str, &mut Random) -> Value,
        news: fn(Batch<T>) -> News,
    ) -> News {
        let name = random.pick(&["shop/a", "shop/b", "shop/c", "other/a", "other/d"]);
        let key = (kind, name.to_owned());
        let change = if random.chance(20) {
            self.objects.remove(&key);
            let (namespace, name) = name.split_once('/').expect("a namespace");
            Change::Remove(ObjectRef { namespace: namespace.into(), name: name.into() })
        } else {
            let object = make(name, random);
            let change = put::<T>(&object);
            self.objects.insert(key, object);
            change
        };
        news(Batch { changes: vec![change], is_synced: false })
    }

    /// News of everything, in any order.
    fn all(&self, random: &mut Random) -> Vec<News> {
        let mut news = vec![
            News::Services(self.batch("service", random)),
            News::Slices(self.batch("slice", random)),
            News::Policies(self.batch("policy", random)),
            News::Node(self.batch("node", random)),
            News::Regions(self.regions.clone()),
            News::Nodes(self.nodes.clone()),
            News::Agent(self.agent.clone()),
            News::Clusters(self.batch("cluster", random)),
            News::ClusterProperty(self.property.clone()),
        ];
        random.shuffle(&mut news);
        news
    }

    fn batch<T: Object>(&self, kind: &str, random: &mut Random) -> Batch<T> {
        let all = self.objects.iter().filter(|((other, _), _)| *other == kind);
        let mut changes: Vec<Change<T>> = all.map(|(_, object)| put(object)).collect();
        random.shuffle(&mut changes);
        Batch { changes, is_synced: true }
    }
}

fn put<T: Object>(object: &Value) -> Change<T> {
    let json = serde_json::to_vec(object).expect("JSON");
    Change::Put(T::decode(&json).unwrap_or_else(|why| panic!("{object}: {why}")))
}

fn service(name: &str, random: &mut Random) -> Value {
    let number = name.bytes().fold(0_u32, |sum, byte| sum + u32::from(byte)) % 200;
    let ip = match random.below(8) {
        0 => "None".to_owned(),
        1 => format!("10.96.0.{number},fd00:96::{number}"),
        _ => format!("10.96.0.{number}"),
    };
    let ports = random.pick(&[
        "port=http:80/TCP",
        "port=http:80/TCP:30080",
        "port=http:80/TCP port=dns:53/UDP",
        "port=:80/TCP",
        "port=http:8080/TCP port=dns:53/UDP:30053",
    ]);
    let more = random.pick(&[
        "",
        "",
        "internal=Local",
        "affinity=60",
        "type=ExternalName",
        "no-selector",
        "vip=203.0.113.9",
        "vip=203.0.113.9,10.1.0.1",
        "vip=10.1.0.2 ranges=10.0.0.0/8",
        "external=10.1.0.3,10.96.0.97",
        "external=192.168.0.1,127.0.0.1",
    ]);
    let label = random.pick(&[
        "",
        "no-selector label=multicluster.kubernetes.io/service-name:a",
        "label=mirror.linkerd.io/mirrored-service:true",
        "label=redirector.dev/failover:true",
        "label=redirector.dev/failover:true",
        "label=redirector.dev/failover:false",
    ]);
    let created = random.pick(&["2026-01-01", "2026-02-02"]);
    let text = format!("service {name} ip={ip} {ports} {more} {label} created={created}");
    Script::read(&text).steps[0].services[0].clone()
}

fn slice(name: &str, random: &mut Random) -> Value {
    let of = random.pick(&["of=a", "of=b", "of=c", "of=d", ""]);
    let (family, addresses): (_, &[&str]) = if random.chance(20) {
        ("v6", &["fd00:1::1", "fd00:1::2", "::1", "fd00:96::9"])
    } else {
        ("v4", &["10.1.0.1", "10.1.0.2", "10.1.0.3", "10.2.0.1", "10.96.0.97", "192.168.0.1"])
    };
    let ports = random.pick(&[
        "port=http:8080/TCP",
        "port=http:80/TCP",
        "port=http:8080/TCP port=dns:53/UDP",
        "port=:80/TCP",
        "port=http:30080/TCP",
    ]);
    let by = random.pick(&[
        "",
        "",
        "",
        "by=me",
        "by=me from=west",
        "by=me from=west mcs=a",
        "by=me from=north mcs=b label=service.kubernetes.io/service-proxy-name:redirector.dev",
        "by=me from=east mcs=c",
        "by=me mcs=a",
        "by=me from=west mcs=d said=redirector.dev/weight:0",
    ]);
    let mut text = format!("slice {name} {of} {family} {ports} {by}");
    for _ in 0..random.below(5) {
        let address = random.pick(addresses);
        let place = random.pick(&["@n1/a", "@n2/a", "@n3/b", "", "@n4/z"]);
        let conditions = random.pick(&["", "", "-ready -serving", "-ready +serving +terminating"]);
        let hints = random.pick(&["", "~a", "~b", "%n1 ~a", "%n2"]);
        text.push_str(&format!("\n  {address}{place} {conditions} {hints}"));
    }
    Script::read(&text).steps[0].slices[0].clone()
}

fn policy(name: &str, random: &mut Random) -> Value {
    let (namespace, name) = name.split_once('/').expect("a namespace");
    let other = random.pick(&["a", "b", "c", "d"]);
    let target = random.pick(&["a", "b", "c", "d"]);
    let mut tier = json!({"name": "backup", "service": {"name": other}});
    if random.chance(50) {
        tier["service"]["port"] = random.pick(&["http", "80", "dns"]).into();
    }
    if random.chance(40) {
        tier["clusters"] = json!([random.pick(&["west", "north", "east", "*"])]);
    }
    if random.chance(20) {
        tier.as_object_mut().expect("a tier").remove("service");
        tier["clusters"] = json!([random.pick(&["west", "*"])]);
    }
    let tiers = json!([{"name": "near", "locality": "Zone"}, tier]);
    let mut spec = json!({"targetRefs": [{"kind": "Service", "name": target}]});
    if other != target && random.chance(70) {
        spec["tiers"] = tiers;
    }
    json!({
        "metadata": {
            "namespace": namespace, "name": name, "uid": name, "generation": 1,
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": spec,
    })
}

/// A valid one: of others it matters what was before.
fn remote_cluster(name: &str, random: &mut Random) -> Value {
    let cidrs = random.pick(&[
        "10.2.0.0/24",
        "10.2.0.0/16,fd00:1::/48",
        "10.1.0.2/32,10.2.0.0/24",
        "10.96.0.0/24",
        "10.0.0.0/9",
    ]);
    let more = random.pick(&[
        "encryption=Off",
        "encryption=Off",
        "encryption=Report reach=LoadBalancer",
        "encryption=Required",
        "encryption=Off phase=Silent",
    ]);
    let created = random.pick(&["2026-01-01", "2026-02-02"]);
    let text = format!("cluster {name} cidrs={cidrs} {more} created={created} uid={created}");
    Script::read(&text).steps[0].clusters[0].clone()
}

fn nodes(random: &mut Random) -> Vec<IpNet> {
    let list = random.pick(&["", "", "10.1.0.0/24", "10.1.0.0/24 10.3.7.0/24", "fd00:2:0:1::/64"]);
    list.split_whitespace().map(|it| it.parse().expect("a range")).collect()
}

fn regions(random: &mut Random) -> BTreeMap<Arc<str>, Arc<str>> {
    let b = random.pick(&["eu", "us"]);
    [("a".into(), "eu".into()), ("b".into(), b.into())].into()
}
