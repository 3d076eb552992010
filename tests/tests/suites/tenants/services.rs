//! Services in both families, and what the agent's file says of their backends.

use std::net::SocketAddr;

use redirector_tests::dialer::Dial;

/// Where replicas answer; others of the same node on the ports after it.
pub(crate) const PORT: u16 = 8080;
/// Fast probes, and connects that are soon given up.
pub(crate) const PROBED: &str = "connectTimeout: 300ms, \
    probe: {tcp: {}, interval: 200ms, timeout: 200ms, unhealthy: 2, healthy: 1}";
/// Near ones, and those of the cluster west only when no near one is healthy.
pub(crate) const TIERS: &str = "tiers: [{name: near, zones: [a]}, {name: west, clusters: [west]}]";
/// In the order of their addresses. The agent and processes of the host are in `host`.
pub(crate) const NODES: [&str; 6] = ["host", "victim", "pod1", "pod2", "near", "west"];

/// What is dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    pub(crate) const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// Where a service is dialled. The address exists nowhere.
    pub(crate) fn frontend(self, service: u16) -> SocketAddr {
        let text = match self {
            Self::V4 => format!("10.96.{}.{}:80", service / 256, service % 256),
            Self::V6 => format!("[fd00:96::{service:x}]:80"),
        };
        text.parse().expect("an address")
    }

    pub(crate) fn dial(self, service: u16) -> Dial {
        Dial { timeout_ms: 2_000, ..Dial::tcp(self.frontend(service)) }
    }
}

/// A service in both families, with one line per backend.
pub(crate) fn service(number: u16, policy: &str, backends: &[String]) -> String {
    let frontends = Family::ALL.map(|family| format!("'{}/tcp'", family.frontend(number)));
    format!(
        "- name: {}\n  frontends: [{}]\n  policy: {{{policy}}}\n  backends:\n{}",
        name(number),
        frontends.join(", "),
        backends.concat(),
    )
}

/// Lines of a replica in the node's own zone, of its node `near`, in both families.
pub(crate) fn near(port: u16) -> String {
    backend("near", port, "node: near, zone: a, region: eu, cluster: home")
}

/// Lines of a replica in the cluster west.
pub(crate) fn west(port: u16) -> String {
    backend("west", port, "node: west, zone: x, region: us, cluster: west")
}

/// Lines of a replica at the addresses of a node of the lab, with what the file says of it.
pub(crate) fn backend(node: &str, port: u16, place: &str) -> String {
    let number = 1 + NODES.iter().position(|name| *name == node).expect("a node");
    format!(
        "  - {{address: '10.77.{number}.1:{port}', {place}}}\n  \
         - {{address: '[fd77::{number}:1]:{port}', {place}}}\n"
    )
}

/// Both addresses of each of these services.
pub(crate) fn frontends(services: impl IntoIterator<Item = u16>) -> Vec<SocketAddr> {
    let both = |service| Family::ALL.map(|family: Family| family.frontend(service));
    services.into_iter().flat_map(both).collect()
}

/// What the replica on that port of a node answers with.
pub(crate) fn answer(node: &str, port: u16) -> String {
    if port == PORT { node.to_owned() } else { format!("{node}-{}", port - PORT) }
}

/// As the agent knows it.
pub(crate) fn name(service: u16) -> String {
    format!("tenants/{service}")
}
