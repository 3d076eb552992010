//! Merge, JSON and strategic merge patches over HTTP.

use redirector_tests::api::{
    Options,
    builders::{FailoverPolicy, Service},
};
use serde_json::json;

use super::client::{patch, plain};

#[tokio::test]
async fn each_kind_of_patch_does_what_it_says() {
    let api = plain(Options::default());
    let service = Service::new("default", "one").port("http", "TCP", 80).port("dns", "UDP", 53);
    api.put(service).expect("a service");
    let path = "/api/v1/namespaces/default/services/one";

    let labels = json!({"metadata": {"labels": {"a": "b"}}});
    let merged = patch(&api, path, "merge-patch+json", &labels).await;
    assert_eq!(merged.good()["metadata"]["labels"], json!({"a": "b"}));
    let operations = json!([{"op": "replace", "path": "/metadata/labels/a", "value": "c"}]);
    let patched = patch(&api, path, "json-patch+json", &operations).await.good();
    assert_eq!(patched["metadata"]["labels"]["a"], "c");
    let ports = json!({"spec": {"ports": [{"port": 80, "name": "web"}]}});
    let strategic = patch(&api, path, "strategic-merge-patch+json", &ports).await.good();
    assert_eq!(strategic["spec"]["ports"].as_array().map(Vec::len), Some(2));
    assert_eq!(strategic["spec"]["ports"][0]["name"], "web");
    let merged = patch(&api, path, "merge-patch+json", &ports).await.good();
    assert_eq!(merged["spec"]["ports"].as_array().map(Vec::len), Some(1), "a list is one whole");

    let failing = json!([{"op": "test", "path": "/metadata/name", "value": "two"}]);
    patch(&api, path, "json-patch+json", &failing).await.refused(422, "Invalid");
    patch(&api, path, "patch+json", &json!({})).await.refused(415, "UnsupportedMediaType");
    let stale = json!({"metadata": {"resourceVersion": "1"}});
    patch(&api, path, "merge-patch+json", &stale).await.refused(409, "Conflict");
    let missing = "/api/v1/namespaces/default/services/two";
    patch(&api, missing, "merge-patch+json", &json!({})).await.refused(404, "NotFound");
}

#[tokio::test]
async fn custom_resources_know_no_strategic_merge() {
    let api = plain(Options::default());
    api.put(FailoverPolicy::new("default", "p", "{mode: Spill}")).expect("a policy");
    let path = "/apis/redirector.dev/v1alpha1/namespaces/default/failoverpolicies/p";

    let refused = patch(&api, path, "strategic-merge-patch+json", &json!({"spec": {}})).await;

    refused.refused(415, "UnsupportedMediaType");
    let mode = json!({"spec": {"mode": "LastResort"}});
    let merged = patch(&api, path, "merge-patch+json", &mode).await;
    assert_eq!(merged.good()["metadata"]["generation"], 2);
}
