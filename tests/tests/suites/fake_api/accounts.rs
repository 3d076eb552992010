//! ServiceAccounts: tokens that are asked for, and roles that are bound.

use std::{thread, time::Duration};

use redirector_tests::api::{Api, Options};
use serde_json::{Value, json};

use super::client::{Answer, call, plain, try_call};

const ACCOUNTS: &str = "/api/v1/namespaces/redirector-exports/serviceaccounts";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/redirector-exports/endpointslices";

/// An account that may read slices of its namespace, and make tokens of itself.
const IMPORTER: &str = "
{apiVersion: v1, kind: ServiceAccount, metadata: {namespace: redirector-exports, name: importer-east}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {namespace: redirector-exports, name: importer-east}
rules:
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [get, list, watch]}
- {apiGroups: [''], resources: [serviceaccounts/token], verbs: [create], resourceNames: [importer-east]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {namespace: redirector-exports, name: importer-east}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: importer-east}
subjects: [{kind: ServiceAccount, name: importer-east, namespace: redirector-exports}]
";

#[tokio::test]
async fn an_account_may_do_what_is_bound_to_it_until_its_token_or_itself_ends() {
    let api = plain(Options { longest_token: Duration::from_secs(2), ..Options::default() });
    api.put_yaml(IMPORTER).expect("an account");
    let token = token(&api, "admin-token").await;
    let get = async |path: &str| by(&api, &token, "GET", path, &Value::Null).await;

    get(SLICES).await.good();
    get("/apis/discovery.k8s.io/v1/endpointslices").await.refused(403, "Forbidden");
    get(&SLICES.replace("redirector-exports", "default")).await.refused(403, "Forbidden");
    get(&format!("{ACCOUNTS}/importer-east")).await.refused(403, "Forbidden");
    let other = format!("{ACCOUNTS}/default/token");
    by(&api, &token, "POST", &other, &json!({})).await.refused(403, "Forbidden");
    let user = "system:serviceaccount:redirector-exports:importer-east";
    assert!(api.requests().iter().any(|request| request.user == user && request.code == 200));

    let second = self::token(&api, &token).await;
    thread::sleep(Duration::from_secs(2));
    get(SLICES).await.refused(401, "Unauthorized");
    by(&api, &second, "GET", SLICES, &Value::Null).await.refused(401, "Unauthorized");
    let third = self::token(&api, "admin-token").await;
    api.delete("rolebindings", "redirector-exports", "importer-east").expect("it was there");
    by(&api, &third, "GET", SLICES, &Value::Null).await.refused(403, "Forbidden");
    api.delete("serviceaccounts", "redirector-exports", "importer-east").expect("it was there");
    by(&api, &third, "GET", SLICES, &Value::Null).await.refused(401, "Unauthorized");
}

#[tokio::test]
async fn a_user_hears_what_it_may_do() {
    let api = plain(Options::default());
    api.put_yaml(IMPORTER).expect("an account");
    let token = token(&api, "admin-token").await;
    let reviews = "/apis/authorization.k8s.io/v1";
    for (verb, name, is_allowed) in
        [("create", "importer-east", true), ("create", "importer-north", false), ("get", "", false)]
    {
        let asked = json!({"verb": verb, "group": "", "resource": "serviceaccounts",
            "subresource": "token", "namespace": "redirector-exports", "name": name});
        let body = json!({"spec": {"resourceAttributes": asked}});
        let path = format!("{reviews}/selfsubjectaccessreviews");
        let heard = by(&api, &token, "POST", &path, &body).await.json();
        assert_eq!(heard["status"]["allowed"], is_allowed, "{heard}");
    }
    let rules = async |namespace: &str| {
        let body = json!({"spec": {"namespace": namespace}});
        let path = format!("{reviews}/selfsubjectrulesreviews");
        let heard = by(&api, &token, "POST", &path, &body).await.json();
        heard["status"]["resourceRules"].as_array().expect("rules").clone()
    };
    assert_eq!(rules("default").await, Vec::<Value>::new());
    let here = rules("redirector-exports").await;
    assert_eq!((here.len(), &here[0]["verbs"]), (2, &json!(["get", "list", "watch"])));
}

#[tokio::test]
async fn too_short_a_life_is_refused_and_servers_have_different_uids() {
    let (api, other) = (plain(Options::default()), plain(Options::default()));
    api.put_yaml(IMPORTER).expect("an account");
    let body = json!({"spec": {"expirationSeconds": 599}});
    let path = format!("{ACCOUNTS}/importer-east/token");
    call(&api, "POST", &path, &body).await.refused(422, "Invalid");
    let uid = |api: &Api| {
        let found = api.get("namespaces", "", "kube-system").expect("it is always there");
        found["metadata"]["uid"].as_str().expect("a uid").to_owned()
    };
    assert_ne!(uid(&api), uid(&other));
}

/// A token of the account, for an hour if the server grants it, asked for by the bearer of another.
async fn token(api: &Api, bearer: &str) -> String {
    let path = format!("{ACCOUNTS}/importer-east/token");
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {"expirationSeconds": 3600}});
    let answer = by(api, bearer, "POST", &path, &body).await;
    assert_eq!(answer.code, 201, "{answer:?}");
    answer.json()["status"]["token"].as_str().expect("a token").to_owned()
}

async fn by(api: &Api, token: &str, method: &str, path: &str, body: &Value) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    try_call(api, method, path, &headers, &body).await.expect("an answer")
}
