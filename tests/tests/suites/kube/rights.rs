//! An agent that may not report, or whose cluster has no policies, redirects all the same.

use redirector_tests::{
    api::{Request, Rule, Verb},
    zones::wait_until,
};

use super::stage::{CRD, Setup, Stage, rights};

const POLICY: &str = "
targetRefs: [{kind: Service, name: web}]
tiers:
- {name: backup, service: {name: backup}}
- {name: own, locality: Cluster}
";

#[test]
fn with_wrong_rights_only_the_reports_are_missing() {
    let reads = |rule: &Rule| rule.verbs.iter().any(|verb| verb == "list");
    let stage = fails_over_with(reads);
    let is_forbidden = || {
        let mut requests = stage.requests().into_iter();
        requests.any(|request| request.code == 403 && request.resource == "leases")
    };
    wait_until("it asks for the Lease in vain", is_forbidden).expect("it does");
    for request in stage.requests().iter().filter(|request| request.code == 403) {
        assert_eq!(request.resource, "leases", "{request:?}");
    }
    assert_eq!(stage.condition("web", "Accepted"), None);
    assert_eq!(stage.cluster.api.list("events").len(), 0);
}

#[test]
fn a_leader_that_may_write_no_status_and_no_event_goes_on() {
    let may = |rule: &Rule| !rule.resources.iter().any(|one| one == "events" || one.contains('/'));
    let stage = fails_over_with(may);
    for resource in ["failoverpolicies/status", "events"] {
        let is_forbidden = || {
            let mut requests = stage.requests().into_iter();
            requests.any(|request| request.code == 403 && request.resource == resource)
        };
        wait_until("it tries in vain", is_forbidden)
            .unwrap_or_else(|error| panic!("{resource}: {error}\n{}", stage.cluster.agent.log()));
    }
    stage.wait_for_answers(&[1]);
    let warnings = stage.cluster.agent.log().matches("it is repeated").count();
    assert_eq!(warnings, 1, "failures are told once:\n{}", stage.cluster.agent.log());
}

#[test]
fn without_the_crd_labelled_services_work_and_it_is_said_once() {
    let stage = Stage::with(Setup { has_crd: false, ..Setup::default() });
    stage.put_service("web", 10, &[1]);
    stage.put_service("backup", 11, &[2]);
    stage.kubectl(&["label", "service", "web", "redirector.dev/failover=true"], "");
    stage.wait_for_answers(&[1]);
    let said = || stage.cluster.agent.log().matches("does not know FailoverPolicies").count();
    assert_eq!(said(), 1);
    let all_nodes = |request: &Request| {
        let is_list = request.verb == Verb::List && request.resource == "nodes";
        is_list && !request.path.contains("fieldSelector")
    };
    let are_asked_for = || stage.requests().iter().any(all_nodes);
    wait_until("it asks in which region each zone is", are_asked_for).expect("it does");

    stage.kubectl(&["apply", "-f", "-"], CRD);
    stage.apply("web", POLICY);
    stage.wait_for_condition("web", "Programmed", ("True", "Programmed"));
    stage.wait_for_answers(&[2]);
    assert_eq!(said(), 1);
    stage.assert_nothing_was_forbidden();
}

/// An agent with these of its rights, which has failed over twice.
fn fails_over_with(is_granted: impl Fn(&Rule) -> bool) -> Stage {
    let rights = rights().into_iter().filter(is_granted).collect();
    let mut stage = Stage::with(Setup { rights, ..Setup::default() });
    stage.put_service("web", 10, &[1]);
    stage.put_service("backup", 11, &[2]);
    stage.apply("web", POLICY);
    stage.wait_for_answers(&[2]);
    stage.wait_for_probes("shop/web");
    stage.cluster.replicas[1].kill();
    stage.wait_for_answers(&[1]);
    stage
}
