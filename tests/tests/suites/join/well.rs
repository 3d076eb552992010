//! Two clusters that are joined and well: an outbox that is whole, a heart that beats, endpoints that
//! accept connections. All in one network namespace, so that ways can be made worse.

use std::{
    collections::BTreeMap,
    net::TcpListener,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use redirector_clusters::api::{
    ExportedPort, ExportedServiceSpec, ExportedType, Manifest, OutboxSlice, export_fingerprint,
    outbox_digest, slices_digest,
};
use redirector_kube::api::Object as _;
use redirector_tests::{api::Options, netns::Netns};
use serde_json::{Value, json};

use super::fixture::{Ended, World};

/// How often the exporter of west shows that it lives; a fifth of the real time.
const BEAT: Duration = Duration::from_millis(200);
/// The endpoints of `shop/web` in west, by the type of their slice.
const ENDPOINTS: [(&str, [&str; 2]); 2] =
    [("IPv4", ["10.2.0.7", "10.2.0.8"]), ("IPv6", ["fd00:2::7", "fd00:2::8"])];

/// East has joined west.
pub struct Well {
    pub world: World,
    pub netns: Netns,
    /// What accepts connections at the endpoints.
    pub listeners: Vec<TcpListener>,
    /// Whether the exporter of west lives.
    pub beats: bool,
}

impl Well {
    pub fn new() -> Self {
        let netns = Netns::new().expect("a network namespace");
        let addresses = || ENDPOINTS.iter().flat_map(|(_, addresses)| addresses);
        for address in addresses() {
            // A socket cannot bind to an address that may yet be another host's.
            let nodad = if address.contains(':') { "nodad" } else { "" };
            netns.ip(&format!("addr add {address} dev lo {nodad}")).expect("an address");
        }
        let listen = |address: &&str| TcpListener::bind((*address, 8080)).expect("a listener");
        let listeners = netns.run(|| addresses().map(listen).collect());
        let world = World::with(&Options { netns: Some(netns.clone()), ..Options::default() });
        export(&world);
        world.join_west(&["--cidr", "fd00:2::/48"]).good();
        let east = world.api("east");
        for namespace in ["shop", "redirector-system"] {
            let object =
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
            east.put(object).expect("a namespace");
        }
        east.put(policy(&["west"])).expect("a policy");
        Self { world, netns, listeners, beats: true }
    }

    /// Runs a command while west's exporter renews its Lease, and east's importer its own.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        let ended = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                for beat in 0_u64.. {
                    if ended.load(Ordering::Relaxed) {
                        break;
                    }
                    if self.beats {
                        let renewed = json!({"spec": {"renewTime": format!("2026-11-30T00:00:00.{beat:06}Z")}});
                        let west = self.world.api("west");
                        west.patch("leases", "redirector-exports", "redirector-heartbeat", renewed)
                            .expect("a Lease");
                    }
                    thread::sleep(BEAT);
                }
            });
            let outcome = self.world.run(arguments);
            ended.store(true, Ordering::Relaxed);
            outcome
        })
    }

    /// The findings of `check west`, and its exit code.
    pub fn check(&self, further: &[&str]) -> (Vec<Value>, i32) {
        let arguments = [&["check", "west", "--context", "east", "-o", "json"], further].concat();
        let ended = self.run(&arguments);
        assert!(matches!(ended.code, 0 | 1) && ended.stderr.is_empty(), "{ended:?}");
        let findings = ended.json()["findings"].as_array().cloned().expect("findings");
        (findings, ended.code)
    }
}

/// A policy of `shop/web` with a tier of these clusters.
pub fn policy(clusters: &[&str]) -> Value {
    json!({
        "apiVersion": "redirector.dev/v1alpha1", "kind": "FailoverPolicy",
        "metadata": {"namespace": "shop", "name": "web"},
        "spec": {"targetRefs": [{"kind": "Service", "name": "web"}],
                 "tiers": [{"name": "there", "clusters": clusters}]},
    })
}

/// What west's exporter would have written of `shop/web`.
fn export(world: &World) {
    let west = world.api("west");
    let slices = ENDPOINTS.map(|(family, addresses)| {
        let endpoints =
            addresses.map(|address| json!({"addresses": [address], "conditions": {"ready": true}}));
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": format!("web-{}", family.to_lowercase()),
                         "namespace": "redirector-exports",
                         "labels": {"redirector.dev/exported-service": "shop.web"}},
            "addressType": family, "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
            "endpoints": endpoints,
        });
        let slice = west.put(slice).expect("a slice");
        OutboxSlice::decode(slice.to_string().as_bytes()).expect("a slice")
    });
    let spec = ExportedServiceSpec {
        namespace: "shop".into(),
        name: "web".into(),
        exported_at: "2026-11-30T00:00:00Z".into(),
        kind: ExportedType::ClusterSetIp,
        ports: vec![ExportedPort {
            name: "http".into(),
            protocol: "TCP".into(),
            app_protocol: None,
            port: 80,
        }],
        session_affinity: None,
        affinity_seconds: None,
        internal_traffic_policy: None,
        traffic_distribution: None,
        ip_families: vec!["IPv4".into(), "IPv6".into()],
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        weight: 100,
        ready: 4,
        gateways: Vec::new(),
        digest: slices_digest(&slices),
    };
    let system = west.get("namespaces", "", "kube-system").expect("a namespace");
    let manifest = Manifest {
        cluster: "west".into(),
        uid: system["metadata"]["uid"].as_str().expect("a uid").into(),
        epoch: 1,
        services: 1,
        endpoints: 4,
        digest: outbox_digest(&[export_fingerprint("shop.web", &spec)]),
        version: "0.1.0".into(),
        ..Manifest::default()
    };
    let object = |api_version: &str, kind: &str, metadata: Value, spec: Value| json!({"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec});
    let metadata = json!({"name": "shop.web", "namespace": "redirector-exports"});
    west.put(object("redirector.dev/v1alpha1", "ExportedService", metadata, json!(spec)))
        .expect("an ExportedService");
    let metadata = json!({"name": "redirector-heartbeat", "namespace": "redirector-exports",
                          "annotations": manifest.annotations()});
    west.put(object("coordination.k8s.io/v1", "Lease", metadata, json!({}))).expect("a Lease");
}
