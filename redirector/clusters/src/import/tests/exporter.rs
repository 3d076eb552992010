//! A model of another cluster's exporter, of its outbox, and of the watches on that.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use redirector_kube::api::{Batch, Change, Family, ObjectRef};

use super::super::{Failure, News, OutboxNews};
use crate::api::{
    ExportedPort, ExportedService, ExportedServiceSpec, ExportedType, Heartbeat, Manifest, OUTBOX,
    OutboxEndpoint, OutboxPort, OutboxSlice, Unexport, export_fingerprint, export_label,
    export_name, outbox_digest, slices_digest,
};

/// Endpoints of a slice in this model: few, so that a Service has several.
const PER_SLICE: usize = 4;

/// What is in the outbox.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contents {
    pub services: BTreeMap<String, ExportedService>,
    pub slices: BTreeMap<Arc<str>, OutboxSlice>,
}

/// Another cluster.
#[derive(Clone, Debug)]
pub struct Exporter {
    pub name: Arc<str>,
    pub uid: String,
    pub epoch: u64,
    /// What it wants to export: the truth.
    pub exports: BTreeMap<String, Export>,
    /// What its outbox holds.
    pub outbox: Contents,
    /// What the watches have said of it.
    pub told: Contents,
    /// `metadata.resourceVersion` of the Lease.
    pub version: u64,
    /// The digest that is said instead of the right one.
    pub wrong_digest: Option<String>,
    /// What it states.
    pub unexported: Vec<Unexport>,
    beats: u64,
    /// What the last list left out: no watch tells it.
    left_out: BTreeSet<String>,
}

/// A Service that it exports.
#[derive(Clone, Debug)]
pub struct Export {
    pub spec: ExportedServiceSpec,
    pub endpoints: BTreeMap<IpAddr, OutboxEndpoint>,
}

pub fn port(name: &str, protocol: &str, port: u16) -> ExportedPort {
    ExportedPort { name: name.into(), protocol: protocol.into(), app_protocol: None, port }
}

pub fn endpoint(address: IpAddr) -> OutboxEndpoint {
    OutboxEndpoint {
        address,
        is_ready: true,
        is_serving: true,
        is_terminating: false,
        node: Some("worker-1".into()),
        zone: Some("a".into()),
        hostname: None,
    }
}

pub fn spec(service: &str, exported_at: &str) -> ExportedServiceSpec {
    let (namespace, name) = service.split_once('/').expect("namespace/name");
    ExportedServiceSpec {
        namespace: namespace.into(),
        name: name.into(),
        exported_at: exported_at.into(),
        kind: ExportedType::ClusterSetIp,
        ports: vec![port("http", "TCP", 80)],
        session_affinity: None,
        affinity_seconds: None,
        internal_traffic_policy: None,
        traffic_distribution: None,
        ip_families: vec!["IPv4".into()],
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        weight: 100,
        ready: 0,
        gateways: Vec::new(),
        digest: String::new(),
    }
}

impl Export {
    pub fn new(spec: ExportedServiceSpec, addresses: &[IpAddr]) -> Self {
        let endpoints = addresses.iter().map(|address| (*address, endpoint(*address))).collect();
        Self { spec, endpoints }
    }

    /// Its objects as the exporter writes them: each pod's port is its Service's plus 8000.
    fn objects(&self) -> (ExportedService, Vec<OutboxSlice>) {
        let name = export_name(&self.spec.namespace, &self.spec.name);
        let ports: Arc<[OutboxPort]> = self
            .spec
            .ports
            .iter()
            .map(|port| OutboxPort {
                name: port.name.clone(),
                protocol: port.protocol.clone(),
                app_protocol: port.app_protocol.clone(),
                port: port.port + 8_000,
            })
            .collect();
        let mut slices = Vec::new();
        for family in [Family::V4, Family::V6] {
            let of: Vec<_> =
                self.endpoints.values().filter(|e| Family::of(e.address) == family).collect();
            for (at, endpoints) in of.chunks(PER_SLICE).enumerate() {
                slices.push(OutboxSlice {
                    name: format!("{name}-{family:?}-{at}").to_lowercase().into(),
                    service: export_label(&name).into(),
                    family,
                    ports: Arc::clone(&ports),
                    endpoints: endpoints.iter().map(|endpoint| (*endpoint).clone()).collect(),
                });
            }
        }
        let ready = self.endpoints.values().filter(|endpoint| endpoint.is_ready).count();
        let spec = ExportedServiceSpec {
            digest: slices_digest(&slices),
            ready: u32::try_from(ready).expect("few"),
            ..self.spec.clone()
        };
        (ExportedService { name, spec }, slices)
    }
}

impl Exporter {
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            uid: format!("uid-{name}"),
            epoch: 1,
            exports: BTreeMap::new(),
            outbox: Contents::default(),
            told: Contents::default(),
            version: 1_000,
            wrong_digest: None,
            unexported: Vec::new(),
            beats: 0,
            left_out: BTreeSet::new(),
        }
    }

    /// Exports a Service with these addresses.
    pub fn export(&mut self, spec: ExportedServiceSpec, addresses: &[&str]) {
        let addresses: Vec<IpAddr> =
            addresses.iter().map(|address| address.parse().expect("an address")).collect();
        let name = format!("{}/{}", spec.namespace, spec.name);
        self.exports.insert(name, Export::new(spec, &addresses));
        self.write_all();
    }

    pub fn unexport(&mut self, service: &str) {
        self.exports.remove(service).expect("it is exported");
        self.write_all();
    }

    /// It states that the export of this Service was deleted that was made then.
    pub fn state_unexport(&mut self, service: &str, exported_at: &str) {
        let (namespace, name) = service.split_once('/').expect("namespace/name");
        self.unexported.push(Unexport {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            exported_at: exported_at.to_owned(),
        });
    }

    /// What the outbox should be.
    pub fn wanted(&self) -> Contents {
        let mut contents = Contents::default();
        for export in self.exports.values() {
            let (service, slices) = export.objects();
            contents.services.insert(service.name.clone(), service);
            contents
                .slices
                .extend(slices.into_iter().map(|slice| (Arc::clone(&slice.name), slice)));
        }
        contents
    }

    /// The exporter writes everything.
    pub fn write_all(&mut self) {
        self.outbox = self.wanted();
        self.version += 10;
    }

    /// The Lease as it is now: the exporter says what it wants the outbox to be.
    pub fn lease(&self) -> Heartbeat {
        let contents = self.wanted();
        let fingerprints: Vec<_> = contents
            .services
            .iter()
            .map(|(name, service)| export_fingerprint(name, &service.spec))
            .collect();
        let digest = outbox_digest(&fingerprints);
        let manifest = Manifest {
            cluster: self.name.to_string(),
            uid: self.uid.clone(),
            epoch: self.epoch,
            services: contents.services.len(),
            endpoints: contents.slices.values().map(|slice| slice.endpoints.len()).sum(),
            digest: self.wrong_digest.clone().unwrap_or(digest),
            regions: [("a".to_owned(), "eu".to_owned())].into(),
            cidrs: Vec::new(),
            version: "0.1.0".into(),
            unexported: self.unexported.clone(),
        };
        Heartbeat {
            version: self.version.to_string().into(),
            renewed: self.beats.to_string().into(),
            manifest: Ok(Arc::new(manifest)),
        }
    }

    /// It renews its Lease, and the watch says so.
    pub fn beat(&mut self) -> News {
        self.beats += 1;
        self.version += 1;
        self.news(OutboxNews::Heartbeat(Some(self.lease())))
    }

    pub fn news(&self, news: OutboxNews) -> News {
        News::Outbox { cluster: Arc::clone(&self.name), news }
    }

    pub fn fails(&self, failure: Option<Failure>) -> News {
        self.news(OutboxNews::Failing(failure))
    }

    /// The watches say what has changed.
    pub fn deliver(&mut self) -> Vec<News> {
        let services = changes(&self.told.services, &self.outbox.services, |service| &service.name);
        let slices = changes(&self.told.slices, &self.outbox.slices, |slice| &slice.name);
        self.told = self.outbox.clone();
        vec![
            self.news(OutboxNews::Services(Batch { changes: services, is_synced: true })),
            self.news(OutboxNews::Slices(Batch { changes: slices, is_synced: true })),
        ]
    }

    /// Whether the last list was whole, so that the watches after it are too.
    pub fn told_is_whole(&self) -> bool {
        self.left_out.is_empty()
    }

    /// The watches begin anew and list what the outbox holds, but for what is left out.
    pub fn list(&mut self, without: &BTreeSet<String>) -> Vec<News> {
        let mut shown = self.outbox.clone();
        shown.services.retain(|name, _| !without.contains(name));
        shown.slices.retain(|name, _| !without.contains(&**name));
        let services = shown.services.values().cloned().map(Change::Put).collect();
        let slices = shown.slices.values().cloned().map(Change::Put).collect();
        self.told = shown;
        self.left_out = without.clone();
        vec![
            self.news(OutboxNews::Restarted),
            self.news(OutboxNews::Services(Batch { changes: services, is_synced: true })),
            self.news(OutboxNews::Slices(Batch { changes: slices, is_synced: true })),
        ]
    }
}

/// What a watch says that has told one thing and finds another.
pub fn changes<K: Ord, T: Clone + PartialEq>(
    told: &BTreeMap<K, T>,
    now: &BTreeMap<K, T>,
    name: impl Fn(&T) -> &str,
) -> Vec<Change<T>> {
    let gone = told.iter().filter(|(key, _)| !now.contains_key(key)).map(|(_, object)| {
        Change::Remove(ObjectRef { namespace: OUTBOX.into(), name: name(object).into() })
    });
    let put = now.iter().filter(|(key, object)| told.get(key) != Some(object));
    gone.chain(put.map(|(_, object)| Change::Put(object.clone()))).collect()
}
