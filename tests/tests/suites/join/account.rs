//! Acceptance statement 4: the account that a join makes has three reads and its own token, nothing
//! else.

use redirector_kube::client::{Client, Error, Given, Options as ClientOptions};
use redirector_tests::api::{Verb, resources};
use serde_json::{Value, json};

use super::fixture::{IMPORTER, World};

#[tokio::test]
async fn the_account_of_a_join_has_three_reads_and_its_own_token_and_nothing_else() {
    let world = World::new();
    world.join_west(&[]).good();
    let client = importer(&world).await;
    let west = world.api("west");
    west.forget_requests();

    let mut allowed = Vec::new();
    let mut asked = 0;
    for row in resources::ALL.iter().filter(|row| !row.is_question) {
        for namespace in ["redirector-exports", "default", "kube-system", ""] {
            for verb in Verb::ALL {
                for subresource in ["", "status", "token"] {
                    asked += 1;
                    let attributes = json!({
                        "verb": verb.name(), "group": row.group, "version": row.version,
                        "resource": row.plural, "subresource": subresource,
                        "namespace": namespace, "name": "",
                    });
                    if is_allowed(&client, attributes).await {
                        allowed.push(format!("{} {} in {namespace:?}", verb.name(), row.plural));
                    }
                }
            }
        }
    }
    let expected: Vec<_> = ["endpointslices", "leases", "exportedservices"]
        .iter()
        .flat_map(|resource| {
            ["get", "list", "watch"]
                .map(|verb| format!("{verb} {resource} in \"redirector-exports\""))
        })
        .collect();
    assert_eq!(allowed, expected, "of {asked} questions without a name");
    for (name, expected) in [("importer-east", true), ("importer-north", false), ("default", false)]
    {
        let attributes = json!({
            "verb": "create", "resource": "serviceaccounts", "subresource": "token",
            "namespace": "redirector-exports", "name": name,
        });
        assert_eq!(is_allowed(&client, attributes).await, expected, "a token of {name}");
    }
    println!("{asked} questions, {} allowed, and a token of its own", allowed.len());
}

#[tokio::test]
async fn thirty_other_requests_are_forbidden_and_it_renews_its_own_token() {
    let world = World::new();
    world.join_west(&[]).good();
    let client = importer(&world).await;
    let outbox = "/apis/redirector.dev/v1alpha1/namespaces/redirector-exports/exportedservices";
    client.get(outbox).await.expect("a read of the outbox");
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                         "spec": {"expirationSeconds": 2_592_000}});
    let accounts = "/api/v1/namespaces/redirector-exports/serviceaccounts";
    let own = format!("{accounts}/importer-east/token");
    client.post(&own, &request).await.expect("its next token");

    let paths = [
        "/api/v1/secrets",
        "/api/v1/namespaces/redirector-exports/secrets",
        "/api/v1/namespaces/redirector-exports/secrets/x",
        "/api/v1/namespaces",
        "/api/v1/namespaces/kube-system",
        "/api/v1/nodes",
        "/api/v1/pods",
        "/api/v1/services",
        "/api/v1/namespaces/default/services",
        "/api/v1/configmaps",
        "/api/v1/namespaces/redirector-exports/serviceaccounts",
        "/api/v1/namespaces/redirector-exports/serviceaccounts/importer-east",
        "/apis/discovery.k8s.io/v1/endpointslices",
        "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
        "/apis/coordination.k8s.io/v1/leases",
        "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases",
        "/apis/redirector.dev/v1alpha1/exportedservices",
        "/apis/redirector.dev/v1alpha1/remoteclusters",
        "/apis/redirector.dev/v1alpha1/failoverpolicies",
        "/apis/multicluster.x-k8s.io/v1beta1/serviceexports",
        "/apis/multicluster.x-k8s.io/v1beta1/serviceimports",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles",
        "/apis/rbac.authorization.k8s.io/v1/namespaces/redirector-exports/roles",
        "/apis/apps/v1/daemonsets",
    ];
    let mut refused = 0;
    for path in paths {
        refused += u32::from(is_forbidden(client.get(path).await));
    }
    let slices = "/apis/discovery.k8s.io/v1/namespaces/redirector-exports/endpointslices";
    let lease =
        "/apis/coordination.k8s.io/v1/namespaces/redirector-exports/leases/redirector-heartbeat";
    let body = json!({"metadata": {"name": "x"}});
    for path in [outbox, slices, accounts] {
        refused += u32::from(is_forbidden(client.post(path, &body).await));
        refused += u32::from(is_forbidden(client.delete(&format!("{path}/x"), &json!({})).await));
    }
    refused += u32::from(is_forbidden(client.put(lease, &body).await));
    refused += u32::from(is_forbidden(client.patch(lease, &body).await));
    let other = format!("{accounts}/default/token");
    refused += u32::from(is_forbidden(client.post(&other, &request).await));
    assert_eq!(refused, 33);

    let west = world.api("west");
    let answered: Vec<_> = west
        .requests()
        .into_iter()
        .filter(|request| request.user == IMPORTER && request.code < 400)
        .map(|request| (request.verb, request.resource))
        .collect();
    let known = |(verb, resource): &(Verb, String)| match resource.as_str() {
        "exportedservices" | "endpointslices" | "leases" => {
            matches!(verb, Verb::Get | Verb::List | Verb::Watch)
        }
        "serviceaccounts/token" => *verb == Verb::Create,
        _ => false,
    };
    assert!(answered.iter().all(known), "{answered:?}");
    println!(
        "{refused} requests of other kinds were 403; {} of its own were answered",
        answered.len()
    );
}

async fn importer(world: &World) -> Client {
    let west = world.api("west");
    let given =
        Given { server: west.url(), ca: Some(west.ca().into_bytes()), token: world.token() };
    let options = ClientOptions { given: Some(given), ..ClientOptions::default() };
    Client::new(options).await.expect("a client")
}

async fn is_allowed(client: &Client, attributes: Value) -> bool {
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
                        "spec": {"resourceAttributes": attributes}});
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let answer = client.post(path, &review).await.expect("a review");
    answer.object::<Value>().expect("a review")["status"]["allowed"] == true
}

fn is_forbidden<T: std::fmt::Debug>(answer: Result<T, Error>) -> bool {
    assert!(matches!(answer, Err(Error::Forbidden { .. })), "{answer:?}");
    true
}
