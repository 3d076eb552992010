//! What is said back to the API, against a small server with faults.

#![expect(clippy::print_stdout, reason = "the seed of a random test")]

mod events;
mod owner;
mod server;
mod statuses;

use std::time::{Duration, Instant};

use redirector_kube::report::{Handle, Identity, LEASE, Reporter, Stats, Timing, owner::OwnerRef};
use serde_json::json;

use self::server::Server;

/// All intervals are a fifth of the real ones.
const DIVISOR: u32 = 5;

/// A reporter that runs until it is dropped.
struct Agent {
    handle: Handle,
    task: tokio::task::JoinHandle<()>,
}

impl Agent {
    async fn new(server: &Server, node: &str) -> Self {
        let identity = Identity { node: node.into(), namespace: "redirector".into() };
        let client = server.client().await;
        // Events are named by the interval of this length in which they began: none ends in a test.
        let series = Duration::from_hours(24 * 365 * 100);
        let repeats = Duration::from_millis(200);
        let timing = Timing { series, repeats, ..Timing::default().divided(DIVISOR) };
        let (reporter, handle) = Reporter::with_timing(client, identity, timing);
        let task = tokio::spawn(async move {
            reporter.run().await;
        });
        Self { handle, task }
    }

    fn stats(&self) -> std::sync::Arc<Stats> {
        self.handle.stats()
    }

    async fn leads(&self) {
        let stats = self.stats();
        until("it leads", || stats.is_leader.load(std::sync::atomic::Ordering::Relaxed)).await;
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Polls until it holds, for at most 30 s.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "not within 30 s: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn lease_path() -> String {
    format!("/apis/coordination.k8s.io/v1/namespaces/redirector/leases/{LEASE}")
}

/// A Lease that its last holder released: the next candidate need not wait.
fn released(server: &Server) {
    let lease = json!({
        "metadata": { "name": LEASE, "namespace": "redirector", "labels": { "a": "b" } },
        "spec": { "holderIdentity": "" },
    });
    server.put(&lease_path(), lease);
}

/// Writes that are not the reporter's business.
fn foreign_writes(server: &Server) -> Vec<String> {
    let log = server.state().log.clone();
    let is_allowed = |method: &str, path: &str| {
        method == "GET"
            || path.starts_with("/apis/events.k8s.io/v1/namespaces/")
            || path.starts_with("/apis/coordination.k8s.io/v1/namespaces/redirector/leases")
            || (method == "PATCH"
                && path.contains("/failoverpolicies/")
                && path.contains("/status?"))
    };
    let is_foreign = |asked: &&server::Asked| !is_allowed(&asked.method, &asked.path);
    log.iter().filter(is_foreign).map(|asked| format!("{} {}", asked.method, asked.path)).collect()
}

#[tokio::test]
async fn one_of_three_leads_and_another_one_takes_over_with_the_lease_kept_whole() {
    let server = Server::new().await;
    released(&server);
    let mut agents = Vec::new();
    for node in ["n1", "n2", "n3"] {
        agents.push(Agent::new(&server, node).await);
    }
    let leading = |agents: &[Agent]| {
        let leads =
            |agent: &Agent| agent.stats().is_leader.load(std::sync::atomic::Ordering::Relaxed);
        agents.iter().filter(|agent| leads(agent)).count()
    };
    until("somebody leads", || leading(&agents) == 1).await;
    let leader = |agents: &[Agent]| {
        agents
            .iter()
            .position(|agent| agent.stats().is_leader.load(std::sync::atomic::Ordering::Relaxed))
    };
    let first = leader(&agents).expect("somebody leads");
    drop(agents.remove(first));
    assert_eq!(leading(&agents), 0, "two led");
    until("another one leads", || leading(&agents) == 1).await;
    let lease = server.state().objects[&lease_path()].clone();
    assert_eq!(lease["metadata"]["labels"]["a"], "b", "{lease}");
    assert_eq!(lease["spec"]["leaseTransitions"], 2, "{lease}");
    assert_eq!(lease["spec"]["leaseDurationSeconds"], 3, "{lease}");
    assert_eq!(foreign_writes(&server), Vec::<String>::new());
}

#[tokio::test]
async fn a_lease_that_is_missing_is_created() {
    let server = Server::new().await;
    let agent = Agent::new(&server, "n1").await;
    agent.leads().await;
    let lease = server.state().objects[&lease_path()].clone();
    assert_eq!(lease["spec"]["holderIdentity"], "n1", "{lease}");
}

#[tokio::test]
async fn the_lease_goes_with_the_daemonset_and_keeps_other_owners() {
    let server = Server::new().await;
    let reference = |kind: &str, uid: &str| json!({ "apiVersion": "apps/v1", "kind": kind, "name": "redirector", "uid": uid });
    let earlier = [reference("DaemonSet", "u0"), reference("Other", "u9")];
    let lease = json!({
        "metadata": { "name": LEASE, "namespace": "redirector", "ownerReferences": earlier },
        "spec": { "holderIdentity": "" },
    });
    server.put(&lease_path(), lease);
    let owners = || server.state().objects[&lease_path()]["metadata"]["ownerReferences"].clone();
    let agent = Agent::new(&server, "n1").await;
    agent.leads().await;
    assert_eq!(owners(), json!(earlier), "the agent does not know its DaemonSet yet");
    let known = OwnerRef {
        name: "redirector".to_owned(),
        uid: "u1".to_owned(),
        nodes: 1,
        pod_addresses: Vec::new(),
    };
    agent.handle.set_owner(&known);
    let now = json!([reference("Other", "u9"), reference("DaemonSet", "u1")]);
    until("the Lease is the DaemonSet's", || owners() == now).await;
}
