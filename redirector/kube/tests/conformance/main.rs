//! What the core is told of Services and slices, case by case, with kube-proxy's source of each
//! rule.

mod cases;
mod incremental;
mod random;
mod remote;
mod script;
mod sync;
mod told;

use std::collections::BTreeSet;

use self::{
    cases::{CASES, Case},
    told::{Script, reasons},
};

#[test]
fn every_case_gives_what_kube_proxy_would_choose_among() {
    run(&CASES);
}

/// Agents of all nodes alike decide by RemoteClusters which slices of other clusters count.
#[test]
fn every_case_of_other_clusters_gives_what_their_remote_clusters_allow() {
    let cases: Vec<Case> =
        serde_saphyr::from_str(include_str!("remote.yaml")).expect("a list of cases");
    assert!(cases.len() >= 50, "{} cases", cases.len());
    run(&cases);
}

fn run(cases: &[Case]) {
    let mut wrong = Vec::new();
    for Case { source, rule, cluster, told } in cases {
        let (index, heard) = Script::read(cluster).run();
        let mut found = heard.lines();
        found.extend(reasons(&index).into_iter().map(|reason| format!("! {reason}")));
        let expected: Vec<&str> =
            told.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        if found != expected {
            wrong.push(format!("{rule} ({source})\n  expected {expected:#?}\n  found {found:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn there_are_enough_cases_and_no_two_are_alike() {
    assert!(CASES.len() >= 150, "{} cases", CASES.len());
    let rules: BTreeSet<_> = CASES.iter().map(|case| &case.rule).collect();
    assert_eq!(rules.len(), CASES.len(), "two cases have one name");
    let clusters: BTreeSet<_> = CASES.iter().map(|case| &case.cluster).collect();
    assert_eq!(clusters.len(), CASES.len(), "two cases are the same");
}
