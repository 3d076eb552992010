//! Paths and queries: which resource, which object, which verb.

use std::collections::BTreeMap;

use hyper::Method;

use crate::api::{
    log::Verb,
    object::Key,
    resources::{self, Resource},
};

/// The query's parameters; of one given twice, the last.
#[derive(Debug, Default)]
pub(crate) struct Query(BTreeMap<String, String>);

impl Query {
    pub fn parse(query: Option<&str>) -> Self {
        let terms = query.unwrap_or_default().split('&').filter(|term| !term.is_empty());
        let term = |term: &str| {
            let (name, value) = term.split_once('=').unwrap_or((term, ""));
            (unescape(name), unescape(value))
        };
        Self(terms.map(term).collect())
    }

    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    pub fn is(&self, name: &str) -> bool {
        matches!(self.get(name), "true" | "1")
    }

    /// A number, or nothing.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.get(name).parse().ok()
    }
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let escaped = match byte {
            b'%' => {
                let digits = [rest.next().unwrap_or(b'0'), rest.next().unwrap_or(b'0')];
                let digits = std::str::from_utf8(&digits).unwrap_or_default();
                u8::from_str_radix(digits, 16).unwrap_or(b'?')
            }
            b'+' => b' ',
            other => other,
        };
        bytes.push(escaped);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What a path means.
#[derive(Debug)]
pub(crate) struct Route {
    pub resource: &'static Resource,
    pub namespace: Option<String>,
    pub name: Option<String>,
    pub subresource: String,
}

impl Route {
    /// What a path means; `None`: it is no resource's.
    pub fn parse(path: &str) -> Option<Self> {
        let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return None,
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, plural, below @ ..]
                if !matches!(*plural, "status" | "finalize") =>
            {
                (Some(unescape(namespace)), [&[*plural], below].concat())
            }
            rest => (None, rest.to_vec()),
        };
        let [plural, below @ ..] = rest.as_slice() else { return None };
        let resource = resources::at(group, version, plural)?;
        if namespace.is_some() && !resource.is_namespaced {
            return None;
        }
        let (name, subresource) = match below {
            [] => (None, ""),
            [name] => (Some(unescape(name)), ""),
            [name, subresource] => (Some(unescape(name)), *subresource),
            _ => return None,
        };
        let is_known = match subresource {
            "" => true,
            "status" => resource.has_status,
            "token" => resource.plural == "serviceaccounts",
            _ => false,
        };
        // An object with a namespace has one in its path.
        let is_whole = name.is_none() || namespace.is_some() == resource.is_namespaced;
        let subresource = subresource.to_owned();
        (is_known && is_whole).then_some(Self { resource, namespace, name, subresource })
    }

    pub fn verb(&self, method: &Method, query: &Query) -> Option<Verb> {
        if self.resource.is_question || self.subresource == "token" {
            return (method == Method::POST).then_some(Verb::Create);
        }
        Some(match (method.as_str(), &self.name) {
            ("GET" | "HEAD", _) if query.is("watch") => Verb::Watch,
            ("GET" | "HEAD", Some(_)) => Verb::Get,
            ("GET" | "HEAD", None) => Verb::List,
            ("POST", None) => Verb::Create,
            ("PUT", Some(_)) => Verb::Update,
            ("PATCH", Some(_)) => Verb::Patch,
            ("DELETE", Some(_)) => Verb::Delete,
            ("DELETE", None) => Verb::DeleteCollection,
            _ => return None,
        })
    }

    pub fn key(&self) -> Key {
        let part = |part: &Option<String>| part.clone().unwrap_or_default();
        (part(&self.namespace), part(&self.name))
    }

    /// `failoverpolicies/status`.
    pub fn shown(&self) -> String {
        match self.subresource.as_str() {
            "" => self.resource.plural.to_owned(),
            subresource => format!("{}/{subresource}", self.resource.plural),
        }
    }
}
