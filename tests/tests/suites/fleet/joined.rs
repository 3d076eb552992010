//! A fleet whose clusters read each other's outboxes, and what a load saw while something went wrong.

use std::{collections::BTreeMap, time::Duration};

use redirector_tests::{
    api::builders,
    dialer::{Dialled, LoadRun, now_us},
    fleet::{Fleet, NAMESPACE, Setup, by_cluster},
    wait::wait_within,
};

use super::fixture::{IN_ORDER, WEB, kill};

/// Every cluster has `web` with all replicas ready, and exports it; in east the policy [`IN_ORDER`] holds.
pub fn joined(setup: &Setup, arguments: &[&str]) -> Fleet {
    let ready: Vec<_> = (1..=setup.replicas).map(|number| (number, true)).collect();
    let fleet = Fleet::joined(setup, arguments, |members| {
        for member in members {
            member.put_service("web", WEB);
            member.put_slices("web", &ready);
            member.export("web");
        }
        let policy = builders::FailoverPolicy::new(NAMESPACE, "web", IN_ORDER);
        members[0].api.put(policy).expect("a policy");
    });
    let fleet = fleet.expect("a fleet");
    let all = setup.clusters * usize::from(setup.replicas) * 2;
    wait_for_backends(&fleet, all);
    fleet.wait_for(WEB, &["east"]);
    fleet.wait_for_probes("web");
    fleet
}

/// The same after east has lost its replicas: west carries.
pub fn west_carries(setup: &Setup, arguments: &[&str]) -> Fleet {
    let mut fleet = joined(setup, arguments);
    kill(&mut fleet, "east");
    fleet.wait_for(WEB, &["west"]);
    fleet
}

/// Waits until the tables hold so many backends of `web`, of both families.
pub fn wait_for_backends(fleet: &Fleet, count: usize) {
    let is_so = || fleet.backends("web") == count;
    let context = || format!("{}\n{}", fleet.backends("web"), fleet.context());
    wait_within(Duration::from_secs(20), &format!("{count} backends"), is_so, context);
}

/// Waits until a condition of west in east is False for that reason, and returns the message.
pub fn said(fleet: &Fleet, kind: &str, reason: &str) -> String {
    says(fleet, kind, "False", reason)
}

/// The same of a condition in that status.
pub fn says(fleet: &Fleet, kind: &str, status: &str, reason: &str) -> String {
    let found = || {
        let remote = fleet.member("east").api.get("remoteclusters", "", "west")?;
        let mut all = remote["status"]["conditions"].as_array()?.clone().into_iter();
        all.find(|condition| condition["type"] == kind)
    };
    let is_so =
        || found().is_some_and(|found| found["status"] == status && found["reason"] == reason);
    let what = format!("west is {kind}={status}, {reason}");
    let took = wait_within(Duration::from_secs(10), &what, is_so, || fleet.context());
    let message = found().map(|found| found["message"].clone()).unwrap_or_default();
    println!("{kind}={status}, {reason} after {took:?}: {message}");
    message.as_str().unwrap_or_default().to_owned()
}

/// What a load saw from a moment on.
#[derive(Debug)]
pub struct Seen {
    /// Dials that began after it, in the order in which they began.
    pub dialled: Vec<Dialled>,
    /// That moment, [`now_us`].
    pub from: u64,
}

impl Seen {
    /// Ends the load.
    pub fn of(load: LoadRun, from: u64) -> Self {
        let mut dialled = load.dialled().expect("a load");
        dialled.retain(|one| one.at_us >= from);
        Self { dialled, from }
    }

    pub fn failed(&self) -> usize {
        self.dialled.iter().filter(|one| one.outcome.is_err()).count()
    }

    pub fn by_cluster(&self) -> BTreeMap<String, u32> {
        by_cluster(&self.dialled)
    }

    /// When the first dial began, after that moment.
    pub fn first(&self) -> Duration {
        self.since(self.dialled.first())
    }

    /// When the last dial began that went to that cluster or failed.
    pub fn last_to(&self, cluster: &str) -> Duration {
        let mut all = self.dialled.iter().rev();
        let is_it =
            |one: &&Dialled| one.outcome.as_ref().map_or(true, |name| name.starts_with(cluster));
        self.since(all.find(is_it))
    }

    /// When the first dial began that this cluster answered.
    pub fn first_to(&self, cluster: &str) -> Option<Duration> {
        let mut all = self.dialled.iter();
        let is_it =
            |one: &&Dialled| one.outcome.as_ref().is_ok_and(|name| name.starts_with(cluster));
        all.find(is_it).map(|one| self.since(Some(one)))
    }

    fn since(&self, one: Option<&Dialled>) -> Duration {
        Duration::from_micros(one.map_or(0, |one| one.at_us.saturating_sub(self.from)))
    }
}

/// Now, as dials have it.
pub fn now() -> u64 {
    now_us()
}
