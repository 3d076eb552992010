//! Who may do what: bearer tokens, and rules as RBAC has them.

mod issued;
mod rbac;

use serde::{Deserialize, Serialize};

use super::{failure::Failure, log::Verb, resources::Resource};

pub(super) use issued::{Issued, Life};
pub(super) use rbac::rules_of;

/// A bearer token and whose it is.
#[derive(Debug, Clone)]
pub struct Token {
    /// What the client sends.
    pub token: String,
    /// `system:serviceaccount:redirector:agent`.
    pub user: String,
    /// What it may do.
    pub rights: Rights,
}

/// What a user may do.
#[derive(Debug, Clone)]
pub enum Rights {
    /// Everything.
    All,
    /// What these rules say.
    Rules(Vec<Rule>),
    /// What the roles say that are bound to it in the server.
    Bound,
}

impl Token {
    /// A token that may do everything.
    #[must_use]
    pub fn administrator(token: &str, user: &str) -> Self {
        Self { token: token.to_owned(), user: user.to_owned(), rights: Rights::All }
    }

    /// A token that may do what these rules say.
    #[must_use]
    pub fn limited(token: &str, user: &str, rules: Vec<Rule>) -> Self {
        Self { rights: Rights::Rules(rules), ..Self::administrator(token, user) }
    }

    /// A token that may do what the server's Roles and ClusterRoles say of its user, as they are
    /// when it comes.
    #[must_use]
    pub fn bound(token: &str, user: &str) -> Self {
        Self { rights: Rights::Bound, ..Self::administrator(token, user) }
    }
}

/// One rule of a ClusterRole or a Role.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Rule {
    /// `""` is the core, `*` all.
    pub api_groups: Vec<String>,
    /// `services`, `failoverpolicies/status`, `*`.
    pub resources: Vec<String>,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, `*`.
    pub verbs: Vec<String>,
    /// Only objects of these names; empty for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resource_names: Vec<String>,
    /// Paths that are no resources; ignored, everybody may read those.
    #[serde(rename = "nonResourceURLs", skip_serializing_if = "Vec::is_empty")]
    pub non_resource_urls: Vec<String>,
    /// The only namespace it is for: that of the Role's binding. No field of the API object.
    #[serde(skip)]
    pub namespace: Option<String>,
}

impl Rule {
    /// The rules of a ClusterRole or Role, as YAML.
    ///
    /// # Panics
    ///
    /// If it is none.
    #[must_use]
    pub fn of_role(yaml: &str) -> Vec<Self> {
        #[derive(Deserialize)]
        struct Role {
            rules: Vec<Rule>,
        }
        let role: Role = serde_saphyr::from_str(yaml)
            .unwrap_or_else(|error| panic!("the role cannot be read: {error}"));
        role.rules
    }

    pub(super) fn allows(&self, ask: &Ask<'_>) -> bool {
        let has = |list: &[String], wanted: &str| {
            list.iter().any(|allowed| allowed == "*" || allowed == wanted)
        };
        let resource = ask.resource_name();
        let is_named = self.resource_names.is_empty()
            || ask.name.is_some_and(|name| self.resource_names.iter().any(|one| one == name));
        has(&self.api_groups, ask.group)
            && has(&self.resources, &resource)
            && has(&self.verbs, ask.verb.name())
            && is_named
            && self.namespace.as_deref().is_none_or(|only| ask.namespace == Some(only))
    }
}

/// What a client wants to do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask<'a> {
    pub verb: Verb,
    /// API group; empty for the core.
    pub group: &'a str,
    /// Plural name.
    pub resource: &'a str,
    pub subresource: &'a str,
    pub namespace: Option<&'a str>,
    pub name: Option<&'a str>,
}

impl Ask<'_> {
    fn resource_name(&self) -> String {
        match self.subresource {
            "" => self.resource.to_owned(),
            subresource => format!("{}/{subresource}", self.resource),
        }
    }
}

/// Which token that is. Errors: none that is known, 401.
pub(super) fn authenticate<'a>(
    tokens: &'a [Token],
    authorization: Option<&str>,
) -> Result<&'a Token, Failure> {
    let token = authorization.and_then(|header| header.strip_prefix("Bearer "));
    let token = token.map(str::trim);
    tokens
        .iter()
        .find(|known| token.is_some_and(|token| token == known.token))
        .ok_or_else(|| Failure::of_code(401))
}

/// The refusal of what a user may not do, 403.
pub(super) fn forbidden(user: &str, resource: &Resource, ask: &Ask<'_>) -> Failure {
    let (what, group) = (ask.resource_name(), ask.group);
    let place = match ask.namespace {
        Some(namespace) => format!("in the namespace {namespace:?}"),
        None => "at the cluster scope".to_owned(),
    };
    let name = ask.name.map(|name| format!(" {name:?}")).unwrap_or_default();
    let message = format!(
        "{}{name} is forbidden: User {:?} cannot {} resource {what:?} in API group {group:?} {place}",
        resource.qualified(),
        user,
        ask.verb.name(),
    );
    let mut failure = Failure::new(403, "Forbidden", message);
    let name = ask.name.unwrap_or_default().to_owned();
    failure.object = Some(Box::new((group.to_owned(), ask.resource.to_owned(), name)));
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_allows_what_it_lists_and_nothing_else() {
        let rules = Rule::of_role(
            "
kind: ClusterRole
rules:
- {apiGroups: [\"\"], resources: [services], verbs: [list, watch]}
- {apiGroups: [redirector.dev], resources: [failoverpolicies/status], verbs: [patch]}
- {apiGroups: [\"\"], resources: [nodes], resourceNames: [n1], verbs: [get]}
",
        );
        for (verb, resource, subresource, name, is_allowed) in [
            (Verb::List, "services", "", None, true),
            (Verb::Get, "services", "", Some("one"), false),
            (Verb::List, "endpointslices", "", None, false),
            (Verb::Patch, "failoverpolicies", "status", Some("p"), true),
            (Verb::Patch, "failoverpolicies", "", Some("p"), false),
            (Verb::Get, "nodes", "", Some("n1"), true),
            (Verb::Get, "nodes", "", Some("n2"), false),
        ] {
            let group = if resource == "failoverpolicies" { "redirector.dev" } else { "" };
            let ask = Ask { verb, group, resource, subresource, namespace: None, name };
            let found = rules.iter().any(|rule| rule.allows(&ask));
            assert_eq!(found, is_allowed, "{ask:?}");
        }
    }
}
