//! One truth: for every state that an operator may have to find out about, whoever is asked says the
//! same.

mod table;

use std::process::Output;

use redirector_tests::{
    cluster::{PORT, replica, slice},
    zones::wait_until,
};
use serde_json::Value;

use self::table::{Cell, STATES, State, View};
use crate::kube::stage::Stage;

const PROBE: &str = "probe: {tcp: {}, interval: 200ms, timeout: 200ms, unhealthy: 2, healthy: 1}";
/// Long enough to be seen.
const FAILBACK: &str = "failback: {holdDown: 2s, ramp: 2s}";

#[test]
fn whoever_is_asked_says_the_same_and_the_truth() {
    let mut stage = Stage::new(2);
    stage.put_service("web", 10, &[1]);
    stage.put_service("backup", 11, &[2]);
    stage.put_service("another", 13, &[2]);
    stage.kubectl(&["label", "service", "another", "redirector.dev/failover=true"], "");
    for State { name, cells } in STATES {
        let told = stage.cluster.agent.log().len();
        lead_to(name, &mut stage);
        for view in View::ALL {
            let cells = cells.iter().filter(|(of, _)| *of == view);
            let cells: Vec<Cell> = cells.map(|(_, cell)| *cell).collect();
            assert!(!cells.is_empty(), "{name}: nothing is said of {view:?}");
            let mut said = String::new();
            let are_so = || {
                said = say(&stage, view, told);
                cells.iter().all(|cell| cell.is_so(&said))
            };
            if wait_until("the truth", are_so).is_err() {
                let wrong: Vec<_> = cells.iter().filter(|cell| !cell.is_so(&said)).collect();
                panic!("{name}: {view:?} must be {wrong:?}, and says {said}");
            }
        }
        println!("kube: {name}: all that is said agrees");
    }
}

/// From the state before it in the table.
fn lead_to(state: &str, stage: &mut Stage) {
    let backup = policy("{name: backup, service: {name: backup}}");
    let drained = format!("backend={}:{PORT}", replica(1)[0]);
    match state {
        "well" => {
            stage.apply("web", &backup);
            stage.wait_for_probes("shop/web");
        }
        "drained" => order(stage, &["drain", &drained]),
        "forced" => {
            order(stage, &["undrain", &drained]);
            order(stage, &["force", "shop/web", "backup"]);
        }
        "failed over" => {
            order(stage, &["failback", "shop/web"]);
            stage.cluster.replicas[0].kill();
        }
        "all down" => stage.cluster.replicas[1].kill(),
        "held down" => {
            for (number, carries) in [(1, "tier 1 backup, of shop/backup: 100 %"), (0, "hold-down")]
            {
                stage.cluster.replicas[number].restart().expect("a replica");
                let is_so = || say(stage, View::Explain, 0).contains(carries);
                wait_until("it is well again", is_so).expect("it is");
            }
        }
        "ramped up" | "back" => {}
        "tier empty" => stage.apply("web", &policy("{name: typo, zones: [nosuch]}")),
        "tier missing" => stage.apply("web", &policy("{name: typo, service: {name: nosuch}}")),
        "refused" => {
            let change = r#"{"spec": {"mode": "Sometimes"}}"#;
            stage.kubectl(&["patch", "failoverpolicy", "web", "--type=merge", "-p", change], "");
        }
        "unreadable" => {
            stage.apply("web", &backup);
            let mut strange: Value = slice("web", "", &[1]).into();
            strange["ports"] = "8080".into();
            stage.cluster.api.put(strange).expect("a slice");
        }
        "left alone" => {
            let strange = slice("web", "", &[1]).managed_by("somebody");
            stage.cluster.api.put(strange).expect("a slice");
        }
        "no room" => {
            stage.cluster.api.put(slice("web", "", &[1])).expect("a slice");
            without_room(stage);
        }
        _ => panic!("no way leads to {state}"),
    }
}

fn policy(second: &str) -> String {
    format!(
        "targetRefs: [{{kind: Service, name: web}}]\nmode: LastResort\ntiers:\n\
         - {{name: own, zones: [b]}}\n- {second}\n{PROBE}\n{FAILBACK}\n"
    )
}

/// The maps have room for one Service, and the agent is an older one than who gave its last order. (Of
/// maps that it may load itself an agent knows the room.)
fn without_room(stage: &mut Stage) {
    let agent = &mut stage.cluster.agent;
    agent.stop().expect("the end of the agent");
    succeeds(&output(agent.command("unload", &[])));
    let cgroup = stage.cluster.cgroup.path().display().to_string();
    succeeds(&output(agent.command("load", &["--cgroup", &cgroup, "--max-services", "1"])));
    let orders = agent.run_directory().join("orders.json");
    std::fs::write(orders, r#"[{"slowDown": {"zone": "b"}}]"#).expect("an order");
    agent.spawn_again().expect("the agent");
    agent.wait_until_ready().expect("it is ready");
}

fn say(stage: &Stage, view: View, told: usize) -> String {
    let agent = &stage.cluster.agent;
    let condition = |kind: &str| {
        let told = stage.condition("web", kind);
        told.map(|of| format!("{} {}: {}", of.status, of.reason, of.message)).unwrap_or_default()
    };
    let get = |path| agent.get(path).map(|(status, text)| format!("{status} {text}"));
    match view {
        View::Status => {
            let directory = agent.run_directory().display().to_string();
            both(&output(agent.command("status", &["--run-dir", &directory, "shop/web"])))
        }
        View::Explain => both(&agent.ask("explain", &["shop/web"]).expect("it runs")),
        View::Ready => get("/readyz").unwrap_or_default(),
        View::Metrics => get("/metrics").unwrap_or_default(),
        View::Log => agent.log().split_off(told),
        View::Accepted => condition("Accepted"),
        View::Programmed => condition("Programmed"),
        View::Degraded => condition("Degraded"),
    }
}

fn order(stage: &Stage, words: &[&str]) {
    let output = stage.cluster.agent.ask(words[0], &words[1..]).expect("it runs");
    succeeds(&output);
    assert!(both(&output).contains("note: on this node alone"), "{output:?}");
}

fn both(output: &Output) -> String {
    let [one, other] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    format!("{one}{other}")
}

fn output(child: anyhow::Result<std::process::Child>) -> Output {
    child.expect("it starts").wait_with_output().expect("it ends")
}

fn succeeds(output: &Output) {
    assert!(output.status.success(), "{output:?}");
}
