//! Three zones with replicas, a node with the application, and an agent that knows them all.

use std::{collections::BTreeMap, fmt::Write as _, net::SocketAddr, thread};

use crate::{
    dialer::{Client, Dial, Dialled, Load, LoadRun},
    fixture::{Fixture, Site},
    replica::Replica,
    tables,
    wait::wait_until,
};

/// Name, node, and what a file says of a backend there. The application's node is `n1`, in zone a.
const ZONES: [(&str, &str, &str); 3] = [
    ("a", "n2", "node: n2, zone: a, region: eu"),
    ("b", "n3", "node: n3, zone: b, region: eu"),
    ("x", "n4", "node: n4, zone: x, region: us, cluster: west"),
];
/// The client's node as the file names it.
const NODE: &str = "node: {name: n1, zone: a, region: eu, cluster: home}\n";
/// Processes that dial side by side: more than there are cores, because each waits for answers.
const DIALERS: u32 = 3;

/// Replicas of one zone that live and die together: one process.
#[derive(Debug, Clone)]
pub struct Group {
    zone: &'static str,
    name: &'static str,
    ports: Vec<u16>,
}

impl Group {
    /// Replicas in zone a, b or x, each on a port of its own. They answer with the zone's name.
    #[must_use]
    pub fn new(zone: &'static str, ports: impl IntoIterator<Item = u16>) -> Self {
        Self { zone, name: zone, ports: ports.into_iter().collect() }
    }

    /// The same group with another answer.
    #[must_use]
    pub fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    /// Lines of a service's `backends`, one for each replica.
    #[must_use]
    pub fn backends(&self) -> String {
        let (number, (_, _, place)) = zone(self.zone);
        let mut text = String::new();
        for port in &self.ports {
            let _ = writeln!(text, "  - {{address: '10.77.{number}.1:{port}', {place}}}");
        }
        text
    }

    fn start(&self, site: Site) -> Site {
        let (_, (_, node, _)) = zone(self.zone);
        let at = site.lab.node(node);
        let addresses: Vec<SocketAddr> = self.ports.iter().map(|port| at.socket4(*port)).collect();
        site.with_replica_at(node, self.name, &addresses)
    }
}

impl Fixture {
    /// Starts the replicas, in the order of their groups, then the agent with these services of a file:
    /// `n1` has the application and the agent, `n2` to `n4` have the zones a, b and x.
    #[must_use]
    pub fn of_zones(groups: &[Group], services: &str) -> Self {
        let site = Site::new("zones", &["n1", "n2", "n3", "n4"]);
        let site = groups.iter().fold(site, |site, group| group.start(site));
        // Replicas in another cluster that carry no load are asked as soon as the others.
        let site = site.with_arguments(&["--remote-probes", "100"]);
        site.start(&format!("{NODE}services:\n{services}"))
    }

    /// Waits until each replica has answered a probe: one that has not, its death is not believed.
    pub fn wait_for_probes(&self) {
        for node in self.lab.nodes() {
            let here = self.replicas.iter().flat_map(Replica::addresses);
            let all = here.filter(|address| address.ip() == node.ipv4()).count();
            // All are asked equally often, so that none is at nothing when they are at three.
            let enough = 3 * all as u64;
            wait_until("every replica has answered probes", || {
                self.accepted(node.name()) >= enough
            });
        }
    }

    /// Dials as often as that, as fast as several processes can.
    #[must_use]
    pub fn dial(&self, address: &str, times: u32) -> Vec<Dialled> {
        let dial = Dial::tcp(address.parse().expect("an address"));
        let each = |number| times / DIALERS + u32::from(number < times % DIALERS);
        let clients: Vec<_> = (0..DIALERS).map(|_| self.client()).collect();
        thread::scope(|scope| {
            let start = |(number, mut client): (u32, Client)| {
                scope.spawn(move || client.dial(dial, each(number)).expect("dials"))
            };
            let dialling: Vec<_> = (0..DIALERS).zip(clients).map(start).collect();
            let dialled = dialling.into_iter().map(|one| one.join().expect("a dialling thread"));
            dialled.collect::<Vec<_>>().concat()
        })
    }

    /// Dials at that rate until it is stopped, and reports every dial.
    #[must_use]
    pub fn load(&self, address: &str, rate: u32) -> LoadRun {
        let dial = Dial::tcp(address.parse().expect("an address"));
        self.client().load(Load { every: true, ..Load::new(dial, rate) }).expect("a load")
    }

    /// Percent of each tier of a service as the kernel has them.
    #[must_use]
    pub fn loads(&self, service: &str) -> Vec<u64> {
        let status = self.agent.status();
        let found = tables::services(&status).find(|found| found["name"] == service);
        let found = found.unwrap_or_else(|| panic!("no service {service} in {status:#}"));
        tables::list(&found["tiers"]).filter_map(|tier| tier["load"].as_u64()).collect()
    }
}

/// How often each replica answered; panics with the first dial that no replica answered.
#[must_use]
pub fn answers(dialled: &[Dialled]) -> BTreeMap<&str, u32> {
    let mut answers = BTreeMap::new();
    for one in dialled {
        let name = one.outcome.as_deref();
        *answers.entry(name.unwrap_or_else(|_| panic!("a dial failed: {one:?}"))).or_default() += 1;
    }
    answers
}

/// The number of a zone's node, and what is known of the zone.
fn zone(name: &str) -> (usize, (&'static str, &'static str, &'static str)) {
    let found = (2..).zip(ZONES).find(|(_, (zone, _, _))| *zone == name);
    found.unwrap_or_else(|| panic!("there is no zone {name}"))
}
