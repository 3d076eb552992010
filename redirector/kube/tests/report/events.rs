//! Events: one for each transition, whatever happens on the way.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering::Relaxed},
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use redirector_core::{Transition, service::ServiceRef};
use redirector_kube::{
    api::ObjectRef,
    report::{EventReport, Regarding, Timing},
};
use serde_json::{Value, json};

use crate::{
    Agent, DIVISOR, foreign_writes, released,
    server::{Asked, Fault, Server},
    until,
};

const SERVICES: &str = "/api/v1/namespaces/shop/services";

#[tokio::test]
async fn an_event_says_who_what_and_where() {
    let server = Server::new().await;
    let agent = leader(&server).await;
    agent.handle.happened(&[failed_over("checkout")]);
    until("the event is there", || server.events().len() == 1).await;
    let (path, event) = server.events().pop_first().expect("it is there");
    assert!(path.starts_with("/apis/events.k8s.io/v1/namespaces/shop/events/checkout."), "{path}");
    assert_eq!(event["reason"], "FailedOver");
    assert_eq!(event["type"], "Warning");
    assert_eq!(event["regarding"]["kind"], "Service");
    assert_eq!(event["regarding"]["name"], "checkout");
    assert_eq!(event["regarding"]["namespace"], "shop");
    assert_eq!(event["reportingController"], "redirector.dev/agent");
    assert_eq!(event["reportingInstance"], "n1");
    assert_eq!(event["note"], "traffic moved from tier 0 (near) to tier 1 (far)");
    assert!(event["series"].is_null(), "{event}");
}

#[tokio::test]
async fn an_event_has_the_uid_by_which_kubectl_describe_looks_for_it() {
    let server = Server::new().await;
    let service = json!({ "metadata": { "uid": "of-the-service" } });
    server.put(&format!("{SERVICES}/checkout"), service);
    let policies = "/apis/redirector.dev/v1alpha1/namespaces/shop/failoverpolicies";
    server.put(&format!("{policies}/west"), json!({ "metadata": { "uid": "of-the-policy" } }));
    let agent = leader(&server).await;
    let west = ObjectRef { namespace: "shop".into(), name: "west".into() };
    agent.handle.happened(&[failed_over("checkout"), Transition::NodeSuspect(true)]);
    agent.handle.reported([EventReport {
        regarding: Regarding::Policy(west),
        is_warning: true,
        reason: "Conflicted",
        action: "Reject",
        template: "an older one holds".into(),
        note: "an older one holds".into(),
    }]);
    until("the events are there", || server.events().len() == 3).await;
    let uids: BTreeMap<String, String> = server
        .events()
        .into_values()
        .map(|event| [&event["regarding"]["kind"], &event["regarding"]["uid"]].map(text).into())
        .collect();
    let expected =
        [("FailoverPolicy", "of-the-policy"), ("Node", "n1"), ("Service", "of-the-service")];
    assert_eq!(uids, expected.map(|(kind, uid)| (kind.into(), uid.into())).into());

    agent.handle.happened(&[failed_over("checkout")]);
    until("it is counted", || server.events().values().any(|event| event["series"]["count"] == 2))
        .await;
    assert_eq!(server.asked("GET", "/services/").len(), 1, "a count needs no uid");
    assert_eq!(server.asked("GET", "/nodes").len(), 0, "a Node's is its name");
}

#[tokio::test]
async fn an_event_whose_object_cannot_be_read_is_written_without_its_uid() {
    let server = Server::new().await;
    let agent = leader(&server).await;
    let request = Timing::default().request / DIVISOR;
    let faults = [Fault::Status(403), Fault::Status(500), Fault::Late(request * 10)];
    for (number, fault) in faults.into_iter().enumerate() {
        server.put(&format!("{SERVICES}/s{number}"), json!({}));
        server.fault("GET", &format!("/services/s{number}"), fault);
        agent.handle.happened(&[failed_over(&format!("s{number}"))]);
    }
    agent.handle.happened(&[failed_over("gone")]);
    until("the events are there", || server.events().len() == 4).await;
    for event in server.events().values() {
        assert!(event["regarding"]["uid"].is_null(), "{event}");
    }
    assert_eq!(server.asked("GET", "/services/").len(), 4, "each object is asked for once");
    assert_eq!(agent.stats().errors.load(Relaxed), 0, "no Event has failed");
    let asked = server.asked("GET", "/services/s2")[0].at;
    let creations = server.asked("POST", "/events");
    let is_of_late = |asked: &&Asked| asked.body["regarding"]["name"] == "s2";
    let late = creations.iter().find(is_of_late).expect("it is there").at - asked;
    assert!(late < request * 2, "{late:?} later");
}

#[tokio::test]
async fn every_transition_is_one_event_under_errors_and_lost_answers() {
    let seed = match std::env::var("REDIRECTOR_SEED") {
        Ok(seed) => seed.parse().expect("REDIRECTOR_SEED is a number"),
        Err(_) => rand::random::<u64>(),
    };
    println!("REDIRECTOR_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let server = Server::new().await;
    let agent = leader(&server).await;
    for _ in 0..5 {
        let faults = [Fault::LoseAnswer, Fault::Status(503), Fault::Status(429), Fault::LoseAnswer];
        server.fault("POST", "/events", faults[random.random_range(0..faults.len())]);
    }
    let transitions: Vec<_> = (0..20).map(|service| failed_over(&format!("s{service}"))).collect();
    agent.handle.happened(&transitions);
    let stats = agent.stats();
    until("all are written", || {
        server.events().len() == 20 && server.asked("POST", "/events").len() >= 25
    })
    .await;
    // Another one after all of them: when it is there, nothing else is on its way.
    agent.handle.happened(&[failed_over("last")]);
    until("the last is written", || server.events().len() == 21).await;
    let services: BTreeSet<String> =
        server.events().values().map(|event| event["regarding"]["name"].to_string()).collect();
    assert_eq!(services.len(), 21);
    for (path, event) in server.events() {
        assert!(event["series"].is_null(), "{path} was counted twice: {event}");
    }
    assert_eq!(stats.dropped.load(Relaxed), 0);
    assert_eq!(foreign_writes(&server), Vec::<String>::new());
}

#[tokio::test]
async fn repeats_are_counted_in_one_event_and_the_next_leader_reads_no_count() {
    let server = Server::new().await;
    let first = leader(&server).await;
    let counts = || {
        let count = |event: &Value| event["series"]["count"].as_u64().unwrap_or(1);
        let mut counts: Vec<u64> = server.events().values().map(count).collect();
        counts.sort_unstable();
        counts
    };
    for repeats in 1..=3 {
        first.handle.happened(&[failed_over("a")]);
        until("it is counted", || counts() == [repeats]).await;
    }
    let second = Agent::new(&server, "n2").await;
    drop(first);
    second.leads().await;
    for repeats in 1..=2 {
        second.handle.happened(&[failed_over("a")]);
        until("the next leader has an Event of its own", || {
            let mut expected = [3, repeats];
            expected.sort_unstable();
            counts() == expected
        })
        .await;
    }
    assert_eq!(server.asked("GET", "/events").len(), 0, "no Event is read");
}

#[tokio::test]
async fn what_happens_while_nobody_leads_is_said_by_the_next_leader_and_once() {
    let server = Server::new().await;
    let first = leader(&server).await;
    let second = Agent::new(&server, "n2").await;
    until("the second knows of the first", || !server.asked("GET", "resourceVersion=0").is_empty())
        .await;
    first.handle.happened(&[failed_over("both")]);
    until("the first says it", || server.events().len() == 1).await;
    drop(first);
    // The second has seen both; only one of them has been said.
    second.handle.happened(&[failed_over("both"), failed_over("alone")]);
    second.leads().await;
    until("the second says the other", || server.events().len() == 2).await;
    second.handle.happened(&[failed_over("last")]);
    until("the last is there", || server.events().len() == 3).await;
    for (path, event) in server.events() {
        assert!(event["series"].is_null(), "{path} was counted twice: {event}");
    }
}

#[tokio::test]
async fn the_api_may_be_away_for_longer_than_the_lease() {
    let server = Server::new().await;
    let agent = leader(&server).await;
    server.state().is_away = true;
    agent.handle.happened(&[failed_over("before")]);
    let stats = agent.stats();
    until("it knows that it does not lead", || !stats.is_leader.load(Relaxed)).await;
    agent.handle.happened(&[failed_over("meanwhile")]);
    server.state().is_away = false;
    until("both are there", || server.events().len() == 2).await;
    assert!(stats.errors.load(Relaxed) > 0);
    assert_eq!(stats.terms.load(Relaxed), 2);
}

#[tokio::test]
async fn too_many_at_once_are_counted_and_that_is_said() {
    let server = Server::new().await;
    let agent = leader(&server).await;
    let transitions: Vec<_> = (0..200).map(|service| failed_over(&format!("s{service}"))).collect();
    agent.handle.happened(&transitions);
    let overflow = |server: &Server| {
        let events = server.events();
        let is_overflow = |event: &&serde_json::Value| event["reason"] == "EventsDropped";
        events.values().find(is_overflow).map(|event| event["note"].to_string())
    };
    until("the overflow is said", || overflow(&server).is_some()).await;
    let (written, dropped) =
        (server.events().len() as u64 - 1, agent.stats().dropped.load(Relaxed));
    assert_eq!(written + dropped, 200, "written and dropped");
    assert!((50..60).contains(&written), "{written} written");
    let note = overflow(&server).expect("it was said");
    assert!(note.contains(&format!("{dropped} events")), "{note}");
}

async fn leader(server: &Server) -> Agent {
    released(server);
    let agent = Agent::new(server, "n1").await;
    agent.leads().await;
    agent
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn failed_over(service: &str) -> Transition {
    Transition::FailedOver {
        service: ServiceRef(Arc::from(format!("shop/{service}"))),
        from: Some((0, "near".into())),
        to: Some((1, "far".into())),
    }
}
