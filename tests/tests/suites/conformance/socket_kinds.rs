//! The cases of the index, with real sockets.

use std::{collections::BTreeMap, thread, time::Instant};

use super::{
    cases::{CASES, Case},
    check::{Tally, check},
    flows::Flows,
    placed::Placed,
    script::Script,
    waves::WaveCluster,
};

/// At least so many cases.
const PROMISED: u32 = 60;

/// Cases that need something that a cluster has not, and why.
const NOT_HERE: [(&str, &str); 12] = [
    ("without the feature gate hints for nodes are ignored", NO_GATE),
    ("without the feature gate hints for zones still hold", NO_GATE),
    ("over its namespace's share a service is left to kube-proxy, the others are not", SMALL),
    ("a service over its share is adopted when there is room again", SMALL),
    ("a zone in no region that is known is said", NO_NODES),
    ("the own node's zone is in the own node's region", NO_NODES),
    ("a service without an address yet is left alone", "the API server gives it one at once"),
    ("an endpoint without an address is none", "the API server refuses it"),
    ("a slice's port whose name is not given is ignored", "the API server gives it the empty one"),
    (
        "of two services with one load-balancer address the older has it",
        "the API server dates them",
    ),
    ("an endpoint returns when the service whose address it was is gone", "nobody answers there"),
    ("a foreign endpoint at another service's load-balancer address is left out", "nor there"),
];
const NO_GATE: &str = "the agent has no flag for it";
const SMALL: &str = "maps for so few services are smaller than any that are loaded";
const NO_NODES: &str = "what it is about is a notice";

#[test]
fn the_cases_hold_for_real_sockets() {
    let _alone = redirector_tests::one_at_a_time::one_at_a_time();
    let begun = Instant::now();
    let mut clusters = BTreeMap::<Vec<String>, Vec<Placed>>::new();
    for (number, case) in (1..).zip(CASES.iter()) {
        if !is_not_here(case) {
            clusters.entry(arguments(case)).or_default().push(Placed::new(number, case.clone()));
        }
    }
    assert!(NOT_HERE.iter().all(|(rule, _)| CASES.iter().any(|case| case.rule == *rule)));
    let mut tally = Tally::default();
    for (arguments, cases) in clusters {
        tally.add(run(&arguments, cases));
    }
    let Tally { cases, choices, refused, unreachable, untouched, dials, slowest_us } = tally;
    println!(
        "conformance: {cases} of {} cases with sockets: {choices} choose among several replicas, \
         {refused} refuse, {unreachable} are unreachable, {untouched} leave an address alone; \
         {dials} dials, slowest error {} us, {:.1} s",
        CASES.len(),
        slowest_us,
        begun.elapsed().as_secs_f64()
    );
    for (rule, why) in NOT_HERE {
        println!("conformance: without sockets: {rule}: {why}");
    }
    assert!(cases >= PROMISED, "{cases} cases");
}

fn is_not_here(case: &Case) -> bool {
    NOT_HERE.iter().any(|(rule, _)| *rule == case.rule)
}

/// Of the agent for this case.
fn arguments(case: &Case) -> Vec<String> {
    let settings = Script::read(&case.cluster).settings.unwrap_or_default();
    let mut scope = "all";
    let mut arguments = Vec::new();
    for setting in &settings {
        match setting.split_once('=').unwrap_or((setting, "")) {
            ("scope", value) => scope = value,
            ("external-ips", _) => arguments.push("--external-ips"),
            // Where the pods of this network are, and no others.
            ("trusted", "10.1.0.0/16") => arguments.extend(["--trusted-cidr", "10.77.2.0/27"]),
            ("trusted", network) => arguments.extend(["--trusted-cidr", network]),
            _ => panic!("no agent has {setting}"),
        }
    }
    arguments.extend(["--scope", scope]);
    arguments.into_iter().map(str::to_owned).collect()
}

fn run(arguments: &[String], cases: Vec<Placed>) -> Tally {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut shared = WaveCluster::new(&arguments, &cases);
    let mut waves = BTreeMap::<String, Vec<Placed>>::new();
    for case in cases {
        waves.entry(case.wave()).or_default().push(case);
    }
    let mut tally = Tally::default();
    for cases in waves.values() {
        tally.add(wave(&mut shared, cases));
        shared.clear();
    }
    tally
}

/// What happens at first, what happens later, and what dials come to in the end.
fn wave(shared: &mut WaveCluster, cases: &[Placed]) -> Tally {
    let steps = cases.iter().map(|case| case.script.steps.len()).max().unwrap_or(0);
    let mut flows = Vec::new();
    for step in 0..steps {
        shared.apply(cases, step);
        if step == 0 {
            flows = cases.iter().filter_map(|case| Flows::open(&shared.cluster, case)).collect();
        }
    }
    shared.wait_for(cases);
    flows.into_iter().for_each(Flows::check);
    let mut halves = [Vec::new(), Vec::new()];
    for (number, case) in cases.iter().enumerate() {
        halves[number % 2].push(case);
    }
    let shared = &*shared;
    thread::scope(|scope| {
        let check_all = |half: Vec<&Placed>| {
            let mut client = shared.cluster.client().expect("an application");
            let mut tally = Tally::default();
            half.into_iter().for_each(|case| tally.add(check(&mut client, case)));
            tally
        };
        let running = halves.map(|half| scope.spawn(move || check_all(half)));
        let mut all = Tally::default();
        for one in running {
            all.add(one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        all
    })
}
