//! Services, loads and questions that all of these tests need.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use redirector_tests::{
    agent::Agent,
    api::{self, builders},
    cluster::{Cluster, Options},
    dialer::{Dial, Line, Load, LoadRun},
};
use serde_json::{Value, json};

/// Every time of the agent towards the API server is a tenth of the real one.
pub(crate) const FAST: [&str; 2] = ["--divide-timeouts", "10"];
/// Small maps are soon read.
pub(crate) const SMALL: [&str; 6] =
    ["--max-slots", "8192", "--max-backends", "512", "--max-services", "256"];
const LONGEST: Duration = Duration::from_secs(120);

/// With bookmarks often enough for tests that wait for what they lead to.
pub(crate) fn options(replicas: u8, arguments: &[&str]) -> Options {
    let arguments = SMALL.iter().chain(arguments).map(|text| (*text).to_owned()).collect();
    let api = api::Options { bookmarks: Duration::from_secs(1), ..api::Options::default() };
    Options { replicas, arguments, api }
}

/// A labelled Service of one TCP port, 80.
pub(crate) fn service(name: &str, address: &str) -> builders::Service {
    builders::Service::redirected("shop", name, address)
}

/// Probes by TCP, as soon as possible.
pub(crate) fn policy(service: &str) -> builders::FailoverPolicy {
    let spec = format!(
        "targetRefs: [{{kind: Service, name: {service}}}]\n\
         probe: {{tcp: {{}}, interval: 200ms, timeout: 200ms, unhealthy: 2, healthy: 2}}\n"
    );
    builders::FailoverPolicy::new("shop", service, &spec)
}

/// The definition of policies, as far as the fake server looks at it.
pub(crate) fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "failoverpolicies.redirector.dev"}, "spec": {"names": {}},
    })
}

/// Dials until it is stopped.
pub(crate) fn load<S>(cluster: &Cluster<S>, address: &str, rate: u32) -> LoadRun {
    let dial = Dial::tcp(address.parse().expect("an address"));
    let load = Load { dial, rate, threads: 4, duration_ms: None, every: false };
    cluster.client().expect("a client").load(load).expect("a load")
}

/// Ends a load in which nothing may have failed; returns how many dials each replica answered.
pub(crate) fn none_failed(what: &str, load: LoadRun) -> BTreeMap<String, u64> {
    let (lines, sums) = load.stop().expect("the load's end");
    let failed: Vec<_> = lines.iter().filter(|line| matches!(line, Line::Dialled(_))).collect();
    assert_eq!(sums.failed, 0, "{what}: of {} dials failed: {failed:#?}", sums.dials);
    assert!(sums.dials > 0, "{what}: nothing was dialled");
    sums.by
}

/// What each backend of a Service has against it, by address; backends of both families.
pub(crate) fn objections<S>(cluster: &Cluster<S>, service: &str) -> BTreeMap<String, Vec<Value>> {
    let dump = cluster.dump().expect("a dump");
    let services = dump["services"].as_array().into_iter().flatten();
    let backends = services
        .filter(|found| found["name"] == service)
        .flat_map(|found| found["tiers"].as_array().into_iter().flatten())
        .flat_map(|tier| tier["backends"].as_array().into_iter().flatten());
    let pairs = backends.map(|backend| {
        let objections = backend["objections"].as_array().cloned().unwrap_or_default();
        (backend["address"].as_str().unwrap_or_default().to_owned(), objections)
    });
    pairs.collect()
}

/// Whether a backend gets no new connections.
pub(crate) fn is_ejected(cluster: &Cluster, service: &str, address: &str) -> bool {
    objections(cluster, service).get(address).is_some_and(|objections| !objections.is_empty())
}

/// Polls until it is so; returns how long that took.
pub(crate) fn until<S>(cluster: &Cluster<S>, what: &str, is_so: impl FnMut() -> bool) -> Duration {
    until_of(&cluster.agent, what, is_so)
}

/// The same, where the cluster cannot be lent.
pub(crate) fn until_of(agent: &Agent, what: &str, mut is_so: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < LONGEST, "in vain: {what}\n{}", agent.log());
        thread::sleep(Duration::from_millis(5));
    }
    begun.elapsed()
}

/// What answers one dial, or nobody.
pub(crate) fn answer(cluster: &Cluster, address: &str) -> Option<String> {
    cluster.dial(address, 1).expect("a dial").remove(0).outcome.ok()
}

/// One of the programs' counters.
pub(crate) fn counter(cluster: &Cluster, reason: &str) -> u64 {
    cluster.dump().expect("a dump")["counters"][reason].as_u64().unwrap_or(0)
}

/// Whether the agent says that it is ready.
pub(crate) fn assert_ready(cluster: &Cluster) {
    let (status, text) = cluster.agent.get("/readyz").expect("an answer");
    assert_eq!(status, 200, "/readyz: {text}\n{}", cluster.agent.log());
}

/// Gives the client's node a Service address and lets `kube-proxy` answer there, so that a dial
/// that is left alone is seen.
pub(crate) fn kube_proxy(cluster: &Cluster, address: &str) -> redirector_tests::replica::Replica {
    let address: SocketAddr = address.parse().expect("an address");
    let netns = cluster.lab.node("client").netns();
    netns.ip(&format!("addr add {}/32 dev lo", address.ip())).expect("an address on lo");
    redirector_tests::replica::Replica::start(netns, "kube-proxy", &[address]).expect("a listener")
}
