//! Watches: the state first if none is known, then every change, bookmarks, and an end.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use hyper::Response;
use serde_json::json;
use tokio::{
    sync::broadcast::error::RecvError,
    time::{Instant, MissedTickBehavior, interval_at, sleep_until},
};

use super::{
    Call, JSON, Server,
    body::{Body, Feed, cut},
    response, view,
    view::View,
};
use crate::api::{
    failure::Failure,
    faults::{Order, What},
    object::{Key, Stored},
    selectors::Selector,
    store::Event,
    table::Columns,
};

/// A watch without `timeoutSeconds`; the real server takes a random time from 30 to 60 minutes.
const LONGEST: Duration = Duration::from_secs(1_800);

/// One line of a watch.
pub(super) fn line(kind: &str, object: &[u8]) -> Bytes {
    let head = format!("{{\"type\":\"{kind}\",\"object\":");
    [head.as_bytes(), object, b"}\n"].concat().into()
}

/// A watch that runs.
struct Watch {
    call: Call,
    selector: Selector,
    columns: Columns,
    /// Everything up to this version has been said.
    said: u64,
    /// The newest version that the client knows, from its question or from a line.
    told: u64,
    /// The initial state has been asked for as events, and its end is to be marked.
    marks_initial: bool,
    feed: Feed,
}

impl Server {
    pub(super) fn watch(self: &Arc<Self>, call: Call) -> Result<Response<Body>, Failure> {
        let (resource, query) = (call.route.resource, &call.query);
        let selector =
            Selector::parse(resource, query.get("labelSelector"), query.get("fieldSelector"))?;
        let from = match query.get("resourceVersion") {
            "" => 0,
            text => text.parse().map_err(|_| {
                Failure::bad_request(format!("resourceVersion: Invalid value: {text:?}"))
            })?,
        };
        let marks_initial = query.is("sendInitialEvents");
        let (feed, body) = Body::stream();
        let columns = Columns::of(self, resource);
        let watch = Watch { call, selector, columns, said: from, told: from, marks_initial, feed };
        let server = Arc::clone(self);
        let orders = self.faults.orders();
        if from > 0 && !marks_initial {
            // An expired version is an answer of its own, before the stream begins.
            self.store.lock().kind(view::stored(resource)).since(from)?;
        }
        tokio::spawn(async move { watch.run(&server, orders).await });
        let mut answer = response(200, JSON, Bytes::new());
        *answer.body_mut() = body;
        Ok(answer)
    }
}

impl Watch {
    async fn run(mut self, server: &Server, mut orders: tokio::sync::broadcast::Receiver<Order>) {
        let plural = self.call.route.resource.plural;
        let seconds = self.call.query.number("timeoutSeconds").filter(|seconds| *seconds > 0);
        let end = Instant::now() + seconds.map_or(LONGEST, Duration::from_secs);
        let every = server.options.bookmarks;
        // The first one comes later than the others: after 120 s from kube-apiserver 1.36.
        let mut bookmarks = interval_at(Instant::now() + 2 * every, every);
        bookmarks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let has_bookmarks = self.call.query.is("allowWatchBookmarks");
        let mut revisions = server.store.revisions();
        let mut is_begun = false;
        loop {
            revisions.mark_unchanged();
            if !server.faults.is_silent(plural) {
                let is_due = !is_begun && (self.said == 0 || self.marks_initial);
                if is_due && self.initial(server).await.is_err() {
                    return;
                }
                is_begun = true;
                if self.changes(server).await.is_err() {
                    return;
                }
            }
            tokio::select! {
                _ = revisions.changed() => {}
                () = self.feed.closed() => return,
                () = sleep_until(end) => {
                    if has_bookmarks && !server.faults.is_silent(plural) {
                        let _ = self.bookmark(false).await;
                    }
                    return;
                }
                _ = bookmarks.tick(), if has_bookmarks => {
                    if !server.faults.is_silent(plural)
                        && (self.changes(server).await.is_err()
                            || self.bookmark(false).await.is_err())
                    {
                        return;
                    }
                }
                order = orders.recv() => match order {
                    Ok(Order { resource, what })
                        if resource.as_deref().is_none_or(|resource| resource == plural) =>
                    {
                        match what {
                            What::Close => return,
                            What::Cut => return cut(&self.feed).await,
                            What::Look => {}
                        }
                    }
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                },
            }
        }
    }

    /// What there is, as additions.
    async fn initial(&mut self, server: &Server) -> io::Result<()> {
        let resource = view::stored(self.call.route.resource);
        let all = {
            let mut store = server.store.lock();
            let revision = store.revision;
            self.said = revision;
            store.snapshot(resource, revision)
        };
        for object in all.unwrap_or_default().iter() {
            if self.is_wanted(object) {
                let line = self.line(server, "ADDED", object);
                self.send(line).await?;
            }
        }
        if self.marks_initial {
            self.marks_initial = false;
            self.bookmark(true).await?;
        }
        Ok(())
    }

    /// What has changed since the last time.
    async fn changes(&mut self, server: &Server) -> io::Result<()> {
        let resource = view::stored(self.call.route.resource);
        let (changes, revision) = {
            let store = server.store.lock();
            let revision = store.revision;
            if revision <= self.said {
                return Ok(());
            }
            (store.kind(resource).since(self.said), revision)
        };
        let changes = match changes {
            Ok(changes) => changes,
            Err(failure) => {
                // It was too slow: the real server says so in the stream and ends it.
                self.send(line("ERROR", failure.status().to_string().as_bytes())).await?;
                return Err(io::Error::other("expired"));
            }
        };
        for event in changes.iter().filter(|event| event.revision <= revision) {
            if let Some(line) = self.event(server, event) {
                self.send(line).await?;
                self.told = event.revision;
            }
        }
        self.said = revision;
        Ok(())
    }

    /// An object that a selector no longer matches is deleted for that watch.
    fn event(&self, server: &Server, event: &Event) -> Option<Bytes> {
        let was = event.old.as_ref().is_some_and(|old| self.is_wanted(old));
        let is = !event.is_deletion && self.is_wanted(&event.new);
        let kind = match (was, is) {
            (false, false) => return None,
            (false, true) => "ADDED",
            (true, true) => "MODIFIED",
            (true, false) => "DELETED",
        };
        let is_plain = self.call.view == View::Whole
            && self.selector.is_everything()
            && std::ptr::eq(view::stored(self.call.route.resource), self.call.route.resource);
        if !is_plain || self.garbled(server, &event.key).is_some() {
            return Some(self.line(server, kind, &event.new));
        }
        Some(event.line.get_or_init(|| line(kind, &event.new.json)).clone())
    }

    fn garbled(&self, server: &Server, key: &Key) -> Option<Bytes> {
        server.faults.garbled(self.call.route.resource.plural).remove(key)
    }

    fn line(&self, server: &Server, kind: &str, object: &Stored) -> Bytes {
        match self.garbled(server, &object.key) {
            Some(bytes) => line(kind, &bytes),
            None => {
                line(kind, &self.call.view.event(self.call.route.resource, object, &self.columns))
            }
        }
    }

    fn is_wanted(&self, object: &Stored) -> bool {
        let route = &self.call.route;
        route.namespace.as_ref().is_none_or(|namespace| *namespace == object.key.0)
            && route.name.as_ref().is_none_or(|name| *name == object.key.1)
            && self.selector.matches(object)
    }

    /// Says which version has been reached, if the client does not know it: so the real server
    /// (`cache_watcher.go`, `process`) says nothing at all where nothing changes.
    async fn bookmark(&mut self, is_initial: bool) -> io::Result<()> {
        if self.said <= self.told && !is_initial {
            return Ok(());
        }
        self.told = self.said;
        let resource = self.call.route.resource;
        let mut metadata =
            json!({"resourceVersion": self.said.to_string(), "creationTimestamp": null});
        if is_initial {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let object = json!({
            "kind": resource.kind, "apiVersion": resource.api_version(), "metadata": metadata,
        });
        self.send(line("BOOKMARK", object.to_string().as_bytes())).await
    }

    async fn send(&self, bytes: Bytes) -> io::Result<()> {
        self.feed.send(Ok(bytes)).await.map_err(|_| io::Error::other("the client is gone"))
    }
}
