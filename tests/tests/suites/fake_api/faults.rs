//! Everything that goes wrong on demand does so, as long as it is asked for, and then no longer.

use std::time::{Duration, Instant};

use redirector_tests::api::{
    Api, Effect, Fault, Options, Verb,
    builders::Service,
    faults::{RawAnswer, Then},
};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::client::{Watch, call, get, plain, send, try_call};

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
async fn codes_strike_so_many_times_where_they_fit() {
    let api = three();
    let busy = Fault::new(Effect::Status { code: 429, retry_after: Some(7) });
    let busy = api.faults().add(busy.on(Verb::List).of("services").times(2));
    for _ in 0..2 {
        let answer = get(&api, SERVICES).await;
        assert_eq!(answer.headers["retry-after"], "7");
        let status = answer.refused(429, "TooManyRequests");
        assert_eq!(status["details"]["retryAfterSeconds"], 7);
    }
    get(&api, SERVICES).await.good();
    assert_eq!(api.faults().struck(busy), 2);
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
}

#[tokio::test]
async fn a_page_can_fail_alone() {
    let api = three();
    api.faults().add(Fault::status(500).on(Verb::List).page(2).times(1));
    let first = get(&api, &format!("{SERVICES}?limit=1")).await.good();
    let token = first["metadata"]["continue"].as_str().expect("a token");
    let next = format!("{SERVICES}?limit=1&continue={token}");
    get(&api, &next).await.refused(500, "InternalError");
    get(&api, &next).await.good();
}

#[tokio::test]
async fn answers_are_late_missing_cut_or_stalled() {
    let api = three();
    let add = |effect: Effect| api.faults().add(Fault::new(effect).of("services").times(1));

    add(Effect::Latency(Duration::from_millis(300)));
    let start = Instant::now();
    get(&api, SERVICES).await.good();
    assert!(start.elapsed() >= Duration::from_millis(300));

    add(Effect::Hang);
    let hang = timeout(Duration::from_millis(300), send(&api, "GET", SERVICES, &[], "")).await;
    assert!(hang.is_err(), "{hang:?}");

    add(Effect::Disconnect);
    try_call(&api, "GET", SERVICES, &[], "").await.expect_err("no answer");

    add(Effect::Cut(100));
    try_call(&api, "GET", SERVICES, &[], "").await.expect_err("half an answer");

    add(Effect::Stall(100));
    let mut response = send(&api, "GET", SERVICES, &[], "").await.expect("a head").into_body();
    let mut seen = 0;
    let stall = timeout(Duration::from_millis(300), async {
        while let Some(frame) = http_body_util::BodyExt::frame(&mut response).await {
            seen += frame.expect("no error").data_ref().map_or(0, bytes::Bytes::len);
        }
    });
    assert!(stall.await.is_err() && seen == 100, "{seen}");
    get(&api, SERVICES).await.good();
}

#[tokio::test]
async fn watches_are_silenced_closed_cut_and_fed_rubbish() {
    let api = three();
    let from = api.revision();
    let path = format!("{SERVICES}?watch=1&resourceVersion={from}");
    let mut watch = Watch::start(&api, &path).await;
    api.faults().silence("services", true);
    api.put(Service::new("default", "d").port("", "TCP", 80)).expect("a service");
    watch.says_nothing().await;
    api.faults().silence("services", false);
    assert_eq!(watch.named().await.1, "d");

    api.faults().inject("services", "{\"type\":\"ADDED\",\"obj");
    api.faults().inject("services", "ect\":\u{1}}\n");
    assert_eq!(watch.line().await.as_deref(), Ok("{\"type\":\"ADDED\",\"object\":\u{1}}"));
    api.faults().close_watches(Some("nodes"));
    api.faults().close_watches(Some("services"));
    assert_eq!(watch.line().await, Err("end".to_owned()));
    let mut watch = Watch::start(&api, &path).await;
    assert_eq!(watch.named().await.1, "d");
    api.faults().cut_watches(None);
    assert_ne!(watch.line().await, Err("end".to_owned()));

    let add = |effect: Effect| api.faults().add(Fault::new(effect).on(Verb::Watch).times(1));
    add(Effect::ExpiredEvent);
    let (kind, status) = Watch::start(&api, &path).await.event().await;
    assert_eq!((kind.as_str(), &status["code"]), ("ERROR", &json!(410)));
    add(Effect::Silence);
    Watch::start(&api, &path).await.says_nothing().await;
    add(Effect::BookmarksOnly);
    let mut watch = Watch::start(&api, &format!("{path}&allowWatchBookmarks=true")).await;
    assert_eq!(watch.event().await.0, "BOOKMARK");
    api.skip_revisions(1);
    assert_eq!(watch.event().await.0, "BOOKMARK");
}

#[tokio::test]
async fn an_older_replica_answers_reads_and_stays_behind() {
    let api = three();
    let then = api.revision();
    api.delete("services", "default", "a").expect("it is there");
    let replica = api.faults().add(Fault::new(Effect::Replica(then)).of("services"));

    let old = get(&api, SERVICES).await.good();
    assert_eq!(old["metadata"]["resourceVersion"], then.to_string());
    assert_eq!(old["items"].as_array().map(Vec::len), Some(3));
    get(&api, "/api/v1/namespaces/default/services/a").await.good();
    let path = format!("{SERVICES}?watch=1&resourceVersion={then}");
    let mut watch = Watch::start(&api, &path).await;
    watch.says_nothing().await;
    api.faults().remove(replica);
    assert_eq!(Watch::start(&api, &path).await.named().await.0, "DELETED");
}

#[tokio::test]
async fn an_object_can_be_undecodable_and_an_answer_anything() {
    let api = three();
    api.faults().garble("services", "default", "b", "{\"metadata\":{\"name\":\"b\"},\"spec\":7}");
    let list = get(&api, SERVICES).await.good();
    assert_eq!(list["items"][1]["spec"], 7);
    let mut watch = Watch::start(&api, &format!("{SERVICES}?watch=1")).await;
    let events = [watch.event().await, watch.event().await, watch.event().await];
    assert_eq!(events[1].1["spec"], 7);
    api.faults().clear();
    assert_ne!(get(&api, SERVICES).await.good()["items"][1]["spec"], 7);

    let raw = |chunks: &[&str], then: Then| {
        let chunks = chunks.iter().map(|chunk| bytes::Bytes::from((*chunk).to_owned())).collect();
        let headers = vec![("x-test".to_owned(), "1".to_owned())];
        let effect = Effect::Raw(RawAnswer { code: 202, headers, chunks, then });
        api.faults().add(Fault::new(effect).of("services").times(1));
    };
    raw(&["{\"a\":", "1}"], Then::End);
    let answer = call(&api, "GET", SERVICES, &Value::Null).await;
    assert_eq!((answer.code, answer.json()), (202, json!({"a": 1})));
    assert_eq!(answer.headers["x-test"], "1");
    raw(&["half"], Then::Cut);
    try_call(&api, "GET", SERVICES, &[], "").await.expect_err("it was cut");
    raw(&["xxxxxxxx"], Then::Repeat);
    let mut body = send(&api, "GET", SERVICES, &[], "").await.expect("a head").into_body();
    let mut seen = 0;
    while seen < 1 << 20 {
        let frame = http_body_util::BodyExt::frame(&mut body).await;
        seen += frame.expect("no end").expect("no error").data_ref().map_or(0, bytes::Bytes::len);
    }
}
