//! HTTP: a request comes in, faults meet it, it is let in or not, and it is answered.

mod accept;
mod body;
mod list;
mod questions;
mod route;
mod tls;
mod view;
mod watch;
mod write;

use std::{
    future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Instant, SystemTime},
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Collected};
use hyper::{Request, Response, body::Incoming};
use serde_json::Value;

pub(crate) use accept::Listeners;
use body::Body;
use route::{Query, Route};
pub(crate) use tls::Certificates;
use view::View;

use super::{
    access::{self, Ask, Issued, Token},
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
    /// Made by the server itself.
    pub issued: Mutex<Vec<Issued>>,
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

    pub fn issued(&self) -> MutexGuard<'_, Vec<Issued>> {
        self.issued.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the resource is served in its version: custom ones may need their definition.
    pub fn serves(&self, resource: &resources::Resource) -> bool {
        if !(resource.is_custom && self.options.needs_crd) {
            return true;
        }
        let key = (String::new(), resource.qualified());
        let found =
            self.store.lock().get(resources::named("customresourcedefinitions"), &key).cloned();
        let Some(found) = found.map(|found| found.value()) else { return false };
        let versions = found.pointer("/spec/versions").and_then(Value::as_array);
        let is_it = |version: &Value| version["name"] == resource.version;
        versions.is_none_or(|all| all.iter().any(|one| is_it(one) && one["served"] != false))
    }

    /// Whose token that is. Errors: none that is known, 401.
    fn authenticate(&self, authorization: &str) -> Result<Token, Failure> {
        let known = access::authenticate(&self.tokens(), Some(authorization)).cloned();
        known.or_else(|failure| {
            let shown = authorization.strip_prefix("Bearer ").unwrap_or_default().trim();
            let issued = self.issued().iter().find(|issued| issued.token == shown).cloned();
            let now = SystemTime::now();
            issued.and_then(|issued| issued.is_of(&self.store.lock(), now)).ok_or(failure)
        })
    }

    async fn answer(self: &Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
        let query = Query::parse(request.uri().query());
        let header = |name: &str| {
            let value = request.headers().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let authorization = header("authorization");
        let token = self.authenticate(&authorization);
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
        let effect = verb.and_then(|verb| self.faults.of_request(verb, &shown, &user));
        let outcome = match effect {
            Some(Effect::Status(code)) => Err(Failure::of_code(code)),
            Some(Effect::Hang) => future::pending().await,
            Some(Effect::Deaf | Effect::Empty | Effect::Half) | None => {
                match (token, route, verb) {
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
                }
            }
        };
        let mut response = outcome.unwrap_or_else(|failure| refusal(&failure));
        match effect {
            Some(Effect::Deaf) => future::pending().await,
            Some(Effect::Empty) if verb == Some(Verb::List) => {
                response = self.emptied(response).await;
            }
            Some(Effect::Half) => response = response.map(Body::halved),
            _ => {}
        }
        if let Some(noted) = noted {
            self.log.end(noted, response.status().as_u16());
        }
        response
    }

    /// A list without its objects.
    async fn emptied(&self, response: Response<Body>) -> Response<Body> {
        let code = response.status().as_u16();
        let bytes = response.into_body().collect().await.map(Collected::to_bytes);
        let mut list: Value =
            serde_json::from_slice(&bytes.unwrap_or_default()).unwrap_or_default();
        if list.get("items").is_some() {
            list["items"] = Value::Array(Vec::new());
            list["metadata"]["continue"] = Value::String(String::new());
        }
        json(code, &list)
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
            group: route.resource.group,
            resource: route.resource.plural,
            subresource: &route.subresource,
            namespace: route.namespace.as_deref(),
            name: route.name.as_deref().or_else(|| call.named()),
        };
        self.authorize(token, route.resource, &ask)?;
        let is_question = route.resource.is_question || route.subresource == "token";
        match verb {
            Verb::Create if is_question => self.question(token, &call, request).await,
            Verb::Get => self.get(&call).await,
            Verb::List => self.list(&call).await,
            Verb::Watch => self.watch(call),
            _ => self.write(call, request).await,
        }
    }
}

impl Call {
    /// The one name that a list or a watch is of, as rules with `resourceNames` see it.
    fn named(&self) -> Option<&str> {
        let name = self.query.get("fieldSelector").strip_prefix("metadata.name=");
        name.filter(|name| !name.contains(','))
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
