//! Kinds that are served in several versions, and those that a CRD defines.

use redirector_tests::api::Options;
use serde_json::{Value, json};

use super::client::{call, get, plain};

const MCS: &str = "/apis/multicluster.x-k8s.io";

#[tokio::test]
async fn an_object_is_the_same_in_every_version() {
    let api = plain(Options::default());
    let old = format!("{MCS}/v1alpha1/namespaces/default/serviceexports");
    let new = format!("{MCS}/v1beta1/namespaces/default/serviceexports");
    let body = json!({"apiVersion": "multicluster.x-k8s.io/v1alpha1", "kind": "ServiceExport",
        "metadata": {"name": "web"}});

    let made = call(&api, "POST", &old, &body).await.json();
    let read = get(&api, &format!("{new}/web")).await.good();
    let listed = get(&api, &old).await.good();

    assert_eq!(made["apiVersion"], "multicluster.x-k8s.io/v1alpha1");
    assert_eq!(read["apiVersion"], "multicluster.x-k8s.io/v1beta1");
    assert_eq!(made["metadata"]["uid"], read["metadata"]["uid"]);
    assert_eq!(listed["items"][0]["apiVersion"], "multicluster.x-k8s.io/v1alpha1");
    let group = get(&api, MCS).await.good();
    assert_eq!(group["preferredVersion"]["version"], "v1beta1");
    assert_eq!(group["versions"].as_array().expect("versions").len(), 2);
    call(&api, "POST", &new, &body).await.refused(400, "BadRequest");
}

#[tokio::test]
async fn a_definition_says_which_versions_are_served_and_takes_its_objects_along() {
    let api = plain(Options { needs_crd: true, ..Options::default() });
    let definition = |served: bool| {
        json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "serviceexports.multicluster.x-k8s.io"},
            "spec": {"names": {}, "versions": [
                {"name": "v1alpha1", "served": true}, {"name": "v1beta1", "served": served}]}})
    };
    api.put(definition(false)).expect("a definition");
    let path = |version: &str| format!("{MCS}/{version}/serviceexports");
    get(&api, &path("v1alpha1")).await.good();
    get(&api, &path("v1beta1")).await.refused(404, "NotFound");
    api.put(definition(true)).expect("a definition");
    get(&api, &path("v1beta1")).await.good();

    api.put(json!({"apiVersion": "multicluster.x-k8s.io/v1beta1", "kind": "ServiceExport",
        "metadata": {"name": "web"}}))
        .expect("an export");
    let crd = "serviceexports.multicluster.x-k8s.io";
    api.delete("customresourcedefinitions", "", crd).expect("it was there");
    assert_eq!(api.list("serviceexports"), Vec::<Value>::new());
    get(&api, &path("v1alpha1")).await.refused(404, "NotFound");
}
