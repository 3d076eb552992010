//! What is answered and not kept: who am I allowed to be, and a token for a ServiceAccount.

use std::time::{Duration, SystemTime};

use hyper::Response;
use serde_json::{Value, json};

use super::{Call, Server, body::Body, json as answer};
use crate::api::{
    access::{Ask, Issued, Life, Rights, Rule, Token, forbidden, rules_of},
    failure::{Cause, Failure},
    log::Verb,
    object::{Key, child, text},
    resources,
};

/// The real server's least life of a token.
const SHORTEST: u64 = 600;
/// What a request gets that does not say how long.
const USUAL: u64 = 3_600;

impl Server {
    /// What a token may do; `None` is everything.
    pub(super) fn rules(&self, token: &Token) -> Option<Vec<Rule>> {
        match &token.rights {
            Rights::All => None,
            Rights::Rules(rules) => Some(rules.clone()),
            Rights::Bound => Some(rules_of(&self.store.lock(), &token.user)),
        }
    }

    /// Whether the token may do it. Errors: it may not, 403.
    pub(super) fn authorize(
        &self,
        token: &Token,
        resource: &resources::Resource,
        ask: &Ask<'_>,
    ) -> Result<(), Failure> {
        // As `system:basic-user` allows it to all who have a token.
        let is_allowed = resource.is_question || self.may(token, ask);
        if is_allowed { Ok(()) } else { Err(forbidden(&token.user, resource, ask)) }
    }

    fn may(&self, token: &Token, ask: &Ask<'_>) -> bool {
        self.rules(token).is_none_or(|rules| rules.iter().any(|rule| rule.allows(ask)))
    }

    /// `SelfSubjectAccessReview` and `SelfSubjectRulesReview`.
    pub(super) fn review(
        &self,
        token: &Token,
        call: &Call,
        mut review: Value,
    ) -> Result<Response<Body>, Failure> {
        let resource = call.route.resource;
        let status = match resource.kind {
            "SelfSubjectAccessReview" => json!({"allowed": self.is_allowed(token, &review)?}),
            _ => {
                let namespace = text(&review, "/spec/namespace");
                let all = Rule {
                    api_groups: vec!["*".into()],
                    resources: vec!["*".into()],
                    verbs: vec!["*".into()],
                    ..Rule::default()
                };
                let rules = self.rules(token).unwrap_or_else(|| vec![all]);
                let is_here =
                    |rule: &&Rule| rule.namespace.as_deref().is_none_or(|of| of == namespace);
                let rules: Vec<_> = rules.iter().filter(is_here).collect();
                json!({"resourceRules": rules, "nonResourceRules": [], "incomplete": false})
            }
        };
        let fields = child(&mut review, "metadata");
        fields.insert("creationTimestamp".into(), Value::Null);
        review["apiVersion"] = json!(resource.api_version());
        review["kind"] = json!(resource.kind);
        review["status"] = status;
        Ok(answer(201, &review))
    }

    fn is_allowed(&self, token: &Token, review: &Value) -> Result<bool, Failure> {
        let asked = |field: &str| text(review, &format!("/spec/resourceAttributes/{field}"));
        if review.pointer("/spec/resourceAttributes").is_none() {
            return Err(Failure::bad_request("the fake API server knows resourceAttributes only"));
        }
        if matches!(token.rights, Rights::All) {
            return Ok(true);
        }
        let Some(verb) = Verb::ALL.into_iter().find(|verb| verb.name() == asked("verb")) else {
            return Ok(false);
        };
        let some = |field| Some(asked(field)).filter(|text| !text.is_empty());
        Ok(self.may(
            token,
            &Ask {
                verb,
                group: asked("group"),
                resource: asked("resource"),
                subresource: asked("subresource"),
                namespace: some("namespace"),
                name: some("name"),
            },
        ))
    }

    /// `serviceaccounts/NAME/token`.
    pub(super) fn token(&self, call: &Call, request: &Value) -> Result<Response<Body>, Failure> {
        let (accounts, key) = (call.route.resource, call.route.key());
        let wanted = request.pointer("/spec/expirationSeconds").and_then(Value::as_u64);
        let wanted = wanted.unwrap_or(USUAL);
        if wanted < SHORTEST {
            let why = "Invalid value: may not specify a duration less than 10 minutes";
            let cause = Cause::invalid("spec.expirationSeconds", why);
            return Err(Failure::invalid(accounts, "", vec![cause]));
        }
        let length = Duration::from_secs(wanted);
        let token = self.issue(&key, length)?;
        let length = length.min(self.options.longest_token);
        let until = humantime::format_rfc3339_seconds(SystemTime::now() + length).to_string();
        let answered = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "metadata": {"name": key.1, "namespace": key.0, "creationTimestamp": null},
            "spec": {
                "audiences": ["https://kubernetes.default.svc.cluster.local"],
                "expirationSeconds": length.as_secs(),
            },
            "status": {"token": token, "expirationTimestamp": until},
        });
        Ok(answer(201, &answered))
    }

    /// A token of that account. Errors: there is no such account.
    pub(in crate::api) fn issue(&self, key: &Key, length: Duration) -> Result<String, Failure> {
        let accounts = resources::named("serviceaccounts");
        let found = self.store.lock().get(accounts, key).cloned();
        let Some(account) = found else { return Err(Failure::not_found(accounts, &key.1)) };
        let life = Life { from: SystemTime::now(), length: length.min(self.options.longest_token) };
        let secret = self.store.change(crate::api::store::Inner::uid);
        let issued = Issued::new(key, &account.uid, life, &secret);
        let token = issued.token.clone();
        self.issued().push(issued);
        Ok(token)
    }
}
