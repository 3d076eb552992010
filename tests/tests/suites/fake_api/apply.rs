//! Server-side apply: managers share what they agree on, keep what is theirs, and collide openly.

use redirector_tests::api::{
    Options,
    builders::{FailoverPolicy, Service},
};
use serde_json::{Value, json};

use super::client::{patch, plain};

const POLICY: &str = "/apis/redirector.dev/v1alpha1/namespaces/default/failoverpolicies/p";

fn status(conditions: Value) -> Value {
    json!({"apiVersion": "redirector.dev/v1alpha1", "kind": "FailoverPolicy",
           "metadata": {"name": "p"}, "status": {"conditions": conditions}})
}

fn path(manager: &str, is_forced: bool) -> String {
    format!("{POLICY}/status?fieldManager={manager}&force={is_forced}")
}

#[tokio::test]
async fn two_managers_of_conditions_keep_their_own_by_type() {
    let api = plain(Options::default());
    api.put(FailoverPolicy::new("default", "p", "{mode: Spill}")).expect("a policy");
    let accepted = |status: &str| json!({"type": "Accepted", "status": status, "reason": "Valid"});
    let degraded = json!({"type": "Degraded", "status": "False", "reason": "AllWell"});
    let apply = async |manager: &str, is_forced: bool, conditions: Value| {
        patch(&api, &path(manager, is_forced), "apply-patch+yaml", &status(conditions)).await
    };

    apply("one", false, json!([accepted("True")])).await.good();
    let both = apply("two", false, json!([degraded])).await.good();
    assert_eq!(both["status"]["conditions"], json!([accepted("True"), degraded]));
    assert_eq!(both["metadata"]["generation"], 1);

    let refused = apply("two", false, json!([degraded, accepted("False")])).await;
    let refused = refused.refused(409, "Conflict");
    let cause = &refused["details"]["causes"][0];
    assert_eq!(cause["reason"], "FieldManagerConflict");
    assert_eq!(cause["field"], ".status.conditions[type=\"Accepted\"].status");
    assert!(cause["message"].as_str().expect("a message").contains("\"one\""), "{cause}");

    let forced = apply("two", true, json!([degraded, accepted("False")])).await.good();
    assert_eq!(forced["status"]["conditions"][0]["status"], "False");
    apply("one", false, json!([accepted("True")])).await.refused(409, "Conflict");

    // What both have declared stays until the last of them drops it.
    let shared = apply("two", false, json!([degraded])).await.good();
    assert_eq!(shared["status"]["conditions"].as_array().map(Vec::len), Some(2), "{shared}");
    let own = apply("one", false, json!([])).await.good();
    assert_eq!(own["status"]["conditions"], json!([degraded]), "{own}");
}

#[tokio::test]
async fn the_same_applied_twice_writes_once() {
    let api = plain(Options::default());
    api.put(FailoverPolicy::new("default", "p", "{mode: Spill}")).expect("a policy");
    let body = status(json!([{"type": "Accepted", "status": "True"}]));
    let first = patch(&api, &path("one", false), "apply-patch+yaml", &body).await.good();
    let before = api.revision();

    let second = patch(&api, &path("one", false), "apply-patch+yaml", &body).await.good();

    assert_eq!(second, first);
    assert_eq!(api.revision(), before);
    let entry = first["metadata"]["managedFields"].as_array().expect("managers").iter();
    let mine = entry.clone().find(|entry| entry["manager"] == "one").expect("an entry of mine");
    assert_eq!((&mine["operation"], &mine["subresource"]), (&json!("Apply"), &json!("status")));
    assert_eq!(
        mine["fieldsV1"]["f:status"]["f:conditions"]["k:{\"type\":\"Accepted\"}"],
        json!({".": {}, "f:status": {}, "f:type": {}})
    );
}

#[tokio::test]
async fn apply_creates_merges_and_takes_back_what_is_no_longer_declared() {
    let api = plain(Options::default());
    let path =
        |manager: &str| format!("/api/v1/namespaces/default/services/one?fieldManager={manager}");
    let body = |labels: Value, ports: Value| {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "one", "labels": labels},
               "spec": {"ports": ports}})
    };
    let first = body(json!({"a": "1", "b": "1"}), json!([{"port": 80, "name": "http"}]));
    let created = patch(&api, &path("one"), "apply-patch+yaml", &first).await;
    assert_eq!(created.code, 201, "{}", created.text);
    let other = body(json!({"c": "1"}), json!([{"port": 53, "protocol": "UDP", "name": "dns"}]));
    patch(&api, &path("two"), "apply-patch+yaml", &other).await.good();
    // A plain update takes the field over.
    api.patch("services", "default", "one", json!({"metadata": {"labels": {"b": "2"}}}))
        .expect("ok");

    let less = body(json!({"a": "1"}), json!([{"port": 80, "name": "http"}]));
    let kept = patch(&api, &path("one"), "apply-patch+yaml", &less).await.good();

    assert_eq!(kept["metadata"]["labels"], json!({"a": "1", "b": "2", "c": "1"}));
    assert_eq!(kept["spec"]["ports"].as_array().map(Vec::len), Some(2));
    let none =
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "one"}, "spec": {}});
    let kept = patch(&api, &path("two"), "apply-patch+yaml", &none).await.good();
    assert_eq!(kept["metadata"]["labels"], json!({"a": "1", "b": "2"}));
    assert_eq!(kept["spec"]["ports"].as_array().map(Vec::len), Some(1), "{kept}");
}

#[tokio::test]
async fn an_apply_needs_a_manager_and_a_kind() {
    let api = plain(Options::default());
    api.put(Service::new("default", "one").port("", "TCP", 80)).expect("a service");
    let path = "/api/v1/namespaces/default/services/one";
    let body = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "one"}});

    patch(&api, path, "apply-patch+yaml", &body).await.refused(422, "Invalid");
    let managed = format!("{path}?fieldManager=one");
    patch(&api, &managed, "apply-patch+yaml", &json!({"spec": {}}))
        .await
        .refused(400, "BadRequest");
    patch(&api, &path_of_missing(), "apply-patch+yaml", &status(json!([])))
        .await
        .refused(404, "NotFound");
}

fn path_of_missing() -> String {
    path("one", false)
}
