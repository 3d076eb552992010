//! One truth: for every state that an operator may have to find out about, `status`, `explain`,
//! readiness, metrics and the policy's status say the same.

use std::process::Output;

use redirector_tests::{cluster::replica, zones::wait_until};

use crate::stage::Stage;

/// Who is asked.
#[derive(Clone, Copy, Debug)]
enum View {
    Status,
    Explain,
    Ready,
    Metrics,
    /// A condition of the policy: `True Programmed: in the kernel: web`.
    Programmed,
    Degraded,
}

use View::{Degraded, Explain, Metrics, Programmed, Ready, Status};

/// What each says when all is well; `!` is what it must not say.
const WELL: &[(View, &str)] = &[
    (Status, "  100 % of new connections, 1 of 1 usable"),
    (Status, "!NOT INSTALLED"),
    (Explain, "tier 0 own: 100 %, 1 of 1 healthy"),
    (Explain, "!NOT INSTALLED"),
    (Ready, "200 ready\n"),
    (Metrics, "redirector_services_rejected 0"),
    (Metrics, "redirector_maps_behind 0"),
    (Programmed, "True Programmed: in the kernel: web"),
    (Degraded, "False AsExpected: every Service has a healthy backend"),
];
/// The first tier is drained, and the second has its traffic.
const AWAY: &[(View, &str)] = &[
    (Status, "order: drain backend=10.77.2.1:8080/tcp (on this node alone)"),
    (Status, "10.77.2.1:8080             0.00 %  ejected by operator"),
    (Status, "10.77.2.2:8080           100.00 %  usable"),
    (Explain, "tier 0 own: 0 %, 0 of 1 healthy"),
    (Explain, "tier 1 backup, of shop/backup: 100 %, 1 of 1 healthy"),
    (Ready, "200 ready\n"),
    (Metrics, "redirector_services_rejected 0"),
    (Programmed, "True Programmed: in the kernel: web"),
    (Degraded, "True FailedOver: all traffic of web port 80 is in tier backup, not in own"),
];
/// A tier names a zone that there is not.
const EMPTY: &[(View, &str)] = &[
    (Status, "10.77.2.1:8080           100.00 %  usable"),
    (Status, "!tier 1"),
    (Explain, "tier 1 typo: 0 %, 0 of 0 healthy; no backend is in the places that it names"),
    (Ready, "200 ready\n"),
    (Metrics, "redirector_services_rejected 0"),
    (Programmed, "True Programmed: in the kernel: web"),
    (Degraded, "True TierEmpty: tier typo of web port 80 is empty: no backend is in the places"),
];
/// There is room for one Service, and `another` has it.
const NO_ROOM: &[(View, &str)] = &[
    (Status, "shop/web: NOT INSTALLED for "),
    (Status, " s: needs one more service, 0 of 1 are free; its addresses are not redirected"),
    (Explain, "NOT INSTALLED for "),
    (Explain, "needs one more service, 0 of 1 are free; its addresses are not redirected; what"),
    (Ready, "200 ready, but services are not installed for want of room (1)"),
    (Metrics, "redirector_services_rejected 1"),
    (Programmed, "False NotInstalled: not in the kernel: web: needs one more service"),
];
/// In this order.
const STATES: [&str; 4] = ["well", "away", "empty", "no room"];

#[test]
fn whoever_is_asked_says_the_same_and_the_truth() {
    const PROBE: &str =
        "probe: {tcp: {}, interval: 200ms, timeout: 200ms, unhealthy: 2, healthy: 1}";
    let mut stage = Stage::new(2);
    stage.put_service("web", 10, &[1]);
    stage.put_service("backup", 11, &[2]);
    stage.put_service("another", 13, &[2]);
    stage.kubectl(&["label", "service", "another", "redirector.dev/failover=true"], "");
    let policy = |second: &str| {
        format!(
            "targetRefs: [{{kind: Service, name: web}}]\ntiers:\n- {{name: own, zones: [b]}}\n\
             - {second}\n{PROBE}"
        )
    };
    let backup = policy("{name: backup, service: {name: backup}}");
    let drained = format!("backend={}:8080", replica(1)[0]);
    for state in STATES {
        let rows = match state {
            "well" => {
                stage.apply("web", &backup);
                WELL
            }
            "away" => {
                succeeds(stage.cluster.agent.ask("drain", &[&drained]).expect("it runs"));
                AWAY
            }
            "empty" => {
                succeeds(stage.cluster.agent.ask("undrain", &[&drained]).expect("it runs"));
                stage.apply("web", &policy("{name: typo, zones: [nosuch]}"));
                EMPTY
            }
            _ => {
                without_room(&mut stage);
                NO_ROOM
            }
        };
        for (view, wanted) in rows {
            let (is_wanted, part) =
                wanted.strip_prefix('!').map_or((true, *wanted), |part| (false, part));
            let mut said = String::new();
            let is_so = || {
                said = say(&stage, *view);
                said.contains(part) == is_wanted
            };
            if wait_until("the truth", is_so).is_err() {
                panic!("{state}: {view:?} must say {wanted:?}, and says {said:?}");
            }
        }
        println!("kube: {state}: {} answers agree", rows.len());
    }
}

/// The maps have room for one Service. (Of those that it may load itself an agent knows the room.)
fn without_room(stage: &mut Stage) {
    let agent = &mut stage.cluster.agent;
    agent.stop().expect("the end of the agent");
    succeeds(output(agent.command("unload", &[])));
    let cgroup = stage.cluster.cgroup.path().display().to_string();
    succeeds(output(agent.command("load", &["--cgroup", &cgroup, "--max-services", "1"])));
    agent.spawn_again().expect("the agent");
    agent.wait_until_ready().expect("it is ready");
}

fn say(stage: &Stage, view: View) -> String {
    let agent = &stage.cluster.agent;
    let condition = |kind: &str| {
        let told = stage.condition("web", kind);
        told.map(|of| format!("{} {}: {}", of.status, of.reason, of.message)).unwrap_or_default()
    };
    let get = |path| agent.get(path).map(|(status, text)| format!("{status} {text}"));
    match view {
        Status => {
            let directory = agent.run_directory().display().to_string();
            let said = output(agent.command("status", &["--run-dir", &directory, "shop/web"]));
            String::from_utf8_lossy(&said.stdout).into_owned()
        }
        Explain => {
            let said = agent.ask("explain", &["shop/web"]).expect("it runs");
            String::from_utf8_lossy(&said.stdout).into_owned()
        }
        Ready => get("/readyz").unwrap_or_default(),
        Metrics => get("/metrics").unwrap_or_default(),
        Programmed => condition("Programmed"),
        Degraded => condition("Degraded"),
    }
}

fn output(child: anyhow::Result<std::process::Child>) -> Output {
    child.expect("it starts").wait_with_output().expect("it ends")
}

fn succeeds(output: Output) {
    assert!(output.status.success(), "{output:?}");
}
