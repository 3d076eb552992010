//! Everything that goes wrong on demand does so, as long as it is asked for, and then no longer.

use std::time::Duration;

use redirector_tests::api::{Api, Effect, Fault, Options, Verb, builders::Service};
use serde_json::json;
use tokio::time::timeout;

use super::client::{Watch, get, plain, send, try_call};

const SERVICES: &str = "/api/v1/services";

fn three() -> Api {
    let api = plain(Options { bookmarks: Duration::from_millis(100), ..Options::default() });
    for name in ["a", "b", "c"] {
        api.put(Service::new("default", name).port("", "TCP", 80)).expect("a service");
    }
    api
}

#[tokio::test]
async fn a_refusing_server_comes_back_on_its_port() {
    let api = three();
    let address = api.address();
    let mut watch = Watch::start(&api, "/api/v1/services?watch=1&resourceVersion=1").await;
    for _ in 0..3 {
        assert_eq!(watch.named().await.0, "ADDED");
    }
    for _ in 0..20 {
        api.refuse();
        let refused = send(&api, "GET", SERVICES, &[], "").await.expect_err("nobody listens");
        assert!(refused.contains("refused"), "{refused}");
        api.restart().expect("the port is still ours");
        get(&api, SERVICES).await.good();
    }
    assert_eq!(api.address(), address);
    api.put(Service::new("default", "d").port("", "TCP", 80)).expect("a service");
    assert_eq!(watch.named().await.1, "d", "connections that were there stay");
    api.stop();
    assert_ne!(watch.line().await.expect_err("it was cut"), "end");
}

#[tokio::test]
async fn an_answer_may_be_empty_cut_or_missing_although_the_request_was_obeyed() {
    let api = three();
    let empty = api.faults().add(Fault::new(Effect::Empty).on(Verb::List));
    assert_eq!(get(&api, SERVICES).await.good()["items"], json!([]));
    api.faults().remove(empty);
    let half = api.faults().add(Fault::new(Effect::Half).of("services").after(1));
    get(&api, SERVICES).await.good();
    try_call(&api, "GET", SERVICES, &[], "").await.expect_err("the rest is missing");
    api.faults().remove(half);

    let deaf = Fault::new(Effect::Deaf).on_writes().by("admin");
    api.faults().add(deaf);
    let body = json!({"metadata": {"name": "d"}, "spec": {"ports": [{"port": 80}]}}).to_string();
    let path = "/api/v1/namespaces/default/services";
    let made = timeout(Duration::from_millis(300), send(&api, "POST", path, &[], &body)).await;
    assert!(made.is_err(), "{made:?}");
    assert!(api.get("services", "default", "d").is_some());
    api.faults().clear();
    assert_eq!(get(&api, SERVICES).await.good()["items"].as_array().map(Vec::len), Some(4));
}

#[tokio::test]
async fn a_code_or_silence_is_the_answer_where_it_fits() {
    let api = three();
    for (code, reason) in [
        (401, "Unauthorized"),
        (403, "Forbidden"),
        (410, "Expired"),
        (500, "InternalError"),
        (503, "ServiceUnavailable"),
    ] {
        let fault = api.faults().add(Fault::status(code).on(Verb::List).of("services"));
        get(&api, SERVICES).await.refused(code, reason);
        get(&api, "/api/v1/nodes").await.good();
        api.faults().remove(fault);
        get(&api, SERVICES).await.good();
    }
    api.faults().add(Fault::new(Effect::Hang).of("services"));
    let hang = timeout(Duration::from_millis(300), send(&api, "GET", SERVICES, &[], "")).await;
    assert!(hang.is_err(), "{hang:?}");
    api.faults().clear();
    get(&api, SERVICES).await.good();
}

#[tokio::test]
async fn watches_are_silenced_closed_and_cut() {
    let api = three();
    let from = api.revision();
    let path = format!("{SERVICES}?watch=1&resourceVersion={from}");
    let mut watch = Watch::start(&api, &path).await;
    api.faults().silence("services", true);
    api.put(Service::new("default", "d").port("", "TCP", 80)).expect("a service");
    watch.says_nothing().await;
    api.faults().silence("services", false);
    assert_eq!(watch.named().await.1, "d");

    api.faults().close_watches(Some("nodes"));
    api.faults().close_watches(Some("services"));
    assert_eq!(watch.line().await, Err("end".to_owned()));
    let mut watch = Watch::start(&api, &path).await;
    assert_eq!(watch.named().await.1, "d");
    api.faults().cut_watches(None);
    assert_ne!(watch.line().await, Err("end".to_owned()));
}

#[tokio::test]
async fn an_object_can_be_undecodable() {
    let api = three();
    api.faults().garble("services", "default", "b", "{\"metadata\":{\"name\":\"b\"},\"spec\":7}");
    let list = get(&api, SERVICES).await.good();
    assert_eq!(list["items"][1]["spec"], 7);
    let mut watch = Watch::start(&api, &format!("{SERVICES}?watch=1")).await;
    let events = [watch.event().await, watch.event().await, watch.event().await];
    assert_eq!(events[1].1["spec"], 7);
    api.faults().clear();
    assert_ne!(get(&api, SERVICES).await.good()["items"][1]["spec"], 7);
}
