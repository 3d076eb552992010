//! What the agent writes is what a real kube-apiserver accepts, with the rights of `deploy/base`.

use redirector_tests::{
    api::{RealApi, Server as _, builders},
    cluster::{Cluster, name, slice},
    wait::{wait_until, wait_until_or},
};
use serde_json::{Value, json};

use super::fixture::{CRD, NAMESPACE, WEB};

const POLICY: &str = "
targetRefs: [{kind: Service, name: web}]
tiers:
- {name: own, locality: Cluster}
- {name: backup, service: {name: backup}}
";

#[test]
fn reports_are_really_written() {
    let assets = match RealApi::assets() {
        Ok(assets) => assets,
        Err(why) => {
            println!("SKIP reports_are_really_written: {why}");
            return;
        }
    };
    let arguments = ["--namespace", NAMESPACE, "--divide-timeouts", "4"].map(str::to_owned);
    let start = |netns: &_| RealApi::start(assets, netns);
    let cluster = Cluster::of(start, 2, arguments.into(), |api, _| {
        api.define(serde_saphyr::from_str(CRD)?)?;
        for (service, address, replica) in [("web", "10.96.0.10", 1), ("backup", "10.96.0.11", 2)] {
            let object = builders::Service::new("shop", service).port("", "TCP", 80);
            api.put(object.cluster_ips(&[address]).spec("selector", json!({"app": service})))?;
            api.put(slice(service, "", &[replica]))?;
        }
        api.put(builders::FailoverPolicy::new("shop", "web", POLICY))
    });
    let mut cluster = cluster.expect("a cluster with a real API server");
    let programmed = || {
        let policy = cluster.api.get("failoverpolicies", "shop", "web").expect("an answer");
        let policy = policy.expect("the policy");
        let conditions = policy["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let is_so = |kind: &str| {
            let is_it = |one: &&Value| one["type"] == kind;
            conditions.iter().find(is_it).is_some_and(|found| found["status"] == "True")
        };
        is_so("Accepted") && is_so("Programmed")
    };
    wait_until_or("the status", programmed, || cluster.agent.log());

    cluster.replicas[0].kill();
    wait_until("the other replica answers", || {
        cluster.dial(WEB, 1).expect("a dial")[0].outcome == Ok(name(2))
    });
    let describe = ["describe", "service", "web", "--namespace", "shop"];
    let is_told =
        || cluster.api.kubectl(&describe, "").expect("kubectl describes").contains("FailedOver");
    wait_until_or("kubectl tells of the failover", is_told, || cluster.agent.log());
    let log = cluster.agent.log();
    assert!(!log.contains("cannot write") && !log.contains("403"), "{log}");
    println!("kube: a real API server has taken status, Lease and Event");
}
