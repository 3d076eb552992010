//! What these tests begin with: a client's node and a replicas' node, services, and a real agent.

use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::MutexGuard,
    time::Duration,
};

use derive_more::{Deref, DerefMut};
use redirector_common::HealthByte;
use redirector_tests::{
    bpftool,
    cgroup::Cgroup,
    fixture::{self, Site},
    one_at_a_time::one_at_a_time,
    place::Place,
    script::{Kind, RawAddress, Scripter},
    tables, wait,
};
use serde_json::Value;

/// Port of every service.
const SERVICE: u16 = 80;
/// Port of every replica.
const REPLICA: u16 = 8080;

/// How long a change of the configuration may take to arrive in the kernel.
const LONGEST_CHANGE: Duration = Duration::from_secs(10);

/// A place with an address of each family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spot {
    pub v4: Ipv4Addr,
    pub v6: Ipv6Addr,
    pub port: u16,
}

/// How an application addresses a spot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    Ipv4,
    Ipv6,
    /// An IPv6 socket, and `::ffff:a.b.c.d`.
    Mapped,
}

impl Family {
    pub const ALL: [Self; 3] = [Self::Ipv4, Self::Ipv6, Self::Mapped];

    /// A socket of this family.
    pub fn socket(self, kind: i32) -> Kind {
        let domain = if self == Self::Ipv4 { libc::AF_INET } else { libc::AF_INET6 };
        Kind { domain, kind, protocol: 0 }
    }
}

impl Spot {
    /// The `number`th service address of the services with so many backends. It exists nowhere.
    pub fn service(backends: u8, number: u8) -> Self {
        let v6 = [0xfd00, 0x96, 0, 0, 0, 0, backends.into(), number.into()];
        Self { v4: Ipv4Addr::new(10, 96, backends, number), v6: v6.into(), port: SERVICE }
    }

    /// Replica 1, 2 or 3, or another local address of their node.
    pub fn replica(number: u8) -> Self {
        let v6 = [0xfd77, 0, 0, 0, 0, 0, 2, number.into()];
        Self { v4: Ipv4Addr::new(10, 77, 2, number), v6: v6.into(), port: REPLICA }
    }

    pub fn with_port(self, port: u16) -> Self {
        Self { port, ..self }
    }

    /// The bytes with which an application of that family names it.
    pub fn seen_by(self, family: Family) -> RawAddress {
        let ip: IpAddr = match family {
            Family::Ipv4 => self.v4.into(),
            Family::Ipv6 => self.v6.into(),
            Family::Mapped => self.v4.to_ipv6_mapped().into(),
        };
        SocketAddr::new(ip, self.port).into()
    }

    pub fn addresses(self) -> [SocketAddr; 2] {
        [(self.v4, self.port).into(), (self.v6, self.port).into()]
    }
}

/// A replica that belongs to no service.
pub const PLAIN: u8 = 9;

/// What replica `number` answers with.
pub fn name(number: u8) -> String {
    format!("r{number}")
}

/// The number of the replica with that name.
pub fn number(name: &str) -> u8 {
    name.strip_prefix('r').and_then(|number| number.parse().ok()).expect("a replica's name")
}

/// Everything up. These tests read counters and share two cores: one at a time.
#[derive(Deref, DerefMut)]
pub struct Fixture {
    #[deref]
    #[deref_mut]
    fixture: fixture::Fixture,
    _alone: MutexGuard<'static, ()>,
}

impl Fixture {
    /// Three replicas and the plain one; the agent has `services`, and `arguments`.
    pub fn new(services: &str, arguments: &[&str]) -> Self {
        let alone = one_at_a_time();
        let site = Site::new("client", &["client", "replicas"]).with_arguments(arguments);
        let node = site.lab.node("replicas");
        for address in [2, 3, PLAIN].iter().flat_map(|number| Spot::replica(*number).addresses()) {
            node.add_address(address.ip()).expect("one more address");
        }
        let with = |site: Site, number| {
            site.with_replica_at("replicas", &name(number), &Spot::replica(number).addresses())
        };
        let site = [1, 2, 3, PLAIN].into_iter().fold(site, with);
        Self { fixture: site.start(services), _alone: alone }
    }

    /// An application in the cgroup that is redirected.
    pub fn client(&self) -> Scripter {
        Scripter::start(self.place()).expect("a client")
    }

    /// An application on the same node, in another cgroup: `None` is this process's.
    pub fn stranger(&self, cgroup: Option<&Cgroup>) -> Scripter {
        let netns = Some(self.node().netns());
        Scripter::start(Place { netns, cgroup }).expect("a client")
    }

    /// Writes other services into the agent's file; returns once the kernel has them, as
    /// `arrived` can tell from `redirector dump`.
    pub fn change(&self, services: &str, arrived: impl Fn(&Value) -> bool) {
        self.write(services);
        self.wait_until("the new configuration is in force", arrived);
    }

    /// Polls `redirector dump`.
    pub fn wait_until(&self, what: &str, is_so: impl Fn(&Value) -> bool) {
        let dump = || format!("{:#}", self.agent.dump());
        wait::wait_within(LONGEST_CHANGE, what, || is_so(&self.agent.dump()), dump);
    }

    /// Stores the operator's byte in the health of a backend, as one who drains it would. There is
    /// no probe that could eject a UDP backend.
    pub fn drain(&self, backend: SocketAddr, is_drained: bool) {
        let dump = self.agent.dump();
        let found = tables::backends(&dump).find(|found| tables::address(found) == backend);
        let index = found.unwrap_or_else(|| panic!("{backend} is no backend"))["index"].as_u64();
        let key = u32::try_from(index.expect("an index")).expect("an index").to_ne_bytes();
        let pin = self.map("HEALTH");
        let mut word = bpftool::lookup(&pin, &key).expect("its health");
        word[HealthByte::Operator as usize] = is_drained.into();
        bpftool::update(&pin, &key, &word).expect("one store");
    }
}

/// A service of the file: address `number` of those with so many `backends`, both families.
/// `rest` are further lines of it.
pub fn service(protocol: &str, number: u8, backends: &[u8], rest: &str) -> String {
    let spot = Spot::service(backends.len() as u8, number);
    service_at(
        &format!("test/{}-{number}-{protocol}", backends.len()),
        protocol,
        &[spot],
        backends,
        rest,
    )
}

/// The same at any addresses.
pub fn service_at(
    name: &str,
    protocol: &str,
    spots: &[Spot],
    backends: &[u8],
    rest: &str,
) -> String {
    let frontends: Vec<_> = spots
        .iter()
        .flat_map(|spot| spot.addresses())
        .map(|address| format!("\"{address}/{protocol}\""))
        .collect();
    let mut text = format!("- name: {name}\n  frontends: [{}]\n", frontends.join(", "));
    text.push_str(if backends.is_empty() { "  backends: []\n" } else { "  backends:\n" });
    for address in backends.iter().flat_map(|number| Spot::replica(*number).addresses()) {
        let _ = writeln!(text, "  - {{address: \"{address}\"}}");
    }
    for line in rest.lines() {
        let _ = writeln!(text, "  {line}");
    }
    text
}

/// A whole file.
pub fn file(services: &[String]) -> String {
    format!("node: {{name: client, zone: a}}\nservices:\n{}", services.concat())
}

/// Nobody asks the replicas whether they are well.
pub const NO_PROBE: &str = "policy: {probe: off}";

/// Addresses 10 and 11 of the services with 0, 1 and 3 backends, TCP and UDP. Two services that
/// differ only in their last byte have the same backends.
pub fn all_services() -> String {
    let mut services = Vec::new();
    for backends in [&[][..], &[1], &[1, 2, 3]] {
        for number in [10, 11] {
            for protocol in ["tcp", "udp"] {
                services.push(service(protocol, number, backends, NO_PROBE));
            }
        }
    }
    file(&services)
}

/// How many of the backends in a dump are so, in both families together.
pub fn backends(dump: &Value, is_so: impl Fn(&Value) -> bool) -> usize {
    tables::backends(dump).filter(|backend| is_so(backend)).count()
}
