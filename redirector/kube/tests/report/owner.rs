//! The question on SIGTERM.

use std::time::{Duration, Instant};

use redirector_kube::report::owner::{Leave, Origin, Owner, Stay, Verdict, ask};
use serde_json::{Value, json};

use crate::server::{Fault, Server};

const PATH: &str = "/apis/apps/v1/namespaces/redirector/daemonsets/agent";

#[tokio::test]
async fn it_leaves_only_after_a_clear_answer() {
    let lives = || Some(json!({ "metadata": { "uid": "u1" } }));
    let deleting = || {
        Some(json!({ "metadata": { "uid": "u1", "deletionTimestamp": "2026-01-01T00:00:00Z" } }))
    };
    let late = Fault::Late(Duration::from_millis(1_500));
    let stays = Verdict::Stays;
    let leaves = Verdict::Leaves;
    type Row = (&'static str, Option<Value>, Option<&'static str>, Option<Fault>, Verdict);
    let rows: Vec<Row> = vec![
        ("the same", lives(), Some("u1"), None, stays(Stay::Lives)),
        ("another one", lives(), Some("u0"), None, leaves(Leave::Replaced)),
        ("no UID known", lives(), None, None, stays(Stay::Lives)),
        ("deleting", deleting(), Some("u1"), None, leaves(Leave::Deleting)),
        ("deleting, no UID known", deleting(), None, None, leaves(Leave::Deleting)),
        ("gone", None, Some("u1"), None, leaves(Leave::Gone)),
        ("gone, no UID known", None, None, None, leaves(Leave::Gone)),
        ("a proxy's 404", lives(), Some("u1"), Some(Fault::Status(404)), stays(Stay::Silent)),
        (
            "401, answered before",
            lives(),
            Some("u1"),
            Some(Fault::Status(401)),
            leaves(Leave::Revoked),
        ),
        (
            "403, answered before",
            lives(),
            Some("u1"),
            Some(Fault::Status(403)),
            leaves(Leave::Revoked),
        ),
        ("401, never answered", None, None, Some(Fault::Status(401)), stays(Stay::Denied)),
        ("403, never answered", None, None, Some(Fault::Status(403)), stays(Stay::Denied)),
        ("500", None, Some("u1"), Some(Fault::Status(500)), stays(Stay::Silent)),
        ("429", None, Some("u1"), Some(Fault::Status(429)), stays(Stay::Silent)),
        ("no answer", None, Some("u1"), Some(Fault::LoseAnswer), stays(Stay::Silent)),
        ("gone, too late", None, Some("u1"), Some(late), stays(Stay::Silent)),
        ("deleting, too late", deleting(), Some("u1"), Some(late), stays(Stay::Silent)),
        ("no object", Some(json!([])), Some("u1"), None, stays(Stay::Silent)),
    ];
    for (what, object, uid, fault, expected) in rows {
        let server = Server::new().await;
        if let Some(object) = object {
            server.state().objects.insert(PATH.to_owned(), object);
        }
        if let Some(fault) = fault {
            server.fault("GET", PATH, fault);
        }
        let client = server.client().await;
        let begun = Instant::now();
        let verdict = ask(&client, "redirector", "agent", uid).await;
        assert_eq!(verdict, expected, "{what}");
        let took = begun.elapsed();
        assert!(took < Duration::from_millis(1_400), "{what} took {took:?}");
    }
}

#[tokio::test]
async fn a_pod_knows_its_daemonset_and_notices_another_one() {
    let server = Server::new().await;
    let references = json!([
        { "kind": "Other", "name": "x", "uid": "u9" },
        { "kind": "DaemonSet", "name": "agent", "uid": "u1", "controller": true },
    ]);
    let pod = json!({ "metadata": { "uid": "p1", "ownerReferences": references } });
    server.put("/api/v1/namespaces/redirector/pods/agent-x7", pod);
    let status = json!({ "desiredNumberScheduled": 5_000 });
    server.put(PATH, json!({ "metadata": { "uid": "u1" }, "status": status }));
    let client = server.client().await;
    let owner = Owner::new(client, "redirector".into(), Origin::Pod("agent-x7".into()));
    assert_eq!(owner.ask().await, Verdict::Stays(Stay::Unknown));
    let known = owner.learn().await;
    assert_eq!((&*known.name, &*known.uid, known.nodes), ("agent", "u1", 5_000));
    assert_eq!(owner.ask().await, Verdict::Stays(Stay::Lives));
    server.put(PATH, json!({ "metadata": { "uid": "u2" } }));
    assert_eq!(owner.ask().await, Verdict::Leaves(Leave::Replaced));
    server.fault("GET", PATH, Fault::Status(403));
    assert_eq!(owner.ask().await, Verdict::Leaves(Leave::Revoked));
}

#[tokio::test]
async fn a_named_daemonset_is_asked_for_before_it_is_known() {
    let server = Server::new().await;
    let client = server.client().await;
    let owner = Owner::new(client, "redirector".into(), Origin::Daemonset("agent".into()));
    assert_eq!(owner.ask().await, Verdict::Leaves(Leave::Gone));
    server.fault("GET", PATH, Fault::Status(403));
    assert_eq!(owner.ask().await, Verdict::Stays(Stay::Denied), "nothing was learned yet");
    server.put(PATH, json!({ "metadata": { "uid": "u1" } }));
    assert_eq!(owner.learn().await.uid, "u1");
}
