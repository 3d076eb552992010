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
    future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use bytes::Bytes;
use hyper::{Request, Response, body::Incoming};
use serde_json::Value;

pub(crate) use accept::Listeners;
use body::Body;
use route::{Query, Route};
pub(crate) use tls::Certificates;
use view::View;

use super::{
    access::{self, Ask, Token},
    discovery,
    failure::Failure,
    faults::{Effect, Faults},
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

    async fn answer(self: &Arc<Self>, request: Request<Incoming>) -> Response<Body> {
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
        let effect = verb.and_then(|verb| self.faults.of_request(verb, &shown));
        let outcome = match effect {
            Some(Effect::Status(code)) => Err(Failure::of_code(code)),
            Some(Effect::Hang) => future::pending().await,
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
                    let call = Call { route, query, verb, view, manager, content_type };
                    self.handle(&token, call, request).await
                }
            },
        };
        let response = outcome.unwrap_or_else(|failure| refusal(&failure));
        if let Some(noted) = noted {
            self.log.end(noted, response.status().as_u16());
        }
        response
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
