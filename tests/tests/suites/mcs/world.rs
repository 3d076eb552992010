//! Clusters that exchange everything, and what a case asks of them.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use redirector_tests::{
    api::{Api, builders},
    dialer::Dial,
    fleet::{Fleet, Member, NAMESPACE, PORT, Setup, export},
    size::sized,
    wait::wait_within,
};
use serde_json::{Value, json};

/// What conformance waits for is 20 s and more; ours is quicker.
const LONGEST: Duration = Duration::from_secs(10);

pub struct World {
    fleet: Fleet,
}

impl World {
    /// Every cluster reads every other one's outbox.
    pub fn new(clusters: usize) -> Self {
        let setup = Setup { clusters, replicas: 1, ..Setup::default() };
        let fleet = Fleet::joined(&setup, &[], |_| ()).expect("a fleet");
        Self { fleet }
    }

    pub fn context(&self) -> String {
        self.fleet.context()
    }

    pub fn all(&self) -> &[Member] {
        &self.fleet.members
    }

    /// East, where most cases export from.
    pub fn first(&self) -> &Member {
        &self.fleet.members[0]
    }

    pub fn second(&self) -> &Member {
        &self.fleet.members[1]
    }

    /// Takes away what a case has made, everywhere.
    pub fn clean(&self, service: &str) {
        for member in self.all() {
            for resource in ["serviceexports", "services"] {
                // A case may have made none here, or have taken it away itself.
                let _ = member.api.delete(resource, NAMESPACE, service);
            }
            let slice = format!("{service}-v4");
            let _ = member.api.delete("endpointslices", NAMESPACE, &slice);
        }
        self.until("no import is left", || {
            self.all().iter().all(|member| import(member, service).is_none())
        });
    }

    pub fn until(&self, what: &str, is_so: impl FnMut() -> bool) {
        wait_within(LONGEST, what, is_so, || self.context());
    }

    /// It is so, and stays so for a while.
    pub fn always(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(sized(5_000, 500)) {
            assert!(is_so(), "{what}\n{}", self.context());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for the import in every cluster, and returns them.
    pub fn imports(&self, service: &str, is_so: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut found = Vec::new();
        self.until(&format!("the imports of {service}"), || {
            found = self.all().iter().filter_map(|member| import(member, service)).collect();
            found.len() == self.all().len() && found.iter().all(&is_so)
        });
        found
    }

    /// Waits for a condition of the export in that cluster. The message.
    pub fn exported(&self, member: &Member, service: &str, kind: &str, status: &str) -> String {
        let mut message = String::new();
        self.until(&format!("{kind}={status} of {service} in {}", member.name), || {
            let found = member.api.get("serviceexports", NAMESPACE, service);
            let found = found.unwrap_or_default();
            let mut all = found["status"]["conditions"].as_array().into_iter().flatten();
            let Some(found) = all.find(|condition| condition["type"] == kind) else { return false };
            message = found["message"].as_str().unwrap_or_default().to_owned();
            found["status"] == status
        });
        message
    }

    /// Which clusters answer what an application in `member` dials by the clusterset address.
    pub fn answers(&self, member: &Member, service: &str, port: &str) -> BTreeSet<String> {
        let mut client = self.fleet.client();
        let chosen = chosen(member, service, port);
        let dial = |address| {
            let dialled = client.dial(Dial { timeout_ms: 1_000, ..Dial::tcp(address) }, 1);
            let answer = dialled.expect("a dial").remove(0).outcome.expect("an answer");
            answer.split('-').next().unwrap_or_default().to_owned()
        };
        chosen.into_iter().map(dial).collect()
    }
}

/// The import of a Service in a cluster.
pub fn import(member: &Member, service: &str) -> Option<Value> {
    member.api.get("serviceimports", NAMESPACE, service)
}

/// A Service with a selector and these ports, and one ready replica behind each.
pub fn serve(member: &Member, service: &str, ports: &[(&str, u16)], fields: &Value) {
    let object = builders::Service::new(NAMESPACE, service);
    let object = ports.iter().fold(object, |object, (name, port)| object.port(name, "TCP", *port));
    let mut object = Value::from(object.spec("selector", json!({"app": service})));
    for (field, value) in fields.as_object().into_iter().flatten() {
        object["spec"][field] = value.clone();
    }
    member.api.put(object).expect("a Service");
    let slice = builders::EndpointSlice::new(NAMESPACE, &format!("{service}-v4"), service);
    let slice = ports.iter().fold(slice, |slice, (name, _)| slice.port(name, "TCP", PORT));
    let slice = slice.endpoint(member.endpoint(0, 1).ready(true));
    member.api.put(slice).expect("a slice");
}

/// Exports it; of several exports the one of the lower `age` is the older one.
pub fn share(member: &Member, service: &str, age: u8, fields: &Value) {
    let mut object = export(service);
    object["metadata"]["creationTimestamp"] = json!(format!("2026-01-{:02}T00:00:00Z", age + 1));
    if !fields.is_null() {
        object["spec"] = fields.clone();
    }
    member.api.put(object).expect("a ServiceExport");
}

/// The derived Service of an import.
pub fn derived(api: &Api, service: &str) -> Option<String> {
    let found = api.get("serviceimports", NAMESPACE, service)?;
    let name = &found["metadata"]["annotations"]["multicluster.kubernetes.io/derived-service"];
    name.as_str().map(str::to_owned)
}

/// What kube-proxy of that cluster chooses from for a port of the derived Service.
pub fn chosen(member: &Member, service: &str, port: &str) -> BTreeSet<SocketAddr> {
    let Some(derived) = derived(&member.api, service) else { return BTreeSet::new() };
    let all = member.api.list("endpointslices");
    let is_its = |slice: &&Value| {
        let labels = &slice["metadata"]["labels"];
        slice["metadata"]["namespace"] == NAMESPACE
            && labels["kubernetes.io/service-name"] == derived.as_str()
            && labels["service.kubernetes.io/service-proxy-name"].is_null()
    };
    let endpoints = |slice: &Value| {
        let ports = slice["ports"].as_array().into_iter().flatten();
        let number = ports.filter(|found| found["name"] == port).find_map(|it| it["port"].as_u64());
        let number = number.and_then(|number| u16::try_from(number).ok());
        let ready = slice["endpoints"].as_array().cloned().unwrap_or_default();
        let ready = ready.into_iter().filter(|one| one["conditions"]["ready"] != false);
        let addresses = ready.filter_map(|one| one["addresses"][0].as_str()?.parse().ok());
        addresses.filter_map(move |ip| Some(SocketAddr::new(ip, number?))).collect::<Vec<_>>()
    };
    all.iter().filter(is_its).flat_map(endpoints).collect()
}

/// Slices of another cluster's endpoints of that Service.
pub fn slices(member: &Member, service: &str) -> Vec<Value> {
    let all = member.api.list("endpointslices").into_iter();
    let is_its = |slice: &Value| {
        slice["metadata"]["labels"]["multicluster.kubernetes.io/service-name"] == service
    };
    all.filter(is_its).collect()
}
