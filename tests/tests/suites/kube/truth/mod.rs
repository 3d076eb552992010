//! One truth: for every state that an operator may have to find out about, whoever is asked says the
//! same.

mod table;

use std::process::Output;

use redirector_tests::{
    cluster::{PORT, replica, slice},
    wait::{is_soon, wait_until},
};
use serde_json::Value;

use self::table::{Cell, STATES, State, View};
use crate::kube::fixture::Fixture;

const PROBE: &str = "probe: {tcp: {}, interval: 200ms, timeout: 200ms, unhealthy: 2, healthy: 1}";
/// Long enough to be seen.
const FAILBACK: &str = "failback: {holdDown: 2s, ramp: 2s}";

#[test]
fn whoever_is_asked_says_the_same_and_the_truth() {
    let mut site = Fixture::new(2);
    site.put_service("web", 10, &[1]);
    site.put_service("backup", 11, &[2]);
    site.put_service("another", 13, &[2]);
    site.kubectl(&["label", "service", "another", "redirector.dev/failover=true"], "");
    for State { name, cells } in STATES {
        let told = site.cluster.agent.log().len();
        lead_to(name, &mut site);
        for view in View::ALL {
            let cells = cells.iter().filter(|(of, _)| *of == view);
            let cells: Vec<Cell> = cells.map(|(_, cell)| *cell).collect();
            assert!(!cells.is_empty(), "{name}: nothing is said of {view:?}");
            let mut said = String::new();
            let are_so = || {
                said = shown(&site, view, told);
                cells.iter().all(|cell| cell.is_so(&said))
            };
            if !is_soon(are_so) {
                let wrong: Vec<_> = cells.iter().filter(|cell| !cell.is_so(&said)).collect();
                panic!("{name}: {view:?} must be {wrong:?}, and says {said}");
            }
        }
        println!("kube: {name}: all that is said agrees");
    }
}

/// From the state before it in the table.
fn lead_to(state: &str, site: &mut Fixture) {
    let backup = policy("{name: backup, service: {name: backup}}");
    let drained = format!("backend={}:{PORT}", replica(1)[0]);
    match state {
        "well" => {
            site.apply("web", &backup);
            site.wait_for_probes("shop/web");
        }
        "drained" => order(site, &["drain", &drained]),
        "forced" => {
            order(site, &["undrain", &drained]);
            order(site, &["force", "shop/web", "backup"]);
        }
        "failed over" => {
            order(site, &["failback", "shop/web"]);
            site.cluster.replicas[0].kill();
        }
        "all down" => site.cluster.replicas[1].kill(),
        "held down" => {
            for (number, carries) in [(1, "tier 1 backup, of shop/backup: 100 %"), (0, "hold-down")]
            {
                site.cluster.replicas[number].restart().expect("a replica");
                let is_so = || shown(site, View::Explain, 0).contains(carries);
                wait_until("it is well again", is_so);
            }
        }
        "ramped up" | "back" => {}
        "tier empty" => site.apply("web", &policy("{name: typo, zones: [nosuch]}")),
        "tier missing" => site.apply("web", &policy("{name: typo, service: {name: nosuch}}")),
        "refused" => {
            let change = r#"{"spec": {"mode": "Sometimes"}}"#;
            site.kubectl(&["patch", "failoverpolicy", "web", "--type=merge", "-p", change], "");
        }
        "unreadable" => {
            site.apply("web", &backup);
            let mut strange: Value = slice("web", "", &[1]).into();
            strange["ports"] = "8080".into();
            site.cluster.api.put(strange).expect("a slice");
        }
        "left alone" => {
            let strange = slice("web", "", &[1]).managed_by("somebody");
            site.cluster.api.put(strange).expect("a slice");
        }
        "no room" => {
            site.cluster.api.put(slice("web", "", &[1])).expect("a slice");
            without_room(site);
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
fn without_room(site: &mut Fixture) {
    let agent = &mut site.cluster.agent;
    agent.stop().expect("the end of the agent");
    agent.printed("unload", &[]);
    let cgroup = site.cluster.cgroup.path().display().to_string();
    agent.printed("load", &["--cgroup", &cgroup, "--max-services", "1"]);
    let orders = agent.run_directory().join("orders.json");
    std::fs::write(orders, r#"[{"slowDown": {"zone": "b"}}]"#).expect("an order");
    agent.spawn_again().expect("the agent");
    agent.wait_until_ready().expect("it is ready");
}

fn shown(site: &Fixture, view: View, told: usize) -> String {
    let agent = &site.cluster.agent;
    let condition = |kind: &str| {
        let told = site.condition("web", kind);
        told.map(|of| format!("{} {}: {}", of.status, of.reason, of.message)).unwrap_or_default()
    };
    let get = |path| agent.get(path).map(|(status, text)| format!("{status} {text}"));
    match view {
        View::Status => {
            let directory = agent.run_directory().display().to_string();
            both(&agent.run("status", &["--run-dir", &directory, "shop/web"]))
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

fn order(site: &Fixture, words: &[&str]) {
    let output = site.cluster.agent.ask(words[0], &words[1..]).expect("it runs");
    assert!(output.status.success(), "{output:?}");
    assert!(both(&output).contains("note: on this node alone"), "{output:?}");
}

fn both(output: &Output) -> String {
    let [one, other] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    format!("{one}{other}")
}
