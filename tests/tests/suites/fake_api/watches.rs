//! Watches: from a version, from the state, with selectors, bookmarks and an end.

use std::time::Duration;

use redirector_tests::api::{Options, builders::Service};
use serde_json::json;

use super::client::{Watch, get, plain};

const SERVICES: &str = "/api/v1/services?watch=true";

fn service(name: &str) -> Service {
    Service::new("default", name).port("", "TCP", 80)
}

#[tokio::test]
async fn a_watch_from_a_version_says_exactly_what_came_after() {
    let api = plain(Options::default());
    api.put(service("one")).expect("a service");
    let from = api.revision();
    api.put(service("two")).expect("a service");
    let mut watch = Watch::start(&api, &format!("{SERVICES}&resourceVersion={from}")).await;
    let label = json!({"metadata": {"labels": {"a": "b"}}});
    api.patch("services", "default", "one", label).expect("a change");
    api.delete("services", "default", "two").expect("it is there");

    let added = watch.event().await;
    let modified = watch.event().await;
    let deleted = watch.event().await;

    assert_eq!((added.0.as_str(), &added.1["metadata"]["name"]), ("ADDED", &json!("two")));
    assert_eq!(added.1["kind"], "Service");
    assert_eq!(
        (modified.0.as_str(), &modified.1["metadata"]["labels"]["a"]),
        ("MODIFIED", &json!("b"))
    );
    assert_eq!(deleted.0, "DELETED");
    let version = deleted.1["metadata"]["resourceVersion"].as_str().expect("a version");
    assert_eq!(version, api.revision().to_string(), "a deletion has a version of its own");
    watch.says_nothing().await;
}

#[tokio::test]
async fn a_watch_without_version_begins_with_the_state() {
    let api = plain(Options::default());
    api.put(service("one")).expect("a service");
    for path in [SERVICES.to_owned(), format!("{SERVICES}&resourceVersion=0")] {
        let mut watch = Watch::start(&api, &path).await;
        assert_eq!(watch.named().await, ("ADDED".to_owned(), "one".to_owned()));
        watch.says_nothing().await;
    }
    let path = format!(
        "{SERVICES}&sendInitialEvents=true&resourceVersionMatch=NotOlderThan\
                        &allowWatchBookmarks=true"
    );
    let mut watch = Watch::start(&api, &path).await;
    assert_eq!(watch.named().await.0, "ADDED");
    let (kind, mark) = watch.event().await;
    assert_eq!(kind, "BOOKMARK");
    assert_eq!(mark["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
}

#[tokio::test]
async fn leaving_a_selector_is_a_deletion() {
    let api = plain(Options::default());
    let from = api.revision();
    let path = format!("{SERVICES}&resourceVersion={from}&labelSelector=on%3D1");
    let mut watch = Watch::start(&api, &path).await;
    api.put(service("never")).expect("a service");
    api.put(service("one")).expect("a service");
    for (on, wanted) in [("1", "ADDED"), ("0", "DELETED"), ("1", "ADDED")] {
        let patch = json!({"metadata": {"labels": {"on": on}}});
        api.patch("services", "default", "one", patch).expect("a change");
        assert_eq!(watch.named().await, (wanted.to_owned(), "one".to_owned()));
    }
    api.delete("services", "default", "one").expect("it is there");
    assert_eq!(watch.named().await.0, "DELETED");
}

#[tokio::test]
async fn bookmarks_come_when_allowed_and_name_versions_of_other_kinds() {
    let api = plain(Options { bookmarks: Duration::from_millis(100), ..Options::default() });
    let from = api.revision();
    let mut without = Watch::start(&api, &format!("{SERVICES}&resourceVersion={from}")).await;
    let path = format!("{SERVICES}&resourceVersion={from}&allowWatchBookmarks=true");
    let mut with = Watch::start(&api, &path).await;
    api.skip_revisions(41);

    loop {
        let (kind, mark) = with.event().await;
        assert_eq!((kind.as_str(), mark["kind"].as_str()), ("BOOKMARK", Some("Service")));
        let last = (from + 41).to_string();
        if mark["metadata"]["resourceVersion"].as_str() == Some(&*last) {
            break;
        }
    }
    without.says_nothing().await;
    // There is nothing new to say.
    with.says_nothing().await;
}

#[tokio::test]
async fn a_watch_ends_after_its_time() {
    let api = plain(Options::default());
    let mut watch = Watch::start(&api, &format!("{SERVICES}&timeoutSeconds=1")).await;
    assert_eq!(watch.line().await, Err("end".to_owned()));
}

#[tokio::test]
async fn a_version_that_is_forgotten_is_410_and_a_watch_that_runs_goes_on() {
    let api = plain(Options::default());
    let from = api.revision();
    let mut running = Watch::start(&api, &format!("{SERVICES}&resourceVersion={from}")).await;
    api.put(service("one")).expect("a service");
    assert_eq!(running.named().await.0, "ADDED");
    api.compact();

    get(&api, &format!("{SERVICES}&resourceVersion={from}")).await.refused(410, "Expired");

    api.put(service("two")).expect("a service");
    assert_eq!(running.named().await, ("ADDED".to_owned(), "two".to_owned()));
}
