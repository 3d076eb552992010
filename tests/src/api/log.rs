//! What has been asked of the server: every request, and counters per verb and resource.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Instant,
};

/// What a request does, as RBAC names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// Reads one object, or a path that is no resource.
    Get,
    /// Reads all objects, or a page of them.
    List,
    /// Hears of changes.
    Watch,
    /// Makes a new object.
    Create,
    /// Replaces an object as a whole.
    Update,
    /// Changes a part of an object.
    Patch,
    /// Deletes one object.
    Delete,
    /// Deletes all objects that match.
    DeleteCollection,
}

impl Verb {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Get,
        Self::List,
        Self::Watch,
        Self::Create,
        Self::Update,
        Self::Patch,
        Self::Delete,
        Self::DeleteCollection,
    ];

    /// Whether it leaves everything as it is.
    #[must_use]
    pub fn is_reading(self) -> bool {
        matches!(self, Self::Get | Self::List | Self::Watch)
    }

    /// The verb as RBAC writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
        }
    }
}

/// One request.
#[derive(Debug, Clone)]
pub struct Request {
    /// What it wants.
    pub verb: Verb,
    /// Plural name with its subresource: `failoverpolicies/status`. Empty for other paths.
    pub resource: String,
    /// Path and query.
    pub path: String,
    /// Whose token came with it; empty for none that is known.
    pub user: String,
    /// The answer's code; 0 while there is none, or when the connection was cut instead.
    pub code: u16,
    /// When it came.
    pub at: Instant,
    /// Which page of a list it asks for: 1 is the first.
    pub page: u32,
}

#[derive(Debug, Default)]
pub(super) struct Log {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    requests: Vec<Request>,
    counts: BTreeMap<(Verb, String), u64>,
}

impl Log {
    /// Returns the request's number, for its answer.
    pub fn begin(&self, request: Request) -> usize {
        let mut inner = self.lock();
        // A list counts once, whatever number of pages it takes.
        if request.page <= 1 {
            *inner.counts.entry((request.verb, request.resource.clone())).or_default() += 1;
        }
        inner.requests.push(request);
        inner.requests.len() - 1
    }

    pub fn end(&self, number: usize, code: u16) {
        if let Some(request) = self.lock().requests.get_mut(number) {
            request.code = code;
        }
    }

    pub fn requests(&self) -> Vec<Request> {
        self.lock().requests.clone()
    }

    pub fn count(&self, verb: Verb, resource: &str) -> u64 {
        self.lock().counts.get(&(verb, resource.to_owned())).copied().unwrap_or(0)
    }

    pub fn clear(&self) {
        *self.lock() = Inner::default();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
