//! Good files, and what the core is told of them.

use std::sync::Arc;

use redirector_core::{
    Input, Moment, State,
    input::{Drained, Verb},
    remote_cluster::{ClusterPhase, OnSilence, RemoteCluster},
    service::{
        Backend, BackendRef, Failback, Frontend, Locality, Members, Policy, Probe, Protocol, Rank,
        Service, ServiceRef,
    },
};
use redirector_policy::{FailoverPolicySpec, TierServiceSpec};

use super::super::{Config, parse, read};

const EVERYTHING: &str = r#"
node: {name: n1, zone: a, region: eu, cluster: local}
services:
- name: shop/checkout
  frontends: ["10.96.0.10:80/tcp", "[fd00:96::10]:80/tcp"]
  affinity: {timeout: 3h}
  backends:
  - {address: "10.1.0.5:8080", node: n1, zone: a, region: eu}
  - {address: "[fd00:1::5]:8080", cluster: local, weight: 65535}
  - {address: "[::ffff:10.9.0.3]:8080", zone: x, region: us, cluster: west}
  policy:
    tiers:
    - {name: near, locality: Zone}
    - {name: west, regions: [us], clusters: [1.10, 007]}
    - {name: backup, service: {name: shop/backup}}
    - {name: other, service: {name: shop/other, port: http}}
    mode: Spill
    overprovisioningPercent: 150
    minHealthyPercent: 70
    failback: {mode: Manual, holdDown: 1m30s, ramp: 0s}
    allDown: Refuse
    connectTimeout: 500ms
    onBackendLost: Reset
    passive: {refused: 2, timeouts: 4, baseEjection: 5s, maxEjection: 1m}
    probe:
      http: {path: /healthz, host: shop.example, port: 8081, status: 204}
      interval: 2s
      timeout: 250ms
      unhealthy: 3
      healthy: 4
- name: kube-system/dns
  frontends: ["10.96.0.2:53/udp"]
  backends: []
"#;

#[test]
fn every_field_reaches_the_core() {
    let name = |text: &str| Some(Arc::<str>::from(text));
    let tcp = |address: &str, port| BackendRef {
        address: address.parse().expect("an address"),
        port,
        protocol: Protocol::Tcp,
    };
    let frontend = |address: &str, port, protocol| Frontend {
        address: address.parse().expect("an address"),
        port,
        protocol,
    };
    // What its fields mean is tested with the policy.
    let (_, written) = EVERYTHING.split_once("  policy:\n").expect("a policy");
    let (written, _) = written.split_once("- name: kube-system").expect("the next service");
    let spec: FailoverPolicySpec = serde_saphyr::from_str(written).expect("its fields");
    let own = ServiceRef("shop/checkout".into());
    let refer = |tier: &TierServiceSpec| {
        let port = tier.port.iter().map(|port| format!(":{port}"));
        Ok(ServiceRef(format!("{}{}", tier.name, port.collect::<String>()).into()))
    };
    let (policy, problems) = spec.convert(&own, refer);
    assert_eq!(problems, []);
    let numbers = Members::Named {
        zones: Vec::new(),
        regions: vec!["us".into()],
        clusters: vec!["1.10".into(), "007".into()],
    };
    assert_eq!((policy.tiers.len(), &policy.tiers[1].members), (4, &numbers));
    let expected = Config {
        node: Locality {
            node: name("n1"),
            zone: name("a"),
            region: name("eu"),
            cluster: name("local"),
        },
        clusters: Vec::new(),
        services: vec![
            Service {
                name: ServiceRef("shop/checkout".into()),
                frontends: vec![
                    frontend("10.96.0.10", 80, Protocol::Tcp),
                    frontend("fd00:96::10", 80, Protocol::Tcp),
                ],
                affinity_seconds: Some(10_800),
                virtual_addresses: Vec::new(),
                also_served: false,
                unreachable: false,
                backends: vec![
                    Backend {
                        backend: tcp("10.1.0.5", 8080),
                        locality: Locality {
                            node: name("n1"),
                            zone: name("a"),
                            region: name("eu"),
                            cluster: None,
                        },
                        weight: 1,
                        rank: Rank::default(),
                    },
                    Backend {
                        backend: tcp("fd00:1::5", 8080),
                        locality: Locality::default(),
                        weight: 65_535,
                        rank: Rank::default(),
                    },
                    Backend {
                        backend: tcp("10.9.0.3", 8080),
                        locality: Locality {
                            node: None,
                            zone: name("x"),
                            region: name("us"),
                            cluster: name("west"),
                        },
                        weight: 1,
                        rank: Rank::default(),
                    },
                ],
                policy,
            },
            Service {
                name: ServiceRef("kube-system/dns".into()),
                frontends: vec![frontend("10.96.0.2", 53, Protocol::Udp)],
                affinity_seconds: None,
                virtual_addresses: Vec::new(),
                also_served: false,
                unreachable: false,
                backends: Vec::new(),
                policy: Policy::default(),
            },
        ],
        warnings: Vec::new(),
        unlisted_warnings: 0,
    };
    let found = parse("f", EVERYTHING).expect("a good file");
    assert_eq!(Config { warnings: Vec::new(), ..found }, expected);
}

#[test]
fn what_is_hardly_meant_is_said_at_its_line_and_column() {
    let warned = |text: &str| -> Vec<String> {
        let found = parse("f", text).expect("a good file").warnings.into_iter();
        found
            .map(|at| format!("{}:{} {}", at.position.line, at.position.column, at.message))
            .collect()
    };
    let of = "service \"shop/checkout\":";
    assert_eq!(
        warned(EVERYTHING),
        [
            format!(
                "9:5 {of} backend [fd00:1::5]:8080/tcp fits no tier and gets no connections, like 1 \
                 more"
            ),
            format!("14:46 {of} no backend is in cluster \"1.10\""),
            format!("14:52 {of} no backend is in cluster \"007\""),
            format!("15:31 {of} tier \"backup\" is empty: service shop/backup is not listed here"),
            format!(
                "16:30 {of} tier \"other\" is empty: service shop/other:http is not listed here"
            ),
        ]
    );
    let text = r#"
node: {zone: a, region: eu, cluster: home}
services:
- name: shop/web
  frontends: ["10.96.0.10:80/tcp"]
  backends:
  - {address: "10.1.0.1:80", zone: a, region: eu}
  - {address: "10.1.0.2:80", zone: b, region: us}
  - {address: "10.1.0.3:80", zone: c}
  policy:
    tiers:
    - {name: node, locality: Node}
    - {name: near, zones: [a, nosuch]}
    - {name: far, regions: [us]}
    - {name: home, zones: [a]}
    - {name: mixed, zones: [b], regions: [eu]}
    - {name: west, clusters: [west]}
    - {name: gone, service: {name: shop/gone}}
    - {name: idle, service: {name: shop/idle}}
- name: shop/idle
  frontends: ["10.96.0.11:80/tcp"]
  backends: []
"#;
    let of = "service \"shop/web\":";
    assert_eq!(
        warned(text),
        [
            format!("9:5 {of} backend 10.1.0.3:80/tcp fits no tier and gets no connections"),
            format!("13:31 {of} no backend is in zone \"nosuch\""),
            format!(
                "15:7 {of} tier \"home\" can never have a backend: tier \"near\" takes all that it \
                 could have"
            ),
            format!(
                "16:7 {of} tier \"mixed\" is empty: no backend is in all of the places that it names"
            ),
            format!("17:31 {of} no backend is in cluster \"west\""),
            format!("18:29 {of} tier \"gone\" is empty: service shop/gone is not listed here"),
            format!("19:29 {of} tier \"idle\" is empty: service shop/idle has no backends"),
        ]
    );
}

#[test]
fn the_example_in_the_documentation_is_valid() {
    let source = include_str!("../mod.rs");
    let (_, rest) = source.split_once("//! ```yaml\n").expect("an example");
    let (example, _) = rest.split_once("//! ```\n").expect("its end");
    let example = example.lines().map(|line| line.get(4..).unwrap_or_default());
    let config = parse("f", &example.collect::<Vec<_>>().join("\n")).expect("a good file");
    assert_eq!(config.services.len(), 1);
    assert_eq!(config.services[0].backends.len(), 3);
}

#[test]
fn tcp_is_probed_unless_it_is_switched_off_and_udp_never() {
    let probe = |frontend, policy| {
        let text = format!(
            "services:\n- name: a\n  frontends: [\"{frontend}\"]\n  backends: []\n{policy}"
        );
        parse("f", &text).expect("a good file").services[0].policy.probe.clone()
    };
    assert_eq!(probe("10.0.0.1:80/tcp", ""), Some(Probe::default()));
    assert_eq!(probe("10.0.0.1:80/tcp", "  policy: {allDown: Panic}\n"), Some(Probe::default()));
    assert_eq!(probe("10.0.0.1:80/tcp", "  policy: {probe: off}\n"), None);
    assert_eq!(probe("10.0.0.1:80/tcp", "  policy: {probe: \"off\"}\n"), None);
    assert_eq!(probe("10.0.0.1:80/udp", ""), None);
    assert_eq!(probe("10.0.0.1:80/udp", "  policy: {probe: off}\n"), None);
}

#[test]
fn a_short_interval_shortens_the_default_timeout() {
    let text = "services:\n- name: a\n  frontends: [\"10.0.0.1:80/tcp\"]\n  backends: []\n  \
                policy: {probe: {interval: 200ms}}\n";
    let probe = parse("f", text).expect("a good file").services[0].policy.probe.clone();
    assert_eq!(probe, Some(Probe { interval_ms: 200, timeout_ms: 200, ..Probe::default() }));
}

#[test]
fn nodes_and_zones_of_one_name_in_two_clusters_are_two() {
    for own in [", cluster: home", ""] {
        let text = format!(
            "node: {{name: n1, zone: a{own}}}\n\
             services:\n\
             - name: shop/web\n  \
               frontends: [\"10.0.0.1:80/tcp\", \"[fd00::a]:80/tcp\"]\n  \
               backends:\n  \
               - {{address: \"10.1.0.1:80\", node: n9, zone: a}}\n  \
               - {{address: \"10.2.0.1:80\", node: n9, zone: a, cluster: west}}\n  \
               - {{address: \"10.2.0.2:80\", node: n1, zone: b, cluster: west}}\n  \
               - {{address: \"[fd00::1]:80\", node: n9, zone: a}}\n  \
               - {{address: \"[fd00::2]:80\", node: n9, zone: a, cluster: west}}\n  \
               policy:\n    \
                 tiers:\n    \
                 - {{name: near, zones: [a]}}\n    \
                 - {{name: there, clusters: [west], zones: [a]}}\n    \
                 - {{name: rest, clusters: [west]}}\n"
        );
        let Config { node, services, .. } = parse("f", &text).expect("a good file");
        let mut state = State::new();
        let now = Moment::default();
        state.apply(Input::All(vec![Input::Node(node), Input::Replace(services)]), now);
        let told = state.explain(&ServiceRef("shop/web".into()), now).expect("it is listed");
        let tiers = told.families.iter().flat_map(|family| &family.tiers);
        let tiers: Vec<String> = tiers
            .map(|tier| {
                let members = tier.backends.iter().map(|member| member.backend.address.to_string());
                format!("{}: {}", tier.name, members.collect::<Vec<_>>().join(" "))
            })
            .collect();
        assert_eq!(
            tiers,
            [
                "near: 10.1.0.1",
                "there: 10.2.0.1",
                "rest: 10.2.0.2",
                "near: fd00::1",
                "there: fd00::2",
                "rest: "
            ]
        );
        let mut drained = |order: &str| -> Vec<String> {
            let subject: Drained = order.parse().expect("a subject");
            state.apply(Input::Operator(Verb::Drain(subject.clone())), now);
            let objections = state.tables().objections.keys();
            let drained = objections.map(|backend| backend.address.to_string()).collect();
            state.apply(Input::Operator(Verb::Undrain(subject)), now);
            assert!(state.tables().objections.is_empty(), "{order}");
            drained
        };
        assert_eq!(drained("node=n9"), ["10.1.0.1", "fd00::1"]);
        assert_eq!(drained("node=n1"), [""; 0], "west's is another one");
        assert_eq!(drained("node=west/n9"), ["10.2.0.1", "fd00::2"]);
        assert_eq!(drained("zone=a"), ["10.1.0.1", "fd00::1"]);
        assert_eq!(drained("zone=west/b"), ["10.2.0.2"]);
    }
}

#[test]
fn no_services_is_a_valid_wish() {
    let config = parse("f", "services: []\n").expect("a good file");
    let Config { node, clusters: _, services, warnings, unlisted_warnings } = config;
    assert_eq!((node, services), (Locality::default(), Vec::new()));
    assert_eq!((warnings, unlisted_warnings), (Vec::new(), 0));
}

#[test]
fn loopback_is_allowed_where_the_file_says_so() {
    let text = "allowLoopback: true\nservices:\n- name: a\n  frontends: [\"127.9.9.9:80/tcp\"]\n  \
                backends: [{address: \"127.0.0.1:8080\"}]\n";
    assert_eq!(parse("f", text).expect("a good file").services.len(), 1);
}

#[test]
fn one_address_and_port_may_be_a_tcp_and_a_udp_service() {
    let text = "services:\n- name: tcp\n  frontends: [\"10.0.0.1:53/tcp\"]\n  backends: \
                [{address: \"10.1.0.1:53\"}]\n- name: udp\n  frontends: [\"10.0.0.1:53/udp\"]\n  \
                backends: [{address: \"10.1.0.1:53\"}]\n";
    assert_eq!(parse("f", text).expect("a good file").services.len(), 2);
}

#[test]
fn a_policy_may_be_shared_through_an_anchor_and_a_backend_merged() {
    let mut text = "services:\n- name: first\n  frontends: [\"10.0.0.1:1/tcp\"]\n  backends: \
                    [&place {address: \"10.1.0.1:80\", zone: a}]\n  policy: &policy {probe: off}\n"
        .to_owned();
    for n in 2..2_000 {
        text.push_str(&format!(
            "- name: s{n}\n  frontends: [\"10.0.0.1:{n}/tcp\"]\n  policy: *policy\n  backends: \
             [{{<<: *place, address: \"10.1.0.2:80\"}}]\n"
        ));
    }
    let config = parse("f", &text).expect("a good file");
    let last = config.services.last().expect("services");
    assert_eq!(last.policy.probe, None);
    assert_eq!(last.backends[0].locality.zone.as_deref(), Some("a"));
    assert_eq!(last.backends[0].backend.address.to_string(), "10.1.0.2");
}

#[test]
fn whoever_declares_a_policy_declares_fail_back() {
    let policy = |policy| {
        let text = format!(
            "services:\n- name: a\n  frontends: [\"10.0.0.1:80/tcp\"]\n  backends: []\n{policy}"
        );
        parse("f", &text).expect("a good file").services[0].policy.clone()
    };
    let probed = Policy { probe: Some(Probe::default()), ..Policy::default() };
    assert_eq!(policy(""), probed);
    assert_eq!(policy("  policy:\n"), probed, "nothing is declared");
    let declared = Policy { failback: Some(Failback::default()), ..probed };
    assert_eq!(policy("  policy: {}\n"), declared);
    assert_eq!(policy("  policy: {mode: ~, tiers: null, failback: {ramp: }}\n"), declared);
}

#[test]
fn every_example_is_valid() {
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/examples");
    let mut seen = 0;
    for entry in std::fs::read_dir(examples).expect("the examples") {
        let path = entry.expect("an example").path();
        // Those of the Kubernetes source have a folder of their own.
        if path.is_dir() {
            continue;
        }
        read(&path).unwrap_or_else(|invalid| panic!("{invalid}"));
        seen += 1;
    }
    assert!(seen >= 2, "{seen} examples");
}

const CLUSTERS: &str = r#"
node: {name: n1, cluster: east}
clusters:
- name: west
  cidrs: [10.9.0.0/16, "fd00:9::/48"]
  encryption: {mode: Off, interfaces: [wg0], ipsec: true}
  onSilence: Drop
  keepFor: 10m
  namespaces: {matchLabels: {tier: prod}}
- {name: north, reach: LoadBalancer, cidrs: [10.0.0.0/8], encryption: {mode: Report}}
- {name: south, cidrs: [10.7.0.0/16], encryption: {mode: Required}}
services:
- name: shop/web
  frontends: ["10.96.0.10:80/tcp", "[fd00:96::10]:80/tcp"]
  backends:
  - {address: "10.1.0.5:80"}
  - {address: "10.9.0.3:80", cluster: west}
  - {address: "[fd00:9::3]:80", cluster: west}
  - {address: "10.200.0.1:80", cluster: north}
  - {address: "10.7.0.1:80", cluster: south}
  - {address: "192.0.2.1:80", cluster: unstated}
  policy:
    tiers:
    - {name: here, locality: Cluster}
    - {name: west, clusters: [west]}
    - {name: any, clusters: ["*"]}
"#;

#[test]
fn what_is_stated_of_other_clusters_reaches_the_core() {
    let config = parse("f", CLUSTERS).expect("a good file");
    let cluster = |name: &str, on_silence| RemoteCluster {
        name: name.into(),
        phase: ClusterPhase::Live,
        on_silence,
    };
    assert_eq!(
        config.clusters,
        [cluster("west", OnSilence::Drop), cluster("north", OnSilence::KeepReachable)]
    );
    let backends = config.services[0].backends.iter();
    let listed: Vec<_> = backends.map(|it| it.locality.cluster.as_deref().unwrap_or("")).collect();
    assert_eq!(
        listed,
        ["", "west", "west", "north", "unstated"],
        "nobody says that south is encrypted"
    );
    let warnings: Vec<String> = config.warnings.iter().map(|it| it.message.clone()).collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("cluster \"south\"") && warnings[0].contains("NoGuard"),
        "{warnings:?}"
    );
}
