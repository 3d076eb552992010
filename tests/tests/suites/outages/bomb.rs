//! A Service whose expansion would fill every map and all memory: it is left alone, and nobody else
//! notices.

use std::{
    fs,
    time::{Duration, Instant},
};

use redirector_tests::{
    api::builders,
    cluster::{Cluster, Options, name, slice},
    fixture::SMALL,
};
use serde_json::{Value, json};

use super::fixture::{answer, load, none_failed, options, service, until};

const PORTS: u16 = 20_000;
const ENDPOINTS: u16 = 1_000;
/// KiB.
const MEMORY: u64 = 300 << 10;
/// For a change of another namespace while the bomb is looked at.
const CHANGE: Duration = Duration::from_secs(2);

#[test]
fn a_slice_bomb_costs_little_memory_and_harms_no_other_namespace() {
    let cluster = Cluster::new(large()).expect("a cluster");
    cluster.api.put(service("web", "10.96.0.10")).expect("a Service");
    cluster.api.put(slice("web", "", &[1])).expect("a slice");
    cluster.wait_for(&[("shop/web", 1)]);
    let before = memory_line(&cluster, "VmHWM");
    let others = load(&cluster, "10.96.0.10:80", 100);

    plant(&cluster, "one");
    let changed = change(&cluster, 2);
    let warned = until(&cluster, "a warning", || !warnings(&cluster).is_empty());
    let changed_again = change(&cluster, 1);
    // Heard as a change, and anew as a whole.
    plant(&cluster, "two");
    cluster.api.compact();
    cluster.api.faults().cut_watches(None);
    let changed_once_more = change(&cluster, 2);

    let by = none_failed("beside a bomb", others);
    let (peak, now) = (memory_line(&cluster, "VmHWM"), memory_line(&cluster, "VmRSS"));
    assert!(peak < MEMORY, "{peak} KiB at the peak, {now} now, {before} before");
    let warnings = warnings(&cluster);
    assert_eq!(warnings.len(), 1, "{warnings:#?}");
    cluster.wait_for(&[("shop/web", 1)]);
    println!(
        "outages: a bomb of {PORTS} ports x {ENDPOINTS} endpoints: {before} KiB before, {peak} at \
         the peak, {now} now; changes of others in {changed:?}, {changed_again:?}, \
         {changed_once_more:?}; {by:?}, 0 failed; warned after {warned:?}: {}",
        warnings[0]
    );
}

/// With maps of the usual size: they count as the agent's memory where it has touched them.
fn large() -> Options {
    let mut options = options(2, &["--scope", "all"]);
    options.arguments.retain(|argument| !SMALL.contains(&argument.as_str()));
    options
}

/// Writes the Service and its slice, or changes them. The server is told little ones, and shows
/// these instead: who owns which of that many fields would keep it busy for a minute.
fn plant(cluster: &Cluster, label: &str) {
    let name = |port: u16| format!("p{port}");
    let ports: Vec<_> = (1..=PORTS)
        .map(|port| json!({"name": name(port), "protocol": "TCP", "port": port}))
        .collect();
    let service = builders::Service::new("bomb", "bomb")
        .port("p1", "TCP", 1)
        .cluster_ips(&["10.96.0.66"])
        .spec("selector", json!({"app": "bomb"}))
        .label("planted", label);
    let endpoints: Vec<_> = (0..ENDPOINTS)
        .map(|number| format!("10.88.{}.{}", number / 250, number % 250 + 1))
        .map(|address| json!({"addresses": [address], "conditions": {"ready": true}}))
        .collect();
    let slice = builders::EndpointSlice::new("bomb", "bomb-1", "bomb").label("planted", label);
    let mut bombs: [(_, Value); 2] =
        [("services", service.into()), ("endpointslices", slice.into())];
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bomb"}});
    cluster.api.put(namespace).expect("a namespace");
    for (resource, object) in &mut bombs {
        let mut shown = object.clone();
        shown["metadata"]["uid"] = json!(format!("bomb-of-{resource}"));
        shown["metadata"]["resourceVersion"] = json!((cluster.api.revision() + 1).to_string());
        if *resource == "services" {
            shown["spec"]["ports"] = json!(ports);
        } else {
            shown["ports"] = json!(ports);
            shown["endpoints"] = json!(endpoints);
        }
        let name = shown["metadata"]["name"].as_str().expect("a name").to_owned();
        cluster.api.faults().garble(resource, "bomb", &name, shown.to_string());
        let kept = cluster.api.put(object.take()).expect("a bomb");
        let versions = [&kept, &shown].map(|one| one["metadata"]["resourceVersion"].clone());
        assert_eq!(versions[0], versions[1], "somebody else writes too");
    }
}

/// Moves the other namespace's Service to that replica; how long until it is there.
fn change(cluster: &Cluster, number: u8) -> Duration {
    let begun = Instant::now();
    cluster.api.put(slice("web", "", &[number])).expect("a slice");
    until(cluster, "the other replica serves", || {
        answer(cluster, "10.96.0.10:80") == Some(name(number))
    });
    let took = begun.elapsed();
    assert!(took < CHANGE, "a change of another namespace took {took:?}");
    took
}

/// What was said of the bomb.
fn warnings(cluster: &Cluster) -> Vec<String> {
    let log = cluster.agent.log();
    let of_it = log.lines().filter(|line| line.contains("WARN") && line.contains("bomb"));
    of_it.map(str::to_owned).collect()
}

/// A line of the agent's `/proc/PID/status`, in KiB.
fn memory_line(cluster: &Cluster, line: &str) -> u64 {
    let pid = cluster.agent.pid().expect("the agent runs");
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a status");
    let found = status.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(':'));
    let number = found.and_then(|found| found.trim().strip_suffix("kB")?.trim().parse().ok());
    number.unwrap_or_else(|| panic!("no {line}: {status}"))
}
