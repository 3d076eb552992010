//! Requests that change something: bodies are read, options understood, and the store asked.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::{Request, Response, body::Incoming};
use serde_json::{Value, json};

use super::{Call, Server, body::Body, json as answer, view};
use crate::api::{
    access::Token,
    failure::{Cause, Failure},
    log::Verb,
    object::{Stored, text},
    patch::Patch,
    resources::Resource,
    selectors::Selector,
    store::{Preconditions, Writer},
};

/// The real server's limit of a request's body.
const LARGEST: usize = 3 << 20;

impl Server {
    pub(super) async fn write(
        &self,
        call: Call,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Failure> {
        let Call { route, query, verb, view, manager, content_type, .. } = &call;
        let shown = route.resource;
        let resource = view::stored(shown);
        if !std::ptr::eq(resource, shown) && !shown.is_custom {
            let why = "this group's events are read only: write them as events.k8s.io/v1";
            return Err(Failure::new(405, "MethodNotAllowed", why));
        }
        let body = collected(request).await?;
        let (key, is_dry) = (route.key(), query.get("dryRun") == "All");
        let subresource = route.subresource.as_str();
        let writer = Writer { manager, subresource, is_test: false, is_dry, is_apply: false };
        let one = |object: &Stored, code| Ok(view.one(self, shown, object, code));
        let read = |body: &[u8], kind: &str| read(body, kind).map(|value| kept(shown, value));
        match verb {
            Verb::Create => {
                let value = read(&body, content_type)?;
                let created =
                    self.store.change(|store| store.create(resource, &key.0, value, writer))?;
                one(&created, 201)
            }
            Verb::Update => {
                let value = read(&body, content_type)?;
                let replaced =
                    self.store.change(|store| store.replace(resource, &key, value, writer))?;
                one(&replaced, 200)
            }
            Verb::Patch => {
                let patch = match patch(&call, &body)? {
                    Patch::Apply { body, is_forced } => {
                        Patch::Apply { body: kept(shown, body), is_forced }
                    }
                    other => other,
                };
                let is_new = self.store.lock().get(resource, &key).is_none();
                let patched =
                    self.store.change(|store| store.patch(resource, &key, patch, writer))?;
                one(&patched, if is_new { 201 } else { 200 })
            }
            Verb::Delete => {
                let wanted = preconditions(&call, &body)?;
                let outcome =
                    self.store.change(|store| store.delete(resource, &key, &wanted, is_dry));
                let (last, is_gone) = outcome?;
                if !is_gone {
                    return one(&last, 200);
                }
                let mut details = json!({"name": key.1, "kind": resource.plural, "uid": last.uid});
                if !resource.group.is_empty() {
                    details["group"] = json!(resource.group);
                }
                Ok(answer(
                    200,
                    &json!({"kind": "Status", "apiVersion": "v1", "metadata": {},
                                       "status": "Success", "details": details}),
                ))
            }
            Verb::DeleteCollection => self.delete_all(&call, &preconditions(&call, &body)?, is_dry),
            Verb::Get | Verb::List | Verb::Watch => Err(Failure::of_code(500)),
        }
    }

    /// A question that is answered and leaves nothing behind.
    pub(super) async fn question(
        &self,
        token: &Token,
        call: &Call,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Failure> {
        let body = read(&collected(request).await?, &call.content_type)?;
        match call.route.subresource.as_str() {
            "token" => self.token(call, &body),
            _ => self.review(token, call, body),
        }
    }

    fn delete_all(
        &self,
        call: &Call,
        wanted: &Preconditions,
        is_dry: bool,
    ) -> Result<Response<Body>, Failure> {
        let Call { route, query, view, .. } = call;
        let resource = view::stored(route.resource);
        let selector =
            Selector::parse(resource, query.get("labelSelector"), query.get("fieldSelector"))?;
        let gone: Vec<Arc<Stored>> = self.store.change(|store| {
            let objects = store.kind(resource).objects.values();
            let matching = objects.filter(|stored| {
                route.namespace.as_ref().is_none_or(|namespace| *namespace == stored.key.0)
                    && selector.matches(stored)
            });
            let keys: Vec<_> = matching.map(|stored| stored.key.clone()).collect();
            // One that another's deletion has taken along is gone as well.
            keys.iter()
                .filter_map(|key| store.delete(resource, key, wanted, is_dry).ok())
                .map(|(last, _)| last)
                .collect()
        });
        let revision = self.store.lock().revision;
        Ok(view.list(
            self,
            route.resource,
            &gone,
            &json!({"resourceVersion": revision.to_string()}),
        ))
    }
}

async fn collected(request: Request<Incoming>) -> Result<Bytes, Failure> {
    let body = Limited::new(request.into_body(), LARGEST).collect().await;
    let body = body.map_err(|error| {
        Failure::new(413, "RequestEntityTooLarge", format!("the body cannot be read: {error}"))
    })?;
    Ok(body.to_bytes())
}

/// An object in the version in which it is kept. Of another version than that of its path it stays as
/// it is, and is refused.
fn kept(shown: &Resource, mut value: Value) -> Value {
    if text(&value, "/apiVersion") == shown.api_version() {
        value["apiVersion"] = json!(shown.kept().api_version());
    }
    value
}

/// JSON, or YAML where the content type says so.
fn read(body: &[u8], content_type: &str) -> Result<Value, Failure> {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    let bad = |error: &dyn std::fmt::Display| {
        Failure::bad_request(format!("the body cannot be decoded: {error}"))
    };
    if kind.ends_with("yaml") {
        let text = std::str::from_utf8(body).map_err(|error| bad(&error))?;
        return serde_saphyr::from_str(text).map_err(|error| bad(&error));
    }
    if !kind.is_empty() && !kind.ends_with("json") {
        let why = format!(
            "the body of the request was in an unknown format ({kind}) - accepted \
                           media types include: application/json, application/yaml"
        );
        return Err(Failure::new(415, "UnsupportedMediaType", why));
    }
    serde_json::from_slice(body).map_err(|error| bad(&error))
}

fn patch(call: &Call, body: &[u8]) -> Result<Patch, Failure> {
    let Call { query, content_type, .. } = call;
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    Ok(match kind {
        "application/merge-patch+json" => Patch::Merge(read(body, kind)?),
        "application/json-patch+json" => Patch::Json(read(body, kind)?),
        "application/strategic-merge-patch+json" => Patch::Strategic(read(body, kind)?),
        "application/apply-patch+yaml" => {
            if query.get("fieldManager").is_empty() {
                let cause = Cause {
                    reason: "FieldValueRequired",
                    message: "Required value: is required for apply patch".to_owned(),
                    field: "fieldManager".to_owned(),
                };
                let mut failure = Failure::invalid(call.route.resource, "", vec![cause]);
                failure.message =
                    "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required \
                                   value: is required for apply patch"
                        .to_owned();
                return Err(failure);
            }
            // JSON is YAML; the parser of JSON is stricter and quicker.
            let body = read(body, "application/json").or_else(|_| read(body, kind))?;
            let resource = call.route.resource;
            if text(&body, "/apiVersion") != resource.api_version()
                || text(&body, "/kind") != resource.kind
            {
                let why = format!("an applied {} says apiVersion and kind", resource.kind);
                return Err(Failure::bad_request(why));
            }
            Patch::Apply { body, is_forced: query.is("force") }
        }
        other => {
            let why = format!("the body of the request was in an unknown format ({other})");
            return Err(Failure::new(415, "UnsupportedMediaType", why));
        }
    })
}

/// What must hold for a deletion, from the body (`DeleteOptions`) or from the query.
fn preconditions(call: &Call, body: &[u8]) -> Result<Preconditions, Failure> {
    let options = if body.is_empty() { json!({}) } else { read(body, &call.content_type)? };
    let wanted = |field: &str| {
        options
            .pointer(&format!("/preconditions/{field}"))
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let policy = match text(&options, "/propagationPolicy") {
        "" => call.query.get("propagationPolicy"),
        policy => policy,
    };
    if !matches!(policy, "" | "Background" | "Foreground" | "Orphan") {
        let cause = Cause::invalid("propagationPolicy", &format!("Unsupported value: {policy:?}"));
        return Err(Failure::invalid(call.route.resource, "", vec![cause]));
    }
    let (uid, revision) = (wanted("uid"), wanted("resourceVersion"));
    Ok(Preconditions { uid, revision, orphans: policy == "Orphan" })
}
