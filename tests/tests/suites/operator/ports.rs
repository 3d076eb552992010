//! A Service whose ports have names: without a port its name means all of them.

use redirector_tests::{fixture::Fixture, zones::Group};
use serde_json::json;

use super::fixture::{groups, names};

const HTTP: &str = "10.96.0.20:80";
const GRPC: &str = "10.96.0.20:81";
/// The documents whose commands are run.
const DOCUMENTS: [&str; 3] = [
    include_str!("../../../../README.md"),
    include_str!("../../../../deploy/README.md"),
    include_str!("../../../../docs/two-clusters.md"),
];

/// `shop/checkout` with two named ports, as both documents call it; one tier is of one port only.
fn checkout() -> Fixture {
    let groups = groups();
    let mut backends: String = groups.iter().map(Group::backends).collect();
    // A node that the documents drain; no tier has it.
    backends.push_str("  - {address: '10.77.9.1:8001', node: n9, zone: z, region: eu}\n");
    let mut services = String::new();
    for (port, address, tiers) in [
        ("grpc", GRPC, "{name: near, zones: [a]}, {name: west, clusters: [west]}"),
        ("http", HTTP, "{name: near, zones: [a, b]}, {name: west, clusters: [west]}, {name: last}"),
    ] {
        let tiers = tiers.replace("{name: last}", "{name: last, clusters: [home]}");
        services.push_str(&format!(
            "- name: shop/checkout:{port}\n  frontends: ['{address}/tcp']\n  policy:\n    \
             tiers: [{tiers}]\n    probe: {{tcp: {{}}, interval: 100ms, timeout: 100ms}}\n  \
             backends:\n{backends}"
        ));
    }
    // Another Service, whose name begins alike.
    services.push_str(&format!(
        "- name: shop/checkout-west\n  frontends: ['10.96.0.21:80/tcp']\n  backends:\n{backends}"
    ));
    let zones = Fixture::of_zones(&groups, &services);
    zones.wait_for_probes();
    zones
}

/// Who answers on both ports.
fn both(zones: &Fixture) -> [Vec<String>; 2] {
    [GRPC, HTTP].map(|address| {
        let dialled = zones.dial(address, 200);
        names(&dialled).into_iter().map(str::to_owned).collect()
    })
}

#[test]
fn a_name_without_a_port_is_explained_and_simulated_for_all_ports() {
    let zones = checkout();
    for (name, ports) in [
        ("shop/checkout", &["shop/checkout:grpc", "shop/checkout:http"][..]),
        ("shop/checkout:http", &["shop/checkout:http"]),
    ] {
        let explained = zones.agent.answer("explain", &[name]);
        let heads = explained.lines().filter(|line| line.contains("  mode LastResort"));
        let heads: Vec<_> = heads.filter_map(|line| line.split("  ").next()).collect();
        assert_eq!(heads, ports, "{explained}");
        let each = zones.agent.answer("explain", &[name, "-o", "json"]);
        assert_eq!(each.lines().count(), ports.len(), "{each}");
        let simulated = zones.agent.answer("simulate", &[name, "--dead", "zone=a"]);
        let heads: Vec<_> = simulated.lines().filter(|line| !line.starts_with(' ')).collect();
        assert_eq!(heads, ports, "{simulated}");
    }
    let simulated = zones.agent.answer_json("simulate", &["shop/checkout", "--dead", "zone=a"]);
    assert_eq!(simulated[1]["service"], "shop/checkout:http", "{simulated:#}");
    zones.agent.finish().expect("the agent");
}

#[test]
fn a_force_without_a_port_is_for_all_ports_and_says_so() {
    let mut zones = checkout();
    let force = |port: &str, tier: &str| json!({"force": {"service": port, "tier": tier}});
    assert_eq!(
        zones.agent.answer("force", &["shop/checkout", "west"]),
        "force shop/checkout west: for all 2 ports\n\
         force shop/checkout:grpc west: in force; all new connections to its 1 healthy of 1 backend\n\
         force shop/checkout:http west: in force; all new connections to its 1 healthy of 1 backend\n"
    );
    assert_eq!(both(&zones), [["x"], ["x"]]);
    let orders = json!([force("shop/checkout:grpc", "west"), force("shop/checkout:http", "west")]);
    assert_eq!(zones.agent.answer_json("orders", &[]), orders);
    zones.agent.restart().expect("the agent after a crash");
    assert_eq!(zones.agent.answer_json("orders", &[]), orders);

    // One port alone.
    let said = zones.agent.answer("failback", &["shop/checkout:http"]);
    assert_eq!(said, "failback shop/checkout:http: in force; health and policy decide\n");
    assert_eq!(both(&zones), [vec!["x"], vec!["a1", "a2", "b"]]);

    // All or none: only one of the ports has that tier.
    let output = zones.agent.ask("force", &["shop/checkout", "last"]).expect("redirector");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("shop/checkout:grpc: it has no tier \"last\""), "{errors}");
    assert_eq!(
        zones.agent.answer_json("orders", &[]),
        json!([force("shop/checkout:grpc", "west")])
    );

    zones.agent.answer("failback", &["shop/checkout"]);
    assert_eq!(both(&zones), [vec!["a1", "a2"], vec!["a1", "a2", "b"]]);
    assert_eq!(zones.agent.answer_json("orders", &[]), json!([]));
    zones.agent.finish().expect("the agent");
}

/// As they are written; `kubectl exec` runs them where the agent is.
#[test]
fn the_documents_commands_run_as_written() {
    const OF_AGENT: [&str; 7] =
        ["explain", "simulate", "drain", "undrain", "force", "failback", "orders"];
    let zones = checkout();
    let mut run = Vec::new();
    for command in DOCUMENTS.iter().flat_map(|document| commands(document)) {
        let called = ["redirector"].into_iter().chain(command.iter().copied());
        let parsed = redirector::cli::command("redirector".as_ref()).try_get_matches_from(called);
        assert!(parsed.is_ok(), "{command:?}: {parsed:?}");
        let (verb, arguments) = command.split_first().expect("a subcommand");
        if OF_AGENT.contains(verb) {
            zones.agent.answer(verb, arguments);
            run.push(*verb);
        }
    }
    println!("{} commands of the documents: {run:?}", run.len());
    for verb in ["explain", "simulate", "drain", "force", "orders"] {
        assert!(run.contains(&verb), "no document shows {verb}");
    }
    zones.agent.answer("failback", &["shop/checkout"]);
    zones.agent.answer("undrain", &["node=n9"]);
    zones.agent.finish().expect("the agent");
}

/// The words after `redirector` of each command line in a console block.
fn commands(document: &str) -> impl Iterator<Item = Vec<&str>> {
    let lines = document.lines().filter(|line| line.starts_with("# ") || line.starts_with("$ "));
    lines.filter_map(|line| {
        let line = line.split(" # ").next()?.split('|').next()?;
        let mut words = line
            .split_whitespace()
            .skip_while(|word| !(*word == "redirector" || word.ends_with("/release/redirector")));
        words.next()?;
        let words: Vec<_> = words.collect();
        // Names of Helm releases, and headings.
        let is_command = words.first().is_some_and(|word| {
            redirector::cli::command("redirector".as_ref())
                .get_subcommands()
                .any(|command| command.get_name() == *word)
        });
        is_command.then_some(words)
    })
}
