//! Tokens, rules, and the log of who did what.

use redirector_tests::api::{Options, Rule, Token, Verb, builders::Service};

use super::client::{get, plain, try_call};

#[tokio::test]
async fn a_stranger_is_401_and_a_limited_user_403_for_all_but_its_rules() {
    let rules =
        Rule::of_role("rules: [{apiGroups: [\"\"], resources: [services], verbs: [list, watch]}]");
    let tokens = vec![
        Token::administrator("admin-token", "admin"),
        Token::limited("agent-token", "agent", rules),
    ];
    let api = plain(Options { tokens, ..Options::default() });
    api.put(Service::new("default", "one").port("", "TCP", 80)).expect("a service");
    let by = async |token: &str, path: &str| {
        let headers = [("authorization", token)];
        try_call(&api, "GET", path, &headers, "").await.expect("an answer")
    };

    by("Bearer nobody", "/api/v1/services").await.refused(401, "Unauthorized");
    by("", "/version").await.refused(401, "Unauthorized");
    by("Bearer agent-token", "/api/v1/services").await.good();
    by("Bearer agent-token", "/apis").await.good();
    let path = "/api/v1/namespaces/default/services/one";
    let refused = by("Bearer agent-token", path).await.refused(403, "Forbidden");
    assert_eq!(
        refused["message"],
        "services \"one\" is forbidden: User \"agent\" cannot get resource \"services\" in API \
         group \"\" in the namespace \"default\""
    );

    let beyond: Vec<_> = api.requests().into_iter().filter(|request| request.code == 403).collect();
    assert_eq!(beyond.len(), 1, "{beyond:?}");
    assert_eq!((beyond[0].verb, beyond[0].user.as_str()), (Verb::Get, "agent"));
    assert_eq!((beyond[0].resource.as_str(), beyond[0].path.as_str()), ("services", path));
    api.set_tokens(vec![Token::administrator("new", "agent")]).expect("files");
    by("Bearer agent-token", "/api/v1/services").await.refused(401, "Unauthorized");
    by("Bearer new", "/api/v1/services").await.good();
    assert_eq!(
        std::fs::read_to_string(api.kubeconfig().with_file_name("token")).expect("a token"),
        "new"
    );
}

#[tokio::test]
async fn a_list_in_pages_counts_once() {
    let api = plain(Options::default());
    for name in ["a", "b", "c"] {
        api.put(Service::new("default", name).port("", "TCP", 80)).expect("a service");
    }
    let first = get(&api, "/api/v1/services?limit=2").await.good();
    let token = first["metadata"]["continue"].as_str().expect("a token");
    get(&api, &format!("/api/v1/services?limit=2&continue={token}")).await.good();

    assert_eq!(api.count(Verb::List, "services"), 1);
    let pages: Vec<_> = api.requests().iter().map(|request| request.page).collect();
    assert_eq!(pages, [1, 2]);
    api.forget_requests();
    assert_eq!((api.count(Verb::List, "services"), api.requests().len()), (0, 0));
}
