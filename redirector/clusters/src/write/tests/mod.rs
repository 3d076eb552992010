//! A writer against a model of an API server that fails in every way, and against one that is well.

mod model;
mod random;

use std::{sync::Arc, time::Duration};

use redirector_core::Moment;
use serde_json::{Value, json};

use self::model::Server;
use super::*;
use crate::api::EXPORTED_SERVICE;

#[test]
fn what_is_desired_is_made_and_then_nothing_is_written() {
    let mut server = Server::default();
    let mut writer = Writer::new(1);
    writer.set_may_remove(true);
    for slice in [slice("a", "web", &[1, 2]), slice("b", "web", &[3])] {
        writer.want(key(&slice), &slice, Pace::AtOnce);
    }
    assert_eq!(server.settle(&mut writer), 2);
    assert_eq!(server.settle(&mut writer), 0);
    // Another life, which is told the same, writes nothing.
    let mut next = Writer::new(1);
    for slice in [slice("a", "web", &[1, 2]), slice("b", "web", &[3])] {
        next.want(key(&slice), &slice, Pace::AtOnce);
    }
    server.list(&mut next);
    next.set_may_remove(true);
    assert_eq!(server.settle(&mut next), 0);
}

#[test]
fn nothing_is_removed_before_everything_is_known() {
    let mut server = Server::default();
    server.put(&slice("left", "web", &[1]));
    let mut writer = Writer::new(1);
    server.list(&mut writer);
    assert_eq!(server.settle(&mut writer), 0);
    writer.set_may_remove(true);
    assert_eq!(server.settle(&mut writer), 1);
    assert!(server.objects.is_empty());
}

#[test]
fn what_another_writer_made_is_neither_changed_nor_removed() {
    let mut writer = Writer::new(1);
    writer.set_may_remove(true);
    let mut foreign = slice("web", "web", &[1]);
    foreign["metadata"]["resourceVersion"] = json!("5");
    let (key, actual) = Actual::read(Kind::ServiceImport, Ours::Imported, &foreign).expect("one");
    assert!(!actual.is_ours);
    writer.found(key.clone(), actual);
    assert_eq!(writer.take(Moment::default()), None);
    writer.want(key, &slice("web", "web", &[2]), Pace::AtOnce);
    assert_eq!(writer.take(Moment::default()), None);
}

#[test]
fn after_a_restore_from_a_backup_older_versions_are_written_over() {
    let mut server = Server::default();
    let mut writer = Writer::new(1);
    let old = slice("a", "web", &[1]);
    writer.want(key(&old), &old, Pace::AtOnce);
    server.settle(&mut writer);
    let backup = server.objects.clone();
    let new = slice("a", "web", &[2]);
    writer.want(key(&new), &new, Pace::AtOnce);
    server.settle(&mut writer);
    server.objects = backup;
    let newer = slice("a", "web", &[3]);
    writer.want(key(&newer), &newer, Pace::AtOnce);
    assert_eq!(server.settle(&mut writer), 2, "the first is refused, and says what there is");
    let there = server.objects.values().next().expect("a slice");
    assert_eq!(Content::of(there), Content::of(&newer));
}

#[test]
fn a_slice_goes_only_when_all_others_of_its_service_are_made() {
    let mut server = Server::default();
    server.put(&slice("old", "web", &[1]));
    server.put(&slice("gone", "api", &[9]));
    let mut writer = Writer::new(1);
    server.list(&mut writer);
    let new = slice("new", "web", &[1]);
    writer.want(key(&new), &new, Pace::AtOnce);
    writer.set_may_remove(true);
    let now = Moment::default();
    let made = writer.take(now).expect("the new one");
    assert_eq!(&*made.key.name, "new");
    // Of another Service nothing is to be waited for.
    let other = writer.take(now).expect("another Service's");
    assert_eq!(&*other.key.name, "gone");
    assert_eq!(writer.take(now), None);
    writer.done(&made.key, Outcome::Failed { asked: None }, now);
    assert_eq!(writer.take(now), None, "it is still to be made");
    let later = writer.next_deadline().expect("it is tried again");
    assert_eq!(later, Moment(Duration::from_millis(200)));
    let again = writer.take(later).expect("the new one");
    let outcome = server.apply(&again);
    writer.done(&again.key, outcome, later);
    assert_eq!(writer.take(later).map(|job| job.key.name), Some(Arc::from("old")));
}

#[test]
fn an_endpoint_that_moves_is_there_before_it_leaves() {
    for (from, to) in [("a", "b"), ("b", "a")] {
        let mut server = Server::default();
        server.put(&slice(from, "web", &[1, 2]));
        server.put(&slice(to, "web", &[3]));
        let mut writer = Writer::new(1);
        server.list(&mut writer);
        for slice in [slice(from, "web", &[1]), slice(to, "web", &[2, 3])] {
            writer.want(key(&slice), &slice, Pace::AtOnce);
        }
        let first = writer.take(Moment::default()).expect("the one that grows");
        assert_eq!(&*first.key.name, to);
        assert_eq!(writer.take(Moment::default()), None, "until it is there");
        // What else changes of the slice that it leaves does not wait.
        let unready = slice(from, "web", &[]);
        writer.want(key(&unready), &unready, Pace::AtOnce);
        let second = writer.take(Moment::default()).expect("the one that shrinks");
        let Request::Update(object) = second.request else { panic!("no update") };
        assert_eq!(object["endpoints"], json!([{"addresses": ["10.0.0.2"]}]));
    }
}

#[test]
fn two_slices_that_exchange_endpoints_do_not_wait_for_each_other_for_ever() {
    let mut server = Server::default();
    server.put(&slice("a", "web", &[1]));
    server.put(&slice("b", "web", &[2]));
    let mut writer = Writer::new(1);
    server.list(&mut writer);
    for slice in [slice("a", "web", &[2]), slice("b", "web", &[1])] {
        writer.want(key(&slice), &slice, Pace::AtOnce);
    }
    assert_eq!(server.settle(&mut writer), 3, "one of them has both for a while");
    let content = |name: &str| server.objects.values().find(|one| one["metadata"]["name"] == name);
    assert_eq!(content("a").expect("a")["endpoints"], json!([{"addresses": ["10.0.0.2"]}]));
}

#[test]
fn endpoints_are_added_no_faster_than_nodes_can_read_and_taken_away_at_once() {
    let mut writer = Writer::new(1);
    writer.set_nodes(5_000);
    for number in 0..200 {
        let slice = slice(&format!("s{number:03}"), &format!("web-{number}"), &[1]);
        writer.want(key(&slice), &slice, Pace::Paced);
    }
    let mut server = Server::default();
    let now = Moment(Duration::from_secs(1));
    let mut made = 0;
    while let Some(job) = writer.take(now) {
        let outcome = server.apply(&job);
        writer.done(&job.key, outcome, now);
        made += 1;
    }
    assert_eq!(made, 50, "a burst");
    let next = writer.next_deadline().expect("a token");
    assert!(next.0 - now.0 <= Duration::from_millis(202), "{next:?}");
    let unready = slice("s000", "web-0", &[]);
    writer.want(key(&unready), &unready, Pace::AtOnce);
    assert_eq!(writer.take(now).map(|job| job.key.name), Some(Arc::from("s000")));
}

#[test]
fn a_request_that_is_refused_again_and_again_is_waited_for_by_nothing() {
    let mut writer = Writer::new(1);
    for name in ["bad", "good"] {
        let slice = slice(name, name, &[1]);
        writer.want(key(&slice), &slice, Pace::AtOnce);
    }
    let mut server = Server::default();
    let mut now = Moment::default();
    let mut waits = Vec::new();
    while waits.len() < 10 {
        let Some(job) = writer.take(now) else {
            let next = writer.next_deadline().expect("it is tried again");
            waits.push((next.0 - now.0).as_millis());
            now = next;
            continue;
        };
        let is_bad = &*job.key.name == "bad";
        let outcome = if is_bad { Outcome::Failed { asked: None } } else { server.apply(&job) };
        writer.done(&job.key, outcome, now);
    }
    assert_eq!(waits, [200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000]);
    assert!(server.objects.keys().any(|key| &*key.name == "good"));
    assert!(writer.is_settled(), "the rest may be vouched for");
    assert_eq!(writer.backlog(), 1);
}

/// A slice of the outbox of a Service, with endpoints 10.0.0.N.
fn slice(name: &str, service: &str, endpoints: &[u8]) -> Value {
    let endpoint = |number: &u8| json!({"addresses": [format!("10.0.0.{number}")]});
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"namespace": "out", "name": name, "labels": {EXPORTED_SERVICE: service}},
        "addressType": "IPv4",
        "endpoints": endpoints.iter().map(endpoint).collect::<Vec<_>>(),
    })
}

fn key(object: &Value) -> Key {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().into();
    Key { kind: Kind::EndpointSlice, namespace: text("namespace"), name: text("name") }
}
