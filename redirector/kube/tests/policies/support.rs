//! Policies and batches of them, in a line each.

use std::{collections::BTreeSet, sync::Arc};

use redirector_core::service::{Policy, ServiceRef};
use redirector_kube::{
    api::{Batch, Change, FailoverPolicy, Object as _, ObjectRef},
    policies::Policies,
};
use serde_json::{Value, json};

/// An object of namespace `shop`.
pub fn shop(name: &str) -> ObjectRef {
    object("shop", name)
}

pub fn object(namespace: &str, name: &str) -> ObjectRef {
    ObjectRef { namespace: namespace.into(), name: name.into() }
}

/// A policy as the API server sends it.
#[derive(Clone)]
pub struct Written(Value);

/// A policy of namespace `shop` for these Services, created in that second. `minHealthyPercent`
/// says later whose it is.
pub fn policy(name: &str, created: u32, percent: i32, targets: &[&str]) -> Written {
    let target = |name: &&str| json!({"kind": "Service", "name": name});
    Written(json!({
        "metadata": {
            "namespace": "shop", "name": name, "uid": format!("{name}-1"), "generation": 1,
            "creationTimestamp": format!("2026-11-22T19:00:{created:02}Z"),
        },
        "spec": {
            "targetRefs": targets.iter().map(target).collect::<Vec<_>>(),
            "minHealthyPercent": percent,
        },
    }))
}

impl Written {
    /// The same policy with another value somewhere: `/spec/mode`.
    pub fn with(mut self, pointer: &str, value: Value) -> Self {
        let (parent, field) = pointer.rsplit_once('/').expect("a pointer");
        let parent = self.0.pointer_mut(parent).expect("a field");
        parent[field] = value;
        self
    }

    pub fn put(&self) -> Change<FailoverPolicy> {
        let decoded = FailoverPolicy::decode(self.0.to_string().as_bytes());
        Change::Put(decoded.expect("an object"))
    }
}

pub fn batch(changes: impl IntoIterator<Item = Change<FailoverPolicy>>) -> Batch<FailoverPolicy> {
    Batch { changes: changes.into_iter().collect(), is_synced: true }
}

/// Policies after one batch of these.
pub fn of<'a>(policies: impl IntoIterator<Item = &'a Written>) -> Policies {
    let mut found = Policies::default();
    found.take(batch(policies.into_iter().map(Written::put)));
    found
}

/// The policy that holds for a Service of `shop`, as the core has it.
pub fn held(policies: &Policies, service: &str) -> Option<Policy> {
    let own = ServiceRef(format!("shop/{service}:http").into());
    let refer = |tier: &redirector_policy::TierServiceSpec| {
        ServiceRef(format!("shop/{}", tier.name).into())
    };
    policies.of(&shop(service)).map(|resolved| resolved.valid.policy(&own, refer))
}

/// The `minHealthyPercent` of that policy.
pub fn percent(policies: &Policies, service: &str) -> Option<u8> {
    held(policies, service).map(|policy| policy.min_healthy_percent)
}

pub fn services(names: &[&str]) -> BTreeSet<ObjectRef> {
    names.iter().map(|name| shop(name)).collect()
}

pub fn rejected(name: &str, why: &str) -> Change<FailoverPolicy> {
    Change::Rejected { object: shop(name), why: why.to_owned() }
}

pub fn arc(text: &str) -> Arc<str> {
    text.into()
}
