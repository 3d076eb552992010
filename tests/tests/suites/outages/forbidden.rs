//! Addresses that nothing may ever be sent to, all in one cluster's objects beside good neighbours,
//! and every packet on the wire looked at while the application dials and the agent probes.

#[path = "../../../../redirector/kube/tests/addresses/texts.rs"]
mod texts;

use std::{
    net::{IpAddr, SocketAddr},
    process::Command,
    time::{Duration, Instant},
};

use redirector_tests::{
    api::builders::{Endpoint, EndpointSlice},
    cluster::{Cluster, PORT, name, replica},
    dialer::{Dial, Transport},
};
use serde_json::{Value, json};

use self::texts::{
    Expected::{Mapped, Used},
    TEXTS,
};
use super::fixture::{options, policy, service, until};

/// How long the application dials.
const DIALLING: Duration = Duration::from_secs(4);
/// Good neighbours among the Services' addresses.
const GOOD: [&str; 4] = ["203.0.113.7", "fd77:7::7", "203.0.113.8", "fd77:7::8"];

#[test]
fn nothing_is_sent_to_a_forbidden_address_and_its_neighbours_serve() {
    let arguments = ["--external-ips", "--scope", "all"];
    let cluster = Cluster::new(options(1, &arguments)).expect("a cluster");
    watch_packets(&cluster);
    let texts: Vec<&str> = TEXTS
        .iter()
        .filter(|(_, expected)| !matches!(expected, Used | Mapped))
        .map(|(text, _)| text.as_str())
        .collect();
    assert!(texts.len() >= 150, "only {} forbidden texts", texts.len());
    fill(&cluster, &texts);
    // One replica in both families and protocols.
    cluster.wait_for(&[("shop/web", 2), ("shop/web:dns", 2)]);
    let frontends = frontends(&cluster);
    assert_frontends(&frontends);

    let (mut dials, begun) = (0, Instant::now());
    let mut client = cluster.client().expect("a client");
    while begun.elapsed() < DIALLING {
        for (address, transport) in &frontends {
            let dial = Dial { address: *address, transport: *transport, timeout_ms: 1_000 };
            for dialled in client.dial(dial, 5).expect("dials") {
                assert_eq!(dialled.outcome, Ok(name(1)), "{address} {transport:?}");
                dials += 1;
            }
        }
    }

    let (good, bad) = packets(&cluster);
    assert!(good > dials, "the counters see too little: {good} packets for {dials} dials");
    assert_eq!(bad, 0, "packets were sent to somebody else than the good neighbours");
    assert_refusals_are_said(&cluster);
    // The counters would have seen one.
    let there = SocketAddr::new("169.254.169.254".parse().expect("an address"), PORT);
    let dial = Dial { timeout_ms: 100, ..Dial::tcp(there) };
    assert!(client.dial(dial, 1).expect("a dial")[0].outcome.is_err());
    until(&cluster, "the counters see a forbidden packet", || packets(&cluster).1 > 0);
    println!(
        "outages: {} forbidden texts, each as endpoint, external and load-balancer address; {dials} \
         dials of {} frontends, {good} packets to good neighbours, {bad} to others",
        texts.len(),
        frontends.len(),
    );
}

/// Everything in both families: as endpoints, as external and as load-balancer addresses.
fn fill(cluster: &Cluster, texts: &[&str]) {
    let with = |good: &[&'static str]| -> Vec<&str> {
        texts.iter().copied().chain(good.iter().copied()).collect()
    };
    let service = service("web", "10.96.0.10")
        .port("dns", "UDP", 53)
        .cluster_ips(&["10.96.0.10", "fd96::10"])
        .spec("ipFamilies", json!(["IPv4", "IPv6"]))
        .spec("ipFamilyPolicy", json!("RequireDualStack"))
        .kind("LoadBalancer")
        .external_ips(&with(&GOOD[..2]))
        .load_balancer(&with(&GOOD[2..]));
    cluster.api.put(service).expect("a Service");
    cluster.api.put(policy("web")).expect("a policy");
    for (kind, good, is_six) in [("IPv4", replica(1)[0], false), ("IPv6", replica(1)[1], true)] {
        let slice = EndpointSlice::new("shop", &format!("web-{}", kind.to_lowercase()), "web")
            .address_type(kind)
            .port("", "TCP", PORT)
            .port("dns", "UDP", PORT);
        let all = texts.iter().filter(|text| text.contains(':') == is_six);
        let slice = all.fold(slice, |slice, text| {
            slice.endpoint(Endpoint::new(text).node("replicas").zone("b"))
        });
        let good = Endpoint::new(&good.to_string()).node("replicas").zone("b");
        cluster.api.put(slice.endpoint(good)).expect("a slice");
    }
}

/// Counts what leaves the client's node, the agent's probes included, for the replicas' and the
/// Services' ports: to good neighbours, and to anybody else. Routes lead everywhere, so that a
/// packet that is sent is seen.
fn watch_packets(cluster: &Cluster) {
    let [four, six] = replica(1);
    let netns = cluster.lab.node("client").netns();
    netns.ip(&format!("route add 0.0.0.0/0 via {four}\nroute add ::/0 via {six}")).expect("routes");
    let rules = format!(
        "table inet watched {{
            counter good {{ }}
            counter bad {{ }}
            chain output {{
                type filter hook output priority filter;
                meta l4proto {{ tcp, udp }} th dport {PORT} ip daddr {four} counter name good accept
                meta l4proto {{ tcp, udp }} th dport {PORT} ip6 daddr {six} counter name good accept
                meta l4proto {{ tcp, udp }} th dport {{ {PORT}, 80, 53 }} counter name bad
            }}
        }}"
    );
    netns.nft(&rules).expect("counters");
}

/// To good neighbours, and to anybody else.
fn packets(cluster: &Cluster) -> (u64, u64) {
    let output = cluster.lab.node("client").netns().run(|| {
        Command::new("nft").args(["-j", "list", "counters", "table", "inet", "watched"]).output()
    });
    let output = output.expect("nft");
    let listing: Value = serde_json::from_slice(&output.stdout).expect("counters as JSON");
    let count = |name: &str| {
        let mut all = listing["nftables"].as_array().into_iter().flatten();
        let found = all.find(|one| one["counter"]["name"] == name);
        found.and_then(|one| one["counter"]["packets"].as_u64()).expect("a counter")
    };
    (count("good"), count("bad"))
}

fn frontends(cluster: &Cluster) -> Vec<(SocketAddr, Transport)> {
    let dump = cluster.agent.dump();
    let services = dump["services"].as_array().into_iter().flatten();
    let all = services.flat_map(|service| service["frontends"].as_array().into_iter().flatten());
    let read = |frontend: &Value| {
        let address: IpAddr = frontend["address"].as_str()?.parse().ok()?;
        let port = u16::try_from(frontend["port"].as_u64()?).ok()?;
        let transport = match frontend["protocol"].as_str()? {
            "tcp" => Transport::Tcp,
            _ => Transport::Udp,
        };
        Some((SocketAddr::new(address, port), transport))
    };
    all.filter_map(read).collect()
}

/// The cluster's and the good ones, in both protocols, and no other.
fn assert_frontends(frontends: &[(SocketAddr, Transport)]) {
    let mut expected: Vec<IpAddr> = ["10.96.0.10", "fd96::10"]
        .iter()
        .chain(&GOOD)
        .map(|text| text.parse().expect("an address"))
        .collect();
    expected.sort_unstable();
    for transport in [Transport::Tcp, Transport::Udp] {
        let of_it = frontends.iter().filter(|(_, found)| *found == transport);
        let mut found: Vec<IpAddr> = of_it.map(|(address, _)| address.ip()).collect();
        // A node port is one of the client's own addresses: the Service is a load balancer's.
        found.retain(|address| !is_client(*address));
        found.sort_unstable();
        assert_eq!(found, expected, "{transport:?}: {frontends:?}");
    }
}

fn is_client(address: IpAddr) -> bool {
    ["10.77.1.1", "fd77::1:1"].iter().any(|own| own.parse() == Ok(address))
}

fn assert_refusals_are_said(cluster: &Cluster) {
    let log = cluster.agent.log();
    let said = log.lines().filter(|line| line.contains("WARN") && line.contains("RefusedAddress"));
    assert!(said.count() > 0, "nothing was said of the refused addresses\n{log}");
}
