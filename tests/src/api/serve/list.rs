//! Reading one object, and lists: pages of one version, selectors, versions that must be reached.

use std::{sync::Arc, time::Duration};

use hyper::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{Call, JSON, Server, body::Body, response, route::Query};
use crate::api::{
    failure::{Cause, Failure},
    object::Stored,
    selectors::Selector,
};

/// How long a read waits for a version that is not there yet (apiserver's watch cache).
const CATCH_UP: Duration = Duration::from_secs(3);

/// What `continue` says. Opaque to clients.
#[derive(Debug, Serialize, Deserialize)]
struct Token {
    revision: u64,
    /// The last object of the page before.
    after: (String, String),
    /// Which page comes.
    page: u32,
    /// The version is gone: the rest is what there is now.
    is_inconsistent: bool,
}

impl Token {
    fn write(&self) -> String {
        let text = serde_json::to_vec(self).expect("a token is JSON");
        text.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn read(text: &str) -> Option<Self> {
        let digits = text.as_bytes().chunks(2).map(|pair| {
            let pair = std::str::from_utf8(pair).ok()?;
            u8::from_str_radix(pair, 16).ok()
        });
        serde_json::from_slice(&digits.collect::<Option<Vec<u8>>>()?).ok()
    }
}

/// Which page of a list is asked for; 1 is the first.
pub(super) fn page(query: &Query) -> u32 {
    Token::read(query.get("continue")).map_or(1, |token| token.page)
}

impl Server {
    pub(super) async fn get(&self, call: &Call) -> Result<Response<Body>, Failure> {
        let resource = call.route.resource;
        let key = call.route.key();
        let revision = call.query.number("resourceVersion").unwrap_or(0);
        self.reach(revision).await?;
        let found = self.store.lock().get(super::view::stored(resource), &key).cloned();
        let Some(found) = found else { return Err(Failure::not_found(resource, &key.1)) };
        if let Some(bytes) = self.faults.garbled(resource.plural).remove(&key) {
            return Ok(response(200, JSON, bytes));
        }
        Ok(call.view.one(self, resource, &found, 200))
    }

    pub(super) async fn list(&self, call: &Call) -> Result<Response<Body>, Failure> {
        let Call { route, query, view, .. } = call;
        let resource = route.resource;
        check(call)?;
        let selector =
            Selector::parse(resource, query.get("labelSelector"), query.get("fieldSelector"))?;
        let wanted = query.number("resourceVersion");
        self.reach(wanted.unwrap_or(0)).await?;
        let token = match query.get("continue") {
            "" => None,
            text => {
                let bad = || Failure::bad_request("continue key is not valid");
                Some(Token::read(text).ok_or_else(bad)?)
            }
        };
        let (all, revision) = self.version(call, token.as_ref())?;
        let namespace = route.namespace.as_deref();
        let is_wanted = |stored: &&Arc<Stored>| {
            namespace.is_none_or(|namespace| stored.key.0 == namespace)
                && route.name.as_deref().is_none_or(|name| stored.key.1 == name)
                && selector.matches(stored)
        };
        let from =
            token.as_ref().map_or(0, |token| all.partition_point(|one| one.key <= token.after));
        let mut matching = all[from..].iter().filter(is_wanted);
        // From the watch cache (version 0) there are no pages.
        let limit = query.number("limit").filter(|limit| *limit > 0 && wanted != Some(0));
        let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
        let items: Vec<_> = matching.by_ref().take(limit).cloned().collect();
        let left = matching.count();
        let mut metadata = json!({"resourceVersion": revision.to_string()});
        if let Some(last) = items.last().filter(|_| left > 0) {
            let page = token.map_or(2, |token| token.page + 1);
            let after = last.key.clone();
            let next = Token { revision, after, page, is_inconsistent: false };
            metadata["continue"] = json!(next.write());
            if selector.is_everything() {
                metadata["remainingItemCount"] = json!(left);
            }
        }
        Ok(view.list(self, resource, &items, &metadata))
    }

    /// Waits for a version that is not there yet; not for ever.
    async fn reach(&self, revision: u64) -> Result<(), Failure> {
        let mut revisions = self.store.revisions();
        let reached = timeout(CATCH_UP, revisions.wait_for(|now| *now >= revision)).await;
        if matches!(reached, Ok(Ok(_))) || self.store.lock().revision >= revision {
            return Ok(());
        }
        let current = self.store.lock().revision;
        let why = format!("Too large resource version: {revision}, current: {current}");
        let mut failure = Failure::new(504, "Timeout", why);
        let message = "Too large resource version".to_owned();
        failure.causes =
            vec![Cause { reason: "ResourceVersionTooLarge", message, field: String::new() }];
        failure.retry_after = Some(1);
        Err(failure)
    }

    /// All objects at the version that this list is of, and which that is.
    fn version(
        &self,
        call: &Call,
        token: Option<&Token>,
    ) -> Result<(crate::api::store::Snapshot, u64), Failure> {
        let mut store = self.store.lock();
        let current = store.revision;
        let is_exact = call.query.get("resourceVersionMatch") == "Exact";
        let exact = call.query.number("resourceVersion").filter(|_| is_exact);
        let resource = super::view::stored(call.route.resource);
        let Some(token) = token else {
            let revision = exact.unwrap_or(current);
            return Ok((store.snapshot(resource, revision)?, revision));
        };
        if token.is_inconsistent {
            return Ok((store.snapshot(resource, current)?, current));
        }
        let snapshot = store.snapshot(resource, token.revision).map_err(|mut failure| {
            failure.message = "The provided continue parameter is too old to display a consistent \
                               list result. You can start a new list without the continue \
                               parameter, or use the continue token in this response to retrieve \
                               the remainder of the results."
                .to_owned();
            let Token { revision, after, page, .. } = token;
            let (after, page) = (after.clone(), *page);
            let rest = Token { revision: *revision, after, page, is_inconsistent: true };
            failure.resume = Some(rest.write().into());
            failure
        })?;
        Ok((snapshot, token.revision))
    }
}

/// Validates list options as the real server does.
fn check(call: &Call) -> Result<(), Failure> {
    let Call { query, .. } = call;
    let (version, wanted) = (query.get("resourceVersion"), query.get("resourceVersionMatch"));
    let is_continued = !query.get("continue").is_empty();
    if !version.is_empty() && version.parse::<u64>().is_err() {
        let why = format!("Invalid value: {version:?}: strconv.ParseUint: invalid syntax");
        return Err(Failure::bad_request(format!("resourceVersion: {why}")));
    }
    if is_continued && !matches!(version, "" | "0") {
        let why = "specifying resource version is not allowed when using continue";
        return Err(Failure::bad_request(why));
    }
    let why = match wanted {
        "" => return Ok(()),
        _ if version.is_empty() => {
            "resourceVersionMatch is forbidden unless resourceVersion is provided"
        }
        _ if is_continued => "resourceVersionMatch is forbidden when continue is provided",
        "Exact" if version == "0" => {
            "resourceVersionMatch \"Exact\" is forbidden for resourceVersion \"0\""
        }
        "Exact" | "NotOlderThan" => return Ok(()),
        _ => "resourceVersionMatch: supported values: \"Exact\", \"NotOlderThan\"",
    };
    let cause = Cause::invalid("resourceVersionMatch", why);
    let mut failure = Failure::invalid(call.route.resource, "", vec![cause]);
    failure.message = format!("ListOptions.meta.k8s.io \"\" is invalid: {why}");
    Err(failure)
}

/// The `Value` of a list's metadata with its items in front, for views that make items anew.
pub(super) fn wrap(kind: &str, api_version: &str, metadata: &Value, items: Vec<Value>) -> Value {
    json!({"kind": kind, "apiVersion": api_version, "metadata": metadata, "items": items})
}
