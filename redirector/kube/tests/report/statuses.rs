//! Statuses: few, and only what is new.

use std::{collections::BTreeMap, sync::atomic::Ordering::Relaxed, time::Duration};

use redirector_kube::{
    api::ObjectRef,
    policies::{Condition, ConditionKind, PolicyStatus},
};
use serde_json::json;

use crate::{
    Agent, DIVISOR, foreign_writes, released,
    server::{Fault, Server},
    until,
};

const POLICIES: &str = "/apis/redirector.dev/v1alpha1/namespaces/shop/failoverpolicies";
const INTERVAL: Duration = Duration::from_millis(5_000 / DIVISOR as u64);

#[tokio::test]
async fn a_hundred_changes_are_one_write_per_interval_and_the_newest_is_the_last() {
    let server = Server::new().await;
    let agent = leader(&server, &["a", "b"]).await;
    for change in 0..100 {
        agent.handle.statuses(statuses(&[("a", change)]));
        // Not to wait for something: the changes come spread over three intervals.
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    until("the last change stands there", || generation(&server, "a") == 99).await;
    // The same again, and another policy: once that is written, nothing more is due for the first.
    agent.handle.statuses(statuses(&[("a", 99), ("b", 1)]));
    until("b's status stands there", || generation(&server, "b") == 1).await;

    let writes = server.asked("PATCH", "failoverpolicies/a/status");
    assert!((2..=8).contains(&writes.len()), "{} writes", writes.len());
    for pair in writes.windows(2) {
        let gap = pair[1].at - pair[0].at;
        assert!(gap > INTERVAL.mul_f64(0.95), "{gap:?} between two writes");
    }
    let first = &writes[0].body["status"]["conditions"];
    let last = &writes[writes.len() - 1];
    assert!(last.path.ends_with("?fieldManager=redirector&force=true"), "{}", last.path);
    let last = &last.body["status"]["conditions"];
    assert_eq!(first[0]["lastTransitionTime"], last[0]["lastTransitionTime"], "{last}");
    assert_eq!(last[0]["observedGeneration"], 99);
    assert_eq!(last[1]["status"], "Unknown");
    assert_eq!(last[1]["message"].as_str().map(str::len), Some(1_024), "{last}");
    assert_eq!(foreign_writes(&server), Vec::<String>::new());
}

#[tokio::test]
async fn a_new_leader_writes_no_status_that_stands_there() {
    let server = Server::new().await;
    let first = leader(&server, &["a"]).await;
    let second = Agent::new(&server, "n2").await;
    first.handle.statuses(statuses(&[("a", 1)]));
    second.handle.statuses(statuses(&[("a", 1)]));
    until("the first writes", || generation(&server, "a") == 1).await;
    drop(first);
    second.leads().await;
    let stats = second.stats();
    until("the second looks", || stats.statuses_equal.load(Relaxed) == 1).await;
    assert_eq!(stats.statuses.load(Relaxed), 0);
    assert_eq!(server.asked("PATCH", "/status").len(), 1);
    second.handle.statuses(statuses(&[("a", 2)]));
    until("the second writes", || generation(&server, "a") == 2).await;
}

#[tokio::test]
async fn errors_are_repeated_conflicts_too_and_a_policy_that_is_gone_is_dropped() {
    let server = Server::new().await;
    let agent = leader(&server, &["a"]).await;
    for fault in [Fault::Status(503), Fault::Status(409), Fault::Status(403), Fault::LoseAnswer] {
        server.fault("PATCH", "/a/status", fault);
    }
    server.fault("GET", "/failoverpolicies/a", Fault::Status(500));
    agent.handle.statuses(statuses(&[("a", 7), ("gone", 1)]));
    until("all faults are used up", || {
        server.asked("PATCH", "/a/status").iter().filter(|asked| asked.status != 200).count() == 3
    })
    .await;
    until("it stands there", || generation(&server, "a") == 7).await;
    // The reporter does not ask again for the policy that is gone, however long the others took.
    assert_eq!(server.asked("GET", "/failoverpolicies/gone").len(), 1);
    assert!(!server.state().objects.contains_key(&format!("{POLICIES}/gone")));
    assert!(agent.stats().last_error().is_some_and(|error| error.contains("shop/a")));
}

async fn leader(server: &Server, policies: &[&str]) -> Agent {
    released(server);
    for name in policies {
        server.put(&format!("{POLICIES}/{name}"), json!({ "spec": { "mode": "Spill" } }));
    }
    let agent = Agent::new(server, "n1").await;
    agent.leads().await;
    agent
}

fn generation(server: &Server, name: &str) -> i64 {
    let state = server.state();
    state.objects[&format!("{POLICIES}/{name}")]["status"]["observedGeneration"]
        .as_i64()
        .unwrap_or(-1)
}

fn statuses(of: &[(&str, i64)]) -> BTreeMap<ObjectRef, PolicyStatus> {
    let status = |generation| {
        let condition = |kind, status, message| Condition { kind, status, reason: "Said", message };
        let conditions = vec![
            condition(ConditionKind::Accepted, Some(true), "valid".to_owned()),
            condition(ConditionKind::Programmed, None, "m".repeat(5_000)),
        ];
        PolicyStatus { generation, conditions }
    };
    let object = |name: &str| ObjectRef { namespace: "shop".into(), name: name.into() };
    of.iter().map(|(name, generation)| (object(name), status(*generation))).collect()
}
