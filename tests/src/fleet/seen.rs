//! What an application and an operator see of a fleet.

use std::{collections::BTreeMap, time::Duration};

use super::{Fleet, NAMESPACE, frontends};
use crate::{
    dialer::{Client, Dial, Dialled, Load, LoadRun},
    place::Place,
    tables,
    wait::wait_within,
};

const LONGEST: Duration = Duration::from_secs(20);

impl Fleet {
    /// Waits until every cluster has heard of every other one.
    pub fn wait_until_live(&self) {
        let all = self.members.len() * (self.members.len() - 1);
        let is_live = || {
            let found = self.members.iter().flat_map(|member| member.api.list("remoteclusters"));
            found.filter(|remote| remote["status"]["phase"] == "Live").count() == all
        };
        wait_within(LONGEST, "all clusters are Live", is_live, || self.context());
    }

    /// An application whose sockets are redirected.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::start(Place::new(self.client.netns(), &self.cgroup)).expect("a client")
    }

    /// Dials the Service whose addresses end so, as often as that in each family.
    #[must_use]
    pub fn dial(&self, last: u8, times: u32) -> Vec<Dialled> {
        let mut client = self.client();
        let of = |address| {
            let dial = Dial { timeout_ms: 1_000, ..Dial::tcp(address) };
            client.dial(dial, times).expect("dials")
        };
        frontends(last).into_iter().flat_map(of).collect()
    }

    /// Dials the Service's IPv4 address at that rate until it is stopped, and reports every dial.
    #[must_use]
    pub fn load(&self, last: u8, rate: u32) -> LoadRun {
        let load = Load { every: true, ..Load::new(Dial::tcp(frontends(last)[0]), rate) };
        self.client().load(load).expect("a load")
    }

    /// Waits until the dials of a Service are answered by exactly these clusters, in both families.
    pub fn wait_for(&self, last: u8, clusters: &[&str]) {
        self.wait_within(LONGEST, last, clusters);
    }

    /// The same, no longer than that. Returns how long it took.
    pub fn wait_within(&self, longest: Duration, last: u8, clusters: &[&str]) -> Duration {
        let mut seen = BTreeMap::new();
        let is_so = || {
            let dialled = self.dial(last, 20);
            seen = by_cluster(&dialled);
            seen.keys().map(String::as_str).eq(sorted(clusters))
        };
        let what = format!("{clusters:?} answer for .{last}");
        wait_within(longest, &what, is_so, || self.context())
    }

    /// Waits until a probe of the agent has reached every backend of a Service.
    pub fn wait_for_probes(&self, service: &str) {
        let name = format!("{NAMESPACE}/{service}");
        let is_known = || {
            let explained = self.agent.ask("explain", &[&name]).expect("it runs");
            let text = String::from_utf8_lossy(&explained.stdout);
            let [healthy, all] =
                ["probes: healthy", "probes: "].map(|what| text.matches(what).count());
            healthy > 0 && healthy == all
        };
        wait_within(LONGEST, "all its backends have answered a probe", is_known, || self.context());
    }

    /// How many backends the tables hold of a Service, in both families.
    #[must_use]
    pub fn backends(&self, service: &str) -> usize {
        let name = format!("{NAMESPACE}/{service}");
        let dump = self.agent.dump();
        let found = tables::services(&dump).filter(|found| found["name"] == name.as_str());
        found.map(|found| tables::backends_of(found).count()).sum()
    }

    /// What all programs have logged, for a test that fails.
    #[must_use]
    pub fn context(&self) -> String {
        let mut text = format!("the agent:\n{}", self.agent.log());
        for member in &self.members {
            for controller in &member.controllers {
                text += &format!("\n{}:\n{}", member.name, controller.log());
            }
            for remote in member.api.list("remoteclusters") {
                text += &format!(
                    "\n{} says of {}: {}",
                    member.name, remote["metadata"]["name"], remote["status"]
                );
            }
        }
        text
    }
}

/// How many dials each cluster has answered; those that failed are `failed`.
#[must_use]
pub fn by_cluster(dialled: &[Dialled]) -> BTreeMap<String, u32> {
    let mut seen = BTreeMap::new();
    for one in dialled {
        let name = one
            .outcome
            .as_deref()
            .map_or("failed", |name| name.split_once('-').map_or(name, |(cluster, _)| cluster));
        *seen.entry(name.to_owned()).or_default() += 1;
    }
    seen
}

fn sorted<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let mut names = names.to_vec();
    names.sort_unstable();
    names
}
