//! Three zones with replicas, a node with the application, and an agent that knows them all.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{
    agent::{Agent, AgentOptions},
    bpffs::Bpffs,
    cgroup::Cgroup,
    dialer::{Client, Dial, Dialled, Line, Load, LoadRun},
    lab::{Lab, Node},
    names::Directory,
    place::Place,
    programs,
    replica::Replica,
};

/// Name, node, and what a file says of a backend there. The application's node is `n1`, in zone a.
const ZONES: [(&str, &str, &str); 3] = [
    ("a", "n2", "node: n2, zone: a, region: eu"),
    ("b", "n3", "node: n3, zone: b, region: eu"),
    ("x", "n4", "node: n4, zone: x, region: us, cluster: west"),
];
/// The client's node as the file names it.
const NODE: &str = "node: {name: n1, zone: a, region: eu, cluster: home}\n";
/// Small maps are soon made and soon read.
const SMALL: [&str; 6] = ["--max-slots", "8192", "--max-backends", "512", "--max-services", "256"];
/// Processes that dial side by side: more than there are cores, because each waits for answers.
const DIALERS: u32 = 3;
/// Whatever is waited for comes with a few probes, or a few stores.
const LONGEST: Duration = Duration::from_secs(20);

/// Replicas of one zone that live and die together: one process.
#[derive(Debug, Clone)]
pub struct Group {
    zone: &'static str,
    name: &'static str,
    ports: Vec<u16>,
}

/// Running zones. Fields are dropped in order: first those that use the others.
#[derive(Debug)]
pub struct Zones {
    /// Knows the services of the file.
    pub agent: Agent,
    /// The replicas in the order of their groups.
    pub replicas: Vec<Replica>,
    /// Where the application runs.
    pub cgroup: Cgroup,
    _bpffs: Bpffs,
    _directory: Directory,
    /// `n1` with the application and the agent, `n2` to `n4` with the zones a, b and x.
    pub lab: Lab,
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

    fn start(&self, lab: &Lab) -> Result<Replica> {
        let (_, (_, node, _)) = zone(self.zone);
        let node = lab.node(node);
        let addresses: Vec<_> = self.ports.iter().map(|port| node.socket4(*port)).collect();
        Replica::start(node.netns(), self.name, &addresses)
    }
}

impl Zones {
    /// Starts the replicas, then the agent with these services of a file.
    pub fn new(groups: &[Group], services: &str) -> Result<Self> {
        let lab = Lab::new(&["n1", "n2", "n3", "n4"])?;
        let replicas: Vec<_> =
            groups.iter().map(|group| group.start(&lab)).collect::<Result<_>>()?;
        let directory = Directory::new("zones")?;
        let config = directory.path().join("services.yaml");
        fs::write(&config, format!("{NODE}services:\n{services}")).context("no file")?;
        let (cgroup, bpffs) = (Cgroup::new("application")?, Bpffs::mount()?);
        let binary = programs::redirector()?;
        let mut options = AgentOptions::new(binary, lab.node("n1"), &cgroup, &bpffs, &config);
        options.arguments = SMALL.map(str::to_owned).into();
        let agent = Agent::start(options)?;
        Ok(Self { agent, replicas, cgroup, _bpffs: bpffs, _directory: directory, lab })
    }

    /// Waits until each replica has answered a probe: one that has not, its death is not believed.
    pub fn wait_for_probes(&self) -> Result<()> {
        for (_, node, _) in ZONES {
            let node = self.lab.node(node);
            let here = |replica: &&Replica| replica.addresses()[0].ip() == node.ipv4();
            let all = self.replicas.iter().filter(here).map(|replica| replica.addresses().len());
            // All are asked equally often, so that none is at nothing when they are at three.
            let enough = 3 * u64::try_from(all.sum::<usize>())?;
            wait_until("every replica has answered probes", || accepted(node) >= enough)?;
        }
        Ok(())
    }

    /// An application.
    pub fn client(&self) -> Result<Client> {
        Client::start(Place::new(self.lab.node("n1").netns(), &self.cgroup))
    }

    /// Dials as often as that, as fast as several processes can.
    pub fn dial(&self, address: &str, times: u32) -> Result<Vec<Dialled>> {
        let dial = Dial::tcp(address.parse()?);
        let each = |number| times / DIALERS + u32::from(number < times % DIALERS);
        let clients: Vec<_> = (0..DIALERS).map(|_| self.client()).collect::<Result<_>>()?;
        thread::scope(|scope| {
            let dialling: Vec<_> = (0..DIALERS)
                .zip(clients)
                .map(|(number, mut client)| scope.spawn(move || client.dial(dial, each(number))))
                .collect();
            let dialled = dialling.into_iter().map(|one| one.join().expect("a dialling thread"));
            Ok(dialled.collect::<Result<Vec<_>>>()?.concat())
        })
    }

    /// Dials at that rate until it is stopped, and reports every dial.
    pub fn load(&self, address: &str, rate: u32) -> Result<LoadRun> {
        let dial = Dial::tcp(address.parse()?);
        self.client()?.load(Load { dial, rate, threads: 4, duration_ms: None, every: true })
    }

    /// What `redirector status -o json` prints.
    pub fn status(&self) -> Result<Value> {
        let output = self.agent.command("status", &["-o", "json"])?.wait_with_output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "redirector status: {errors}");
        serde_json::from_slice(&output.stdout).context("no JSON")
    }

    /// Percent of each tier of a service as the kernel has them.
    pub fn loads(&self, service: &str) -> Result<Vec<u64>> {
        let status = self.status()?;
        let mut services = status["services"].as_array().into_iter().flatten();
        let found = services.find(|found| found["name"] == service);
        let found = found.with_context(|| format!("no service {service} in {status:#}"))?;
        let tiers = found["tiers"].as_array().into_iter().flatten();
        Ok(tiers.filter_map(|tier| tier["load"].as_u64()).collect())
    }
}

/// Ends a load; returns what it dialled in the order in which that began.
pub fn stop(load: LoadRun) -> Result<Vec<Dialled>> {
    let (lines, _) = load.stop()?;
    let dialled = lines.into_iter().filter_map(|line| match line {
        Line::Dialled(dialled) => Some(dialled),
        Line::Second(_) | Line::Ended(_) => None,
    });
    let mut dialled: Vec<_> = dialled.collect();
    dialled.sort_by_key(|dialled| dialled.at_us);
    Ok(dialled)
}

/// How often each replica answered; fails with the first dial that no replica answered.
pub fn answers(dialled: &[Dialled]) -> Result<BTreeMap<&str, u32>> {
    let mut answers = BTreeMap::new();
    for one in dialled {
        let name = one.outcome.as_deref().ok();
        let name = name.with_context(|| format!("a dial failed: {one:?}"))?;
        *answers.entry(name).or_default() += 1;
    }
    Ok(answers)
}

/// Polls until it is so.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) -> Result<()> {
    let deadline = Instant::now() + LONGEST;
    while !is_so() {
        ensure!(Instant::now() < deadline, "waited {LONGEST:?} in vain: {what}");
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// The number of a zone's node, and what is known of the zone.
fn zone(name: &str) -> (usize, (&'static str, &'static str, &'static str)) {
    let found = (2..).zip(ZONES).find(|(_, (zone, _, _))| *zone == name);
    found.unwrap_or_else(|| panic!("there is no zone {name}"))
}

/// TCP connections that a node's replicas have accepted.
fn accepted(node: &Node) -> u64 {
    let snmp = node.netns().run(|| fs::read_to_string("/proc/thread-self/net/snmp"));
    let snmp = snmp.unwrap_or_default();
    let mut rows = snmp.lines().filter(|line| line.starts_with("Tcp:"));
    let (names, values) = (rows.next().unwrap_or_default(), rows.next().unwrap_or_default());
    let mut columns = names.split(' ').zip(values.split(' '));
    let found = columns.find(|(name, _)| *name == "PassiveOpens");
    found.and_then(|(_, value)| value.parse().ok()).unwrap_or(0)
}
