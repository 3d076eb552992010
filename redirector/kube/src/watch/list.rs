//! Reads a complete list, page by page. A list that is cut short is none.

use std::collections::BTreeMap;

use tracing::warn;

use super::{
    Limits, Selector, Stats,
    envelope::{Head, Page},
    version::Version,
};
use crate::{
    api::{Object, ObjectRef},
    client::{Client, Error},
};

/// A complete list.
#[derive(Debug)]
pub(super) struct List<T> {
    /// The version of the list; a watch from here misses nothing.
    pub(super) version: Version,
    pub(super) items: BTreeMap<ObjectRef, ListItem<T>>,
    /// Objects whose metadata does not say which ones they are.
    pub(super) unnamed: usize,
    /// Length of all pages.
    pub(super) bytes: usize,
}

/// One object of a list.
#[derive(Debug)]
pub(super) struct ListItem<T> {
    pub(super) head: Head,
    pub(super) decoded: Result<T, String>,
}

/// How old the answer may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Freshness {
    /// Whatever a server has in its cache.
    Any,
    /// A state that is at least as new as this version.
    NotOlderThan(Version),
    /// The state as it is now.
    Consistent,
}

/// Reads all pages of one list; `page_size` none: as many objects at once as the server likes.
pub(super) async fn list<T: Object>(
    client: &Client,
    selector: &Selector,
    limits: &Limits,
    stats: &Stats,
    freshness: &Freshness,
    page_size: Option<usize>,
) -> Result<List<T>, Error> {
    stats.note(|now| now.lists += 1);
    let mut complete: Option<List<T>> = None;
    let mut next = None;
    // A server that sends empty pages for ever comes to an end too.
    for _ in 0..limits.objects.max(1) {
        let path = path::<T>(selector, freshness, page_size, next.as_deref());
        let body = client.read(&path, limits.page, limits.first_byte, limits.list).await?;
        // A byte that is no UTF-8 is the problem of its object.
        let text = String::from_utf8_lossy(&body);
        let page = Page::read(&text, T::KIND).map_err(Error::Malformed)?;
        if let (Freshness::NotOlderThan(least), None) = (freshness, &complete)
            && page.version.is_older_than(least)
        {
            return Err(Error::Behind(format!("a list of {} instead of {least}", page.version)));
        }
        // A watch has to begin where the first page was.
        let list = complete.get_or_insert_with(|| List {
            version: page.version,
            items: BTreeMap::new(),
            unnamed: 0,
            bytes: 0,
        });
        list.bytes += body.len();
        for item in page.items {
            let head = match Head::read(item) {
                Ok(head) => head,
                Err(why) => {
                    warn!(kind = T::KIND, %why, "an object in a list is ignored");
                    list.unnamed += 1;
                    continue;
                }
            };
            let decoded = T::decode(item.get().as_bytes());
            list.items.insert(head.object.clone(), ListItem { head, decoded });
        }
        if list.items.len() > limits.objects {
            return Err(Error::TooLarge { what: "set of objects", limit: limits.objects });
        }
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    match complete {
        Some(list) if next.is_none() => Ok(list),
        _ => Err(Error::Malformed("a list whose pages have no end".to_owned())),
    }
}

/// Path and query of one page. With `continue`, the API allows no resourceVersion.
fn path<T: Object>(
    selector: &Selector,
    freshness: &Freshness,
    page_size: Option<usize>,
    next: Option<&str>,
) -> String {
    let mut query = selector.query();
    if let Some(size) = page_size {
        query.append_pair("limit", &size.to_string());
    }
    match (next, freshness) {
        (Some(next), _) => {
            query.append_pair("continue", next);
        }
        (None, Freshness::Any) => {
            query.append_pair("resourceVersion", "0");
        }
        (None, Freshness::NotOlderThan(version)) => {
            query.append_pair("resourceVersion", &version.to_string());
            query.append_pair("resourceVersionMatch", "NotOlderThan");
        }
        (None, Freshness::Consistent) => {}
    }
    format!("{}?{}", T::PATH, query.finish())
}
