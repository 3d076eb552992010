//! What is asked of an agent whose API server is being operated on, a fake or a real one.

use std::time::Duration;

use anyhow::Result;
use redirector_tests::{
    api::Server,
    cluster::{Cluster, slice},
    dialer::LoadRun,
    tables,
};

use super::fixture::{load, none_failed, objections, policy, service, until};

/// What the agent watches.
pub(crate) const KINDS: [&str; 4] = ["services", "endpointslices", "failoverpolicies", "nodes"];

/// A cluster with two Services, a policy and a load, all of it heard.
pub(crate) struct Fixture<S> {
    load: LoadRun,
    pub(crate) cluster: Cluster<S>,
}

/// What [`Fixture`] begins with, but for the definition of policies.
pub(crate) fn prepare(api: &impl Server) -> Result<()> {
    api.put(service("web", "10.96.0.10"))?;
    api.put(slice("web", "", &[1]))?;
    api.put(refusing())?;
    api.put(service("other", "10.96.0.11"))?;
    api.put(slice("other", "", &[2]))
}

/// The policy of `shop/web`.
pub(crate) fn refusing() -> serde_json::Value {
    let mut policy: serde_json::Value = policy("web").into();
    policy["spec"]["allDown"] = "Refuse".into();
    policy
}

impl<S: Server> Fixture<S> {
    /// Of a cluster that has been [`prepare`]d, with two replicas.
    pub(crate) fn new(cluster: Cluster<S>) -> Self {
        cluster.wait_for(&[("shop/other", 1), ("shop/web", 1)]);
        let load = load(&cluster, "10.96.0.10:80", 100);
        let site = Self { load, cluster };
        until(&site.cluster, "the policy", || site.all_down() == "refuse");
        site.cluster.api.forget_requests().expect("a log");
        site
    }

    pub(crate) fn until_backends(&self, count: usize) -> Duration {
        until(&self.cluster, "the backends of shop/web", || {
            objections(&self.cluster, "shop/web").len() == count
        })
    }

    pub(crate) fn until_services(&self, wanted: &[&str]) {
        until(&self.cluster, "the Services", || {
            let dump = self.cluster.agent.dump();
            let services = tables::services(&dump);
            services.filter_map(|service| service["name"].as_str()).eq(wanted.iter().copied())
        });
    }

    /// What the kernel does with `shop/web` when nobody is healthy.
    pub(crate) fn all_down(&self) -> String {
        let dump = self.cluster.agent.dump();
        let web = tables::services(&dump)
            .find(|service| service["name"] == "shop/web")
            .expect("shop/web");
        web["all_down"].as_str().unwrap_or_default().to_lowercase()
    }

    /// At most one LIST of each kind was answered, and no connect failed.
    pub(crate) fn healed(self, what: &str, took: Duration) {
        let lists = KINDS.map(|kind| self.cluster.api.lists(kind).expect("the server's log"));
        // The Nodes are also listed once to learn where zones are, whenever that comes.
        let most = KINDS.map(|kind| if kind == "nodes" { 2 } else { 1 });
        let is_within = lists.iter().zip(most).all(|(count, most)| *count <= most);
        assert!(is_within, "{what}: LISTs of {KINDS:?}: {lists:?}\n{}", self.cluster.agent.log());
        let by = none_failed(what, self.load);
        println!("outages: {what}: healed after {took:?} by {lists:?} LISTs; {by:?}, 0 failed");
    }
}
