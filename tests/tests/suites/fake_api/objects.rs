//! Creating, updating, deleting: versions, generations, conflicts, finalizers.

use std::panic::{self, AssertUnwindSafe};

use redirector_tests::api::{
    Options,
    builders::{EndpointSlice, FailoverPolicy, Node, Service},
    failure::Cause,
};
use serde_json::{Value, json};

use super::client::{call, get, plain, try_call};

const SERVICES: &str = "/api/v1/namespaces/default/services";
const POLICIES: &str = "/apis/redirector.dev/v1alpha1/namespaces/default/failoverpolicies";

#[tokio::test]
async fn a_created_object_gets_what_the_server_gives() {
    let api = plain(Options::default());
    let service = json!({"metadata": {"generateName": "web-", "labels": {"a": "b"}},
                         "spec": {"ports": [{"port": 80}]}});

    let created = call(&api, "POST", SERVICES, &service).await;

    assert_eq!(created.code, 201);
    let created = created.json();
    let name = created["metadata"]["name"].as_str().expect("a name");
    assert!(name.starts_with("web-") && name.len() == 9, "{name}");
    assert_eq!(created["metadata"]["uid"].as_str().expect("a uid").len(), 36);
    assert!(created["metadata"]["creationTimestamp"].is_string());
    assert_eq!(created["metadata"]["resourceVersion"], api.revision().to_string());
    assert_eq!(created["spec"]["type"], "ClusterIP");
    assert_eq!(created["spec"]["clusterIPs"][0], created["spec"]["clusterIP"]);
    assert!(created["spec"]["clusterIP"].as_str().expect("an address").starts_with("10.96."));
    assert_eq!(created["spec"]["ports"][0]["protocol"], "TCP");
    assert_eq!(get(&api, &format!("{SERVICES}/{name}")).await.good(), created);
}

#[tokio::test]
async fn two_services_never_share_an_address_or_a_node_port() {
    let api = plain(Options::default());
    let mut seen = std::collections::BTreeSet::new();
    for number in 0..50 {
        let service = Service::new("shop", &format!("s{number}")).kind("NodePort");
        let kept = api.put(service.port("http", "TCP", 80)).expect("a service");
        assert!(seen.insert(kept["spec"]["clusterIP"].to_string()), "{kept}");
        assert!(seen.insert(kept["spec"]["ports"][0]["nodePort"].to_string()), "{kept}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_refused_as_the_real_server_does() {
    let api = plain(Options::default());
    api.put(Service::new("default", "one").port("", "TCP", 80)).expect("a service");
    let named = |name: &str| json!({"metadata": {"name": name}, "spec": {"ports": []}});
    let post = async |path: &str, body: &Value| call(&api, "POST", path, body).await;

    let exists = post(SERVICES, &named("one")).await.refused(409, "AlreadyExists");
    assert_eq!(exists["details"], json!({"name": "one", "kind": "services"}));
    let missing = get(&api, &format!("{SERVICES}/two")).await.refused(404, "NotFound");
    assert_eq!(missing["message"], "services \"two\" not found");
    get(&api, "/apis/redirector.dev/v1/failoverpolicies").await.refused(404, "NotFound");
    post("/api/v1/namespaces/nowhere/services", &named("x")).await.refused(404, "NotFound");
    post(SERVICES, &named("Not_A_Name")).await.refused(422, "Invalid");
    post(SERVICES, &json!({"spec": {}})).await.refused(422, "Invalid");
    post(SERVICES, &json!({"kind": "Pod", "metadata": {"name": "x"}}))
        .await
        .refused(400, "BadRequest");
    let labels = json!({"metadata": {"name": "x", "labels": {"a": 1}}});
    let invalid = post(SERVICES, &labels).await.refused(422, "Invalid");
    assert_eq!(invalid["details"]["causes"][0]["field"], "metadata.labels");
    let long = "x".repeat(64);
    for label in [long.as_str(), "-a", "a b", "a/b"] {
        let labels = json!({"metadata": {"name": "x", "labels": {"a": label}}});
        post(SERVICES, &labels).await.refused(422, "Invalid");
    }
    let slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
    let slice = |endpoint: Value, owner: Value| {
        json!({"metadata": {"name": "x", "ownerReferences": [owner]}, "addressType": "IPv4",
            "endpoints": [endpoint]})
    };
    let (endpoint, owner) = (
        json!({"addresses": ["10.0.0.1"]}),
        json!({"apiVersion": "v1", "kind": "Service", "name": "one", "uid": "u"}),
    );
    post(slices, &slice(json!({"addresses": []}), owner.clone())).await.refused(422, "Invalid");
    post(slices, &slice(endpoint.clone(), json!({"uid": "u"}))).await.refused(422, "Invalid");
    let mut kept = post(slices, &slice(endpoint, owner)).await.good();
    kept["addressType"] = json!("IPv6");
    let path = format!("{slices}/x");
    call(&api, "PUT", &path, &kept).await.refused(422, "Invalid");
    let port = json!({"metadata": {"name": "x"}, "spec": {"ports": [{"port": 0}]}});
    post(SERVICES, &port).await.refused(422, "Invalid");
    call(&api, "PUT", SERVICES, &named("x")).await.refused(405, "MethodNotAllowed");
}

#[tokio::test]
async fn an_update_of_an_older_version_is_a_conflict_and_one_without_change_writes_nothing() {
    let api = plain(Options::default());
    let first = api.put(Service::new("default", "one").port("", "TCP", 80)).expect("a service");
    let path = format!("{SERVICES}/one");
    let mut second = first.clone();
    second["metadata"]["labels"] = json!({"a": "b"});

    let updated = call(&api, "PUT", &path, &second).await.good();
    let stale = call(&api, "PUT", &path, &second).await.refused(409, "Conflict");
    let before = api.revision();
    let same = call(&api, "PUT", &path, &updated).await.good();

    assert!(stale["message"].as_str().expect("a message").contains("has been modified"), "{stale}");
    assert_ne!(updated["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    assert_eq!(same, updated);
    assert_eq!(api.revision(), before);
    let mut stranger = updated.clone();
    stranger["metadata"]["uid"] = json!("00000000-0000-0000-0000-000000000000");
    call(&api, "PUT", &path, &stranger).await.refused(409, "Conflict");
}

#[tokio::test]
async fn the_generation_counts_specs_and_status_has_a_door_of_its_own() {
    let api = plain(Options::default());
    let policy = FailoverPolicy::new("default", "p", "{mode: Spill}");
    let mut policy = api.put(policy).expect("a policy");
    let path = format!("{POLICIES}/p");
    assert_eq!(policy["metadata"]["generation"], 1);

    policy["status"] = json!({"conditions": [{"type": "Accepted", "status": "True"}]});
    let by_main = call(&api, "PUT", &path, &policy).await.good();
    assert_eq!(by_main["status"], Value::Null, "the main door leaves status alone");
    policy["spec"]["mode"] = json!("LastResort");
    let by_status = call(&api, "PUT", &format!("{path}/status"), &policy).await.good();
    assert_eq!(by_status["status"]["conditions"][0]["type"], "Accepted");
    assert_eq!(by_status["spec"]["mode"], "Spill", "the status door leaves the spec alone");
    assert_eq!(by_status["metadata"]["generation"], 1);
    let changed = json!({"apiVersion": "redirector.dev/v1alpha1", "kind": "FailoverPolicy",
        "metadata": by_status["metadata"], "spec": {"mode": "LastResort"}});
    let changed = call(&api, "PUT", &path, &changed).await.good();
    assert_eq!(changed["metadata"]["generation"], 2);
    assert_eq!(changed["status"]["conditions"][0]["type"], "Accepted");

    let mut blind = changed.clone();
    blind["metadata"].as_object_mut().expect("metadata").remove("resourceVersion");
    call(&api, "PUT", &path, &blind).await.refused(422, "Invalid");
}

#[tokio::test]
async fn a_policy_is_checked_by_what_the_test_hands_in() {
    let validate = |policy: &mut Value| {
        if policy["spec"]["mode"] == "Wrong" {
            return Err(vec![Cause::invalid("spec.mode", "Unsupported value: \"Wrong\"")]);
        }
        policy["spec"]["allDown"] = json!("Panic");
        Ok(())
    };
    let options = Options { validate: Some(std::sync::Arc::new(validate)), ..Options::default() };
    let api = plain(options);
    let body = |mode: &str| json!({"metadata": {"name": "p"}, "spec": {"mode": mode}});

    let refused = call(&api, "POST", POLICIES, &body("Wrong")).await.refused(422, "Invalid");
    let kept = call(&api, "POST", POLICIES, &body("Spill")).await.good();

    assert_eq!(refused["details"]["causes"][0]["field"], "spec.mode");
    assert_eq!(kept["spec"]["allDown"], "Panic");
}

#[tokio::test]
async fn a_panic_in_the_server_fails_whoever_drops_it() {
    let validate = |_: &mut Value| -> Result<(), Vec<Cause>> { panic!("on purpose") };
    let options = Options { validate: Some(std::sync::Arc::new(validate)), ..Options::default() };
    let (api, other) = (plain(options), plain(Options::default()));
    let policy = json!({"metadata": {"name": "p"}, "spec": {}}).to_string();

    try_call(&api, "POST", POLICIES, &[], &policy).await.expect_err("an answer that never comes");

    let dropped = panic::catch_unwind(AssertUnwindSafe(|| drop(api))).expect_err("a panic");
    let said = dropped.downcast::<String>().expect("a message");
    assert!(said.contains("on purpose"), "{said}");
    drop(other);
}

#[tokio::test]
async fn deletions_obey_preconditions_finalizers_and_owners() {
    let api = plain(Options::default());
    let service = api.put(Service::new("default", "one").port("", "TCP", 80)).expect("a service");
    let path = format!("{SERVICES}/one");
    let wrong = json!({"preconditions": {"uid": "another"}});
    call(&api, "DELETE", &path, &wrong).await.refused(409, "Conflict");
    let bad = json!({"propagationPolicy": "Sideways"});
    call(&api, "DELETE", &path, &bad).await.refused(422, "Invalid");

    let mut slice = Value::from(EndpointSlice::new("default", "one-a", "one"));
    slice["metadata"]["ownerReferences"] = json!([{"uid": service["metadata"]["uid"], "name": "one", "kind": "Service", "apiVersion": "v1"}]);
    api.put(slice).expect("a slice");
    let held = json!({"metadata": {"finalizers": ["test/hold"]}});
    api.patch("services", "default", "one", held).expect("a finalizer");
    let dying = call(&api, "DELETE", &path, &Value::Null).await.good();
    assert!(dying["metadata"]["deletionTimestamp"].is_string(), "{dying}");
    assert!(api.get("services", "default", "one").is_some());
    let free = json!({"metadata": {"finalizers": null}});
    api.patch("services", "default", "one", free).expect("no finalizer");
    assert_eq!(api.get("services", "default", "one"), None);
    assert_eq!(api.get("endpointslices", "default", "one-a"), None, "its owner is gone");

    api.put(Node::new("n1").zone("a")).expect("a node");
    let done = call(&api, "DELETE", "/api/v1/nodes/n1", &Value::Null).await.good();
    assert_eq!((done["kind"].as_str(), done["status"].as_str()), (Some("Status"), Some("Success")));
    get(&api, "/api/v1/nodes/n1").await.refused(404, "NotFound");
}

#[tokio::test]
async fn a_namespace_takes_all_that_is_in_it_along_and_dry_runs_change_nothing() {
    let api = plain(Options::default());
    api.put(Service::new("shop", "one").port("", "TCP", 80)).expect("a service");
    api.put(EndpointSlice::new("shop", "one-a", "one")).expect("a slice");
    let before = api.revision();
    call(&api, "DELETE", "/api/v1/namespaces/shop?dryRun=All", &Value::Null).await.good();
    let body = json!({"metadata": {"name": "dry"}, "spec": {"ports": []}});
    call(&api, "POST", &format!("{SERVICES}?dryRun=All"), &body).await.good();
    assert_eq!(api.revision(), before);

    call(&api, "DELETE", "/api/v1/namespaces/shop", &Value::Null).await.good();

    assert_eq!(api.list("services"), Vec::<Value>::new());
    assert_eq!(api.list("endpointslices"), Vec::<Value>::new());
}

#[tokio::test]
async fn policies_may_need_their_definition() {
    let api = plain(Options { needs_crd: true, ..Options::default() });
    let path = "/apis/redirector.dev/v1alpha1/failoverpolicies";
    get(&api, path).await.refused(404, "NotFound");

    let crd = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "failoverpolicies.redirector.dev"}, "spec": {"names": {}}});
    let crd = api.put(crd).expect("a definition");

    assert_eq!(crd["status"]["conditions"][1]["type"], "Established");
    get(&api, path).await.good();
}
