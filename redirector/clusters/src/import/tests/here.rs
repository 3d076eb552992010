//! A model of the cluster that imports: its API server, and the writer that brings it to what is desired.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use redirector_core::Moment;
use redirector_kube::api::{
    Batch, Change, Object, ObjectRef, Phase, RemoteCluster, Service,
    labels::{MCS_SERVICE_NAME, SOURCE_CLUSTER},
};
use serde_json::{Value, json};

use super::{
    super::{
        DesiredKind, DesiredRef, Found, FoundCluster, Importer, Namespace, News, OwnImport,
        OwnNode, Settings,
    },
    at,
};

/// The cluster east.
#[derive(Debug)]
pub struct Here {
    pub importer: Importer,
    pub settings: Settings,
    /// What its API server holds.
    pub store: BTreeMap<DesiredRef, Value>,
    pub clusters: BTreeMap<String, Value>,
    pub namespaces: BTreeMap<String, BTreeMap<String, String>>,
    pub now: Moment,
    /// What was written and removed so far.
    pub writes: usize,
    pub removals: usize,
    /// When the importer wants to be asked again.
    pub next: Option<Moment>,
    uids: u64,
}

/// A backend as agents find it: its cluster, its Service, its address and port.
pub type Backend = (String, String, IpAddr, u16);

impl Here {
    pub fn new(cluster_set_ips: bool) -> Self {
        let settings = Settings {
            cluster: "east".into(),
            uid: Some("uid-east".into()),
            cluster_set_ips,
            divide_timeouts: 1,
        };
        let mut here = Self {
            importer: Importer::new(settings.clone()),
            settings,
            store: BTreeMap::new(),
            clusters: BTreeMap::new(),
            namespaces: BTreeMap::new(),
            now: at(10_000_000),
            writes: 0,
            removals: 0,
            next: None,
            uids: 0,
        };
        here.namespaces.insert("shop".into(), BTreeMap::new());
        here.begin();
        here
    }

    /// A new importer begins: it is told of everything that is here.
    pub fn begin(&mut self) {
        self.importer = Importer::new(self.settings.clone());
        let clusters = self.clusters.iter().filter_map(|(name, object)| {
            let status = &object["status"];
            let phase: Phase = serde_json::from_value(status["phase"].clone()).ok()?;
            let since = status["since"].as_u64().unwrap_or_default();
            let silent_for = self.now.0.saturating_sub(Duration::from_millis(since));
            let uid = status["uid"].as_str().map(Arc::from);
            Some((name.as_str().into(), FoundCluster { phase, silent_for, uid }))
        });
        let found =
            Found { objects: self.store.values().cloned().collect(), clusters: clusters.collect() };
        self.importer.take(News::Found(found));
        let all = |changes| Batch { changes, is_synced: true };
        let namespaces = self.namespaces.iter().map(|(name, labels)| {
            let (name, labels) = (name.as_str().into(), labels.clone());
            Change::Put(Namespace { name, labels, is_leaving: false })
        });
        self.importer.take(News::Namespaces(all(namespaces.collect())));
        self.importer.take(News::Nodes(Batch { changes: Vec::new(), is_synced: true }));
        let services = self.store.iter().filter_map(|(of, body)| service(of, body));
        let services = Batch { changes: services.map(Change::Put).collect(), is_synced: true };
        self.importer.take(News::Services(services));
        let imports = self.store.iter().filter_map(|(of, body)| import(of, body));
        let imports = Batch { changes: imports.map(Change::Put).collect(), is_synced: true };
        self.importer.take(News::Imports(imports));
        let clusters = self.clusters.values().map(|object| Change::Put(read(object))).collect();
        self.importer.take(News::RemoteClusters(Batch { changes: clusters, is_synced: true }));
        self.tick();
    }

    /// States another cluster, or states it anew.
    pub fn join(&mut self, name: &str, change: impl Fn(&mut Value)) {
        let mut object = self.clusters.remove(name).unwrap_or_else(|| {
            let number = self.clusters.len() + 2;
            json!({
                "metadata": {"name": name, "uid": format!("object-{name}"), "generation": 1,
                    "creationTimestamp": format!("2026-11-30T00:00:{number:02}Z")},
                "spec": {
                    "server": format!("https://{name}.example:6443"),
                    "credentials": {"secretName": name},
                    "cidrs": ["10.2.0.0/16", "fd00:2::/48"],
                    "encryption": {"mode": "Off"},
                },
            })
        });
        change(&mut object);
        self.take_cluster(&object);
        self.clusters.insert(name.to_owned(), object);
        self.tick();
    }

    fn take_cluster(&mut self, object: &Value) {
        let changes = vec![Change::Put(read(object))];
        self.importer.take(News::RemoteClusters(Batch { changes, is_synced: true }));
    }

    pub fn leave(&mut self, name: &str) {
        self.clusters.remove(name).expect("it was joined");
        let object = ObjectRef { namespace: "".into(), name: name.into() };
        let changes = vec![Change::Remove(object)];
        self.importer.take(News::RemoteClusters(Batch { changes, is_synced: true }));
        self.tick();
    }

    pub fn node(&mut self, name: &str, addresses: &[&str], pod_cidrs: &[&str]) {
        let node = OwnNode {
            name: name.into(),
            addresses: addresses.iter().map(|text| text.parse().expect("an address")).collect(),
            pod_cidrs: pod_cidrs.iter().map(|text| text.parse().expect("a range")).collect(),
        };
        self.take(News::Nodes(Batch { changes: vec![Change::Put(node)], is_synced: true }));
    }

    pub fn namespace(&mut self, name: &str, labels: &[(&str, &str)]) {
        let labels: BTreeMap<_, _> =
            labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        self.namespaces.insert(name.to_owned(), labels.clone());
        let namespace = Namespace { name: name.into(), labels, is_leaving: false };
        self.take(News::Namespaces(Batch {
            changes: vec![Change::Put(namespace)],
            is_synced: true,
        }));
    }

    pub fn take(&mut self, news: News) {
        self.importer.take(news);
        self.tick();
    }

    pub fn take_all(&mut self, news: impl IntoIterator<Item = News>) {
        for news in news {
            self.importer.take(news);
        }
        self.tick();
    }

    pub fn pass(&mut self, by: Duration) {
        self.now = self.now.after(by);
        self.tick();
    }

    pub fn tick(&mut self) {
        self.next = self.importer.tick(self.now);
        assert!(self.next.is_none_or(|next| next > self.now), "a deadline that has passed");
        for (name, status) in &self.importer.desired().statuses {
            let Some(object) = self.clusters.get_mut(&**name) else { continue };
            let phase = json!(status.phase);
            let before = object["status"]["phase"].clone();
            if before != phase {
                let since = u64::try_from(self.now.0.as_millis()).expect("short");
                object["status"] = json!({"phase": phase, "since": since});
            }
            object["status"]["uid"] = json!(status.uid);
        }
    }

    /// What is to be written and removed, in the order in which the writer does it.
    pub fn due(&self) -> Vec<(DesiredRef, Option<Value>)> {
        let desired = self.importer.desired();
        if !desired.is_complete {
            return Vec::new();
        }
        let mut due: Vec<_> = desired
            .objects
            .iter()
            .map(|(of, body)| (of, body.value()))
            .filter(|(of, body)| self.store.get(of).is_none_or(|held| stripped(held) != *body))
            .map(|(of, body)| (of.clone(), Some(body)))
            .collect();
        let gone = self.store.keys().rev().filter(|of| !desired.objects.contains_key(of));
        due.extend(gone.map(|of| (of.clone(), None)));
        due
    }

    /// Writes one object, and the watches say so.
    pub fn write(&mut self, of: &DesiredRef, body: Option<Value>) {
        let object = ObjectRef { namespace: Arc::clone(&of.namespace), name: Arc::clone(&of.name) };
        match body {
            Some(mut body) => {
                self.writes += 1;
                self.uids += 1;
                let before = self.store.get(of);
                let given = |field: &str| before.map(|before| before["given"][field].clone());
                body["given"] = json!({
                    "uid": given("uid").unwrap_or_else(|| json!(format!("u-{}", self.uids))),
                    "ip": given("ip").unwrap_or_else(|| json!(format!("10.96.1.{}", self.uids % 250 + 1))),
                });
                self.store.insert(of.clone(), body);
            }
            None => {
                self.removals += 1;
                self.store.remove(of);
            }
        }
        let body = self.store.get(of);
        let put_or_remove = |put: Option<_>| put.unwrap_or(Change::Remove(object.clone()));
        match of.kind {
            DesiredKind::ServiceImport => {
                let put = body.and_then(|body| import(of, body)).map(Change::Put);
                let put = put.unwrap_or(Change::Remove(object));
                self.importer.take(News::Imports(Batch { changes: vec![put], is_synced: true }));
            }
            DesiredKind::Service => {
                let put = put_or_remove(body.and_then(|body| service(of, body)).map(Change::Put));
                self.importer.take(News::Services(Batch { changes: vec![put], is_synced: true }));
            }
            DesiredKind::EndpointSlice => {}
        }
        self.tick();
    }

    /// Writes everything until nothing is due.
    pub fn settle(&mut self) {
        for _ in 0..20 {
            let due = self.due();
            if due.is_empty() {
                return;
            }
            for (of, body) in due {
                self.write(&of, body);
            }
        }
        panic!("the writer has no end: {:?}", self.due());
    }

    /// The backends that are here and ready.
    pub fn backends(&self) -> BTreeSet<Backend> {
        let slices = self.slices().into_values();
        let mut found = BTreeSet::new();
        for slice in slices {
            let label =
                |name: &str| slice["metadata"]["labels"][name].as_str().expect(name).to_owned();
            let namespace = slice["metadata"]["namespace"].as_str().expect("a namespace");
            let service = format!("{namespace}/{}", label(MCS_SERVICE_NAME));
            for endpoint in slice["endpoints"].as_array().expect("endpoints") {
                if endpoint["conditions"]["ready"] == json!(true) {
                    let address = endpoint["addresses"][0].as_str().expect("an address");
                    let address: IpAddr = address.parse().expect("an address");
                    for port in slice["ports"].as_array().expect("ports") {
                        let port = port["port"].as_u64().expect("a port");
                        let port = u16::try_from(port).expect("a port");
                        found.insert((label(SOURCE_CLUSTER), service.clone(), address, port));
                    }
                }
            }
        }
        found
    }

    /// The slices that are here, by name.
    pub fn slices(&self) -> BTreeMap<&str, &Value> {
        let slices = self.store.iter().filter(|(of, _)| of.kind == DesiredKind::EndpointSlice);
        slices.map(|(of, body)| (&*of.name, body)).collect()
    }

    /// The ServiceImport of that name.
    pub fn import(&self, service: &str) -> Option<&Value> {
        let (namespace, name) = service.split_once('/').expect("namespace/name");
        let (namespace, name) = (namespace.into(), name.into());
        self.store.get(&DesiredRef { kind: DesiredKind::ServiceImport, namespace, name })
    }

    pub fn phase(&self, cluster: &str) -> Option<Phase> {
        self.importer.desired().statuses[cluster].phase
    }

    /// Status, reason and message of a condition.
    pub fn condition(&self, cluster: &str, kind: &str) -> (Option<bool>, &str, &str) {
        let conditions = &self.importer.desired().statuses[cluster].conditions;
        let found = conditions.iter().find(|condition| condition.kind == kind).expect(kind);
        (found.status, found.reason, &found.message)
    }
}

/// An object as it was written.
fn stripped(held: &Value) -> Value {
    let mut held = held.clone();
    held.as_object_mut().expect("an object").remove("given");
    held
}

fn read(object: &Value) -> RemoteCluster {
    RemoteCluster::decode(object.to_string().as_bytes()).expect("a RemoteCluster")
}

fn import(of: &DesiredRef, body: &Value) -> Option<OwnImport> {
    (of.kind == DesiredKind::ServiceImport).then(|| OwnImport {
        object: ObjectRef { namespace: Arc::clone(&of.namespace), name: Arc::clone(&of.name) },
        uid: body["given"]["uid"].as_str().expect("a uid").into(),
        is_ours: true,
    })
}

/// A derived Service, with the address that it was given.
fn service(of: &DesiredRef, body: &Value) -> Option<Service> {
    if of.kind != DesiredKind::Service {
        return None;
    }
    let ip = body["given"]["ip"].clone();
    let mut body = body.clone();
    body["spec"]["clusterIP"] = ip.clone();
    body["spec"]["clusterIPs"] = json!([ip]);
    body["spec"]["ipFamilies"] = json!(["IPv4"]);
    Some(Service::decode(body.to_string().as_bytes()).expect("a Service"))
}
