//! An agent that may not report, or whose cluster has no policies, redirects all the same.

use redirector_tests::{
    api::{Request, Rule, Verb},
    wait::{wait_until, wait_until_or},
};

use super::fixture::{CRD, Fixture, Setup, rights};

const POLICY: &str = "
targetRefs: [{kind: Service, name: web}]
tiers:
- {name: backup, service: {name: backup}}
- {name: own, locality: Cluster}
";

#[test]
fn with_wrong_rights_only_the_reports_are_missing() {
    let reads = |rule: &Rule| rule.verbs.iter().any(|verb| verb == "list");
    let site = fails_over_with(reads);
    let is_forbidden = || {
        let mut requests = site.requests().into_iter();
        requests.any(|request| request.code == 403 && request.resource == "leases")
    };
    wait_until("it asks for the Lease in vain", is_forbidden);
    for request in site.requests().iter().filter(|request| request.code == 403) {
        assert_eq!(request.resource, "leases", "{request:?}");
    }
    assert_eq!(site.condition("web", "Accepted"), None);
    assert_eq!(site.cluster.api.list("events").len(), 0);
}

#[test]
fn a_leader_that_may_write_no_status_and_no_event_goes_on() {
    let may = |rule: &Rule| !rule.resources.iter().any(|one| one == "events" || one.contains('/'));
    let site = fails_over_with(may);
    for resource in ["failoverpolicies/status", "events"] {
        let is_forbidden = || {
            let mut requests = site.requests().into_iter();
            requests.any(|request| request.code == 403 && request.resource == resource)
        };
        let log = || format!("{resource}\n{}", site.cluster.agent.log());
        wait_until_or("it tries in vain", is_forbidden, log);
    }
    site.wait_for_answers(&[1]);
    let warnings = site.cluster.agent.log().matches("it is repeated").count();
    assert_eq!(warnings, 1, "failures are told once:\n{}", site.cluster.agent.log());
}

#[test]
fn without_the_crd_labelled_services_work_and_it_is_said_once() {
    let site = Fixture::with(Setup { has_crd: false, ..Setup::default() });
    site.put_service("web", 10, &[1]);
    site.put_service("backup", 11, &[2]);
    site.kubectl(&["label", "service", "web", "redirector.dev/failover=true"], "");
    site.wait_for_answers(&[1]);
    let said = || site.cluster.agent.log().matches("does not know FailoverPolicies").count();
    assert_eq!(said(), 1);
    let all_nodes = |request: &Request| {
        let is_list = request.verb == Verb::List && request.resource == "nodes";
        is_list && !request.path.contains("fieldSelector")
    };
    let are_asked_for = || site.requests().iter().any(all_nodes);
    wait_until("it asks in which region each zone is", are_asked_for);

    site.kubectl(&["apply", "-f", "-"], CRD);
    site.apply("web", POLICY);
    site.wait_for_condition("web", "Programmed", ("True", "Programmed"));
    site.wait_for_answers(&[2]);
    assert_eq!(said(), 1);
    site.assert_nothing_was_forbidden();
}

/// An agent with these of its rights, which has failed over twice.
fn fails_over_with(is_granted: impl Fn(&Rule) -> bool) -> Fixture {
    let rights = rights().into_iter().filter(is_granted).collect();
    let mut site = Fixture::with(Setup { rights, ..Setup::default() });
    site.put_service("web", 10, &[1]);
    site.put_service("backup", 11, &[2]);
    site.apply("web", POLICY);
    site.wait_for_answers(&[2]);
    site.wait_for_probes("shop/web");
    site.cluster.replicas[1].kill();
    site.wait_for_answers(&[1]);
    site
}
