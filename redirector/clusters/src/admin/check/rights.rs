//! Whether the importer's token is allowed exactly what it needs.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{Check, Finding, Here, There, some, text};
use crate::{
    admin::objects::{READ_VERBS, READS},
    api::{OUTBOX, importer_account},
};

/// One thing that may be allowed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attribute {
    /// `get`, `create`…
    pub verb: String,
    /// Empty is the core.
    pub group: String,
    /// With its subresource: `serviceaccounts/token`.
    pub resource: String,
    /// Empty is all namespaces.
    pub namespace: String,
    /// Empty is all names.
    pub name: String,
}

/// What a token may do, as its API server says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// Answers to SelfSubjectAccessReviews.
    pub asked: BTreeMap<Attribute, bool>,
    /// What SelfSubjectRulesReviews list, but for what every account may do.
    pub listed: BTreeSet<Attribute>,
}

/// What such an account must not be allowed, whatever the lists say: some authorizers list nothing.
const TOO_MUCH: [(&str, &str, &str, &str); 12] = [
    ("get", "", "secrets", ""),
    ("list", "", "secrets", OUTBOX),
    ("list", "", "namespaces", ""),
    ("list", "", "nodes", ""),
    ("list", "", "pods", ""),
    ("create", "", "pods", ""),
    ("list", "", "services", ""),
    ("list", "discovery.k8s.io", "endpointslices", ""),
    ("list", "redirector.dev", "exportedservices", ""),
    ("update", "redirector.dev", "exportedservices", OUTBOX),
    ("update", "discovery.k8s.io", "endpointslices", OUTBOX),
    ("update", "coordination.k8s.io", "leases", OUTBOX),
];

/// Namespaces whose rules are listed: rights of the whole cluster show in each.
pub(super) const LISTED: [&str; 3] = [OUTBOX, "default", "kube-system"];

/// What the importer of `own` needs.
pub(super) fn needed(own: &str) -> BTreeSet<Attribute> {
    let reads = READS.iter().flat_map(|(group, resource)| {
        READ_VERBS.map(|verb| attribute((verb, group, resource, OUTBOX), ""))
    });
    let token = attribute(("create", "", "serviceaccounts/token", OUTBOX), &importer_account(own));
    reads.chain([token]).collect()
}

/// What is asked about one by one.
pub(super) fn questions(own: &str) -> Vec<Attribute> {
    let others = TOO_MUCH.map(|of| attribute(of, ""));
    let token_of_any = attribute(("create", "", "serviceaccounts/token", OUTBOX), "default");
    needed(own).into_iter().chain(others).chain([token_of_any]).collect()
}

/// The body of a SelfSubjectAccessReview.
pub(super) fn review(attribute: &Attribute) -> Value {
    let Attribute { verb, group, resource, namespace, name } = attribute;
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {
            "verb": verb, "group": group, "resource": resource, "subresource": subresource,
            "namespace": namespace, "name": name,
        }},
    })
}

/// What a SelfSubjectRulesReview of a namespace lists.
pub(super) fn listed(review: &Value, namespace: &str) -> BTreeSet<Attribute> {
    let mut listed = BTreeSet::new();
    let texts = |list: &Value| -> Vec<String> {
        let list = list.as_array().into_iter().flatten();
        list.filter_map(|text| text.as_str().map(str::to_owned)).collect()
    };
    for rule in review["status"]["resourceRules"].as_array().into_iter().flatten() {
        let names = texts(&rule["resourceNames"]);
        let names = if names.is_empty() { vec![String::new()] } else { names };
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                for verb in texts(&rule["verbs"]) {
                    for name in &names {
                        let of = (verb.as_str(), group.as_str(), resource.as_str(), namespace);
                        listed.insert(attribute(of, name));
                    }
                }
            }
        }
    }
    // `system:basic-user`: every account may ask what it is and may.
    listed.retain(|of| {
        !matches!(of.group.as_str(), "authorization.k8s.io" | "authentication.k8s.io")
    });
    listed
}

pub(super) fn rights(of: &There, here: &Here) -> Option<Finding> {
    if !of.has_server() {
        return None;
    }
    let Some(Rights { asked, listed }) = &of.rights else {
        return Some(Check::Rights.unknown("not asked", None).of(of));
    };
    let Some(own) = here.own() else {
        let found = "which account is ours is not known without this cluster's id";
        return Some(Check::Rights.unknown(found, None).of(of));
    };
    let needed = needed(&own);
    let is_allowed = |of: &Attribute| asked.get(of) == Some(&true);
    let missing: Vec<_> = needed.iter().filter(|of| !is_allowed(of)).map(shown).collect();
    if !missing.is_empty() {
        return Some(
            Check::Rights
                .failed(
                    format!("it may not {}", some(&missing)),
                    format!("`redirector cluster join {}` again makes its Roles anew", of.name()),
                )
                .of(of),
        );
    }
    let of_asked = asked.iter().filter(|(_, is_allowed)| **is_allowed).map(|(of, _)| of);
    let beyond: BTreeSet<_> = of_asked.chain(listed).filter(|of| !needed.contains(*of)).collect();
    let beyond: Vec<_> = beyond.into_iter().map(shown).collect();
    let finding = if beyond.is_empty() {
        Check::Rights.ok("three reads of the outbox and its own token, nothing else")
    } else {
        Check::Rights.failed(
            format!("it may more than it needs: {}", some(&beyond)),
            format!(
                "remove what else is bound to {OUTBOX}/{} in {}: a stolen token would have it too",
                importer_account(&own),
                of.name()
            ),
        )
    };
    Some(finding.of(of))
}

fn attribute(
    (verb, group, resource, namespace): (&str, &str, &str, &str),
    name: &str,
) -> Attribute {
    let text = str::to_owned;
    Attribute {
        verb: text(verb),
        group: text(group),
        resource: text(resource),
        namespace: text(namespace),
        name: text(name),
    }
}

fn shown(of: &Attribute) -> String {
    let Attribute { verb, resource, namespace, name, .. } = of;
    let place = if namespace.is_empty() { String::new() } else { format!(" in {namespace}") };
    let name = if name.is_empty() { String::new() } else { format!(" {name}") };
    format!("{verb} {resource}{name}{place}")
}

/// Whether an answer to a review is yes.
pub(super) fn is_allowed(answer: &Value) -> bool {
    answer["status"]["allowed"] == true && text(&answer["status"]["evaluationError"]).is_empty()
}
