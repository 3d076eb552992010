//! What the Roles and ClusterRoles that the server keeps let a user do.

use serde_json::Value;

use super::Rule;
use crate::api::{object::text, resources, store::Inner};

/// How a ServiceAccount is called as a user.
const ACCOUNT: &str = "system:serviceaccount:";

/// The rules of all roles that are bound to that user, each for the namespace of its binding.
pub(in crate::api) fn rules_of(store: &Inner, user: &str) -> Vec<Rule> {
    let mut rules = Vec::new();
    for plural in ["clusterrolebindings", "rolebindings"] {
        for binding in store.kind(resources::named(plural)).objects.values() {
            let value = binding.value();
            let namespace = Some(binding.key.0.clone()).filter(|namespace| !namespace.is_empty());
            let subjects = value["subjects"].as_array().into_iter().flatten();
            let binding_in = namespace.as_deref().unwrap_or_default();
            if !subjects.into_iter().any(|subject| is_user(subject, binding_in, user)) {
                continue;
            }
            let name = text(&value, "/roleRef/name").to_owned();
            let (plural, of) = match text(&value, "/roleRef/kind") {
                "Role" => ("roles", binding_in),
                _ => ("clusterroles", ""),
            };
            let key = (of.to_owned(), name);
            let Some(role) = store.get(resources::named(plural), &key) else { continue };
            let role = role.value();
            let found = role["rules"].as_array().into_iter().flatten();
            // The server takes roles unread; what is none says nothing.
            let found = found.filter_map(|rule| serde_json::from_value(rule.clone()).ok());
            rules.extend(found.map(|rule: Rule| Rule { namespace: namespace.clone(), ..rule }));
        }
    }
    rules
}

/// The groups that a user is in.
fn groups(user: &str) -> Vec<String> {
    let mut groups = vec!["system:authenticated".to_owned()];
    if let Some((namespace, _)) = user.strip_prefix(ACCOUNT).and_then(|it| it.split_once(':')) {
        groups.push("system:serviceaccounts".to_owned());
        groups.push(format!("system:serviceaccounts:{namespace}"));
    }
    groups
}

fn is_user(subject: &Value, binding_in: &str, user: &str) -> bool {
    let name = text(subject, "/name");
    match text(subject, "/kind") {
        "ServiceAccount" => {
            let namespace = text(subject, "/namespace");
            let namespace = if namespace.is_empty() { binding_in } else { namespace };
            user == format!("{ACCOUNT}{namespace}:{name}")
        }
        "Group" => groups(user).iter().any(|group| group == name),
        _ => user == name,
    }
}
