//! The way back where nothing of the earlier layout is kept: the earlier version is started beside this
//! one, and serves once this one is unloaded.

use std::{path::PathBuf, thread, time::Duration};

use redirector_tests::{
    agent::{Agent, AgentOptions},
    bpffs::Bpffs,
    fixture,
};

use super::{
    fixture::{Fixture, Form},
    traffic::Traffic,
};

/// How long each of the three states is dialled in.
const STAY: Duration = Duration::from_secs(2);

pub(crate) fn beside([earlier, now]: [PathBuf; 2]) {
    let mut site = Fixture::new(Form::Host, &now);
    assert!(site.pinned("v3").is_empty(), "nothing is kept where nothing was");
    let traffic = Traffic::start(&site);
    thread::sleep(STAY);
    site.agent.stop().expect("the end of an agent");

    let other = Bpffs::mount().expect("a bpffs");
    let options = AgentOptions {
        binary: earlier,
        pin_path: other.pin_path(),
        ..site.agent.options().clone()
    };
    let successor = Agent::start(options).expect("the earlier version");
    thread::sleep(STAY);
    let fixture::Fixture { agent, site } = site.fixture;
    agent.finish().expect("this version unloads");
    thread::sleep(STAY);

    let mut faults = Vec::new();
    let mut count = 0;
    for dials in traffic.stop() {
        count += dials.all.len();
        let failed = dials.all.into_iter().filter(|one| one.outcome.is_err());
        faults.extend(failed.map(|one| (dials.dial, one)));
    }
    println!("{count} dials, {} failed", faults.len());
    assert!(faults.is_empty(), "{faults:?}");
    successor.finish().expect("the earlier version unloads");
    drop(site);
}
