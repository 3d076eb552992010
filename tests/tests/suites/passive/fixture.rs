//! A client's node, some replicas' nodes, services, and a real agent that may be frozen or killed.

use std::{net::SocketAddr, process::Command};

use redirector_tests::{
    bpftool,
    dialer::{Dial, Dialled},
    fixture::{Fixture, Site},
    lab::Lab,
};
use serde_json::Value;

/// Port of every service and of every replica.
pub(crate) const SERVICE: u16 = 80;
pub(crate) const REPLICA: u16 = 8080;

/// Nodes without a replica; the agent and the clients are on `n1`.
pub(crate) fn site(nodes: &[&str]) -> Site {
    Site::new("passive", nodes)
}

/// The agent serves `services` for node `n1`, and is ready.
pub(crate) fn start(site: Site, services: &str) -> Fixture {
    site.start(&format!("node: {{name: n1, zone: a, region: eu}}\nservices:\n{services}"))
}

/// With a replica on `n2`, the backend of the first service; on its way out of `n3` whatever is
/// sent to it meets this verdict.
pub(crate) fn hostile(verdict: &str, policy: &str) -> Fixture {
    let site = site(&["n1", "n2", "n3"]).with_replica("n2", "alive", REPLICA);
    hostile_network(&site.lab, verdict);
    start(site, &service("one", 1, &[backend(2, REPLICA)], policy))
}

/// Seats that some socket holds.
pub(crate) fn held_seats(site: &Site) -> usize {
    let seats = bpftool::dump(&site.map("SEATS")).expect("the seats");
    let holders = |seat: &Value| seat["value"]["refs"].as_u64();
    seats.iter().filter(|seat| holders(seat).expect("a number") != 0).count()
}

/// A service with one line per backend, and what else it says.
pub(crate) fn service(name: &str, number: u8, backends: &[String], policy: &str) -> String {
    let backends: String = backends.iter().map(|backend| format!("  - {backend}\n")).collect();
    format!(
        "- name: passive/{name}\n  frontends: ['{}']\n  policy: {{{policy}}}\n  backends:\n{backends}",
        format_args!("{}/tcp", address(number)),
    )
}

/// The `number`th service. The address exists nowhere.
pub(crate) fn address(number: u8) -> SocketAddr {
    SocketAddr::new([10, 96, 0, number].into(), SERVICE)
}

/// A backend on the second or a later node of a lab.
pub(crate) fn backend(node: u8, port: u16) -> String {
    format!("{{address: '10.77.{node}.1:{port}', node: n{node}, zone: a, region: eu}}")
}

/// On its way out of `n3` whatever is sent to a replica meets this verdict.
pub(crate) fn hostile_network(lab: &Lab, verdict: &str) {
    let rule = format!(
        "table inet hostile {{\n chain out {{\n type filter hook output priority 0\n \
         tcp dport {REPLICA} {verdict}\n }}\n }}"
    );
    lab.node("n3").netns().nft(&rule).expect("a hostile network");
}

/// Packets that were dropped so far.
pub(crate) fn swallowed(lab: &Lab, node: &str) -> u64 {
    let list = || Command::new("nft").args(["list", "table", "inet", "hole"]).output();
    let output = lab.node(node).netns().run(list).expect("nft");
    let text = String::from_utf8_lossy(&output.stdout);
    let mut words = text.split_whitespace().skip_while(|word| *word != "packets").skip(1);
    words.next().and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{output:?}"))
}

pub(crate) fn tcp(number: u8) -> Dial {
    Dial::tcp(address(number))
}

/// Those that failed.
pub(crate) fn failed(dialled: &[Dialled]) -> Vec<&Dialled> {
    dialled.iter().filter(|one| one.outcome.is_err()).collect()
}
