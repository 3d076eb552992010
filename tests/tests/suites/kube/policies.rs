//! Policies: what kubectl applies is in force, and their status says so.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use redirector_tests::{
    api::{Request, Verb},
    cluster::slice,
};
use serde_json::Value;

use super::fixture::{Condition, Fixture, Setup};

/// Everything goes to the Service `backup`, as no policy by locality would have it.
const BACKUP_FIRST: &str = "
targetRefs: [{kind: Service, name: web}]
tiers:
- {name: backup, service: {name: backup}}
- {name: own, locality: Cluster}
";
const OWN_FIRST: &str = "
targetRefs: [{kind: Service, name: web}]
tiers:
- {name: own, locality: Cluster}
- {name: backup, service: {name: backup}}
";

#[test]
fn a_policy_is_accepted_programmed_and_shown_and_a_second_one_is_conflicted() {
    let site = Fixture::new(2);
    site.put_service("web", 10, &[1]);
    site.put_service("backup", 11, &[2]);
    let before = users_objects(&site);

    site.apply("a-first", BACKUP_FIRST);
    site.wait_for_condition("a-first", "Programmed", ("True", "Programmed"));
    site.wait_for_condition("a-first", "Accepted", ("True", "Accepted"));
    site.wait_for_condition("a-first", "Degraded", ("False", "AsExpected"));
    assert_eq!(site.answers(20), ["r2".to_owned()].into());

    site.apply("b-second", OWN_FIRST);
    site.wait_for_condition("b-second", "Accepted", ("False", "Conflicted"));
    let Condition { message, .. } = site.condition("b-second", "Accepted").expect("a condition");
    assert!(message.contains("web has the older policy a-first"), "{message}");
    assert_eq!(site.answers(20), ["r2".to_owned()].into());

    let table = site.kubectl(&["get", "failoverpolicies"], "");
    let rows: Vec<Vec<&str>> = table.lines().map(|row| row.split_whitespace().collect()).collect();
    println!("{table}");
    let head = ["NAME", "TARGET", "MODE", "ACCEPTED", "PROGRAMMED", "DEGRADED", "AGE"];
    assert_eq!(rows[0], head, "{table}");
    // Without defaults, which a real API server sets, there is no mode to show.
    assert_eq!(rows[1][..5], ["a-first", "web", "True", "True", "False"], "{table}");
    assert_eq!(rows[2][..5], ["b-second", "web", "False", "False", "Unknown"], "{table}");

    site.kubectl(&["delete", "failoverpolicy", "a-first"], "");
    site.wait_for_condition("b-second", "Accepted", ("True", "Accepted"));
    site.wait_for_answers(&[1]);

    assert_eq!(users_objects(&site), before, "the agent has written a user's object");
    let policy = site.cluster.api.get("failoverpolicies", "shop", "b-second").expect("a policy");
    assert_eq!(policy["metadata"]["generation"], 1);
    site.assert_only_reports_were_written();
    site.assert_nothing_was_forbidden();
}

#[test]
fn an_invalid_version_says_so_and_the_last_good_one_stays_in_force() {
    let site = Fixture::new(2);
    site.put_service("web", 10, &[1]);
    site.put_service("backup", 11, &[2]);
    site.apply("web", BACKUP_FIRST);
    site.wait_for_condition("web", "Programmed", ("True", "Programmed"));

    // This server checks no schema; kubectl checks no patch.
    let change =
        r#"{"spec": {"mode": "Sometimes", "tiers": [{"name": "own", "locality": "Cluster"}]}}"#;
    site.kubectl(&["patch", "failoverpolicy", "web", "--type=merge", "-p", change], "");
    site.wait_for_condition("web", "Accepted", ("False", "Invalid"));
    let Condition { message, generation, .. } =
        site.condition("web", "Accepted").expect("a condition");
    assert!(message.starts_with("generation 1 stays in force: "), "{message}");
    assert!(message.contains("mode"), "{message}");
    assert_eq!(generation, 2);
    assert_eq!(site.answers(50), ["r2".to_owned()].into());

    let change = r#"{"spec": {"mode": "Spill"}}"#;
    site.kubectl(&["patch", "failoverpolicy", "web", "--type=merge", "-p", change], "");
    site.wait_for_condition("web", "Accepted", ("True", "Accepted"));
    site.wait_for_answers(&[1]);
    site.assert_nothing_was_forbidden();
}

#[test]
fn a_tier_whose_service_is_missing_is_out_and_comes_in_when_there_is_one() {
    let mut site = Fixture::new(2);
    site.put_service("web", 10, &[1]);
    site.apply("web", OWN_FIRST);
    site.wait_for_condition("web", "Degraded", ("True", "TierUnresolved"));
    let Condition { message, .. } = site.condition("web", "Degraded").expect("a condition");
    assert!(message.contains("tier backup is out: there is no Service backup"), "{message}");
    site.wait_for_condition("web", "Accepted", ("True", "Accepted"));
    assert_eq!(site.answers(20), ["r1".to_owned()].into());

    site.put_service("backup", 11, &[2]);
    site.wait_for_condition("web", "Degraded", ("False", "AsExpected"));
    assert_eq!(site.answers(20), ["r1".to_owned()].into());
    site.cluster.replicas[0].kill();
    site.wait_for_answers(&[2]);
    site.assert_nothing_was_forbidden();
}

#[test]
fn a_status_is_written_on_change_only_and_not_often() {
    // By less than other stages, so that what is measured is the pause and nothing that happens
    // to be slower.
    let divisor = 2;
    let site = Fixture::with(Setup { divisor, replicas: 3, ..Setup::default() });
    site.put_service("web", 10, &[1]);
    site.put_service("backup", 11, &[2]);
    site.apply("web", OWN_FIRST);
    site.wait_for_condition("web", "Programmed", ("True", "Programmed"));
    site.wait_for_condition("web", "Degraded", ("False", "AsExpected"));

    // Changes of endpoints, whatever the number, change no status: both tiers have some all the time.
    site.cluster.api.forget_requests();
    let begun = Instant::now();
    for round in 0_u32.. {
        site.cluster.api.put(slice("web", "", &[1 + 2 * (round % 2) as u8])).expect("a slice");
        site.answers(20);
        if begun.elapsed() > Duration::from_secs(5) {
            println!("kube: {round} changes of endpoints in {:?}", begun.elapsed());
            break;
        }
    }
    let writes = patches(&site);
    assert!(writes.is_empty(), "{writes:#?}");

    // Changes of the policy do; faster ones than may be written are written as one.
    let begun = Instant::now();
    for round in 0_u32.. {
        let minimum = 10 + round % 80;
        let change = serde_json::json!({"spec": {"minHealthyPercent": minimum}});
        site.cluster.api.patch("failoverpolicies", "shop", "web", change).expect("a policy");
        site.answers(20);
        if begun.elapsed() > Duration::from_secs(8) {
            println!("kube: {round} versions of a policy in {:?}", begun.elapsed());
            break;
        }
    }
    site.wait_for_condition("web", "Programmed", ("True", "Programmed"));
    let writes = patches(&site);
    let gaps: Vec<Duration> =
        writes.windows(2).map(|pair| pair[1].at.duration_since(pair[0].at)).collect();
    println!("kube: {} statuses written, {gaps:?} apart", writes.len());
    assert!(writes.len() >= 2, "the changes were not told");
    let least = Duration::from_secs(5) / divisor;
    assert!(gaps.iter().all(|gap| *gap >= least), "{gaps:?}");
    site.assert_nothing_was_forbidden();
}

/// Writes of statuses, in order.
fn patches(site: &Fixture) -> Vec<Request> {
    let requests = site.requests().into_iter();
    let is_status = |request: &Request| {
        request.verb == Verb::Patch && request.resource == "failoverpolicies/status"
    };
    requests.filter(is_status).collect()
}

/// All that users and their controllers have written, with its versions.
fn users_objects(site: &Fixture) -> BTreeMap<String, Value> {
    let kinds = ["services", "endpointslices", "nodes", "namespaces"];
    let all = kinds.iter().flat_map(|kind| site.cluster.api.list(kind));
    all.map(|object| {
        let metadata = &object["metadata"];
        (format!("{} {} {}", object["kind"], metadata["namespace"], metadata["name"]), object)
    })
    .collect()
}
