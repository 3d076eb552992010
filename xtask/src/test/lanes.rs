//! Which suites run side by side: those that mostly wait. The others have the machine for
//! themselves: they measure time, or use both cores.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use anyhow::Result;

use super::{
    outcome::Outcome,
    suites::{Run, Suite},
};

/// How many suites run at a time; each uses about 0.4 of a core.
const LANES: usize = 4;

/// Suites that run side by side, in the order in which they begin: the longest first. A new suite
/// runs alone until it is named here.
const BESIDE: &[&str] = &[
    "fleet",
    "tenants",
    "lost",
    "sockets",
    "outages",
    "mcs",
    "join",
    "kube",
    "passive",
    "crashes",
    "restart",
    "conformance",
    "clients",
    "listeners",
    "deploy",
    "inspect",
    "fake_api",
    "privileges",
    "resets",
    "guards",
    "agent_guard",
];

/// Runs the suites and gives each outcome to `add`, as they end.
pub(super) fn run(
    suites: &[Suite],
    run: &Run,
    mut add: impl FnMut(&Suite, Outcome) + Send,
) -> Result<()> {
    let place = |suite: &&Suite| BESIDE.iter().position(|name| *name == suite.name());
    let (mut beside, alone): (Vec<_>, Vec<_>) =
        suites.iter().partition(|suite| place(suite).is_some());
    beside.sort_by_key(place);
    for suite in alone {
        println!("\n== {}", suite.name());
        add(suite, suite.run(run, true)?);
    }
    let is_shown = beside.len() == 1;
    let next = AtomicUsize::new(0);
    let add = Mutex::new(add);
    let lane = || -> Result<()> {
        while let Some(suite) = beside.get(next.fetch_add(1, Ordering::Relaxed)) {
            let outcome = suite.run(run, is_shown)?;
            let mut add = add.lock().unwrap_or_else(PoisonError::into_inner);
            (*add)(suite, outcome);
        }
        Ok(())
    };
    thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES).map(|_| scope.spawn(lane)).collect();
        lanes.into_iter().try_for_each(|lane| lane.join().expect("a lane does not panic"))
    })
}

#[cfg(test)]
mod tests {
    use super::{super::suites, BESIDE};

    #[test]
    fn every_suite_that_runs_beside_others_exists() {
        let all = suites::all().expect("the suites");
        for name in BESIDE {
            assert!(all.iter().any(|suite| suite.name() == *name), "{name}");
        }
    }
}
