//! A life of an agent that may do nothing, beside what a loader that may only load has made.

use std::{fs, os::unix::fs::MetadataExt as _};

use redirector_tests::privileges::{AGENT, LOADER, Privileges};

use crate::privileges::stage::{PROBED, Stage, answered_by, assert_redirected, tcp, wait_until};

#[test]
fn an_agent_without_capabilities_does_all_that_one_of_root_does() {
    let mut stage = Stage::new(PROBED, true);
    assert_powerless(&stage);
    let mut client = stage.client();
    assert_redirected(&mut client, &["n2", "n3"]);

    // The kernel moves by itself the client that is refused.
    stage.agent.freeze().expect("a frozen agent");
    stage.replicas[1].kill();
    let mut failed = 0;
    for dialled in client.dial(tcp(), 400).expect("dials") {
        failed += u64::from(dialled.outcome.is_err());
    }
    let begun = stage.counter("avoid_begun");
    assert!(begun > 0, "the third refusal moves it");
    assert_eq!((failed, stage.counter("ejected")), (2 + begun, 0), "later ones were tries");
    stage.agent.thaw().expect("an agent that goes on");

    // A probe re-admits.
    stage.replicas[1].restart().expect("the replica");
    wait_until("a probe has re-admitted the backend", || {
        answered_by(&client.dial(tcp(), 50).expect("dials"), "n3") > 0
    });

    // A change of the file, whose plan has barriers, frontends and backends.
    stage.list(PROBED, 1);
    wait_until("the backend that is not listed any more gets nothing", || {
        answered_by(&client.dial(tcp(), 50).expect("dials"), "n3") == 0
    });
    assert_redirected(&mut client, &["n2"]);
    stage.list(PROBED, 2);
    wait_until("it is listed again", || {
        answered_by(&client.dial(tcp(), 50).expect("dials"), "n3") > 0
    });

    // Orders are kept where only the loader could make the directory.
    let run = fs::metadata(stage.agent.run_directory()).expect("the run directory");
    let owner = (run.mode() & 0o7777, run.uid(), run.gid());
    assert_eq!(owner, (0o770, LOADER.user, AGENT.group), "mode, user, group");
    let drained = ask(&stage, &["drain", "node=n3"]);
    assert!(drained.starts_with("drain node=n3: in force; no new connections to "), "{drained}");
    wait_until("the drained node gets nothing", || {
        answered_by(&client.dial(tcp(), 50).expect("dials"), "n3") == 0
    });

    // A crash; then a loader exchanges the programs, and another agent adopts the maps.
    let before = steps(&stage);
    stage.agent.restart().expect("an agent");
    assert_powerless(&stage);
    assert_ne!(steps(&stage), before, "the loader has not exchanged the programs");
    assert!(stage.agent.log().contains("using what is pinned"), "{}", stage.agent.log());
    assert_redirected(&mut client, &["n2"]);
    assert!(ask(&stage, &["orders"]).contains("n3"), "the new agent knows of no drain");
    ask(&stage, &["undrain", "node=n3"]);
    wait_until("the node is back", || {
        answered_by(&client.dial(tcp(), 50).expect("dials"), "n3") > 0
    });

    // It takes everything away but the directory, which the loader's stands above.
    let Stage { agent, bpffs, .. } = stage;
    agent.finish().expect("an agent that unloads, without errors");
    let left = fs::read_dir(bpffs.pin_path()).expect("the directory").count();
    assert_eq!(left, 0, "something is pinned below {}", bpffs.pin_path().display());
}

fn assert_powerless(stage: &Stage) {
    let privileges = Privileges::of(stage.agent.pid().expect("it runs")).expect("its status");
    let nothing = Privileges { user: AGENT.user, capabilities: [0; 5], may_gain_none: true };
    assert_eq!(privileges, nothing, "CapInh, CapPrm, CapEff, CapBnd, CapAmb");
    println!("agent: {privileges:?}");
}

/// What the agent answers an operator, who is the agent's user.
fn ask(stage: &Stage, words: &[&str]) -> String {
    let output = stage.agent.ask(words[0], &words[1..]).expect("an answer");
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// The directories of the program arrays: one per load.
fn steps(stage: &Stage) -> Vec<String> {
    let entries = fs::read_dir(stage.bpffs.pin_path()).expect("the pins");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("steps-")).collect()
}
