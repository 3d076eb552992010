//! What the importer costs with many clusters: `cargo run --release -p redirector-clusters --example fleet
//! [clusters] [services] [endpoints]`, 100, 100 and 10 unless said.
//!
//! All clusters export the same Services, as replicas of one fleet do. Printed are the time and the memory
//! of hearing everything, of one changed slice, and of 100 heartbeats a second.

#![expect(clippy::print_stdout, reason = "what it is for")]

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::{Duration, Instant},
};

use redirector_clusters::{
    api::{
        ExportedPort, ExportedService, ExportedServiceSpec, ExportedType, Heartbeat, Manifest,
        OutboxEndpoint, OutboxPort, OutboxSlice, export_fingerprint, export_name, outbox_digest,
        slices_digest,
    },
    import::{Found, Importer, Namespace, News, OutboxNews, OwnImport, Settings},
};
use redirector_core::Moment;
use redirector_kube::api::{Batch, Change, Family, Object as _, ObjectRef, RemoteCluster};
use serde_json::json;

/// The most that all of it may take, in MiB (MULTICLUSTER 11, statement 18).
const MOST_MIB: usize = 300;
/// Changed slices that are timed.
const CHANGES: u32 = 1_000;

struct Outbox {
    name: Arc<str>,
    services: BTreeMap<String, ExportedService>,
    slices: Vec<OutboxSlice>,
    /// Of the manifest.
    digest: String,
    beats: u64,
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse().expect("a number"));
    let clusters: usize = arguments.next().unwrap_or(100);
    let services: usize = arguments.next().unwrap_or(100);
    let endpoints: usize = arguments.next().unwrap_or(10);
    assert!(clusters <= 200 && services * endpoints < 65_000, "addresses are 10.<cluster>.x.x");
    let mut outboxes: Vec<Outbox> =
        (0..clusters).map(|number| Outbox::new(number, services, endpoints)).collect();
    println!("{clusters} clusters x {services} services x {endpoints} endpoints");
    println!("  what is told, itself: {} MiB", resident_mib());
    let before = resident_mib();

    let mut now = Duration::from_secs(1_000);
    let mut importer = importer(&outboxes);
    let begun = Instant::now();
    for outbox in &outboxes {
        importer.take(outbox.news(OutboxNews::Services(outbox.services())));
        importer.take(outbox.news(OutboxNews::Slices(outbox.slices())));
        importer.tick(Moment(now));
    }
    println!("  heard in {} ms", begun.elapsed().as_millis());
    let begun = Instant::now();
    for _ in 0..5 {
        now += Duration::from_secs(1);
        beat(&mut importer, &mut outboxes, now);
    }
    let desired = importer.desired().objects.len();
    let imports = imports(&importer);
    importer.take(News::Imports(imports));
    importer.tick(Moment(now));
    let objects = importer.desired().objects.len();
    println!(
        "  live in {} ms of work; {desired} imports, {objects} objects",
        begun.elapsed().as_millis()
    );
    assert_eq!(objects, services + clusters * services * endpoints.div_ceil(100));
    importer.take_changes();
    let taken = resident_mib() - before;
    println!("  the importer: {taken} MiB resident");

    let begun = Instant::now();
    for number in 0..CHANGES {
        let outbox = &mut outboxes[number as usize % clusters];
        let at = number as usize / clusters % outbox.slices.len();
        importer.take(outbox.change(at));
        importer.tick(Moment(now));
        let changes = importer.take_changes().objects.len();
        assert_eq!(changes, 1, "one changed slice makes one slice");
    }
    let each = begun.elapsed() / CHANGES;
    println!(
        "  a changed slice: {} us; at 50/s {:.2} % of a core",
        each.as_micros(),
        5e3 * each.as_secs_f64()
    );
    let begun = Instant::now();
    for _ in 0..10 {
        now += Duration::from_secs(1);
        beat(&mut importer, &mut outboxes, now);
    }
    let second = begun.elapsed() / 10;
    println!("  {clusters} heartbeats a second: {:.2} % of a core", 100.0 * second.as_secs_f64());
    let peak = status_mib("VmHWM:");
    println!("  at most {peak} MiB in all, of which {before} before");
    assert!(taken <= MOST_MIB, "more than {MOST_MIB} MiB");
}

/// An importer that knows its own cluster, and whom it has joined.
fn importer(outboxes: &[Outbox]) -> Importer {
    let mut importer = Importer::new(Settings {
        cluster: "own".into(),
        uid: None,
        cluster_set_ips: false,
        divide_timeouts: 1,
    });
    importer.take(News::Found(Found::default()));
    importer.take(News::Nodes(Batch { changes: Vec::new(), is_synced: true }));
    importer.take(News::Services(Batch { changes: Vec::new(), is_synced: true }));
    importer.take(News::Imports(Batch { changes: Vec::new(), is_synced: true }));
    let shop = Namespace { name: "shop".into(), labels: BTreeMap::new(), is_leaving: false };
    importer.take(News::Namespaces(Batch { changes: vec![Change::Put(shop)], is_synced: true }));
    let clusters = outboxes.iter().enumerate().map(|(number, outbox)| {
        let object = json!({
            "metadata": {"name": outbox.name, "uid": outbox.name, "generation": 1},
            "spec": {
                "server": "https://api.example:6443",
                "credentials": {"secretName": "x"},
                "cidrs": [format!("10.{number}.0.0/16")],
                "encryption": {"mode": "Off"},
            },
        });
        Change::Put(RemoteCluster::decode(object.to_string().as_bytes()).expect("a RemoteCluster"))
    });
    importer.take(News::RemoteClusters(Batch { changes: clusters.collect(), is_synced: true }));
    importer
}

/// The ServiceImports that are desired, as the API server says them once they are written.
fn imports(importer: &Importer) -> Batch<OwnImport> {
    let import = |name: &redirector_clusters::import::DesiredRef| {
        let object = ObjectRef { namespace: name.namespace.clone(), name: name.name.clone() };
        Change::Put(OwnImport { object, uid: "u".into(), is_ours: true })
    };
    Batch { changes: importer.desired().objects.keys().map(import).collect(), is_synced: true }
}

/// Every cluster renews its Lease.
fn beat(importer: &mut Importer, outboxes: &mut [Outbox], now: Duration) {
    for outbox in outboxes {
        let news = outbox.beat();
        importer.take(news);
        importer.tick(Moment(now));
    }
}

impl Outbox {
    fn new(number: usize, services: usize, endpoints: usize) -> Self {
        let mut outbox = Self {
            name: format!("c-{number}").into(),
            services: BTreeMap::new(),
            slices: Vec::new(),
            digest: String::new(),
            beats: 0,
        };
        let mut next = u32::from(Ipv4Addr::new(10, u8::try_from(number).expect("few"), 0, 0));
        for service in 0..services {
            let name = format!("web-{service}");
            let first = outbox.slices.len();
            for part in 0..endpoints.div_ceil(100) {
                let count = (endpoints - part * 100).min(100);
                let addresses = (0..count).map(|_| {
                    next += 1;
                    IpAddr::from(Ipv4Addr::from(next))
                });
                outbox.slices.push(slice(&name, part, addresses));
            }
            let digest = slices_digest(&outbox.slices[first..]);
            let export = export_name("shop", &name);
            let ready = u32::try_from(endpoints).expect("few");
            let spec = spec(&name, ready, digest);
            outbox.services.insert(export.clone(), ExportedService { name: export, spec });
        }
        let each = outbox.services.iter();
        let fingerprints: Vec<_> =
            each.map(|(name, service)| export_fingerprint(name, &service.spec)).collect();
        outbox.digest = outbox_digest(&fingerprints);
        outbox
    }

    fn news(&self, news: OutboxNews) -> News {
        News::Outbox { cluster: Arc::clone(&self.name), news }
    }

    fn services(&self) -> Batch<ExportedService> {
        let changes = self.services.values().cloned().map(Change::Put).collect();
        Batch { changes, is_synced: true }
    }

    fn slices(&self) -> Batch<OutboxSlice> {
        Batch { changes: self.slices.iter().cloned().map(Change::Put).collect(), is_synced: true }
    }

    /// An endpoint becomes ready or unready.
    fn change(&mut self, at: usize) -> News {
        let slice = &mut self.slices[at];
        let mut endpoints = slice.endpoints.to_vec();
        endpoints[0].is_ready = !endpoints[0].is_ready;
        slice.endpoints = endpoints.into();
        let changes = vec![Change::Put(slice.clone())];
        self.news(OutboxNews::Slices(Batch { changes, is_synced: true }))
    }

    fn beat(&mut self) -> News {
        self.beats += 1;
        let manifest = Manifest {
            cluster: self.name.to_string(),
            uid: format!("uid-{}", self.name),
            epoch: 1,
            digest: self.digest.clone(),
            regions: [("a".to_owned(), "eu".to_owned())].into(),
            ..Manifest::default()
        };
        let heartbeat = Heartbeat {
            version: self.beats.to_string().into(),
            renewed: self.beats.to_string().into(),
            manifest: Ok(Arc::new(manifest)),
        };
        self.news(OutboxNews::Heartbeat(Some(heartbeat)))
    }
}

fn slice(service: &str, part: usize, addresses: impl Iterator<Item = IpAddr>) -> OutboxSlice {
    let port =
        OutboxPort { name: "http".into(), protocol: "TCP".into(), app_protocol: None, port: 8080 };
    let endpoint = |(at, address)| OutboxEndpoint {
        address,
        is_ready: true,
        is_serving: true,
        is_terminating: false,
        node: Some(format!("worker-{at}.example").into()),
        zone: Some("a".into()),
        hostname: None,
    };
    OutboxSlice {
        name: format!("{service}-{part}").into(),
        service: export_name("shop", service).into(),
        family: Family::V4,
        ports: [port].into(),
        endpoints: addresses.enumerate().map(endpoint).collect(),
    }
}

fn spec(name: &str, ready: u32, digest: String) -> ExportedServiceSpec {
    let port =
        ExportedPort { name: "http".into(), protocol: "TCP".into(), app_protocol: None, port: 80 };
    ExportedServiceSpec {
        namespace: "shop".into(),
        name: name.into(),
        exported_at: "2026-11-30T22:00:00Z".into(),
        kind: ExportedType::ClusterSetIp,
        ports: vec![port],
        session_affinity: None,
        affinity_seconds: None,
        internal_traffic_policy: None,
        traffic_distribution: None,
        ip_families: vec!["IPv4".into()],
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        weight: 100,
        ready,
        gateways: Vec::new(),
        digest,
    }
}

/// Resident memory of this process, in MiB.
fn resident_mib() -> usize {
    status_mib("VmRSS:")
}

fn status_mib(field: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("proc is mounted");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("a figure");
    let kib: usize = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib / 1024
}
