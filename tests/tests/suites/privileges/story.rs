//! A life of an agent that may do nothing, beside what a loader that may only load has made.

use std::{fs, os::unix::fs::MetadataExt as _};

use redirector_tests::{
    fixture::Fixture,
    privileges::{AGENT, LOADER, Privileges},
    wait::wait_until,
};

use super::fixture::{PROBED, answered_by, assert_redirected, list, start, tcp};
use crate::common::counter;

#[test]
fn an_agent_without_capabilities_does_all_that_one_of_root_does() {
    let mut site = start(PROBED, true);
    assert_powerless(&site);
    let mut client = site.client();
    assert_redirected(&mut client, &["n2", "n3"]);

    // The kernel moves by itself the client that is refused.
    site.agent.freeze().expect("a frozen agent");
    site.replicas[1].kill();
    let mut failed = 0;
    for dialled in client.dial(tcp(), 400).expect("dials") {
        failed += u64::from(dialled.outcome.is_err());
    }
    let begun = counter(&site, "avoid_begun");
    assert!(begun > 0, "the third refusal moves it");
    assert_eq!((failed, counter(&site, "ejected")), (2 + begun, 0), "later ones were tries");
    site.agent.thaw().expect("an agent that goes on");

    // A probe re-admits.
    site.replicas[1].restart().expect("the replica");
    wait_until("a probe has re-admitted the backend", || {
        answered_by(&client.dial(tcp(), 50).expect("dials"), "n3") > 0
    });

    // A change of the file, whose plan has barriers, frontends and backends.
    list(&site, PROBED, 1);
    wait_until("the backend that is not listed any more gets nothing", || {
        answered_by(&client.dial(tcp(), 50).expect("dials"), "n3") == 0
    });
    assert_redirected(&mut client, &["n2"]);
    list(&site, PROBED, 2);
    wait_until("it is listed again", || {
        answered_by(&client.dial(tcp(), 50).expect("dials"), "n3") > 0
    });

    // Orders are kept where only the loader could make the directory.
    let run = fs::metadata(site.agent.run_directory()).expect("the run directory");
    let owner = (run.mode() & 0o7777, run.uid(), run.gid());
    assert_eq!(owner, (0o770, LOADER.user, AGENT.group), "mode, user, group");
    let drained = site.agent.answer("drain", &["node=n3"]);
    assert!(drained.starts_with("drain node=n3: in force; no new connections to "), "{drained}");
    wait_until("the drained node gets nothing", || {
        answered_by(&client.dial(tcp(), 50).expect("dials"), "n3") == 0
    });

    // A crash; then a loader exchanges the programs, and another agent adopts the maps.
    let before = steps(&site);
    site.agent.restart().expect("an agent");
    assert_powerless(&site);
    assert_ne!(steps(&site), before, "the loader has not exchanged the programs");
    assert!(site.agent.log().contains("using what is pinned"), "{}", site.agent.log());
    assert_redirected(&mut client, &["n2"]);
    assert!(site.agent.answer("orders", &[]).contains("n3"), "the new agent knows of no drain");
    site.agent.answer("undrain", &["node=n3"]);
    wait_until("the node is back", || {
        answered_by(&client.dial(tcp(), 50).expect("dials"), "n3") > 0
    });

    // It takes everything away but the directory, which the loader's stands above.
    let Fixture { agent, site } = site;
    agent.finish().expect("an agent that unloads, without errors");
    let left = fs::read_dir(site.bpffs.pin_path()).expect("the directory").count();
    assert_eq!(left, 0, "something is pinned below {}", site.bpffs.pin_path().display());
}

fn assert_powerless(site: &Fixture) {
    let privileges = Privileges::of(site.agent.pid().expect("it runs")).expect("its status");
    let nothing = Privileges { user: AGENT.user, capabilities: [0; 5], may_gain_none: true };
    assert_eq!(privileges, nothing, "CapInh, CapPrm, CapEff, CapBnd, CapAmb");
    println!("agent: {privileges:?}");
}

/// The directories of the program arrays: one per load.
fn steps(site: &Fixture) -> Vec<String> {
    let entries = fs::read_dir(site.bpffs.pin_path()).expect("the pins");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("steps-")).collect()
}
