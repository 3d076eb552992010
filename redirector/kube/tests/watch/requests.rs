//! Single requests: what is sent, and what each answer means.

use redirector_kube::client::{Client, Error, ErrorKind, Options, SetupError, Timeouts};
use serde_json::json;

use crate::{
    DIVISOR, kubeconfig,
    server::{Server, bind},
    state::{Act, On, Part, ServerState, answer, ok, refusal},
    tls::PKI,
};

/// Uses a client of a server that takes these steps, one for each request.
async fn scripted(steps: Vec<Act>, ask: impl AsyncFnOnce(&Client)) {
    let account = tempfile::tempdir().expect("a directory");
    std::fs::write(account.path().join("token"), "first").expect("a token");
    let steps = steps.into_iter().map(|act| (On::List, act)).collect();
    let server = Server::new(ServerState::new(steps, account.path().to_owned()), false);
    let (socket, address) = bind();
    server.listen(socket);
    let options = Options {
        kubeconfig: Some(kubeconfig(account.path(), address)),
        timeouts: Timeouts::default().divided_by(DIVISOR),
        ..Options::default()
    };
    let client = Client::new(options).await.expect("a client");
    ask(&client).await;
    drop(client);
    assert_eq!(server.ended().await, [""; 0]);
    assert!(server.state().steps.is_empty(), "steps were never reached");
}

fn says(parts: Vec<Part>) -> Act {
    Box::new(|_, _| parts)
}

#[tokio::test]
async fn every_status_has_its_error() {
    let cases = [
        (400, ErrorKind::Refused),
        (401, ErrorKind::Unauthorized),
        (403, ErrorKind::Forbidden),
        (404, ErrorKind::NotFound),
        (409, ErrorKind::Conflict),
        (410, ErrorKind::Gone),
        (422, ErrorKind::Refused),
        (429, ErrorKind::TooManyRequests),
        (500, ErrorKind::Server),
        (503, ErrorKind::Server),
        (304, ErrorKind::Refused),
    ];
    let steps = cases.map(|(code, _)| says(refusal(code, "retry-after: 7\r\n", "because")));
    scripted(steps.into(), async |client| {
        for (code, kind) in cases {
            let error = client.get("/apis/x?y=z").await.expect_err("a refusal");
            assert_eq!(error.kind(), kind, "{code}: {error}");
            let is_throttled = matches!(code, 429 | 500 | 503);
            assert_eq!(error.retry_after().map(|wait| wait.as_secs()), is_throttled.then_some(7));
            assert!(!error.to_string().contains("y=z"), "a query in {error}");
        }
    })
    .await;
}

#[tokio::test]
async fn requests_carry_what_they_should_and_answers_come_back() {
    let steps: Vec<Act> = vec![
        Box::new(|_, request| {
            assert!(request.head.starts_with("PATCH /apis/x?fieldManager=r HTTP/1.1\r\n"));
            assert!(request.head.contains("content-type: application/apply-patch+yaml\r\n"));
            assert!(request.head.contains("accept-encoding: identity\r\n"));
            assert!(request.has_token("first"), "{}", request.head);
            vec![ok(&request.body)]
        }),
        Box::new(|_, request| {
            assert!(request.head.contains("application/merge-patch+json"), "{}", request.head);
            vec![ok("{}")]
        }),
        Box::new(|_, request| {
            assert!(request.head.starts_with("POST /apis/x "), "{}", request.head);
            vec![answer(201, "", "made")]
        }),
        Box::new(|_, request| {
            assert!(request.head.starts_with("PUT /apis/x/1 "), "{}", request.head);
            vec![ok("{}")]
        }),
    ];
    scripted(steps, async |client| {
        let object = json!({"spec": {"a": 1}});
        let applied = client.apply("/apis/x?fieldManager=r", &object).await.expect("applied");
        assert_eq!(&applied.body[..], br#"{"spec":{"a":1}}"#);
        client.patch("/apis/x/1", &object).await.expect("patched");
        let made = client.post("/apis/x", &object).await.expect("made");
        assert_eq!((made.status.as_u16(), &made.body[..]), (201, &b"made"[..]));
        client.put("/apis/x/1", &object).await.expect("replaced");
    })
    .await;
}

#[tokio::test]
async fn a_write_that_may_have_arrived_is_not_repeated() {
    let steps = vec![says(vec![ok("{}")]), says(vec![Part::Reset]), says(vec![ok("next")])];
    scripted(steps, async |client| {
        client.get("/first").await.expect("an answer, whose connection is kept");
        let error = client.post("/apis/x", &json!({})).await.expect_err("a broken connection");
        assert_eq!(error.kind(), ErrorKind::Interrupted, "{error}");
        let next = client.get("/next").await.expect("an answer");
        assert_eq!(&next.body[..], b"next", "it was sent again");
    })
    .await;
}

#[tokio::test]
async fn answers_without_end_and_floods_are_cut() {
    let flood = "x".repeat((16 << 20) + 1);
    let steps = vec![says(vec![Part::Hang]), says(vec![ok(&flood)]), says(vec![ok("well")])];
    scripted(steps, async |client| {
        let error = client.get("/hangs").await.expect_err("no answer");
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
        let error = client.get("/floods").await.expect_err("too much");
        assert!(matches!(error, Error::TooLarge { .. } | Error::TimedOut { .. }), "{error}");
        assert_eq!(&client.get("/well").await.expect("an answer").body[..], b"well");
    })
    .await;
}

#[tokio::test]
async fn alternatives_are_remembered_for_the_next_start() {
    let account = tempfile::tempdir().expect("a directory");
    let path = account.path();
    std::fs::write(path.join("token"), "first").expect("a token");
    std::fs::write(path.join("ca.crt"), &PKI.ca).expect("a CA file");
    let server = Server::new(ServerState::new([].into(), path.to_owned()), true);
    let ((socket, address), (_nobody, refused)) = (bind(), bind());
    server.listen(socket);
    let options = Options {
        account: path.to_owned(),
        api_server: Some(format!("https://{refused}")),
        alternatives: Some(path.join("servers")),
        timeouts: Timeouts::default().divided_by(DIVISOR),
        ..Options::default()
    };
    let first = Client::new(options.clone()).await.expect("a client");
    let error = first.get("/api").await.expect_err("nobody there");
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    first.set_alternatives(vec![address]);
    first.get("/api").await.expect("the alternative answers");
    let next = Client::new(options).await.expect("a client");
    next.get("/api").await.expect("the remembered alternative answers");
    drop((first, next));
    assert_eq!(server.ended().await, [""; 0]);
}

#[tokio::test]
async fn what_cannot_be_used_is_said_at_the_start() {
    let account = tempfile::tempdir().expect("a directory");
    let path = account.path();
    let options = Options { account: path.to_owned(), ..Options::default() };
    let with =
        |api_server: &str| Options { api_server: Some(api_server.into()), ..options.clone() };
    let error = Client::new(with("https://10.0.0.1")).await.expect_err("no CA file");
    assert!(matches!(&error, SetupError::Read { path, .. } if path.ends_with("ca.crt")), "{error}");
    std::fs::write(path.join("ca.crt"), "nothing").expect("a CA file");
    let error = Client::new(with("https://10.0.0.1")).await.expect_err("no certificate");
    assert!(matches!(error, SetupError::Certificates { .. }), "{error}");
    std::fs::write(path.join("ca.crt"), &PKI.ca).expect("a CA file");
    std::fs::write(path.join("token"), "t").expect("a token");
    let error = Client::new(with("http://10.0.0.1")).await.expect_err("a token in the clear");
    assert!(matches!(error, SetupError::Address { .. }), "{error}");
    let proxied = path.join("proxied");
    let text = "{apiVersion: v1, kind: Config, current-context: x, \
                contexts: [{name: x, context: {cluster: x}}], clusters: [{name: x, cluster: \
                {server: 'https://10.0.0.1', proxy-url: 'http://10.0.0.2:3128'}}]}";
    std::fs::write(&proxied, text).expect("a kubeconfig");
    let options = Options { kubeconfig: Some(proxied), ..options };
    let error = Client::new(options).await.expect_err("a proxy");
    assert!(matches!(error, SetupError::Proxy(_)), "{error}");
}
