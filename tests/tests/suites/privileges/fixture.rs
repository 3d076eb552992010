//! A client's node, two nodes with replicas, and an agent with least privilege.

use std::{env, path::PathBuf};

use redirector_tests::{
    dialer::{Client, Dial, Dialled, Transport},
    fixture::{Fixture, Site},
    programs,
    replica::Replica,
};

const PORT: u16 = 8080;

pub const TCP4: &str = "10.96.0.1:80";
pub const TCP6: &str = "[fd00:96::1]:80";
pub const UDP4: &str = "10.96.0.2:53";
pub const UDP6: &str = "[fd00:96::2]:53";

/// Nothing comes back by itself, except by a probe.
pub const PROBED: &str = "probe: {tcp: {}, interval: 200ms, timeout: 200ms, unhealthy: 100, \
                          healthy: 1}, passive: {refused: 3, timeouts: 3, baseEjection: 300s}";

/// An agent with this policy, ready; its loader has CAP_PERFMON or not.
pub fn start(policy: &str, has_perfmon: bool) -> Fixture {
    let site = Site::new("privileges", &["n1", "n2", "n3"]).with_replicas(&["n2", "n3"], PORT);
    let config = configuration(policy, &site.replicas);
    let perfmon = if has_perfmon { "unset" } else { "export" };
    // The stand-in of `redirector`, and what it stands in for.
    let lines = format!(
        "REDIRECTOR_WITHOUT_PERFMON=1\n{perfmon} REDIRECTOR_WITHOUT_PERFMON\n\
         REDIRECTOR_UNPRIVILEGED_BIN={} exec {} \"$@\"\n",
        redirector_binary().display(),
        env!("CARGO_BIN_EXE_unprivileged"),
    );
    let binary = site.directory.script("redirector", &lines).expect("a script");
    site.start_binary(binary, &config)
}

/// Lists the first replicas only.
pub fn list(site: &Fixture, policy: &str, count: usize) {
    site.write(&configuration(policy, &site.replicas[..count]));
}

/// The program itself.
pub fn redirector_binary() -> PathBuf {
    let real = env::var_os("REDIRECTOR_UNPRIVILEGED_BIN").map(PathBuf::from);
    real.unwrap_or_else(|| programs::redirector().expect("the redirector"))
}

fn configuration(policy: &str, replicas: &[Replica]) -> String {
    let backends: String = replicas
        .iter()
        .flat_map(|replica| {
            replica.addresses().iter().map(|address| {
                let node = replica.name();
                format!("  - {{address: '{address}', node: {node}, zone: a, region: eu}}\n")
            })
        })
        .collect();
    format!(
        "node: {{name: n1, zone: a, region: eu}}\nservices:\n\
         - name: privileges/tcp\n  frontends: ['{TCP4}/tcp', '{TCP6}/tcp']\n  \
         policy: {{{policy}}}\n  backends:\n{backends}\
         - name: privileges/udp\n  frontends: ['{UDP4}/udp', '{UDP6}/udp']\n  \
         policy: {{probe: off}}\n  backends:\n{backends}"
    )
}

/// A fresh socket of each kind to each frontend.
pub fn kinds() -> impl Iterator<Item = Dial> {
    let dial = |address: &str, transport| Dial {
        transport,
        ..Dial::tcp(address.parse().expect("an address"))
    };
    [
        dial(TCP4, Transport::Tcp),
        dial(TCP6, Transport::Tcp),
        dial("[::ffff:10.96.0.1]:80", Transport::Tcp),
        dial(UDP4, Transport::Udp),
        dial(UDP6, Transport::Udp),
        dial(UDP4, Transport::UdpUnconnected),
        dial(UDP6, Transport::UdpUnconnected),
    ]
    .into_iter()
}

pub fn tcp() -> Dial {
    Dial::tcp(TCP4.parse().expect("an address"))
}

/// How many of them that replica answered.
pub fn answered_by(dialled: &[Dialled], name: &str) -> usize {
    dialled.iter().filter(|one| one.outcome.as_deref() == Ok(name)).count()
}

/// Every dial is answered, by each of these replicas and nobody else, and shows the address dialled.
pub fn assert_redirected(client: &mut Client, names: &[&str]) {
    for dial in kinds() {
        let dialled = client.dial(dial, 60).expect("dials");
        let by = names.iter().map(|name| answered_by(&dialled, name));
        assert_eq!(by.clone().sum::<usize>(), 60, "{dial:?}: {dialled:?}");
        assert!(by.clone().all(|count| count > 0), "{dial:?}: not by all of {names:?}");
        for one in &dialled {
            let shown =
                if dial.transport == Transport::UdpUnconnected { one.source } else { one.peer };
            assert_eq!(shown, Some(dial.address), "{dial:?}");
        }
    }
}
