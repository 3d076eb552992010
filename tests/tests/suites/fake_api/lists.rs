//! Lists: pages of one version, tokens that expire, selectors, versions, other views.

use redirector_tests::api::{
    Api, Options,
    builders::{Node, Service},
};
use serde_json::{Value, json};

use super::client::{call, get, plain, try_call};

const ALL: &str = "/api/v1/services";

fn ten(options: Options) -> Api {
    let api = plain(options);
    for number in 0..10 {
        let namespace = if number < 4 { "a" } else { "b" };
        let parity = if number % 2 == 0 { "even" } else { "odd" };
        let service = Service::new(namespace, &format!("s{number}")).label("parity", parity);
        api.put(service.port("", "TCP", 80)).expect("a service");
    }
    api
}

fn names(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().expect("items").iter();
    items.map(|item| item["metadata"]["name"].as_str().expect("a name").to_owned()).collect()
}

fn token(list: &Value) -> String {
    list["metadata"]["continue"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn pages_are_of_one_version_whatever_happens_in_between() {
    let api = ten(Options::default());
    let first = get(&api, &format!("{ALL}?limit=4")).await.good();
    assert_eq!(first["kind"], "ServiceList");
    assert_eq!(first["items"][0].get("kind"), None, "items of built-in lists have no kind");
    assert_eq!(first["metadata"]["remainingItemCount"], 6);
    api.delete("services", "b", "s9").expect("it is there");
    api.put(Service::new("b", "s55").port("", "TCP", 80)).expect("a service");

    let second = get(&api, &format!("{ALL}?limit=4&continue={}", token(&first))).await.good();
    let third = get(&api, &format!("{ALL}?limit=4&continue={}", token(&second))).await.good();

    let all = [names(&first), names(&second), names(&third)].concat();
    assert_eq!(all, (0..10).map(|number| format!("s{number}")).collect::<Vec<_>>());
    assert_eq!(token(&third), "");
    let version = &first["metadata"]["resourceVersion"];
    assert_eq!(&third["metadata"]["resourceVersion"], version);
    let now = get(&api, ALL).await.good();
    assert!(names(&now).contains(&"s55".to_owned()) && !names(&now).contains(&"s9".to_owned()));
}

#[tokio::test]
async fn a_token_expires_with_the_history_and_offers_an_inconsistent_rest() {
    let api = ten(Options::default());
    let first = get(&api, &format!("{ALL}?limit=4")).await.good();
    api.delete("services", "b", "s9").expect("it is there");
    api.compact();

    let expired = get(&api, &format!("{ALL}?limit=4&continue={}", token(&first))).await;
    let expired = expired.refused(410, "Expired");
    let rest = get(&api, &format!("{ALL}?continue={}", token(&expired))).await.good();

    assert_eq!(names(&rest), ["s4", "s5", "s6", "s7", "s8"]);
    get(&api, &format!("{ALL}?continue=rubbish")).await.refused(400, "BadRequest");
}

#[tokio::test]
async fn a_small_window_expires_by_itself() {
    let api = ten(Options { window: 3, ..Options::default() });
    let version = api.revision();
    for _ in 0..4 {
        let now = json!({"metadata": {"labels": {"n": api.revision().to_string()}}});
        api.patch("services", "a", "s0", now).expect("a change");
    }
    let path = format!("{ALL}?resourceVersion={version}&resourceVersionMatch=Exact");
    get(&api, &path).await.refused(410, "Expired");
}

#[tokio::test]
async fn versions_choose_what_is_listed() {
    let api = ten(Options::default());
    let then = api.revision();
    api.delete("services", "a", "s0").expect("it is there");
    api.patch("services", "a", "s1", json!({"metadata": {"labels": {"new": "1"}}}))
        .expect("a change");

    let exact = format!("{ALL}?resourceVersion={then}&resourceVersionMatch=Exact&limit=500");
    let exact = get(&api, &exact).await.good();
    assert_eq!(names(&exact).len(), 10);
    assert_eq!(exact["items"][1]["metadata"]["labels"].get("new"), None);
    assert_eq!(exact["metadata"]["resourceVersion"], then.to_string());
    let cached = get(&api, &format!("{ALL}?resourceVersion=0&limit=2")).await.good();
    assert_eq!(names(&cached).len(), 9, "version 0 is served from a cache, without pages");
    let newer = format!("{ALL}?resourceVersion={then}&resourceVersionMatch=NotOlderThan");
    assert_eq!(names(&get(&api, &newer).await.good()).len(), 9);

    for query in [
        "resourceVersionMatch=Exact",
        "resourceVersion=0&resourceVersionMatch=Exact",
        "resourceVersion=1&resourceVersionMatch=Sometimes",
    ] {
        get(&api, &format!("{ALL}?{query}")).await.refused(422, "Invalid");
    }
    let future = get(&api, &format!("{ALL}?resourceVersion=999999")).await.refused(504, "Timeout");
    assert_eq!(future["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
}

#[tokio::test]
async fn selectors_select() {
    let api = ten(Options::default());
    let pods = [("p1", "n1"), ("p2", "n2")].map(|(name, node)| {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
               "spec": {"nodeName": node}})
    });
    for pod in pods {
        api.put(pod).expect("a pod");
    }
    for (path, wanted) in [
        ("/api/v1/namespaces/a/services", 4),
        ("/api/v1/services?labelSelector=parity%3Deven", 5),
        ("/api/v1/services?labelSelector=parity!%3Deven", 5),
        ("/api/v1/services?labelSelector=parity%20in%20(even%2Codd)", 10),
        ("/api/v1/services?labelSelector=parity+notin+(even),parity", 5),
        ("/api/v1/services?labelSelector=!parity", 0),
        ("/api/v1/services?fieldSelector=metadata.name%3Ds3", 1),
        ("/api/v1/services?fieldSelector=metadata.namespace!%3Da", 6),
        ("/api/v1/pods?fieldSelector=spec.nodeName%3Dn1", 1),
        ("/api/v1/pods?fieldSelector=spec.nodeName%3Dn1,status.phase!%3DPending", 0),
    ] {
        assert_eq!(names(&get(&api, path).await.good()).len(), wanted, "{path}");
    }
    let path = "/api/v1/services?fieldSelector=spec.type%3DNodePort";
    get(&api, path).await.refused(400, "BadRequest");
    let gone = "/api/v1/namespaces/a/services?labelSelector=parity%3Dodd";
    call(&api, "DELETE", gone, &Value::Null).await.good();
    assert_eq!(api.list("services").len(), 8);
}

#[tokio::test]
async fn other_views_show_metadata_and_tables() {
    let api = ten(Options::default());
    api.put(Node::new("n1").label("kubernetes.io/os", "linux")).expect("a node");
    let view = async |path: &str, kind: &str| {
        let accept = format!("application/json;as={kind};g=meta.k8s.io;v=v1, application/json");
        try_call(&api, "GET", path, &[("accept", &accept)], "").await.expect("an answer").good()
    };

    let partial = view("/api/v1/nodes?limit=5", "PartialObjectMetadataList").await;
    let table = view("/api/v1/namespaces/a/services", "Table").await;

    assert_eq!(partial["kind"], "PartialObjectMetadataList");
    assert_eq!(partial["items"][0]["metadata"]["name"], "n1");
    assert_eq!(partial["items"][0].get("status"), None);
    assert_eq!(table["columnDefinitions"][0]["name"], "Name");
    assert_eq!(table["rows"][0]["cells"][0], "s0");
    assert_eq!(table["rows"][0]["object"]["metadata"]["namespace"], "a");
}
