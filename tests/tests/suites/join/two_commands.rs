//! Acceptance statement 19 with importers, exporters and an agent that run: from nothing to a failover by
//! two commands, and a leave under their eyes.

use std::{
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use redirector_tests::{
    api::builders,
    fleet::{Fleet, Member, NAMESPACE, Setup, cidrs},
    place::Place,
    programs,
    wait::wait_within,
};
use serde_json::Value;

use super::fixture::Ended;

/// Where `web` is.
const WEB: u8 = 10;
/// East first, then west, then north.
const IN_ORDER: &str = "
targetRefs: [{kind: Service, name: web}]
tiers:
- {name: here, locality: Cluster}
- {name: west, clusters: [west]}
- {name: north, clusters: [north]}
";
/// What statement 19 allows from nothing to a failover.
const LONGEST: Duration = Duration::from_secs(60);

#[test]
fn two_commands_lead_from_nothing_to_a_failover_and_a_third_one_out_of_it() {
    let mut fleet = fleet();
    let begun = Instant::now();
    for other in ["west", "north"] {
        join(&fleet, other).good();
    }
    let east = fleet.member("east");
    let are_live =
        || ["west", "north"].iter().all(|other| east.phase(other).as_deref() == Some("Live"));
    let log = || fleet.member("east").controllers[0].log();
    wait_within(LONGEST, "both are Live", are_live, log);
    let all_there = || fleet.backends("web") == 12;
    wait_within(LONGEST, "their replicas are backends", all_there, log);
    fleet.wait_for(WEB, &["east"]);
    fleet.wait_for_probes("web");
    kill(&mut fleet, "east");
    fleet.wait_for(WEB, &["west"]);
    let took = begun.elapsed();
    assert!(took < LONGEST, "from nothing to a failover: {took:?}");

    let listed = run(&fleet, &["list"]).good().stdout;
    assert!(
        listed.lines().any(|line| line.starts_with("west ") && line.contains(" Live ")),
        "{listed}"
    );
    let checked = run(&fleet, &["check", "west", "-o", "json"]).json();
    let findings = checked["findings"].as_array().expect("findings");
    let bad: Vec<_> = findings.iter().filter(|finding| finding["verdict"] == "failed").collect();
    assert!(bad.is_empty(), "{bad:#?}");

    let west = fleet.member("west").kubeconfig("admin-token").expect("a kubeconfig");
    let west = west.to_str().expect("a path");
    // East's own replicas are dead, but listed as ready.
    let left = run(&fleet, &["leave", "west", "--drain", "2s", "--remote-kubeconfig", west]).good();
    fleet.wait_for(WEB, &["north"]);
    // The importer had its time to write something again.
    let is_of_west = |object: &Value| {
        let labels = &object["metadata"]["labels"];
        labels["multicluster.kubernetes.io/source-cluster"] == "west"
    };
    let east = fleet.member("east");
    let quiet = Instant::now();
    while quiet.elapsed() < Duration::from_secs(3) {
        let slices = east.api.list("endpointslices");
        assert!(!slices.iter().any(is_of_west), "{}\n{}", left.stdout, fleet.context());
        assert!(east.api.get("remoteclusters", "", "west").is_none());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(east.api.get("secrets", "redirector-clusters", "west").is_none());
    let there = &fleet.member("west").api;
    for kind in ["serviceaccounts", "roles", "rolebindings"] {
        let of_ours = |object: &Value| {
            object["metadata"]["labels"]["clusters.redirector.dev/cluster"] == "east"
        };
        assert!(!there.list(kind).iter().any(of_ours), "{kind}");
    }
    println!("from nothing to a failover on three clusters: {:.1} s\n{listed}", took.as_secs_f64());
}

/// Three clusters that export `web` and know nothing of each other, with a controller each.
fn fleet() -> Fleet {
    let setup = Setup::default();
    let fleet = Fleet::new(&setup, |members| {
        for member in members {
            member.put_service("web", WEB);
            member.put_slices("web", &[(1, true), (2, true)]);
            member.export("web");
        }
        let policy = builders::FailoverPolicy::new(NAMESPACE, "web", IN_ORDER);
        members[0].api.put(policy).expect("a policy");
    });
    let mut fleet = fleet.expect("a fleet");
    let divisor = setup.divisor.to_string();
    let arguments = ["--divide-timeouts", &divisor].map(str::to_owned);
    for member in &mut fleet.members {
        member.control(&arguments).expect("a controller");
    }
    fleet
}

fn join(fleet: &Fleet, other: &str) -> Ended {
    let there: &Member = fleet.member(other);
    let kubeconfig = there.kubeconfig("admin-token").expect("a kubeconfig");
    let kubeconfig = kubeconfig.to_str().expect("a path").to_owned();
    let cidrs = cidrs(there.number).join(",");
    let arguments = [
        "join",
        other,
        "--remote-kubeconfig",
        &kubeconfig,
        "--cidr",
        &cidrs,
        "--encryption",
        "off",
    ];
    run(fleet, &arguments)
}

/// `redirector cluster …` on east, where its importer is.
fn run(fleet: &Fleet, arguments: &[&str]) -> Ended {
    let east = fleet.member("east");
    let kubeconfig = east.kubeconfig("admin-token").expect("a kubeconfig");
    let mut command = Command::new(programs::redirector().expect("redirector"));
    command.arg("cluster").args(arguments).arg("--kubeconfig").arg(kubeconfig);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = Place::netns(east.control.netns()).spawn(command).expect("redirector");
    let Output { status, stdout, stderr } = child.wait_with_output().expect("its end");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ended { code: status.code().unwrap_or(-1), stdout: text(stdout), stderr: text(stderr) }
}

fn kill(fleet: &mut Fleet, cluster: &str) {
    let replicas = &mut fleet.member_mut(cluster).replicas;
    replicas.iter_mut().for_each(redirector_tests::replica::Replica::kill);
}
