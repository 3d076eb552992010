//! Services, loads and questions that all of these tests need.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use redirector_tests::{
    agent::Agent,
    api::{self, builders},
    cluster::{Cluster, Options},
    dialer::{Dial, Line, Load, LoadRun},
    fixture::SMALL,
    replica::Replica,
    tables,
    wait::wait_within,
};
use serde_json::{Value, json};

/// Every time of the agent towards the API server is a tenth of the real one.
pub(crate) const FAST: [&str; 2] = ["--divide-timeouts", "10"];
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
    cluster.client().and_then(|client| client.load(Load::new(dial, rate))).expect("a load")
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
pub(crate) fn objections<S>(cluster: &Cluster<S>, service: &str) -> BTreeMap<String, Vec<String>> {
    let dump = cluster.agent.dump();
    let services = tables::services(&dump).filter(|found| found["name"] == service);
    let pairs = services.flat_map(tables::backends_of).map(|backend| {
        (backend["address"].as_str().unwrap_or_default().to_owned(), tables::objections(backend))
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
pub(crate) fn until_of(agent: &Agent, what: &str, is_so: impl FnMut() -> bool) -> Duration {
    wait_within(LONGEST, what, is_so, || agent.log())
}

/// What answers one dial, or nobody.
pub(crate) fn answer(cluster: &Cluster, address: &str) -> Option<String> {
    cluster.dial(address, 1).expect("a dial").remove(0).outcome.ok()
}

/// Whether the agent says that it is ready.
pub(crate) fn assert_ready(cluster: &Cluster) {
    let (status, text) = cluster.agent.get("/readyz").expect("an answer");
    assert_eq!(status, 200, "/readyz: {text}\n{}", cluster.agent.log());
}

/// Gives the client's node a Service address and lets `kube-proxy` answer there, so that a dial
/// that is left alone is seen.
pub(crate) fn kube_proxy(cluster: &Cluster, address: &str) -> Replica {
    let address: SocketAddr = address.parse().expect("an address");
    let netns = cluster.lab.node("client").netns();
    netns.ip(&format!("addr add {}/32 dev lo", address.ip())).expect("an address on lo");
    Replica::start(netns, "kube-proxy", &[address]).expect("a listener")
}
