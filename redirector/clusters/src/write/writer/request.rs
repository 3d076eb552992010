//! What is asked of the API server for one object.

use std::{net::IpAddr, sync::Arc};

use serde_json::Value;

use super::{
    super::{
        Actual, Content, Key,
        content::{covers, overlaid},
    },
    Request, Wanted, Writer,
};

impl Writer {
    pub(super) fn request(&self, key: &Key) -> Option<Request> {
        let object = |wanted: &Wanted| serde_json::from_str::<Value>(&wanted.text).ok();
        let (wanted, actual) = (self.wanted.get(key), self.actual.get(key));
        Some(match (wanted, actual) {
            (Some(wanted), None) => Request::Create(object(wanted)?),
            (Some(wanted), Some(actual))
                if self.unsure.contains(key) || !is_same(wanted, actual) =>
            {
                let mut object = object(wanted)?;
                let moved = self.moved(key);
                if !moved.is_empty() {
                    object["endpoints"].as_array_mut()?.extend(moved);
                    // Nothing can be done before they are where they go.
                    if Content::of(&object) == actual.content {
                        return None;
                    }
                }
                Request::Update(over(object, actual))
            }
            (Some(wanted), Some(actual)) => Request::UpdateStatus(over(object(wanted)?, actual)),
            (None, Some(actual)) => Request::Delete { uid: Arc::clone(&actual.uid) },
            (None, None) => return None,
        })
    }

    /// Endpoints that are to leave this slice for others of its Service, and are not known to be there
    /// yet, as they are to be there.
    pub(super) fn moved(&self, key: &Key) -> Vec<Value> {
        self.try_moved(key).unwrap_or_default()
    }

    fn try_moved(&self, key: &Key) -> Option<Vec<Value>> {
        let (wanted, actual) = (self.wanted.get(key)?, self.actual.get(key)?);
        let group = (Arc::clone(&key.namespace), Arc::clone(&wanted.group));
        let others = self.unmade.get(&group)?.iter().filter(|other| *other != key);
        let has = |addresses: &[IpAddr], one: &IpAddr| addresses.binary_search(one).is_ok();
        let leaves = |one: &&IpAddr| !has(&wanted.addresses, one);
        let leaving: Vec<IpAddr> = actual.addresses.iter().filter(leaves).copied().collect();
        if leaving.is_empty() {
            return None;
        }
        let mut moved = Vec::new();
        for other in others {
            let Some(comes) = self.wanted.get(other) else { continue };
            let is_sure = !self.busy.contains_key(other) && !self.unsure.contains(other);
            let there = self.actual.get(other).filter(|_| is_sure);
            let there = there.map(|actual| &*actual.addresses).unwrap_or_default();
            let is_coming = |one: &IpAddr| has(&comes.addresses, one) && !has(there, one);
            let coming: Vec<_> = leaving.iter().filter(|one| is_coming(one)).collect();
            if coming.is_empty() {
                continue;
            }
            let object: Value = serde_json::from_str(&comes.text).unwrap_or_default();
            let endpoints = object["endpoints"].as_array().into_iter().flatten();
            let is_one = |endpoint: &&Value| {
                let address = endpoint["addresses"][0].as_str().and_then(|text| text.parse().ok());
                address.is_some_and(|address: IpAddr| coming.contains(&&address))
            };
            moved.extend(endpoints.filter(is_one).cloned());
        }
        Some(moved)
    }
}

/// The object with what an update keeps of what there is.
fn over(mut object: Value, actual: &Actual) -> Value {
    if let Some(whole) = actual.whole.as_deref().and_then(|text| serde_json::from_str(text).ok()) {
        object = overlaid(&whole, &object);
    }
    let metadata = &mut object["metadata"];
    metadata["resourceVersion"] = Value::from(&*actual.version);
    if !actual.finalizers.is_empty() {
        metadata["finalizers"] = actual.finalizers.iter().map(|one| Value::from(&**one)).collect();
    }
    object
}

pub(super) fn is_same(wanted: &Wanted, actual: &Actual) -> bool {
    match &actual.whole {
        None => wanted.content == actual.content,
        Some(whole) => {
            let read = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
            covers(&read(whole), &read(&wanted.text))
        }
    }
}

pub(super) fn is_other_status(wanted: &Wanted, actual: &Actual) -> bool {
    wanted.status.is_some_and(|status| status != actual.status)
}

/// Versions are opaque by the letter, numbers in fact (KEP-5504).
pub(super) fn is_older(one: &Actual, other: &Actual) -> bool {
    match (one.version.parse::<u128>(), other.version.parse::<u128>()) {
        (Ok(one), Ok(other)) => one < other,
        _ => false,
    }
}
