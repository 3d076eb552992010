//! HTTP: a request comes in, faults meet it, it is let in or not, and it is answered.

mod accept;
mod body;
mod list;
mod route;
mod tls;
mod view;
mod watch;
mod write;

use std::{
    future, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use hyper::{Request, Response, body::Incoming};
use serde_json::Value;
use tokio::time::sleep;

pub(crate) use accept::Listeners;
use body::Body;
use route::{Query, Route};
pub(crate) use tls::Certificates;
use view::View;

use super::{
    access::{self, Ask, Token},
    discovery,
    failure::Failure,
    faults::{Effect, Faults, RawAnswer, Then},
    log::{self, Log, Verb},
    options::Options,
    resources,
    store::Store,
};

/// All that the tasks of a server share.
#[derive(Debug)]
pub(crate) struct Server {
    pub options: Options,
    pub store: Store,
    pub faults: Faults,
    pub log: Log,
    pub tokens: Mutex<Vec<Token>>,
    pub certificates: Mutex<Option<Arc<Certificates>>>,
}

/// What a handler is asked.
struct Call {
    route: Route,
    query: Query,
    verb: Verb,
    view: View,
    /// `fieldManager`, or what the client calls itself.
    manager: String,
    content_type: String,
    /// Reads are answered as of this version.
    replica: Option<u64>,
    bookmarks_only: bool,
}

impl Server {
    pub fn tokens(&self) -> MutexGuard<'_, Vec<Token>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the resource is served: custom ones may need their definition.
    pub fn serves(&self, resource: &resources::Resource) -> bool {
        let key = (String::new(), resource.qualified());
        !(resource.is_custom && self.options.needs_crd)
            || self.store.lock().get(resources::named("customresourcedefinitions"), &key).is_some()
    }

    /// Errors: the connection is cut.
    async fn answer(self: &Arc<Self>, request: Request<Incoming>) -> io::Result<Response<Body>> {
        let path = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
        let query = Query::parse(request.uri().query());
        let header = |name: &str| {
            let value = request.headers().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let authorization = header("authorization");
        let token = access::authenticate(&self.tokens(), Some(&authorization)).cloned();
        let user = token.as_ref().map(|token| token.user.clone()).unwrap_or_default();
        let route = Route::parse(request.uri().path());
        let route = route.filter(|route| self.serves(route.resource));
        let verb =
            route.as_ref().map_or(Some(Verb::Get), |route| route.verb(request.method(), &query));
        let shown = route.as_ref().map(Route::shown).unwrap_or_default();
        let page = list::page(&query);
        let noted = verb.map(|verb| {
            let (resource, user, at) = (shown.clone(), user.clone(), Instant::now());
            self.log.begin(log::Request { verb, resource, path, user, code: 0, at, page })
        });
        let struck = verb.map(|verb| self.faults.of_request(verb, &shown, &user, page));
        let (latency, effect) = struck.unwrap_or_default();
        if !latency.is_zero() {
            sleep(latency).await;
        }
        let outcome = match self.instead(effect.as_ref(), &shown).await? {
            Some(response) => Ok(response),
            None => match (token, route, verb) {
                (Err(failure), ..) => Err(failure),
                (Ok(_), None, _) => {
                    discovery::answer(self, request.uri().path(), &header("accept"))
                        .map(|(kind, bytes)| response(200, kind, bytes))
                }
                (Ok(_), Some(_), None) => {
                    let why = "the server does not allow this method on the requested resource";
                    Err(Failure::new(405, "MethodNotAllowed", why))
                }
                (Ok(token), Some(route), Some(verb)) => {
                    let agent = header("user-agent");
                    let agent = agent.split('/').next().unwrap_or_default();
                    let manager = match query.get("fieldManager") {
                        "" => agent.to_owned(),
                        manager => manager.to_owned(),
                    };
                    let (view, content_type) =
                        (View::of(&header("accept")), header("content-type"));
                    let (mut replica, mut bookmarks_only) = (None, false);
                    match &effect {
                        Some(Effect::Replica(revision)) => replica = Some(*revision),
                        Some(Effect::BookmarksOnly) => bookmarks_only = true,
                        _ => {}
                    }
                    let call = Call {
                        route,
                        query,
                        verb,
                        view,
                        manager,
                        content_type,
                        replica,
                        bookmarks_only,
                    };
                    self.handle(&token, call, request).await
                }
            },
        };
        let response = outcome.unwrap_or_else(|failure| refusal(&failure));
        if let Some(noted) = noted {
            self.log.end(noted, response.status().as_u16());
        }
        Ok(match effect {
            Some(Effect::Cut(limit)) => response.map(|body| body.limited(limit, true)),
            Some(Effect::Stall(limit)) => response.map(|body| body.limited(limit, false)),
            _ => response,
        })
    }

    /// The answer that a fault gives in place of the right one.
    async fn instead(
        &self,
        effect: Option<&Effect>,
        shown: &str,
    ) -> io::Result<Option<Response<Body>>> {
        let Some(effect) = effect else { return Ok(None) };
        Ok(match effect {
            Effect::Status { code, retry_after } => {
                let mut failure = Failure::of_code(*code);
                failure.retry_after = *retry_after;
                Some(refusal(&failure))
            }
            Effect::Hang => future::pending().await,
            Effect::Disconnect => return Err(io::Error::other(format!("cut: {shown}"))),
            Effect::Raw(raw) => Some(by_hand(raw.clone())),
            Effect::ExpiredEvent => {
                let failure = Failure::expired(1, 2);
                Some(response(
                    200,
                    JSON,
                    watch::line("ERROR", failure.status().to_string().as_bytes()),
                ))
            }
            Effect::Silence => {
                let (feed, body) = Body::stream();
                tokio::spawn(async move { feed.closed().await });
                let mut answer = response(200, JSON, Bytes::new());
                *answer.body_mut() = body;
                Some(answer)
            }
            Effect::Latency(_)
            | Effect::Cut(_)
            | Effect::Stall(_)
            | Effect::BookmarksOnly
            | Effect::Replica(_) => None,
        })
    }

    async fn handle(
        self: &Arc<Self>,
        token: &Token,
        call: Call,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Failure> {
        let Call { route, verb, .. } = &call;
        let ask = Ask {
            verb: *verb,
            resource: route.resource,
            subresource: &route.subresource,
            namespace: route.namespace.as_deref(),
            name: route.name.as_deref(),
        };
        access::authorize(token, &ask)?;
        match verb {
            Verb::Get => self.get(&call).await,
            Verb::List => self.list(&call).await,
            Verb::Watch => self.watch(call),
            _ => self.write(call, request).await,
        }
    }
}

const JSON: &str = "application/json";

fn response(code: u16, content_type: &str, bytes: impl Into<Bytes>) -> Response<Body> {
    Response::builder()
        .status(code)
        .header("content-type", content_type)
        .body(Body::from(bytes.into()))
        .expect("a code and a content type of our own make an answer")
}

fn json(code: u16, value: &Value) -> Response<Body> {
    response(code, JSON, value.to_string())
}

fn refusal(failure: &Failure) -> Response<Body> {
    let mut answer = json(failure.code, &failure.status());
    if let Some(seconds) = failure.retry_after {
        answer.headers_mut().insert("retry-after", seconds.into());
    }
    answer
}

fn by_hand(raw: RawAnswer) -> Response<Body> {
    let RawAnswer { code, headers, chunks, then } = raw;
    let mut builder = Response::builder().status(code);
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        builder = builder.header("content-type", JSON);
    }
    for (name, value) in headers {
        builder = builder.header(name, value);
    }
    let (feed, body) = Body::stream();
    tokio::spawn(async move {
        let last = chunks.last().cloned().unwrap_or_default();
        for chunk in chunks {
            if feed.send(Ok(chunk)).await.is_err() {
                return;
            }
            // Pieces that are sent at once would arrive as one.
            sleep(Duration::from_millis(5)).await;
        }
        match then {
            Then::End => {}
            Then::Cut => body::cut(&feed).await,
            Then::Stall => feed.closed().await,
            Then::Repeat => while feed.send(Ok(last.clone())).await.is_ok() {},
        }
    });
    builder.body(body).unwrap_or_else(|error| {
        let why = format!("the test's raw answer is none: {error}");
        refusal(&Failure::new(500, "InternalError", why))
    })
}
